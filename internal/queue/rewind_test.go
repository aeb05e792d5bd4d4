package queue

import (
	"math"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestReturnedBacklog: what a consumer took with it and gave back leaves
// memory like any backlog, all but what lies before a message that somebody
// still holds, and comes back in order and marked.
func TestReturnedBacklog(t *testing.T) {
	t.Parallel()
	const count = 5000
	for _, tc := range []struct {
		name string
		held uint64 // stays unacknowledged
		hot  int64  // messages in memory when all that can has left
	}{
		{"all came back", count, 0},
		{"the first is held", 0, 1},
		{"one in the middle is held", 3000, 3001},
	} {
		var s State
		var fx Effects
		var w slab.Writer
		for range count {
			sl, off, _ := w.Alloc(16)
			s.Publish([]Message{{Slab: sl, Off: off, Size: 16, RouteLen: 2, Persistent: true}}, 0, &fx)
		}
		c := &Consumer{}
		s.Add(c, &fx)
		var back []uint64
		for _, d := range s.Take(c, count, 1<<20, nil, &fx) {
			if d.Seq != tc.held {
				back = append(back, d.Seq)
			}
		}
		s.Return(c, back, false, 0, &fx)
		s.Remove(c, &fx)
		var where []any
		for {
			kept, ok := s.Freeze(1<<20, math.MaxUint64)
			if !ok {
				break
			}
			if !s.Frozen(kept, kept) {
				t.Fatalf("%s: what was picked from %d on is wanted by nobody", tc.name, kept[0].Seq)
			}
			where = append(where, kept)
		}
		if got := s.HotBytes() / 16; got != tc.hot || s.Head() != count {
			t.Errorf("%s: %d messages in memory, want %d; head %d", tc.name, got, tc.hot, s.Head())
		}
		again := &Consumer{}
		s.Add(again, &fx)
		var got []uint64
		for range 2 * len(where) {
			for _, d := range s.Take(again, count, 1<<20, nil, &fx) {
				if got = append(got, d.Seq); !d.Redelivered {
					t.Fatalf("%s: message %d is not marked as redelivered", tc.name, d.Seq)
				}
			}
			if at, first, ok := s.Thaw(); ok {
				kept, _ := at.([]Kept)
				s.Thawed(first, kept, &fx)
			}
		}
		if len(got) != len(back) {
			t.Fatalf("%s: %d messages came, want %d", tc.name, len(got), len(back))
		}
		for i := range got {
			if got[i] != back[i] {
				t.Fatalf("%s: message %d came in place of %d", tc.name, got[i], back[i])
			}
		}
	}
}
