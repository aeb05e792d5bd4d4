package slab

import (
	"bytes"
	"sync"
	"testing"
)

// TestReadersBesideTheWriter reads messages while their slab is filled on; the
// race detector is the judge.
func TestReadersBesideTheWriter(t *testing.T) {
	t.Parallel()
	var w Writer
	var readers sync.WaitGroup
	for i := range 2000 {
		n := 1 + i%300
		s, off, dst := w.Alloc(n)
		if len(dst) != n || cap(dst) != n {
			t.Fatalf("%d bytes of %d, want %d", len(dst), cap(dst), n)
		}
		for k := range dst {
			dst[k] = byte(i)
		}
		readers.Go(func() {
			if got := s.Bytes(off, uint32(n)); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, n)) || cap(got) != n {
				t.Errorf("message %d reads as other bytes", i)
			}
		})
	}
	readers.Wait()
	if s, off, dst := w.Alloc(ownSize); off != 0 || len(dst) != ownSize || len(s.buf) != ownSize {
		t.Error("a large message has no block of its own")
	}
	w.Release()
	if s, _, _ := w.Alloc(1); len(s.buf) != MinSize {
		t.Errorf("after Release a block has %d bytes", len(s.buf))
	}
}
