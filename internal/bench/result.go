package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Metric is one figure.
type Metric struct {
	Name  string
	Unit  string // empty for a number of things
	Value float64
}

// Result is what a run measured, in the order in which it is shown.
type Result struct {
	Scenario string
	Target   string // address of the broker
	Metrics  []Metric
}

func (r *Result) add(name, unit string, value float64) {
	r.Metrics = append(r.Metrics, Metric{name, unit, value})
}

// Value returns a figure by its name.
func (r *Result) Value(name string) (v float64, ok bool) {
	for _, m := range r.Metrics {
		if m.Name == name {
			return m.Value, true
		}
	}
	return 0, false
}

// MarshalJSON writes an object with a member for each figure; the unit ends its name.
func (r *Result) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	head, err := json.Marshal(map[string]string{"scenario": r.Scenario, "target": r.Target})
	if err != nil {
		return nil, err
	}
	b.Write(head[:len(head)-1])
	for _, m := range r.Metrics {
		b.WriteString(`,"` + m.key() + `":` + m.number())
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// key is the figure's name in JSON.
func (m Metric) key() string {
	switch m.Unit {
	case "":
		return m.Name
	case "µs":
		return m.Name + "_us"
	case "MB/s":
		return m.Name + "_mb_per_second"
	case "s":
		return m.Name + "_seconds"
	case "MiB":
		return m.Name + "_mib"
	case "KiB":
		return m.Name + "_kib"
	case "cores":
		return m.Name + "_cores"
	}
	return m.Name + "_per_second"
}

// number is the value without digits that mean nothing.
func (m Metric) number() string {
	return strconv.FormatFloat(round(m.Value), 'f', -1, 64)
}

// Text is the value for people, with thousands apart.
func (m Metric) Text() string { return group(m.number()) }

// round keeps three digits behind the point of small values and none of large ones.
func round(v float64) float64 {
	switch a := math.Abs(v); {
	case a >= 1000:
		return math.Round(v)
	case a >= 10:
		return math.Round(v*10) / 10
	}
	return math.Round(v*1000) / 1000
}

// group puts commas between the thousands of a number that is not negative.
func group(s string) string {
	whole, rest := s, ""
	for i := range len(s) {
		if s[i] == '.' {
			whole, rest = s[:i], s[i:]
			break
		}
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + rest
}
