package history

import (
	"slices"
	"testing"
)

type counters struct{ in, out int }

func in(c *counters) float64 { return float64(c.in) }

func TestRing(t *testing.T) {
	t.Parallel()
	var r Ring[counters]
	r.Add(1000, counters{})
	if r.Samples() != nil {
		t.Error("an object that did nothing keeps a sample")
	}
	for i := range 3 * Length {
		r.Add(int64(i)*5000, counters{in: 10 * i, out: 1})
	}
	list := r.Samples()
	if len(list) != Length || list[0].Value.in != 10*2*Length || list[Length-1].Value.in != 10*(3*Length-1) {
		t.Fatalf("%d samples from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
	if rate := Rate(list, in); rate != 2 {
		t.Errorf("rate is %v, want 2", rate)
	}
	last := list[Length-1]
	for i := range 100 { // it rests
		r.Add(last.At+int64(i+1)*5000, last.Value)
	}
	list = r.Samples()
	if rate := Rate(list, in); rate != 0 {
		t.Errorf("rate at rest is %v", rate)
	}
	if moved := list[Length-3].Value; moved == last.Value {
		t.Error("a value that stays pushes out those before")
	}
}

func TestSeries(t *testing.T) {
	t.Parallel()
	list := []Sample[counters]{{10, counters{in: 1}}, {20, counters{in: 5}}, {40, counters{in: 7}}}
	got := Series(list, 0, 50, 10, in)
	want := []Point{{50, 7}, {40, 7}, {30, 5}, {20, 5}, {10, 1}, {0, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if Series(list, 0, 50, 0, in) != nil {
		t.Error("a step of nothing makes a series")
	}
}
