package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Side is one of two brokers that are compared.
type Side struct {
	URL string
	PID int
}

// Spread is what several runs measured of one figure.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Compared is one figure of two brokers.
type Compared struct {
	Metric

	A, B  Spread
	Ratio float64 // of the medians, A to B; 0 when B's is 0
}

// Comparison is what runs on two brokers measured.
type Comparison struct {
	Scenario string     `json:"scenario"`
	A        string     `json:"a"` // address
	B        string     `json:"b"`
	Runs     int        `json:"runs"` // on each
	Metrics  []Compared `json:"metrics"`
}

// Compare runs a scenario on two brokers in turn, A B A B, so that what else the machine does falls
// on both. Each result is told to progress.
func (s *Scenario) Compare(ctx context.Context, o *Options, sides [2]Side, runs int, progress func(run int, r *Result)) (*Comparison, error) {
	if runs < 1 {
		return nil, &InvalidError{fmt.Errorf("--runs %d: a comparison needs one at least", runs)}
	}
	var results [2][]*Result
	for run := range runs {
		for i, side := range sides {
			given := *o
			given.URL, given.PID = side.URL, side.PID
			r, err := s.Run(ctx, &given)
			if err != nil {
				return nil, fmt.Errorf("run %d on %s: %w", run+1, host(side.URL), err)
			}
			results[i] = append(results[i], r)
			progress(run+1, r)
		}
	}
	return compare(s.Name, results), nil
}

// compare puts the results side by side; figures that not every run has are left out.
func compare(name string, results [2][]*Result) *Comparison {
	a, b := results[0], results[1]
	c := &Comparison{Scenario: name, A: a[0].Target, B: b[0].Target, Runs: len(a)}
	for _, m := range a[0].Metrics {
		sa, okA := spread(a, m.Name)
		sb, okB := spread(b, m.Name)
		if !okA || !okB {
			continue
		}
		row := Compared{Metric: m, A: sa, B: sb}
		if row.Value = sa.Median; sb.Median != 0 {
			row.Ratio = sa.Median / sb.Median
		}
		c.Metrics = append(c.Metrics, row)
	}
	return c
}

// spread is what the results say of a figure.
func spread(results []*Result, name string) (s Spread, ok bool) {
	var values []float64
	for _, r := range results {
		v, ok := r.Value(name)
		if !ok {
			return s, false
		}
		values = append(values, v)
	}
	slices.Sort(values)
	half := len(values) / 2
	s = Spread{Median: values[half], Min: values[0], Max: values[len(values)-1]}
	if len(values)%2 == 0 {
		s.Median = (values[half-1] + values[half]) / 2
	}
	return s, true
}

// MarshalJSON writes the figure's name with its unit, both spreads and the ratio, null if there is
// none.
func (c Compared) MarshalJSON() ([]byte, error) {
	var ratio any
	if c.B.Median != 0 {
		ratio = json.Number(strconv.FormatFloat(c.Ratio, 'g', 4, 64))
	}
	return json.Marshal(map[string]any{"name": c.key(), "a": c.A.rounded(), "b": c.B.rounded(), "ratio": ratio})
}

func (s Spread) rounded() Spread { return Spread{round(s.Median), round(s.Min), round(s.Max)} }

// Text is the spread for people: median (min–max).
func (s Spread) Text() string {
	t := func(v float64) string { return Metric{Value: v}.Text() }
	return t(s.Median) + " (" + t(s.Min) + "–" + t(s.Max) + ")"
}

// RatioText is the ratio for people.
func (c Compared) RatioText() string {
	if c.B.Median == 0 {
		return "–"
	}
	return Metric{Value: c.Ratio}.Text() + "×"
}

// host is the address in a URL, which is shown instead of it: a URL has a password.
func host(u string) string {
	t, err := parseURL(u)
	if err != nil {
		return "the given URL"
	}
	return t.addr
}
