package storage

import (
	"slices"
	"testing"
	"time"
)

func TestSyncs(t *testing.T) {
	t.Parallel()
	s := &syncs{}
	for _, took := range []time.Duration{0, 50 * time.Microsecond, 51 * time.Microsecond, time.Second, time.Hour} {
		s.add(took)
	}
	var got []uint64
	for i := range s.counts {
		got = append(got, s.counts[i].Load())
	}
	bounds := syncBounds()
	if want := []uint64{2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !slices.IsSorted(bounds[:]) || s.sum.Load() != int64(time.Hour+time.Second+101*time.Microsecond) {
		t.Errorf("%v, %d", bounds, s.sum.Load())
	}
}
