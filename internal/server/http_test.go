package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener at which connections that buffer nothing arrive.
type pipes struct {
	in   chan net.Conn
	over chan struct{}
}

func newPipes() *pipes { return &pipes{in: make(chan net.Conn), over: make(chan struct{})} }

// dial connects.
func (p *pipes) dial() net.Conn {
	client, node := net.Pipe()
	p.in <- node
	return client
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.in:
		return nc, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.over)
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// serveTest serves h as the node does, inside of a bubble.
func serveTest(t *testing.T, h http.Handler) *pipes {
	t.Helper()
	s, p := &Server{opts: Options{Logger: slog.New(slog.DiscardHandler)}}, newPipes()
	go func() { _ = s.serveHTTP(p, h, false) }()
	synctest.Wait()
	t.Cleanup(func() {
		for _, w := range s.web {
			_ = w.Close()
		}
		time.Sleep(time.Minute) // for those that wait for their client
	})
	return p
}

// TestDeafClient: who asks and does not read is not waited for; who reads
// slowly gets all.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		ended := make(chan error, 1)
		p := serveTest(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, size))
			ended <- err
		}))
		nc := p.dial()
		_, _ = fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		began := time.Now()
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > time.Minute {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		case <-time.After(time.Hour):
			t.Fatal("the answer to a client that does not read is kept")
		}

		nc = p.dial()
		_, _ = fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		began = time.Now()
		slow := make([]byte, 4<<10) // a second
		for got := 0; got < size; {
			n, err := nc.Read(slow)
			if err != nil {
				t.Fatalf("after %s, %d of %d bytes: %v", time.Since(began), got, size, err)
			}
			got += n
			time.Sleep(time.Second)
		}
		go func() { _, _ = io.Copy(io.Discard, nc) }() // as many bytes as there were of headers
		if err := <-ended; err != nil || time.Since(began) < 10*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		_ = nc.Close()
	})
}

// TestSlowBody: a body has as long as it takes while it gets on, and no longer.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		p := serveTest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			time.Sleep(10 * time.Minute) // a long import
			_, _ = fmt.Fprint(w, n, err, r.Context().Err())
		}))
		send := func(every time.Duration) string {
			nc := p.dial()
			defer func() { _ = nc.Close() }()
			go func() {
				_, _ = fmt.Fprintf(nc, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
				for range size / 4096 {
					time.Sleep(every)
					if _, err := nc.Write(make([]byte, 4096)); err != nil {
						return
					}
				}
			}()
			r, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				return err.Error()
			}
			defer func() { _ = r.Body.Close() }()
			b, _ := io.ReadAll(r.Body)
			return string(b)
		}
		if got, want := send(time.Second), fmt.Sprint(size, nil, nil); got != want {
			t.Errorf("a body that gets on: %s, want %s", got, want)
		}
		if got := send(10 * time.Second); !strings.Contains(got, "timeout") {
			t.Errorf("a body that hardly gets on: %s", got)
		}
	})
}

// TestStrangers: connections that nobody logs in on are bounded, those of
// others stay.
func TestStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := serveTest(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); ok {
				loggedIn(r)
			}
		}))
		ask := func(nc net.Conn, header string) error {
			if _, err := fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", header); err != nil {
				return err
			}
			r, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err == nil {
				_ = r.Body.Close()
			}
			return err
		}
		friend := p.dial()
		if err := ask(friend, "Authorization: Basic YTpi\r\n"); err != nil {
			t.Fatal(err)
		}
		crowd := make([]net.Conn, maxStrangers+1)
		for i := range crowd {
			crowd[i] = p.dial()
			if i%2 == 0 { // the others say nothing
				if err := ask(crowd[i], ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := ask(crowd[0], ""); err == nil {
			t.Errorf("%d strangers are let in", len(crowd))
		}
		for _, i := range []int{1, 2, maxStrangers} {
			if err := ask(crowd[i], ""); err != nil {
				t.Errorf("stranger %d of %d: %v", i, len(crowd), err)
			}
		}
		if err := ask(friend, ""); err != nil {
			t.Errorf("who had logged in: %v", err)
		}
		_ = friend.Close()
		for _, nc := range crowd {
			_ = nc.Close()
		}
	})
}
