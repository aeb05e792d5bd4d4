package queue

import (
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestGetOfPromised: basic.get takes the first of what is promised to consumers and leaves the rest to them, each in its order.
func TestGetOfPromised(t *testing.T) {
	t.Parallel()
	var fx Effects
	var w slab.Writer
	var s State
	cs := []*Consumer{{}, {}}
	for _, c := range cs {
		s.Add(c, &fx)
		s.Take(c, 10, 1000, nil, &fx) // waits
	}
	var batch []Message
	for range 4 {
		sl, off, _ := w.Alloc(16)
		batch = append(batch, Message{Slab: sl, Off: off, Size: 16})
	}
	s.Publish(batch, 0, &fx) // 0 and 2 are promised to the first, 1 and 3 to the second
	if ds := s.Take(cs[1], 10, 1000, nil, &fx); len(ds) != 2 || ds[1].Seq != 3 {
		t.Fatalf("the second took %v", ds)
	}
	if d, ok := s.Get(true, &fx); !ok || d.Seq != 0 {
		t.Fatalf("got %v, %t", d, ok)
	}
	if ds := s.Take(cs[1], 10, 1000, nil, &fx); len(ds) > 0 {
		t.Errorf("the second took %v behind 3", ds)
	}
	if ds := s.Take(cs[0], 10, 1000, nil, &fx); len(ds) != 1 || ds[0].Seq != 2 {
		t.Errorf("the first took %v", ds)
	}
	if _, ok := s.Get(true, &fx); ok || s.Ready() != 0 || s.promised != 0 {
		t.Errorf("%d ready, %d bytes promised", s.Ready(), s.promised)
	}
}
