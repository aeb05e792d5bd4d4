package queue

import (
	"slices"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestReturnOfFull: what a consumer gives back that had no room for more goes to one that waits and not to it again, unless
// it has the higher priority.
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
			first, second := idle, full
			if rank > 0 {
				first, second = full, idle
			}
			if !slices.Contains(fx.Wake, first) {
				t.Errorf("%s, rank %d: woken are %v", name, rank, fx.Wake)
			}
			if ds := s.Take(second, 10, 1000, nil, &fx); len(ds) > 0 {
				t.Errorf("%s, rank %d: the wrong one got %v", name, rank, ds)
			}
			if ds := s.Take(first, 10, 1000, nil, &fx); len(ds) != 1 || !ds[0].Redelivered {
				t.Errorf("%s, rank %d: the right one got %v", name, rank, ds)
			}
		}
	}
}

// TestReturnToFullQueue: who has room has what is ready before something comes back and makes the queue too long.
func TestReturnToFullQueue(t *testing.T) {
	t.Parallel()
	var fx Effects
	var w slab.Writer
	one := int64(1)
	s := State{set: Settings{MaxMessages: &one}}
	c := &Consumer{Prefetch: 2}
	s.Add(c, &fx)
	publish := func() {
		sl, off, _ := w.Alloc(16)
		s.Publish([]Message{{Slab: sl, Off: off, Size: 16, Persistent: true}}, 0, &fx)
	}
	publish()
	s.Take(c, 10, 1000, nil, &fx)
	publish()
	s.Take(c, 10, 1000, nil, &fx)
	s.Take(c, 10, 1000, nil, &fx) // has no room
	publish()
	fx.Reset()
	s.Settle(c, []uint64{0}, &fx)
	s.Return(c, []uint64{1}, true, 0, &fx)
	if !slices.Equal(fx.Settled, []uint64{0}) || s.Ready() != 2 {
		t.Errorf("settled %v, %d are ready: one was dropped", fx.Settled, s.Ready())
	}
	if ds := s.Take(c, 10, 1000, nil, &fx); len(ds) != 2 || ds[0].Seq != 1 || ds[1].Seq != 2 {
		t.Errorf("took %v", ds)
	}
}
