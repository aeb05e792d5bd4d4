package mgmt

import (
	"net/http"
	"time"
)

// How long a drain may take, and does when nothing is said, in seconds.
const (
	drainSeconds    = 10
	maxDrainSeconds = 3600
)

// Drain is how far a node is with sending its clients away.
type Drain struct {
	Since       time.Time // zero: it takes clients
	Connections int
}

// Drainer sends a node's clients away.
type Drainer interface {
	// Drain begins it; all are to be gone within a time.
	Drain(within time.Duration)
	// Undrain takes clients again.
	Undrain()
	// Draining tells how far it is.
	Draining() Drain
}

func (a *API) drainRoutes() []route {
	return []route{
		{http.MethodGet, "/api/drain", needMonitor, a.getDrain},
		{http.MethodPost, "/api/drain", needAdmin, a.drain},
		{http.MethodDelete, "/api/drain", needAdmin, a.undrain},
	}
}

// drainView is a drain in JSON.
type drainView struct {
	Draining    bool       `json:"draining"`
	Since       *time.Time `json:"since"`
	Connections int        `json:"connections"`
}

func (a *API) drainable() error {
	if a.Drainer == nil {
		return &statusError{http.StatusServiceUnavailable, "service_unavailable", "this node cannot be drained"}
	}
	return nil
}

// draining reports whether the node sends its clients away.
func (a *API) draining() bool { return a.Drainer != nil && !a.Drainer.Draining().Since.IsZero() }

func (a *API) getDrain(*call) (any, error) {
	if err := a.drainable(); err != nil {
		return nil, err
	}
	now := a.Drainer.Draining()
	w := drainView{Draining: !now.Since.IsZero(), Connections: now.Connections}
	if w.Draining {
		w.Since = &now.Since
	}
	return w, nil
}

func (a *API) drain(c *call) (any, error) {
	if err := a.drainable(); err != nil {
		return nil, err
	}
	in := struct{ Seconds whole }{Seconds: drainSeconds}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Seconds < 0 || in.Seconds > maxDrainSeconds {
		return nil, errBad("seconds must be between 0 and %d", maxDrainSeconds)
	}
	a.Drainer.Drain(time.Duration(in.Seconds) * time.Second)
	return a.getDrain(c)
}

func (a *API) undrain(*call) (any, error) {
	if err := a.drainable(); err != nil {
		return nil, err
	}
	a.Drainer.Undrain()
	return nil, nil
}
