package session

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a connection whose Close waits for a client that has gone.
type deaf struct {
	net.Conn

	closing chan time.Time // when Close was called
}

const deafFor = 10 * time.Second

func (d deaf) Close() error {
	d.closing <- time.Now()
	time.Sleep(deafFor)
	return d.Conn.Close()
}

// deafRegistry is a registry with some deaf connections.
func deafRegistry(t *testing.T, n int) (*Registry, chan time.Time) {
	t.Helper()
	r, closing := NewRegistry(), make(chan time.Time, 10*n)
	for range n {
		client, node := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		c := enter(&Config{Registry: r, Logger: slog.New(slog.DiscardHandler)}, deaf{node, closing})
		c.info.ready = true
		c.heartbeat.Store(1)
		go func() {
			_, _ = node.Read(make([]byte, 1)) // until it is closed
			r.mu.Lock()
			c.info.ready = false // of a handshake there is nothing to take back
			r.mu.Unlock()
			r.remove(c)
		}()
	}
	return r, closing
}

// TestDeafSilent: connections that are silent are ended all at once, however
// long each takes.
func TestDeafSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, closing := deafRegistry(t, 5)
		ctx, cancel := context.WithCancel(t.Context())
		go r.Run(ctx)
		first := <-closing
		for range 4 {
			if at := <-closing; at.Sub(first) > beat {
				t.Errorf("one is ended %s after the first", at.Sub(first))
			}
		}
		cancel()
		time.Sleep(2 * deafFor)
	})
}

// TestDeafShutdown: neither does the end of the node take as long as all of them
// together.
func TestDeafShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := deafRegistry(t, 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		r.Shutdown(ctx, "the end")
		if took := time.Since(began); took > 2*deafFor {
			t.Errorf("five connections take %s to end", took)
		}
		time.Sleep(2 * deafFor)
	})
}
