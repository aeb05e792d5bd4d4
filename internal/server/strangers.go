package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxStrangers is how many connections of an HTTP listener nobody has logged
// in on.
const maxStrangers = 1000

// strangers are the connections of an HTTP listener that nobody has logged in
// on. When there are too many, the one that has been there longest makes room:
// who logs in is soon none, so that a crowd keeps nobody out and takes a
// bounded part of the node.
type strangers struct {
	mu    sync.Mutex // guards what follows
	order list.List  // of net.Conn, the newest last
	at    map[net.Conn]*list.Element
}

// visitor is the key of a request's connection and its listener's strangers.
type visitor struct{}

// visit is what a request has under visitor.
type visit struct {
	nc net.Conn
	of *strangers
}

// welcome has a listener's server keep count of strangers.
func (s *strangers) welcome(web *http.Server) {
	s.at = map[net.Conn]*list.Element{}
	web.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		return context.WithValue(ctx, visitor{}, visit{nc, s})
	}
	web.ConnState = func(nc net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.enter(nc)
		case http.StateHijacked, http.StateClosed: // who took it over bounds it
			s.leave(nc)
		case http.StateActive, http.StateIdle:
		}
	}
}

func (s *strangers) enter(nc net.Conn) {
	var first net.Conn
	s.mu.Lock()
	s.at[nc] = s.order.PushBack(nc)
	if s.order.Len() > maxStrangers {
		first, _ = s.order.Remove(s.order.Front()).(net.Conn)
		delete(s.at, first)
	}
	s.mu.Unlock()
	if first == nil {
		return
	}
	if secure, ok := first.(*tls.Conn); ok {
		first = secure.NetConn() // whose Close waits for nothing
	}
	_ = first.Close()
}

func (s *strangers) leave(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.at[nc]; e != nil {
		s.order.Remove(e)
		delete(s.at, nc)
	}
}

// loggedIn notes that somebody has logged in with a request: its connection is
// no stranger's.
func loggedIn(r *http.Request) {
	if v, ok := r.Context().Value(visitor{}).(visit); ok {
		v.of.leave(v.nc)
	}
}
