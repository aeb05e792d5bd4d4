package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want target // the zero target: an error
	}{
		{"amqp://h", target{"h:5672", "guest", "guest", "/"}},
		{"amqp://h:1/", target{"h:1", "guest", "guest", "/"}},
		{"amqp://u:p%40@[::1]:1/%2f", target{"[::1]:1", "u", "p@", "/"}},
		{"amqp://u:p@h/amqp-abc%7Corders", target{"h:5672", "u", "p", "amqp-abc|orders"}},
		{"amqps://h", target{}},
		{"http://h", target{}},
		{"h:5672", target{}},
		{"amqp://", target{}},
		{"", target{}},
	} {
		got, err := parseURL(tt.url)
		if got != tt.want || (err == nil) != (tt.want != target{}) {
			t.Errorf("%q: %+v, %v", tt.url, got, err)
		}
	}
	if _, err := parseURL("http://u:secret@h"); strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, s := range Scenarios() {
		o := s.Defaults
		if err := o.validate(); err != nil {
			t.Errorf("%s's defaults: %v", s.Name, err)
		}
	}
	for _, tt := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.URL = "x" }, "--url"},
		{func(o *Options) { o.Flag = "mandatory" }, "--flag"},
		{func(o *Options) { o.Qos, o.MultiAckEvery = 10, 11 }, "never acknowledge"},
		{func(o *Options) { o.MultiAckEvery = 0 }, "--multi-ack-every"},
		{func(o *Options) { o.Qos = 70000 }, "--qos"},
		{func(o *Options) { o.Size = -1 }, "--size"},
		{func(o *Options) { o.Time = 0 }, "--time"},
		{func(o *Options) { o.QueuePattern = "q" }, "--queue-pattern"},
		{func(o *Options) { o.QueuePattern = "q%d%s" }, "--queue-pattern"},
		{func(o *Options) { o.PatternFrom, o.PatternTo = 3, 2 }, "--queue-pattern-to"},
		{func(o *Options) { o.Queue = strings.Repeat("q", 256) }, "too long"},
		{func(o *Options) { o.QueueArgs = "x" }, "--queue-args"},
		{func(o *Options) { o.Rate = -1 }, "--rate"},
	} {
		o := defaults(tt.change)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %s", err, tt.want)
		}
	}
	o := defaults(func(o *Options) { o.QueueArgs = "x-max-length=10,x-queue-type=quorum" })
	args, err := o.queueArgs()
	if n, _, ok := args.Int("x-max-length"); err != nil || n != 10 || !ok {
		t.Errorf("arguments %v, %v", args, err)
	}
	if kind, _ := args.Get("x-queue-type"); kind != "quorum" {
		t.Errorf("arguments %v", args)
	}
}

func TestConfirms(t *testing.T) {
	c := newConfirms(100)
	var order []uint64
	c.each = func(tag uint64) { order = append(order, tag) }
	must := func(tag uint64, multiple, ok bool) {
		t.Helper()
		if err := c.settle(tag, multiple, ok); err != nil {
			t.Fatal(err)
		}
	}
	must(2, false, true)
	must(4, false, true)
	if c.base != 0 || c.acked != 2 {
		t.Errorf("base %d, acked %d", c.base, c.acked)
	}
	must(3, true, false) // 1 and 3: 2 was acked
	if c.base != 4 || c.acked != 2 || c.nacked != 2 {
		t.Errorf("base %d, acked %d, nacked %d", c.base, c.acked, c.nacked)
	}
	must(4, true, true) // nothing new
	for tag, multiple := range map[uint64]bool{4: false, 3: true, 0: false, 4 + 129: false} {
		if c.settle(tag, multiple, true) == nil {
			t.Errorf("publish %d is confirmed though it does not wait", tag)
		}
	}
	must(6, false, true)
	if c.settle(6, false, true) == nil {
		t.Error("publish 6 is confirmed twice")
	}
	for tag := uint64(100); tag < 10_000; tag += 100 { // around the ring
		must(tag, true, true)
	}
	if c.base != 9900 || c.acked+c.nacked != 9900 || int64(len(order)) != c.acked {
		t.Errorf("base %d, acked %d, nacked %d, told %d", c.base, c.acked, c.nacked, len(order))
	}
}

// The ring is publishes as the codec reads them, to the keys in turn, whatever is taken at a time.
func TestRing(t *testing.T) {
	o := defaults(func(o *Options) { o.Size, o.Flag = 20_000, "persistent" })
	r := newRing(&o, "x", []string{"a", "b", "c"}, amqp.FrameMinSize)
	if r.write != 3 {
		t.Errorf("%d messages a write", r.write)
	}
	want := 0
	for i := range 40 {
		n := min(1+i%2, r.room())
		for k := range n {
			r.stamp(k, int64(want+k))
		}
		b := r.take(n)
		for range n {
			key, body := published(t, &b)
			if key != string("abc"[want%3]) || len(body) != 20_000 || binary.BigEndian.Uint64(body) != uint64(want) {
				t.Fatalf("message %d: key %s, %d bytes, stamp %d", want, key, len(body), binary.BigEndian.Uint64(body))
			}
			want++
		}
		if len(b) > 0 {
			t.Fatalf("%d bytes are left", len(b))
		}
	}
}

// published takes one publish off the front of b.
func published(t *testing.T, b *[]byte) (key string, body []byte) {
	t.Helper()
	next := func() amqp.Frame {
		f, n, err := amqp.ParseFrame(*b, amqp.FrameMinSize)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		*b = (*b)[n:]
		return f
	}
	m, err := amqp.DecodeMethod(next().Payload)
	if err != nil {
		t.Fatal(err)
	}
	h, err := amqp.ParseHeader(next().Payload)
	if err != nil {
		t.Fatal(err)
	}
	p, err := amqp.ScanProperties(h.Flags, h.Properties)
	if err != nil || p.DeliveryMode != 2 {
		t.Errorf("delivery mode %d, %v", p.DeliveryMode, err)
	}
	for uint64(len(body)) < h.BodySize {
		body = append(body, next().Payload...)
	}
	return m.(*amqp.BasicPublish).RoutingKey, body
}

func TestProcess(t *testing.T) {
	stat := []byte("42 (a) b (c)) S 1 42 42 0 -1 4194304 9 0 0 0 150 25 0 0 20 0 5 0 1 1 1 1\n")
	if d, err := parseStat(stat); err != nil || d != 1750*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	if n, err := parseStatus([]byte("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n")); err != nil || n != 2<<20 {
		t.Errorf("%d, %v", n, err)
	}
	for _, s := range []string{"", "42 (x) S 1", "VmRSS: 1 MB", "VmRSS: x kB"} {
		_, err := parseStat([]byte(s))
		_, err2 := parseStatus([]byte(s))
		if err == nil || err2 == nil {
			t.Errorf("%q is taken: %v, %v", s, err, err2)
		}
	}
	if u, err := process(os.Getpid()).usage(); err != nil || u.rss < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := process(0).usage(); err != nil || u != (usage{}) {
		t.Errorf("%+v, %v", u, err)
	}
}

// A pacer lets messages go when they are due, never before, and catches up when it is late.
func TestPacer(t *testing.T) {
	p := pacer{clock: newClock(), interval: float64(time.Millisecond)}
	p.start = p.clock.now()
	sent := int64(0)
	for sent < 30 {
		n := p.ready(sent)
		if n > 0 && p.clock.now() < p.due(sent+n-1) {
			t.Fatalf("message %d goes before it is due", sent+n-1)
		}
		sent += n
	}
	p.start -= int64(time.Second)
	if n := p.ready(sent); n < 900 {
		t.Errorf("a second late, %d of a thousand may go", n)
	}
}

func TestHistogram(t *testing.T) {
	h := newHistogram()
	for i := range int64(1000) {
		h.record((i + 1) * int64(time.Millisecond))
	}
	h.record(-5)
	h.record(int64(time.Hour)) // longer than it can tell
	r := &Result{}
	h.metrics(r, "x")
	for name, want := range map[string]float64{"x_count": 1002, "x_p50": 500_000, "x_p99": 991_000, "x_max": 600e6} {
		if v, ok := r.Value(name); !ok || v < want*0.99 || v > want*1.01 {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

func TestResultForms(t *testing.T) {
	r := &Result{Scenario: "s", Target: "h:1"}
	r.add("published", "msg/s", 1234567.8)
	r.add("published_total", "", 12)
	r.add("latency_p50", "µs", 0.12345)
	r.add("broker_cpu", "cores", 0.5)
	got, err := json.Marshal(r)
	want := `{"scenario":"s","target":"h:1","published_per_second":1234568,"published_total":12,"latency_p50_us":0.123,"broker_cpu_cores":0.5}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	for v, text := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.8: "1,234,568", 12.345: "12.3", 1.23456: "1.235"} {
		if got := (Metric{Value: v}).Text(); got != text {
			t.Errorf("%v is shown as %s, want %s", v, got, text)
		}
	}
}

func TestCompareMedians(t *testing.T) {
	results := func(values ...float64) (rs []*Result) {
		for _, v := range values {
			r := &Result{Target: "t"}
			r.add("x", "msg/s", v)
			r.add("zero", "", 0)
			rs = append(rs, r)
		}
		return rs
	}
	c := compare("s", [2][]*Result{results(5, 1, 3), results(2, 1, 9, 4)})
	if m := c.Metrics[0]; m.A != (Spread{3, 1, 5}) || m.B != (Spread{3, 1, 9}) || m.Ratio != 1 {
		t.Errorf("%+v", m)
	}
	if m := c.Metrics[1]; m.Ratio != 0 || m.RatioText() != "–" {
		t.Errorf("%+v", m)
	}
	b, err := json.Marshal(c)
	if err != nil || !bytes.Contains(b, []byte(`"name":"x_per_second"`)) || !bytes.Contains(b, []byte(`"ratio":null`)) {
		t.Errorf("%s, %v", b, err)
	}
	if got := c.Metrics[0].A.Text(); got != "3 (1–5)" {
		t.Error(got)
	}
}
