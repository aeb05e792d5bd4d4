package mgmt

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/metrics"
)

// The paths of the metrics.
const (
	pathMetrics   = "/metrics"
	pathPerObject = "/metrics/per-object"
	pathDetailed  = "/metrics/detailed"
)

// maxFamilies bounds how many families and vhosts one scrape names.
const maxFamilies = 100

func (a *API) metricRoutes() []route {
	return []route{
		{http.MethodGet, pathMetrics, needMonitor, a.metrics(metrics.Aggregated)},
		{http.MethodGet, pathPerObject, needObjects, a.metrics(metrics.PerObject)},
		{http.MethodGet, pathDetailed, needObjects, a.metrics(metrics.Detailed)},
	}
}

// raw is an answer that is no JSON.
type raw struct {
	contentType string
	write       func(io.Writer) error
}

func (a *API) metrics(view metrics.View) func(*call) (any, error) {
	return func(c *call) (any, error) {
		r := metrics.Request{View: view}
		if c.allowed(needMonitor) != nil {
			r.Cluster = c.identity.Cluster // allowed by needObjects: its administrator
		}
		if view == metrics.Detailed {
			q := c.req.URL.Query()
			r.Families, r.Vhosts = q["family"], q["vhost"]
			if len(r.Families)+len(r.Vhosts) > maxFamilies {
				return nil, errBad("%d families and vhosts are asked for, the limit is %d", len(r.Families)+len(r.Vhosts), maxFamilies)
			}
		}
		return raw{metrics.ContentType, func(w io.Writer) error { return a.source.Write(w, r) }}, nil
	}
}

// MetricsHandler answers the metrics alone, to everybody who can reach it, as
// RabbitMQ does at its port for them.
func (a *API) MetricsHandler() http.Handler {
	whole := a.OwnerHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch strings.TrimSuffix(req.URL.Path, "/") {
		case pathMetrics, pathPerObject, pathDetailed:
			whole.ServeHTTP(w, req)
		default:
			http.NotFound(w, req)
		}
	})
}

// WriteMetrics writes those of the node as a whole, as Prometheus gets them.
func (a *API) WriteMetrics(w io.Writer) error { return a.source.Write(w, metrics.Request{}) }

// Started tells when the counters began.
func (a *API) Started() time.Time { return a.started }

// newSource is what the metrics are made of.
func (a *API) newSource() *metrics.Source {
	return &metrics.Source{
		Broker: a.Broker, Registry: a.Registry, Version: a.Version, RabbitVersion: rabbitVersion, Node: a.NodeName,
		ClusterID: "warren-" + a.Store.DefaultCluster().ID, Data: a.Data, Started: a.started, Now: a.Now,
		ClusterName: func() string { return a.Store.ClusterName(a.ClusterName) },
		Logins:      func() (good, bad uint64) { return a.attempts.good.Load(), a.attempts.bad.Load() },
		Tenants:     a.tenants,
		Journal:     a.Journal, Certificates: a.Certificates,
	}
}

// tenants tells what vhosts take of what they may.
func (a *API) tenants() []metrics.Tenant {
	conns := map[meta.VhostRef]int{}
	for _, c := range a.Registry.Living() {
		_, _, ref := c.Owner()
		conns[ref]++
	}
	var list []metrics.Tenant
	for _, v := range a.Broker.Vhosts() {
		ref := v.Ref()
		m, err := a.Store.Vhost(ref)
		if err != nil {
			continue // it has just gone
		}
		cluster, err := a.Store.Cluster(ref.Cluster)
		if err != nil {
			continue
		}
		list = append(list, metrics.Tenant{
			Cluster: ref.Cluster, Name: cluster.Name, Vhost: v.Wire(), Connections: conns[ref], Queues: v.QueueCount(),
			MaxConnections: m.Limits.Get(meta.LimitConnections), MaxQue: m.Limits.Get(meta.LimitQueues),
		})
	}
	return list
}
