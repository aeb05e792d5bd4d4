package mgmt

import (
	"net"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/internal/process"
	"github.com/warrenmq/warren/internal/session"
)

// end is an end of a connection that is no socket, with an address of its own.
type end struct {
	net.Conn

	port int
}

func (e end) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: e.port} }

func (e end) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 5672} }

// manyConnections opens n connections with a channel each, which last until the
// test ends.
func manyConnections(t *testing.T, a *API, n int) {
	t.Helper()
	cfg := &session.Config{Broker: a.Broker, Authority: a.Store, Registry: a.Registry, Logger: a.Logger, Version: "test", MaxMessageSize: 1 << 20}
	var serving, dialing sync.WaitGroup
	conns := make([]*amqp091.Connection, n)
	for part := range 8 {
		dialing.Go(func() {
			for i := part; i < n; i += 8 {
				client, server := net.Pipe()
				serving.Go(func() { session.Serve(cfg, end{server, i + 1}) })
				c, err := amqp091.Open(client, amqp091.Config{
					SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "guest", Password: "guest"}}, Vhost: "/",
				})
				if err == nil {
					conns[i] = c
					_, err = c.Channel()
				}
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				dialing.Go(func() { _ = c.Close() })
			}
		}
		dialing.Wait()
		serving.Wait()
	})
	dialing.Wait()
}

// TestPagesOfConnections measures pages out of many connections and channels.
func TestPagesOfConnections(t *testing.T) {
	many := 100
	if n, err := strconv.Atoi(os.Getenv("CONNECTIONS")); err == nil { // CONNECTIONS=10000 measures
		many = n
	}
	n := newNode(t)
	manyConnections(t, n.API, many)
	if t.Failed() {
		return
	}
	h := n.OwnerHandler()
	count := `"total_count":` + strconv.Itoa(many)
	for path, has := range map[string]string{
		"/api/connections?page=1&page_size=50":                                   count,
		"/api/connections?page=2&page_size=50&sort=recv_oct&sort_reverse=true":   count,
		"/api/connections?page=1&page_size=50&name=127.0.0.1:77&use_regex=false": `"filtered_count":`,
		"/api/connections?page=1&page_size=50&columns=name,user,channels":        `"channels":1`,
		"/api/channels?page=1&page_size=50":                                      count,
		"/api/overview":                                                          `"connections":` + strconv.Itoa(many),
		"/metrics":                                                               "rabbitmq_connections " + strconv.Itoa(many),
		"/metrics/per-object":                                                    `rabbitmq_connection_channels{connection="127.0.0.1:7 -> 127.0.0.2:5672"} 1`,
	} {
		var status int
		var body string
		best := time.Hour
		for range 3 {
			w := httptest.NewRecorder()
			start := process.Read("").CPU // of the processor: others may be busy
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			best = min(best, process.Read("").CPU-start)
			status, body = w.Code, w.Body.String()
		}
		if status != 200 || !strings.Contains(body, has) {
			t.Errorf("%s: %d %.300s, want %s", path, status, body, has)
		}
		t.Logf("%6.1f ms and %d bytes for %s of %d connections", float64(best.Microseconds())/1000, len(body), path, many)
	}
}
