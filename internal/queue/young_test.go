package queue

import (
	"math"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestFreezeYoung: of what will be wanted last young messages stay in memory as
// long as there are others to go.
func TestFreezeYoung(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		young uint64
		want  []uint64 // the first of each run, in order: chunks double up to 1024
	}{
		{"none", math.MaxUint64, []uint64{3064, 2040, 1016, 504, 248, 120, 56, 24, 8, 4088, 0}},
		{"in the last two", 3065, []uint64{2040, 1016, 504, 248, 120, 56, 24, 8, 4088, 3064, 0}},
		{"all", 0, []uint64{4088, 3064, 2040, 1016, 504, 248, 120, 56, 24, 8, 0}},
	} {
		var s State
		var fx Effects
		var w slab.Writer
		for range 4100 {
			sl, off, _ := w.Alloc(16)
			s.Publish([]Message{{Slab: sl, Off: off, Size: 16, RouteLen: 2, Persistent: true}}, 0, &fx)
		}
		for i, want := range tc.want {
			kept, ok := s.Freeze(1<<20, tc.young)
			if !ok {
				t.Fatalf("%s: nothing is left after %d runs", tc.name, i)
			}
			if kept[0].Seq != want {
				t.Errorf("%s: run %d is from %d on, want %d", tc.name, i, kept[0].Seq, want)
			}
			if !s.Frozen(kept, kept) {
				t.Fatalf("%s: run %d is wanted by nobody and stays", tc.name, i)
			}
		}
	}
}
