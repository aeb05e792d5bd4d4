package storage

import (
	"slices"
	"sync/atomic"
	"time"
)

const ranges = 15

// syncBounds are the upper ends of the ranges that syncs are counted in.
func syncBounds() [ranges]time.Duration {
	const us, ms = time.Microsecond, time.Millisecond
	return [ranges]time.Duration{
		50 * us, 100 * us, 250 * us, 500 * us, ms, 2500 * us, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 2500 * ms,
	}
}

// syncs counts how long the journal's syncs took; any goroutine may read.
type syncs struct {
	counts [ranges + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// add is what the journal calls.
func (s *syncs) add(took time.Duration) {
	bounds := syncBounds()
	i, _ := slices.BinarySearch(bounds[:], took)
	s.counts[i].Add(1)
	s.sum.Add(int64(took))
}

// Measures are what a Store counts of its journal.
type Measures struct {
	Disk int64 // bytes of the journal's segments
	// Bounds are upper ends, which belong to their ranges; Counts has one more,
	// of the syncs that took longer.
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration // of all syncs
}

// Measure reads them.
func (s *Store) Measure() Measures {
	bounds := syncBounds()
	m := Measures{Disk: s.journal.DiskBytes(), Bounds: bounds[:], Sum: time.Duration(s.syncs.sum.Load())}
	for i := range s.syncs.counts {
		m.Counts = append(m.Counts, s.syncs.counts[i].Load())
	}
	return m
}
