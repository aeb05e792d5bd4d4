package server

import (
	"log/slog"
	"net"
	"runtime"

	"github.com/warrenmq/warren/internal/lobby"
	"github.com/warrenmq/warren/internal/session"
)

// serveYoung accepts plain AMQP connections until the server is closed.
func (s *Server) serveYoung(l *net.TCPListener) error {
	young, err := lobby.New(l, lobby.Options{
		Handle: s.receive, Go: s.hand, Rooms: runtime.GOMAXPROCS(0),
		Failed: func(err error) {
			s.opts.Logger.Warn("connection not accepted", slog.String("error", err.Error()))
		},
	})
	if err != nil {
		return err
	}
	open := s.listening(young)
	young.Serve()
	if !open {
		return net.ErrClosed
	}
	return nil
}

// receive serves a young connection; see lobby.Handler.
func (s *Server) receive(nc *lobby.Conn) (rest func()) {
	if !s.seat() {
		s.full()
		_ = nc.Close()
		return nil
	}
	if s.turnedAway(nc) {
		s.vacate()
		return nil
	}
	if rest = session.Begin(&s.config, nc); rest == nil {
		s.vacate()
	}
	return rest
}
