package otlp

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// parser turns Prometheus' text format into OTLP's metrics.
type parser struct {
	start, now nanos

	list    []*metric
	current *metric
	kind    string
	help    string            // of the metric that comes
	points  map[string]*point // of current, by their labels
}

// parse reads metrics in Prometheus' text format: counters and histograms began
// at started. Points that are no number are left out.
func parse(r io.Reader, started, now time.Time) ([]*metric, error) {
	p := &parser{start: newNanos(started), now: newNanos(now)}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := p.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	for _, m := range p.list {
		if m.Histogram != nil {
			for _, point := range m.Histogram.Points {
				point.single()
			}
		}
	}
	return p.list, nil
}

func (p *parser) line(line string) error {
	words := strings.SplitN(line, " ", 4)
	switch {
	case line == "":
		return nil
	case strings.HasPrefix(line, "# HELP ") && len(words) == 4:
		p.help = words[3]
		return nil
	case strings.HasPrefix(line, "# TYPE ") && len(words) == 4:
		p.begin(words[2], words[3])
		return nil
	case line[0] == '#':
		return nil
	}
	return p.sample(line)
}

// begin begins a metric.
func (p *parser) begin(name, kind string) {
	m := &metric{Name: name, Description: p.help, Unit: unit(name)}
	switch kind {
	case "counter":
		m.Sum = &sum{Temporality: cumulative, Monotonic: true}
	case "histogram":
		m.Histogram = &histogram{Temporality: cumulative}
	case "summary":
		m.Summary = &points{}
	default:
		m.Gauge = &points{}
	}
	p.current, p.kind, p.help, p.points = m, kind, "", map[string]*point{}
}

// unit is a metric's unit, by its name.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "By"
	}
	return ""
}

// sample takes one sample.
func (p *parser) sample(line string) error {
	name, labels, text, err := split(line)
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%q is no number in %q", text, line)
	}
	if p.current == nil || !strings.HasPrefix(name, p.current.Name) {
		return fmt.Errorf("%q belongs to no metric", line)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	part := strings.TrimPrefix(name, p.current.Name)
	switch {
	case p.kind != "histogram" && p.kind != "summary":
		p.point(labels).Value = &v
	case part == "_sum":
		p.point(labels).Sum = &v
	case part == "_count":
		n := count(v)
		p.point(labels).Count = &n
	case part == "_bucket":
		return p.bucket(labels, v)
	default:
		return p.quantile(labels, v)
	}
	return nil
}

// bucket takes how many are in a bucket and in those before it.
func (p *parser) bucket(labels []attribute, v float64) error {
	rest, le := without(labels, "le")
	bound, err := strconv.ParseFloat(le, 64)
	if err != nil {
		return fmt.Errorf("%s has a bucket up to %q", p.current.Name, le)
	}
	point := p.point(rest)
	point.Buckets = append(point.Buckets, count(v))
	if !math.IsInf(bound, 1) {
		point.Bounds = append(point.Bounds, bound)
	}
	return nil
}

func (p *parser) quantile(labels []attribute, v float64) error {
	rest, of := without(labels, "quantile")
	q, err := strconv.ParseFloat(of, 64)
	if err != nil {
		return fmt.Errorf("%s has a quantile %q", p.current.Name, of)
	}
	point := p.point(rest)
	point.Quantiles = append(point.Quantiles, quantileValue{q, v})
	return nil
}

// single makes what buckets count with all before them what each counts alone.
func (p *point) single() {
	for i := len(p.Buckets) - 1; i > 0; i-- {
		p.Buckets[i] -= min(p.Buckets[i], p.Buckets[i-1])
	}
}

// point finds the point with some labels, or makes it.
func (p *parser) point(labels []attribute) *point {
	var key strings.Builder
	for _, a := range labels {
		key.WriteString(a.Key + "\x00" + a.Value.Text + "\x00")
	}
	if known, ok := p.points[key.String()]; ok {
		return known
	}
	if len(p.points) == 0 { // the first: a metric without any is left out
		p.list = append(p.list, p.current)
	}
	to := &point{Attributes: labels, Time: p.now, Start: p.start}
	p.points[key.String()] = to
	switch m := p.current; p.kind {
	case "counter":
		m.Sum.Points = append(m.Sum.Points, to)
	case "histogram":
		m.Histogram.Points = append(m.Histogram.Points, to)
	case "summary":
		m.Summary.Points = append(m.Summary.Points, to)
	default:
		to.Start = 0
		m.Gauge.Points = append(m.Gauge.Points, to)
	}
	return to
}

// without takes a label out.
func without(labels []attribute, key string) (rest []attribute, value string) {
	for _, a := range labels {
		if a.Key == key {
			value = a.Value.Text
		} else {
			rest = append(rest, a)
		}
	}
	return rest, value
}

// split takes a sample apart.
func split(line string) (name string, labels []attribute, value string, err error) {
	at := strings.IndexAny(line, "{ ")
	if at < 0 {
		return "", nil, "", fmt.Errorf("%q is no sample", line)
	}
	name, rest := line[:at], line[at:]
	if rest[0] == '{' {
		if labels, rest, err = readLabels(rest[1:]); err != nil {
			return "", nil, "", fmt.Errorf("labels of %q: %w", line, err)
		}
	}
	return name, labels, strings.TrimSpace(rest), nil
}

// readLabels reads labels up to their closing brace.
func readLabels(s string) (list []attribute, rest string, err error) {
	for {
		if after, ok := strings.CutPrefix(s, "}"); ok {
			return list, after, nil
		}
		key, after, ok := strings.Cut(s, `="`)
		if !ok {
			return nil, "", fmt.Errorf("%q is no label", s)
		}
		var value string
		if value, s, err = readValue(after); err != nil {
			return nil, "", err
		}
		list = append(list, newAttribute(key, value))
		s = strings.TrimPrefix(s, ",")
	}
}

// readValue reads a label's value up to its closing quote.
func readValue(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("%q has no end", s)
}
