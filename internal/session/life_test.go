package session_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/warrentest"
)

// TestConnectionLimits: a vhost's and a role's; what is closed makes room.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	store := x.node.Store()
	one, none := int64(1), int64(0)
	refused := func(want string) {
		t.Helper()
		_, err := x.dial(x.wire(), "worker", x.key)
		var e *amqp091.Error
		if !errors.As(err, &e) || e.Code != 530 || e.Reason != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := x.dial(x.wire(), "worker", x.key)
	must(err)
	must(store.SetVhostLimit(x.ref, meta.LimitConnections, &one))
	refused("NOT_ALLOWED - access to vhost '" + x.wire() + "' refused for user 'worker': connection limit (1) is reached")
	must(store.SetVhostLimit(x.ref, meta.LimitConnections, nil))
	must(store.SetRoleLimit(x.ref.Cluster, "worker", meta.LimitConnections, &one))
	refused("NOT_ALLOWED - connection refused for user 'worker': user connection limit (1) is reached")
	must(conn.Close())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the node takes note in its own time
		if conn, err = x.dial(x.wire(), "worker", x.key); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	must(store.SetRoleLimit(x.ref.Cluster, "worker", meta.LimitConnections, &none))
	refused("NOT_ALLOWED - connection refused for user 'worker': user connection limit (0) is reached")
	if conn.IsClosed() {
		t.Error("a lowered limit has closed a connection")
	}
	must(conn.Close())
}

// TestRefusedLeavesNothing: of roles that come, are refused and go nothing is
// kept.
func TestRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	store, none := x.node.Store(), int64(0)
	for i := range 20 {
		role := "role" + strconv.Itoa(i)
		_, key, err := store.CreateRole(x.ref.Cluster, role, meta.RoleOptions{})
		if err == nil {
			err = store.Grant(x.ref, role, both)
		}
		if err == nil {
			err = store.SetRoleLimit(x.ref.Cluster, role, meta.LimitConnections, &none)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.dial(x.wire(), role, key); err == nil || !strings.Contains(err.Error(), "user connection limit (0) is reached") {
			t.Fatal(err)
		}
		if _, err := store.DeleteRole(x.ref.Cluster, role); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.node.Registry().Holders(); n != 0 {
		t.Errorf("the use of %d roles and vhosts is kept", n)
	}
}

// TestKeyEnds: a connection ends with its key, by its lifetime or at the end of an overlap, unless
// it was given a new one.
func TestKeyEnds(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	store := x.node.Store()
	_, short, err := store.CreateRole(x.ref.Cluster, "short", meta.RoleOptions{KeyLifetime: 5 * time.Second})
	if err == nil {
		err = store.Grant(x.ref, "short", both)
	}
	if err != nil {
		t.Fatal(err)
	}
	ends := func(role, key, want string) {
		t.Helper()
		conn, err := x.dial(x.wire(), role, key)
		if err != nil {
			t.Fatal(err)
		}
		closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
		if role == "worker" {
			if _, err := store.ResetKey(x.ref.Cluster, role, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if e := <-closed; e == nil || e.Code != 320 || e.Reason != want {
			t.Errorf("%s: closed with %v", role, e)
		}
	}
	ends("short", short, "CONNECTION_FORCED - credential expired")
	ends("worker", x.key, "CONNECTION_FORCED - the role's key is no longer valid")
}

// TestUpdateSecret: a new key is verified; with it the connection outlives the old one.
func TestUpdateSecret(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	store := x.node.Store()
	conn, ch := x.channel(t)
	other, _ := x.channel(t)
	key, err := store.ResetKey(x.ref.Cluster, "worker", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.UpdateSecret(key, "rotation"); err != nil {
		t.Fatal(err)
	}
	if e := <-other.NotifyClose(make(chan *amqp091.Error, 1)); e == nil || e.Code != 320 {
		t.Errorf("the connection with the old key: %v", e)
	}
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Errorf("with its new key: %v", err)
	}
	refused := conn.NotifyClose(make(chan *amqp091.Error, 1))
	_ = conn.UpdateSecret(x.key, "an old one")
	if e := <-refused; e == nil || e.Code != 530 || e.Reason != "NOT_ALLOWED - New secret was refused by one of the backends" {
		t.Errorf("a revoked key: %v", e)
	}
}

// TestBlocked: who publishes while memory is short waits and is told; who consumes is not stopped,
// and what it takes away lets the publisher go on.
func TestBlocked(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both, func(o *server.Options) { o.MemoryLimit = 1 << 20 })
	conn, ch := x.channel(t)
	idle, other := x.channel(t)
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	blocking := conn.NotifyBlocked(make(chan amqp091.Blocking, 2))
	quiet := idle.NotifyBlocked(make(chan amqp091.Blocking, 2))
	for range 3 {
		if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, 600<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	if b := <-blocking; !b.Active || b.Reason != "low on memory" {
		t.Errorf("told %+v", b)
	}
	if _, err := other.QueueDeclare("another", false, false, false, false, nil); err != nil {
		t.Errorf("one that does not publish: %v", err)
	}
	deliveries, err := other.ConsumeWithContext(t.Context(), "q", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-deliveries
	}
	if b := <-blocking; b.Active {
		t.Errorf("told %+v", b)
	}
	if len(quiet) > 0 {
		t.Error("one that does not publish was told")
	}
}

// counting counts what is read from a connection.
type counting struct {
	net.Conn
	read int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += n
	return n, err
}

// TestHandshakeIsTraffic: what a connection has sent is all that its client got,
// the handshake included.
func TestHandshakeIsTraffic(t *testing.T) {
	t.Parallel()
	b := warrentest.Start(t)
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Listen())
	if err != nil {
		t.Fatal(err)
	}
	got := &counting{Conn: nc}
	greet(t, got, true)
	var answer string
	for range 100 {
		_, answer = b.Manage("GET", "/api/connections", "")
		if strings.Contains(answer, `"send_oct":`+strconv.Itoa(got.read)+`,`) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the client got %d bytes: %s", got.read, answer)
}
