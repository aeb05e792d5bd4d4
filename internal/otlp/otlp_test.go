package otlp

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = `# HELP up_total Things "that" came up
# TYPE up_total counter
up_total{kind="a\"b\\c\nd",vhost="/"} 3
up_total{kind="e"} 4.5

# HELP size_bytes Size
# TYPE size_bytes gauge
size_bytes 12
size_bytes{x="nothing"} NaN
# HELP empty Nothing of it is there
# TYPE empty gauge
# HELP sync_seconds Syncs
# TYPE sync_seconds histogram
sync_seconds_bucket{le="0.001"} 2
sync_seconds_bucket{le="1"} 5
sync_seconds_bucket{le="+Inf"} 6
sync_seconds_sum 4
sync_seconds_count 6
# HELP lag_seconds Lag
# TYPE lag_seconds summary
lag_seconds{queue="q",quantile="0.5"} 0.25
lag_seconds{queue="q",quantile="0.99"} 1.5
lag_seconds_sum{queue="q"} 7
lag_seconds_count{queue="q"} 9
`

// want is what the protocol's JSON form of text is.
const want = `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"t"}}]},
"scopeMetrics":[{"scope":{"name":"warren"},"metrics":[
{"name":"up_total","description":"Things \"that\" came up","sum":{"dataPoints":[
 {"attributes":[{"key":"kind","value":{"stringValue":"a\"b\\c\nd"}},{"key":"vhost","value":{"stringValue":"/"}}],"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","asDouble":3},
 {"attributes":[{"key":"kind","value":{"stringValue":"e"}}],"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","asDouble":4.5}],
 "aggregationTemporality":2,"isMonotonic":true}},
{"name":"size_bytes","description":"Size","unit":"By","gauge":{"dataPoints":[{"timeUnixNano":"5000000000","asDouble":12}]}},
{"name":"sync_seconds","description":"Syncs","unit":"s","histogram":{"dataPoints":[
 {"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","count":"6","sum":4,"explicitBounds":[0.001,1],"bucketCounts":["2","3","1"]}],"aggregationTemporality":2}},
{"name":"lag_seconds","description":"Lag","unit":"s","summary":{"dataPoints":[
 {"attributes":[{"key":"queue","value":{"stringValue":"q"}}],"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","count":"9","sum":7,
  "quantileValues":[{"quantile":0.5,"value":0.25},{"quantile":0.99,"value":1.5}]}]}}
]}]}]}`

func options(endpoint string) Options {
	return Options{
		Endpoint: endpoint, Headers: map[string]string{"Authorization": "Api-Token x"}, Interval: time.Millisecond,
		Resource: map[string]string{"service.name": "t"}, Started: time.Unix(1, 0), Now: func() time.Time { return time.Unix(5, 0) },
		Logger: slog.New(slog.DiscardHandler), Write: func(w io.Writer) error { _, err := io.WriteString(w, text); return err },
	}
}

// collector is an HTTP server that takes what is sent.
func collector(t *testing.T, answer func(w http.ResponseWriter)) (url string, got <-chan string) {
	t.Helper()
	bodies := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(zip)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/metrics" || r.Header.Get("Content-Type") != "application/json" ||
			r.Header.Get("Authorization") != "Api-Token x" {
			t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
		select {
		case bodies <- string(b):
		default:
		}
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s.URL, bodies
}

// TestSend compares what a collector gets with the protocol.
func TestSend(t *testing.T) {
	url, got := collector(t, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{}") })
	for _, endpoint := range []string{url, url + "/", url + "/v1/metrics"} {
		e := New(options(endpoint))
		if err := e.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.client.CloseIdleConnections()
		var have, wanted any
		if err := errors.Join(json.Unmarshal([]byte(<-got), &have), json.Unmarshal([]byte(want), &wanted)); err != nil {
			t.Fatal(err)
		}
		a, _ := json.MarshalIndent(have, "", " ")
		b, _ := json.MarshalIndent(wanted, "", " ")
		if string(a) != string(b) {
			t.Errorf("sent\n%s\nwant\n%s", a, b)
		}
	}
}

// TestRefused: what a collector does not take is an error that says why.
func TestRefused(t *testing.T) {
	for says, answer := range map[string]func(w http.ResponseWriter){
		"503 Service Unavailable: \"later\"": func(w http.ResponseWriter) { http.Error(w, "later", http.StatusServiceUnavailable) },
		"refuses 3 points: \"no\"": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"no"}}`)
		},
	} {
		url, _ := collector(t, func(w http.ResponseWriter) { answer(w) })
		e := New(options(url))
		err := e.Send(t.Context())
		e.client.CloseIdleConnections()
		if says = strings.Replace(says, `later"`, `later\n"`, 1); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
	o := options("http://127.0.0.1:1")
	if err := New(o).Send(t.Context()); err == nil {
		t.Error("nobody listens and nothing is wrong")
	}
}

// TestRun sends again and again, a last time at the end, and logs a failure
// once.
func TestRun(t *testing.T) {
	url, got := collector(t, func(http.ResponseWriter) {})
	var log strings.Builder
	o := options(url)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	fail := true
	whole := o.Write
	o.Write = func(w io.Writer) error {
		if fail {
			return errors.New("not now")
		}
		return whole(w)
	}
	e := New(o)
	for range 3 {
		e.note(e.Send(t.Context()))
	}
	fail = false
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	<-got
	<-got
	stop()
	<-done
	if n := strings.Count(log.String(), "not now"); n != 1 || !strings.Contains(log.String(), "sent again") {
		t.Errorf("the log says\n%s", log.String())
	}
}

// TestMalformed: what is not Prometheus' text is refused, and never a panic.
func TestMalformed(t *testing.T) {
	for _, bad := range []string{
		"x 1", "# TYPE x gauge\nx", "# TYPE x gauge\nx one", "# TYPE x gauge\ny 1", "# TYPE x gauge\nx{a} 1", "# TYPE x gauge\nx{a=\"b 1",
		"# TYPE x histogram\nx_bucket 1", "# TYPE x summary\nx 1", "# TYPE x gauge\nx{a=\"b\"",
	} {
		if list, err := parse(strings.NewReader(bad), time.Time{}, time.Time{}); err == nil {
			t.Errorf("%q gives %v", bad, list)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text)
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parse(strings.NewReader(s), time.Unix(1, 0), time.Unix(2, 0))
		if err != nil {
			return
		}
		if _, err := json.Marshal(newRequest(nil, list)); err != nil {
			t.Errorf("%q cannot be encoded: %v", s, err)
		}
	})
}

func TestAttributesAreSorted(t *testing.T) {
	r := newRequest(map[string]string{"b": "2", "a": "1", "c": "3"}, nil)
	keys := map[string]int{}
	for i, a := range r.Resources[0].Resource.Attributes {
		keys[a.Key] = i
	}
	if !slices.IsSorted([]int{keys["a"], keys["b"], keys["c"]}) || len(slices.Collect(maps.Keys(keys))) != 3 {
		t.Errorf("%v", keys)
	}
}
