package otlp

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// The part of OTLP's messages that metrics need, in the protocol's JSON form:
// names in lowerCamelCase, 64-bit integers as texts.

type request struct {
	Resources []resourceMetrics `json:"resourceMetrics"`
}

type resourceMetrics struct {
	Resource resource       `json:"resource"`
	Scopes   []scopeMetrics `json:"scopeMetrics"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scopeMetrics struct {
	Scope   scope     `json:"scope"`
	Metrics []*metric `json:"metrics"`
}

type scope struct {
	Name string `json:"name"`
}

type attribute struct {
	Key   string `json:"key"`
	Value struct {
		Text string `json:"stringValue"`
	} `json:"value"`
}

func newAttribute(key, value string) attribute {
	a := attribute{Key: key}
	a.Value.Text = value
	return a
}

type metric struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Unit        string     `json:"unit,omitempty"`
	Gauge       *points    `json:"gauge,omitempty"`
	Sum         *sum       `json:"sum,omitempty"`
	Histogram   *histogram `json:"histogram,omitempty"`
	Summary     *points    `json:"summary,omitempty"`
}

type points struct {
	Points []*point `json:"dataPoints"`
}

// cumulative is AGGREGATION_TEMPORALITY_CUMULATIVE.
const cumulative = 2

type sum struct {
	points

	Temporality int  `json:"aggregationTemporality"`
	Monotonic   bool `json:"isMonotonic"`
}

type histogram struct {
	points

	Temporality int `json:"aggregationTemporality"`
}

// point is a point of any kind of metric.
type point struct {
	Attributes []attribute `json:"attributes,omitempty"`
	Start      nanos       `json:"startTimeUnixNano,omitempty"`
	Time       nanos       `json:"timeUnixNano"`
	Value      *float64    `json:"asDouble,omitempty"`
	// Of histograms and summaries.
	Count     *count          `json:"count,omitempty"`
	Sum       *float64        `json:"sum,omitempty"`
	Bounds    []float64       `json:"explicitBounds,omitempty"`
	Buckets   []count         `json:"bucketCounts,omitempty"`
	Quantiles []quantileValue `json:"quantileValues,omitempty"`
}

type quantileValue struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"`
}

// count is a 64-bit integer.
type count uint64

// MarshalJSON implements json.Marshaler.
func (c count) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(c), 10)), nil
}

// nanos is a time in nanoseconds since 1970.
type nanos int64

// MarshalJSON implements json.Marshaler.
func (n nanos) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(n), 10)), nil
}

func newNanos(t time.Time) nanos { return nanos(t.UnixNano()) }

// newRequest is what one export sends.
func newRequest(of map[string]string, metrics []*metric) request {
	r := resourceMetrics{Scopes: []scopeMetrics{{Scope: scope{"warren"}, Metrics: metrics}}}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		r.Resource.Attributes = append(r.Resource.Attributes, newAttribute(key, of[key]))
	}
	return request{[]resourceMetrics{r}}
}
