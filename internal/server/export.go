package server

import (
	"context"
	"time"

	"github.com/warrenmq/warren/internal/otlp"
)

// Export says where metrics are sent: see otlp.Options.
type Export struct {
	Endpoint string // empty: nowhere
	Headers  map[string]string
	Interval time.Duration
}

// export sends metrics until ctx ends.
func (s *Server) export(ctx context.Context) {
	e := s.opts.Export
	if e.Endpoint == "" {
		return
	}
	x := otlp.New(otlp.Options{
		Endpoint: e.Endpoint, Headers: e.Headers, Interval: e.Interval, Started: s.api.Started(), Now: s.opts.Now, Logger: s.opts.Logger,
		Write: s.api.WriteMetrics, Resource: map[string]string{
			"service.name": "warren", "service.version": s.opts.Version, "service.namespace": s.opts.ClusterName,
			"service.instance.id": "warren-" + s.store.DefaultCluster().ID,
		},
	})
	s.work.Go(func() { x.Run(ctx) })
}
