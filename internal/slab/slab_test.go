package slab_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

type held struct {
	s      *slab.Slab
	off, n uint32
	want   byte
}

// fill writes images of all sizes and hands them on.
func fill(w *slab.Writer, count int, to func(held)) {
	for i := range count {
		n := 1 + i*37%3000
		if i%100 == 99 {
			n = slab.MaxSize/4 + i
		}
		s, off, dst := w.Alloc(n)
		if len(dst) != n || cap(dst) != n {
			panic("Alloc returned another length")
		}
		for k := range dst {
			dst[k] = byte(i)
		}
		to(held{s, off, uint32(n), byte(i)})
	}
}

// TestImagesNeverChange reads images while the writer goes on in their block:
// under the race detector it finds a block that changes under its holders.
func TestImagesNeverChange(t *testing.T) {
	t.Parallel()
	ready := make(chan held, 64)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for h := range ready {
				if got := h.s.Bytes(h.off, h.n); len(got) != int(h.n) || bytes.Count(got, []byte{h.want}) != len(got) {
					t.Errorf("image at %d is not what was written", h.off)
				}
			}
		})
	}
	var w slab.Writer
	fill(&w, 2000, func(h held) { ready <- h })
	close(ready)
	wg.Wait()
}

// TestImagesDoNotOverlap holds all images to the end.
func TestImagesDoNotOverlap(t *testing.T) {
	t.Parallel()
	var all []held
	var w slab.Writer
	fill(&w, 1000, func(h held) { all = append(all, h) })
	w.Release()
	fill(&w, 1000, func(h held) { all = append(all, h) })
	for i, h := range all {
		if got := h.s.Bytes(h.off, h.n); bytes.Count(got, []byte{h.want}) != len(got) {
			t.Fatalf("image %d was overwritten", i)
		}
	}
}

func TestBytesCannotReachFurther(t *testing.T) {
	t.Parallel()
	var w slab.Writer
	s, off, _ := w.Alloc(10)
	_, _, next := w.Alloc(10)
	next[0] = 'n'
	_ = append(s.Bytes(off, 10), 'x')
	if next[0] != 'n' {
		t.Fatal("appending to an image reached the next one")
	}
}
