package journal

import (
	"fmt"
	"slices"
	"sync"
)

// unsure says which parts of a segment nobody has looked at since the start,
// since its digest was there: they are verified when they are read first.
type unsure struct {
	mu        sync.Mutex
	stretches []uint32 // where they begin, and where the last ends
	sure      []bool
}

func newUnsure(stretches []uint32, end int64) *unsure {
	return &unsure{stretches: append(slices.Clone(stretches), uint32(end)), sure: make([]bool, len(stretches))} //nolint:gosec // within a segment
}

// around returns the stretches that bytes lie in; done: they are verified.
func (u *unsure) around(from, to uint32) (lo, hi int, done bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	lo, exact := slices.BinarySearch(u.stretches, from)
	if !exact {
		lo--
	}
	hi, _ = slices.BinarySearch(u.stretches, to)
	lo, hi = max(lo, 0), min(hi, len(u.sure))
	return lo, hi, !slices.Contains(u.sure[lo:hi], false)
}

func (u *unsure) verified(lo, hi int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.sure[lo:hi] {
		u.sure[lo+i] = true
	}
}

// read returns bytes of s, which were verified since the start or are now.
func (s *segment) read(off, size uint32) ([]byte, error) {
	from, to := off, off+size
	lo, hi, done := 0, 0, true
	if s.unsure != nil {
		if lo, hi, done = s.unsure.around(from, to); !done {
			from, to = min(from, s.unsure.stretches[lo]), max(to, s.unsure.stretches[hi])
		}
	}
	b := make([]byte, to-from)
	if _, err := s.file.ReadAt(b, int64(from)); err != nil {
		return nil, fmt.Errorf("read segment %016x: %w", s.id, err)
	}
	if done {
		return b, nil
	}
	for rest := b; len(rest) > 0; {
		_, _, n := frameAt(rest, s.id)
		if n == 0 {
			return nil, fmt.Errorf("%w: segment %016x at offset %d", ErrCorrupt, s.id, int(to)-len(rest))
		}
		rest = rest[n:]
	}
	s.unsure.verified(lo, hi)
	if b = b[off-from:][:size:size]; to-from > 2*size {
		b = slices.Clone(b) // so that little does not keep much
	}
	return b, nil
}
