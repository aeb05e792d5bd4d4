// Package latency keeps how long something took: a histogram of a fixed size
// for each object that does it, and none for one that does not.
//
// A [Series] has no lock and no clock. Whoever measures adds to it, whoever
// wants to know reads, and its owner calls [Series.Rotate] now and then, so that
// quantiles are of what was lately.
package latency

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets are four for each power of two of microseconds: what is told of a
// quantile is wrong by an eighth at most. The last one begins after two
// minutes and has no end.
const (
	parts   = 4
	buckets = 26 * parts
)

// window counts by bucket.
type window [buckets]atomic.Uint32

// Series is how long one thing took, over and over. Its zero value is ready and
// takes no memory beside itself. Everything in it is atomic.
type Series struct {
	count, micros atomic.Uint64
	// The windows that are filled now and were filled before; nil: nothing was
	// added.
	now, before atomic.Pointer[window]
}

// Add counts n times that took d, with little more than three additions.
func (s *Series) Add(d time.Duration, n int) {
	if n <= 0 {
		return
	}
	us := uint64(max(d, 0) / time.Microsecond)
	s.count.Add(uint64(n))
	s.micros.Add(us * uint64(n))
	w := s.now.Load()
	if w == nil {
		if w = new(window); !s.now.CompareAndSwap(nil, w) {
			if w = s.now.Load(); w == nil { // and rotated meanwhile
				return
			}
		}
	}
	w[bucket(us)].Add(uint32(n)) //nolint:gosec // of a batch
}

// Rotate begins a new window and forgets the one before the last: quantiles are
// of the time since the last but one call.
func (s *Series) Rotate() {
	if s.now.Load() != nil || s.before.Load() != nil {
		s.before.Store(s.now.Swap(nil))
	}
}

// bucket is where a number of microseconds is counted.
func bucket(us uint64) int {
	if us < parts {
		return int(us)
	}
	e := bits.Len64(us) - 1
	return min((e-1)*parts+int(us>>(e-2))%parts, buckets-1) //nolint:gosec // e is less than 64
}

// bounds are between what a bucket counts, in microseconds.
func bounds(i int) (from, to float64) {
	if i < parts {
		return float64(i), float64(i + 1)
	}
	width := uint64(1) << (i/parts - 1)
	low := (parts + uint64(i%parts)) * width
	return float64(low), float64(low + width)
}

// Summary is what can be told of series: zero, it is of none.
type Summary struct {
	Count uint64        // since the series began
	Sum   time.Duration // that they took

	recent [buckets]uint64
	total  uint64 // of recent
}

// Read adds a series to the summary.
func (m *Summary) Read(s *Series) {
	m.Count += s.count.Load()
	m.Sum += time.Duration(s.micros.Load()) * time.Microsecond //nolint:gosec // 292,000 years
	for _, w := range []*window{s.before.Load(), s.now.Load()} {
		if w == nil {
			continue
		}
		for i := range w {
			n := uint64(w[i].Load())
			m.recent[i] += n
			m.total += n
		}
	}
}

// Recent is of how many times the quantiles are.
func (m *Summary) Recent() uint64 { return m.total }

// Quantile is what a share q of the recent times did not exceed; 0 when there
// are none.
func (m *Summary) Quantile(q float64) time.Duration {
	var at [1]time.Duration
	m.Quantiles([]float64{q}, at[:])
	return at[0]
}

// Quantiles is Quantile for several shares, ascending, into a slice of as many.
func (m *Summary) Quantiles(shares []float64, into []time.Duration) {
	clear(into)
	below, i := 0.0, 0
	for b, n := range m.recent {
		if n == 0 {
			continue
		}
		from, to := bounds(b)
		for ; i < len(shares) && below+float64(n) >= shares[i]*float64(m.total); i++ {
			at := from + (to-from)*max(shares[i]*float64(m.total)-below, 0)/float64(n)
			into[i] = time.Duration(at * float64(time.Microsecond))
		}
		below += float64(n)
	}
}

// Shown are the quantiles that are told where there is no room for all.
func Shown() [4]float64 { return [4]float64{0.5, 0.95, 0.99, 0.999} }
