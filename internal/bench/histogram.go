package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the largest latency that is told apart from longer ones.
const longest = int64(10 * time.Minute)

// histogram is a distribution of nanoseconds, exact to 0.1 %.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() *histogram { return &histogram{hdrhistogram.New(100, longest, 3)} }

func (h *histogram) record(ns int64) {
	_ = h.h.RecordValue(min(max(ns, 0), longest)) // in range
}

// merge adds another one of the same range.
func (h *histogram) merge(other *histogram) { h.h.Merge(other.h) }

// percentiles are those that are reported.
var percentiles = []struct {
	name string
	q    float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"max", 100}}

// metrics reports the percentiles in microseconds.
func (h *histogram) metrics(r *Result, name string) {
	r.add(name+"_count", "", float64(h.h.TotalCount()))
	if h.h.TotalCount() == 0 {
		return
	}
	for _, p := range percentiles {
		r.add(name+"_"+p.name, "µs", float64(h.h.ValueAtQuantile(p.q))/float64(time.Microsecond))
	}
}
