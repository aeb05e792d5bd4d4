package queue

import (
	"slices"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestReturnOfFull: what a consumer gives back that had no room for more goes to one that waits and not to it again.
func TestReturnOfFull(t *testing.T) {
	for name, set := range map[string]Settings{"classic": {}, "returns first": {ReturnsFirst: true}} {
		for _, rank := range []int64{0, 1} {
			var fx Effects
			var w slab.Writer
			s := State{set: set}
			full, idle := &Consumer{Prefetch: 1, Priority: rank}, &Consumer{}
			s.Add(full, &fx)
			sl, off, _ := w.Alloc(16)
			s.Publish([]Message{{Slab: sl, Off: off, Size: 16}}, 0, &fx)
			if ds := s.Take(full, 10, 1000, nil, &fx); len(ds) != 1 {
				t.Fatalf("%s: took %v", name, ds)
			}
			s.Take(full, 10, 1000, nil, &fx) // has no room, waits for that
			s.Add(idle, &fx)
			s.Take(idle, 10, 1000, nil, &fx) // waits
			fx.Reset()
			s.Return(full, []uint64{0}, true, 0, &fx)
			if !slices.Contains(fx.Wake, idle) {
				t.Errorf("%s: woken are %v", name, fx.Wake)
			}
			if ds := s.Take(full, 10, 1000, nil, &fx); len(ds) > 0 {
				t.Errorf("%s, rank %d: came back to who had no room: %v", name, rank, ds)
			}
			if ds := s.Take(idle, 10, 1000, nil, &fx); len(ds) != 1 || !ds[0].Redelivered {
				t.Errorf("%s, rank %d: who waits got %v", name, rank, ds)
			}
		}
	}
}
