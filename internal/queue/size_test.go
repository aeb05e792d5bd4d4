package queue

import (
	"math"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// sized is an image with a content header that names a body of n bytes, all in
// all size bytes long, behind a route part of two.
func sized(w *slab.Writer, size, n int) Message {
	sl, off, b := w.Alloc(size)
	copy(b, []byte{0, 0, 0xce, 2, 0, 0, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(n)})
	return Message{Slab: sl, Off: off, Size: uint32(size), RouteLen: 2}
}

// TestBodySize: what limits count is bodies, in memory and outside of it, and
// as much is taken off as was put on.
func TestBodySize(t *testing.T) {
	var s State
	var fx Effects
	var w slab.Writer
	batch := []Message{sized(&w, 100, 10), sized(&w, 70000, 5), sized(&w, 60, 0), sized(&w, 50, 200)}
	s.Publish(batch, 0, &fx)
	const over = 70000 - 5 - maxRest // what of that header cannot be told from its body
	want := func(step string, all, ready int64) {
		t.Helper()
		if s.BodyBytes() != all || s.ReadyBodyBytes() != ready {
			t.Fatalf("%s: BodyBytes, ReadyBodyBytes = %d, %d, want %d, %d", step, s.BodyBytes(), s.ReadyBodyBytes(), all, ready)
		}
	}
	want("published", 65+over, 65+over) // a body is not longer than its image
	kept, ok := s.Freeze(1<<20, math.MaxUint64)
	if !ok || !s.Frozen(kept, "there") {
		t.Fatal("it does not leave memory")
	}
	want("outside of memory", 65+over, 65+over)
	_, first, _ := s.Thaw()
	s.Thawed(first, kept, &fx)
	d, _ := s.Get(false, &fx)
	want("one delivered", 65+over, 55+over)
	s.Return(nil, []uint64{d.Seq}, false, 0, &fx)
	want("returned", 65+over, 65+over)
	c := &Consumer{NoAck: true}
	s.Add(c, &fx)
	s.Take(c, 2, 1<<20, nil, &fx)
	want("two taken", 50, 50)
	s.Purge(&fx)
	want("purged", 0, 0)
}

// TestMaxBytes: a queue that refuses takes bodies up to its limit.
func TestMaxBytes(t *testing.T) {
	var fx Effects
	var w slab.Writer
	most := int64(25)
	s := State{set: Settings{MaxBytes: &most, Refuse: true}}
	s.Publish([]Message{sized(&w, 500, 10), sized(&w, 500, 16), sized(&w, 500, 15), sized(&w, 500, 0)}, 0, &fx)
	if len(fx.Refused) != 1 || fx.Refused[0] != 1 || s.ReadyBodyBytes() != 25 {
		t.Fatalf("refused %v, %d bytes", fx.Refused, s.ReadyBodyBytes())
	}
}

// TestReturnsFirst: what comes back is the next, in the order of its return,
// whatever its priority and whoever was promised it.
func TestReturnsFirst(t *testing.T) {
	var fx Effects
	var w slab.Writer
	s := State{set: Settings{ReturnsFirst: true}}
	s.Prioritize(31)
	publish := func(priority uint8, n int) {
		for range n {
			m := sized(&w, 60, 0)
			m.Priority = priority
			s.Publish([]Message{m}, 0, &fx)
		}
	}
	get := func() uint64 {
		t.Helper()
		d, ok := s.Get(false, &fx)
		if !ok {
			t.Fatal("nothing is there")
		}
		return d.Seq
	}
	publish(4, 6)
	a, b, c := get(), get(), get()
	publish(9, 1)
	s.Return(nil, []uint64{c}, false, 0, &fx)
	s.Return(nil, []uint64{a, b}, false, 0, &fx)
	for range 2 { // two consumers wait and are promised some; when they do not come it is as before
		x, y := &Consumer{}, &Consumer{}
		s.Add(x, &fx)
		s.Add(y, &fx)
		s.Remove(x, &fx)
		s.Remove(y, &fx)
	}
	for i, want := range []uint64{c, a, b} {
		if seq := get(); seq != want {
			t.Fatalf("delivery %d is %d, want %d", i, seq, want)
		}
	}
	if seq := get(); seq>>LaneShift != 31-9 {
		t.Fatalf("%d is not the one with a high priority", seq)
	}
}
