package server

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/warrenmq/warren/internal/mgmt"
)

// drainStep is how often a part of the clients is sent away.
const drainStep = 200 * time.Millisecond

// drainReason is what clients are told that are sent away, in RabbitMQ's words.
const drainReason = "Node was put into maintenance mode"

// drain sends the node's clients away, a part at a time, so that they do not
// all come to the other nodes at once; new ones are turned away.
type drain struct {
	mu    sync.Mutex // guards what follows
	began time.Time  // zero: it does not
	stop  chan struct{}
}

// Drain begins to send the clients away, all of them within a time. When that
// has begun already, it goes on as it was.
func (s *Server) Drain(within time.Duration) {
	d := &s.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.began.IsZero() {
		return
	}
	d.began, d.stop = s.opts.Now(), make(chan struct{})
	stop := d.stop
	s.opts.Logger.Info("sending clients away", slog.Duration("within", within))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Go(func() { s.sendAway(within, stop) })
	}
}

// Undrain takes clients again.
func (s *Server) Undrain() {
	d := &s.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.began.IsZero() {
		close(d.stop)
		d.began, d.stop = time.Time{}, nil
		s.opts.Logger.Info("taking clients again")
	}
}

// Draining tells how far the node is.
func (s *Server) Draining() mgmt.Drain {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	return mgmt.Drain{Since: s.drain.began, Connections: s.registry.Count()}
}

// sendAway closes the connections, in equal parts over a time.
func (s *Server) sendAway(within time.Duration, stop <-chan struct{}) {
	t := time.NewTicker(drainStep)
	defer t.Stop()
	for steps := max(int(within/drainStep), 1); ; steps-- {
		list := s.registry.Living()
		part := len(list)
		if steps > 1 {
			part = (len(list) + steps - 1) / steps
		}
		for _, c := range list[:part] {
			c.Force(drainReason)
		}
		if steps <= 1 {
			return
		}
		select {
		case <-stop:
			return
		case <-s.ending.Done():
			return
		case <-t.C:
		}
	}
}

// unlessDraining turns clients away while the node is drained.
func (s *Server) unlessDraining(f func(net.Conn)) func(net.Conn) {
	return func(nc net.Conn) {
		if !s.turnedAway(nc) {
			f(nc)
		}
	}
}

// turnedAway closes a new connection if the node is drained.
func (s *Server) turnedAway(nc net.Conn) bool {
	s.drain.mu.Lock()
	draining := !s.drain.began.IsZero()
	s.drain.mu.Unlock()
	if draining {
		_ = nc.Close()
	}
	return draining
}
