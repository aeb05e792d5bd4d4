package mgmt

import (
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/latency"
)

// latencyView is how long something took lately, in seconds.
type latencyView struct {
	Samples uint64  `json:"samples"` // of the last one to two minutes
	P50     float64 `json:"p50"`
	P95     float64 `json:"p95"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p999"`
}

// latencies are shown of a single queue or exchange that has any.
type latencies struct {
	Publish *latencyView `json:"publish,omitempty"`
	Ack     *latencyView `json:"ack,omitempty"`
}

func newLatencyView(m *latency.Summary) *latencyView {
	if m.Recent() == 0 {
		return nil
	}
	of := func(q float64) float64 { return m.Quantile(q).Seconds() }
	return &latencyView{Samples: m.Recent(), P50: of(0.5), P95: of(0.95), P99: of(0.99), P999: of(0.999)}
}

func newLatencies(published, acked *latency.Summary) *latencies {
	l := latencies{newLatencyView(published), newLatencyView(acked)}
	if l == (latencies{}) {
		return nil
	}
	return &l
}

func queueLatencies(q *broker.Queue) *latencies {
	var published, acked latency.Summary
	q.Latency(&published, &acked)
	return newLatencies(&published, &acked)
}

func exchangeLatencies(x *broker.Exchange) *latencies {
	var published latency.Summary
	x.Latency(&published)
	return newLatencies(&published, &latency.Summary{})
}
