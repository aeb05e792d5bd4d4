// Package slab is message memory: blocks into which a publishing connection
// writes the wire images of its messages, one after the other.
//
// A Slab is an ordinary block of the Go heap. Whoever holds a message holds a
// pointer to its slab, and the garbage collector frees the slab when the last
// holder is gone; there is no reference count that could be wrong, so no
// mistake in bookkeeping can ever show one tenant another tenant's bytes.
// Holders name a message by slab, offset and length, which keeps their tables
// free of pointers.
package slab

// Sizes of the blocks that a Writer takes, in bytes.
const (
	// MinSize is a connection's first block: a connection that publishes a
	// message now and then must stay small.
	MinSize = 4 << 10
	// MaxSize is what blocks grow to while a connection keeps publishing.
	MaxSize = 1 << 20
	// ownSize is the image length from which a message gets a block of its
	// own, so that it neither wastes the rest of a block nor pins one.
	ownSize = MaxSize / 4
)

// Slab is one block. Its bytes are written once, by the Writer that made it,
// before they are handed on; after that they never change. The field itself
// never does: holders read it while the Writer fills the rest.
type Slab struct {
	buf []byte // the whole block
}

// Adopt makes a slab of an image that already lies in memory of its own. The
// caller gives image away.
func Adopt(image []byte) *Slab { return &Slab{buf: image} }

// Bytes returns n bytes at off. The slice must not be written to.
func (s *Slab) Bytes(off, n uint32) []byte { return s.buf[off : off+n : off+n] }

// Writer fills slabs for one connection. It belongs to that connection's
// reader; the zero value is ready.
type Writer struct {
	// Most is what blocks grow to; 0: MaxSize.
	Most int

	cur  *Slab
	used int // bytes of cur
	size int // of the next block
}

// Alloc returns n fresh bytes: the slab they lie in, their offset, and the
// bytes to fill. They must be filled before slab and offset are handed on.
func (w *Writer) Alloc(n int) (s *Slab, off uint32, dst []byte) {
	if n >= ownSize {
		s = &Slab{buf: make([]byte, n)}
		return s, 0, s.buf
	}
	if w.cur == nil || len(w.cur.buf)-w.used < n {
		w.grow(n)
	}
	at := w.used
	w.used += n
	return w.cur, uint32(at), w.cur.buf[at:w.used:w.used] //nolint:gosec // a block is at most MaxSize
}

func (w *Writer) grow(n int) {
	most := w.Most
	if most == 0 {
		most = MaxSize
	}
	w.size = min(max(MinSize, 2*w.size), most)
	for w.size < n {
		w.size *= 2
	}
	w.cur, w.used = &Slab{buf: make([]byte, w.size)}, 0
}

// Release lets go of the open block, so that it lives no longer than the
// messages in it; the next one starts small again.
func (w *Writer) Release() { *w = Writer{Most: w.Most} }
