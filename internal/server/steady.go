package server

import (
	"io"
	"net/http"
	"time"
)

const (
	// httpPiece is how much of an answer or of a body has to get through in the
	// time that it has.
	httpPiece = 64 << 10
	// httpPieceTimeout is the time that a piece of an answer has.
	httpPieceTimeout = 30 * time.Second
)

// steady gives the answers of h, and the bodies that it reads, as long as they
// take while they get on: the time for the next piece begins when the last one
// is through. A client that asks and does not read would keep its answer, and
// who writes it, for ever.
func steady(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &steadyWriter{ResponseWriter: w, control: http.NewResponseController(w)}
		defer s.push() // what is left in buffers
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // the server reads on in its own, which has the time for a request
			r.Body = &steadyBody{ReadCloser: r.Body, control: s.control}
		}
		h.ServeHTTP(s, r)
	})
}

// steadyWriter writes piece by piece.
type steadyWriter struct {
	http.ResponseWriter

	control *http.ResponseController
}

// Unwrap is for http.ResponseController and those who take over the connection.
func (s *steadyWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (s *steadyWriter) WriteHeader(status int) {
	s.push()
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *steadyWriter) Write(b []byte) (written int, err error) {
	for more := true; more; more = written < len(b) {
		s.push()
		n, err := s.ResponseWriter.Write(b[written:min(len(b), written+httpPiece)])
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

func (s *steadyWriter) push() {
	_ = s.control.SetWriteDeadline(time.Now().Add(httpPieceTimeout)) //nolint:forbidigo // a socket's deadline is wall-clock time
}

// steadyBody gives each piece of a body the time that a whole request has.
type steadyBody struct {
	io.ReadCloser

	control *http.ResponseController
	got     int // since the time began
	over    bool
}

// Read implements io.Reader.
func (s *steadyBody) Read(b []byte) (int, error) {
	if s.got >= httpPiece && !s.over { // behind the end the server waits for something else
		s.got = 0
		_ = s.control.SetReadDeadline(time.Now().Add(httpReadTimeout)) //nolint:forbidigo // a socket's deadline is wall-clock time
	}
	n, err := s.ReadCloser.Read(b[:min(len(b), httpPiece)])
	s.got += n
	s.over = s.over || err != nil
	return n, err
}
