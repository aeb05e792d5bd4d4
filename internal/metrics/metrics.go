// Package metrics writes what a node counts in Prometheus' text format:
// RabbitMQ's names, so that its dashboards show Warren, and Warren's own behind
// the prefix warren_.
//
// As with RabbitMQ there are three views: everything added up; every object on
// its own; and families that are chosen, object by object. A scrape reads the
// counters of each object once, under that object's own lock, and writes from
// there: what it keeps meanwhile is some two hundred bytes an object.
package metrics

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/latency"
	"github.com/warrenmq/warren/internal/session"
)

// Source is what is measured.
type Source struct {
	Broker   *broker.Broker
	Registry *session.Registry
	// Version is Warren's; RabbitVersion the one whose behaviour is followed.
	Version, RabbitVersion string
	// Node names the node, ClusterName the installation, ClusterID never
	// changes.
	Node, ClusterID string
	ClusterName     func() string
	Data            string // the data directory, or empty
	Started         time.Time
	Now             func() time.Time
	// Logins are those at the HTTP API that succeeded and failed.
	Logins func() (good, bad uint64)
	// Tenants tells the use and the limits of clusters; nil: there are none.
	Tenants func() []Tenant
	// Journal tells what the journal takes; nil: there is none.
	Journal func() Journal
	// Certificates tells when those of TLS end; nil: there are none.
	Certificates func() []Certificate
}

// Certificate is when certificates of a file end: of several, the first.
type Certificate struct {
	File    string
	Clients bool // they verify those of clients; else they are the node's own
	Until   time.Time
}

// Journal is what the journal takes.
type Journal struct {
	Disk int64 // bytes of its segments
	// How long its syncs took: Counts has how many took longer than the bound
	// before and at most this one, and at its end those beyond the last.
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// View is how much is told.
type View uint8

// The views, by RabbitMQ's paths.
const (
	Aggregated View = iota // /metrics
	PerObject              // /metrics/per-object
	Detailed               // /metrics/detailed
)

// Request says what to write.
type Request struct {
	View View
	// Families are those of Detailed; others pay no attention to them.
	Families []string
	// Vhosts restricts Detailed to some, by the names on the wire; nil: all.
	Vhosts []string
	// Cluster restricts PerObject and Detailed to what is in one cluster, by its
	// id: nothing of others, nothing of the node. Empty: all.
	Cluster string
}

// ContentType is the text format's.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// kinds of metrics.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
	summary   = "summary"
)

// page is a scrape that is being written.
type page struct {
	*Source

	out    *bufio.Writer
	line   []byte
	prefix string
	req    *Request

	times    latency.Summary // of the object that is being written; zero between objects
	labels   []byte          // of one of its quantiles
	messages map[string]int  // of vhosts, by the names on the wire; filled by global
}

const buffer = 64 << 10

// Write writes what a request asks for.
func (s *Source) Write(w io.Writer, r Request) error {
	p := &page{Source: s, out: bufio.NewWriterSize(w, buffer), prefix: "rabbitmq_", req: &r}
	if r.View == Detailed {
		p.prefix = "rabbitmq_detailed_"
	}
	if r.Cluster != "" {
		p.tenant()
		return p.out.Flush()
	}
	p.nodeMetrics()
	p.queues()
	p.connections()
	p.exchanges()
	p.own("warren_", p.objectLatencies)
	p.identity()
	if r.View != Detailed {
		p.totals()
		p.global()
		p.own("warren_", p.ours)
		p.runtime()
	}
	return p.out.Flush()
}

// wants reports whether a family is to be written object by object, or at all.
func (p *page) wants(family string) bool {
	return p.req.View != Detailed || slices.Contains(p.req.Families, family)
}

// each reports whether objects are written one by one.
func (p *page) each() bool { return p.req.View != Aggregated }

// vhost reports whether the objects of a vhost are written.
func (p *page) vhost(v *broker.Vhost) bool {
	return p.cluster(v.Ref().Cluster) && (p.req.View != Detailed || len(p.req.Vhosts) == 0 || slices.Contains(p.req.Vhosts, v.Wire()))
}

// cluster reports whether what is in a cluster is written.
func (p *page) cluster(id string) bool {
	return p.req.Cluster == "" || p.req.Cluster == id
}

// head begins a metric.
func (p *page) head(name, kind, help string) {
	b := append(p.line[:0], "# HELP "...)
	b = append(append(append(append(b, p.prefix...), name...), ' '), help...)
	b = append(append(append(b, "\n# TYPE "...), p.prefix...), name...)
	b = append(append(append(b, ' '), kind...), '\n')
	p.line = b
	_, _ = p.out.Write(b) // Flush tells
}

// value writes one sample; labels are with their braces, or empty.
func (p *page) value(name string, labels []byte, v float64) {
	b := append(append(append(p.line[:0], p.prefix...), name...), labels...)
	b = append(b, ' ')
	if whole := math.Trunc(v); whole == v && math.Abs(v) < 1<<53 {
		b = strconv.AppendInt(b, int64(v), 10)
	} else {
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	p.line = append(b, '\n')
	_, _ = p.out.Write(p.line) // Flush tells
}

// single writes a metric with one sample.
func (p *page) single(name, kind, help string, v float64) {
	p.head(name, kind, help)
	p.value(name, nil, v)
}

// own runs f for metrics of Warren's own.
func (p *page) own(prefix string, f func()) {
	before := p.prefix
	p.prefix = prefix
	f()
	p.prefix = before
}

// appendLabels appends labels, given as names and values.
func appendLabels(b []byte, pairs ...string) []byte {
	b = append(b, '{')
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, pairs[i]...), '=', '"')
		b = appendEscaped(b, pairs[i+1])
		b = append(b, '"')
	}
	return append(b, '}')
}

// appendEscaped appends the value of a label.
func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\\\"\n") {
		return append(b, strings.ToValidUTF8(s, "\uFFFD")...)
	}
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch r {
		case '\\', '"':
			b = append(b, '\\', byte(r))
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, string(r)...)
		}
	}
	return b
}

func (p *page) identity() {
	endpoint := map[View]string{Aggregated: "aggregated", PerObject: "per-object", Detailed: "detailed"}[p.req.View]
	p.own("rabbitmq_", func() {
		p.head("build_info", gauge, "RabbitMQ & Erlang/OTP version info: Warren's, and the version whose behaviour it follows")
		p.value("build_info", appendLabels(nil, "rabbitmq_version", p.RabbitVersion, "product_name", "Warren", "product_version", p.Version), 1)
		p.head("identity_info", gauge, "RabbitMQ node & cluster identity info")
		p.value("identity_info", appendLabels(nil, "rabbitmq_node", p.Node, "rabbitmq_cluster", p.ClusterName(),
			"rabbitmq_cluster_permanent_id", p.ClusterID, "rabbitmq_endpoint", endpoint), 1)
	})
}
