package latency

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBucketsMeet(t *testing.T) {
	end := 0.0
	for i := range buckets {
		from, to := bounds(i)
		if from != end || to <= from {
			t.Fatalf("bucket %d is from %v to %v, the one before it ends at %v", i, from, to, end)
		}
		if b := bucket(uint64(from)); b != i {
			t.Errorf("%v µs are in bucket %d, want %d", from, b, i)
		}
		if b := bucket(uint64(to) - 1); b != i {
			t.Errorf("%v µs are in bucket %d, want %d", to-1, b, i)
		}
		end = to
	}
	if b := bucket(1 << 63); b != buckets-1 {
		t.Errorf("a very long time is in bucket %d", b)
	}
}

// TestQuantiles compares with the sorted times themselves.
func TestQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s Series
		var all []time.Duration
		scale := time.Duration(1 + rnd.IntN(5_000_000))
		for range 1 + rnd.IntN(5000) {
			d := time.Duration(rnd.ExpFloat64() * float64(scale))
			s.Add(d, 1)
			all = append(all, d)
		}
		slices.Sort(all)
		var m Summary
		m.Read(&s)
		if m.Count != uint64(len(all)) || m.Recent() != m.Count {
			t.Fatalf("counted %d and %d of %d", m.Count, m.Recent(), len(all))
		}
		for _, q := range []float64{0.5, 0.95, 0.99, 0.999, 1} {
			at := int(q * float64(len(all)))
			low, high := all[max(0, at-1)], all[min(len(all)-1, at)]
			if got := m.Quantile(q); got < low*3/4-time.Microsecond || got > high*5/4+time.Microsecond {
				t.Errorf("scale %v: quantile %v of %d is %v, want %v to %v", scale, q, len(all), got, low, high)
			}
		}
	}
}

func TestWeights(t *testing.T) {
	var s Series
	s.Add(10*time.Microsecond, 99)
	s.Add(time.Second, 1)
	s.Add(time.Hour, 0)
	s.Add(-time.Second, 0)
	var m Summary
	m.Read(&s)
	if m.Count != 100 || m.Sum != 990*time.Microsecond+time.Second {
		t.Errorf("count %d, sum %v", m.Count, m.Sum)
	}
	if got := m.Quantile(0.98); got > 12*time.Microsecond {
		t.Errorf("quantile 0.98 is %v", got)
	}
	if got := m.Quantile(0.999); got < 900*time.Millisecond || got > 1200*time.Millisecond {
		t.Errorf("quantile 0.999 is %v", got)
	}
}

// TestRotate: what is long ago goes, the counters stay, and nothing is kept of
// a series to which nothing is added.
func TestRotate(t *testing.T) {
	var s Series
	s.Rotate()
	s.Add(time.Millisecond, 3)
	for i, want := range []uint64{3, 3, 0, 0} {
		var m Summary
		m.Read(&s)
		if m.Recent() != want || m.Count != 3 {
			t.Errorf("after %d rotations: %d recent of %d, want %d", i, m.Recent(), m.Count, want)
		}
		if want == 0 && m.Quantile(0.5) != 0 {
			t.Errorf("a quantile of nothing is %v", m.Quantile(0.5))
		}
		s.Rotate()
	}
	if s.now.Load() != nil || s.before.Load() != nil {
		t.Error("an idle series has windows")
	}
}

// TestTogether: many add, one rotates; the counters miss nothing.
func TestTogether(t *testing.T) {
	var s Series
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				s.Add(time.Duration(i)*time.Microsecond, 2)
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			s.Rotate()
		}
	})
	wg.Wait()
	var m Summary
	m.Read(&s)
	if m.Count != 8000 {
		t.Errorf("counted %d", m.Count)
	}
}
