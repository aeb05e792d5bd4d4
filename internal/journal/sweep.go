package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/warrenmq/warren/internal/vfs"
)

// maxFree is how many files of retired segments are kept to be used again.
const maxFree = 2

// sweep retires the oldest segment when the journal takes more than twice
// what is live on the disk, and KeepSegments more. It returns at once.
func (j *Journal) sweep() {
	j.files.Lock()
	defer j.files.Unlock()
	if j.sweeping || j.opts.Live == nil || !j.tooMuch() {
		return
	}
	j.sweeping = true
	j.sweeper.Go(func() {
		for j.retireOldest() {
		}
		j.files.Lock()
		j.sweeping = false
		j.files.Unlock()
	})
}

// tooMuch reports whether the oldest segment should go; j.files is held.
func (j *Journal) tooMuch() bool {
	if !j.full.Load() {
		return len(j.segments) > j.opts.KeepSegments+1 && j.total.Load() > 2*j.opts.LiveBytes()+int64(j.opts.KeepSegments)*j.opts.SegmentSize
	}
	live := j.opts.LiveBytes()
	return len(j.segments) > 2 && j.total.Load() > live+live/4+2*j.opts.SegmentSize
}

// retireOldest puts what is live in the oldest segment again and frees its
// file; false: there is nothing to do, or it could not be done.
func (j *Journal) retireOldest() bool {
	j.files.Lock()
	if !j.tooMuch() {
		j.files.Unlock()
		return false
	}
	s := j.segments[0]
	j.files.Unlock()
	j.leave(s)
	if err := j.putAgain(s); err != nil {
		if !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
			j.giveUp(err)
		}
		return false
	}
	if err := j.retire(s); err != nil {
		j.giveUp(err)
		return false
	}
	return true
}

// giveUp fences the journal from outside the committer.
func (j *Journal) giveUp(err error) {
	j.mu.Lock()
	already := j.fenced != nil
	j.mu.Unlock()
	if !already {
		j.fence(fmt.Errorf("%w: retire a segment: %w", ErrFenced, err))
	}
}

// putAgain appends what is live in s and waits until that is durable.
func (j *Journal) putAgain(s *segment) error {
	live := s.bad // of a damaged one it is not known what it holds
	for stream, c := range s.streams {
		live = live || c.puts && (j.opts.Any == nil || j.opts.Any(stream, c.min, c.max))
		if !c.leveled {
			continue
		}
		for _, value := range j.opts.Levels(stream) {
			j.Append(func(b Batch) { b.Level(stream, value, false) }, nil)
		}
	}
	if live {
		if err := j.copyLive(s); err != nil {
			return err
		}
	}
	done := make(chan error, 1)
	j.Append(func(Batch) {}, func(err error) { done <- err })
	return <-done
}

// copyLive appends the live records of s.
func (j *Journal) copyLive(s *segment) error {
	w := window{file: s.file, end: s.off}
	c := &copier{j: j}
	var e entries
	for at := int64(headerSize); at < s.off; {
		b, err := w.frame(at)
		if err != nil {
			return err
		}
		body, _, n := frameAt(b, s.id)
		if n == 0 || !e.visit(body, s.at(at), c) {
			if !s.bad { // what is damaged was reported at start
				_ = j.Distrust() // so that the next start finds it
				return fmt.Errorf("%w: segment %016x at offset %d", ErrCorrupt, s.id, at)
			}
			at++
			continue
		}
		at += int64(n)
	}
	return nil
}

// window reads a segment front to back up to end, a piece at a time.
type window struct {
	file vfs.File
	end  int64
	buf  []byte
	from int64 // offset of buf
}

// windowSize is how much is read at once.
const windowSize = 1 << 20

// frame returns the bytes at an offset: those of the frame there, if it is
// one, and perhaps more.
func (w *window) frame(at int64) ([]byte, error) {
	b, err := w.bytes(at, frameHeader)
	if err != nil || len(b) < frameHeader {
		return b, err
	}
	return w.bytes(at, frameHeader+int64(binary.LittleEndian.Uint32(b[4:])))
}

// bytes returns at least n bytes from an offset on, if there are as many.
func (w *window) bytes(at, n int64) ([]byte, error) {
	n = min(n, w.end-at)
	if have := w.from + int64(len(w.buf)); at < w.from || at+n > have {
		var rest []byte // of what is there
		if at >= w.from && at < have {
			rest = w.buf[at-w.from:]
		}
		size := min(max(n, windowSize), w.end-at)
		if int64(cap(w.buf)) < size {
			w.buf = make([]byte, size)
		}
		w.buf, w.from = w.buf[:size], at
		copy(w.buf, rest)
		if _, err := w.file.ReadAt(w.buf[len(rest):], at+int64(len(rest))); err != nil {
			return nil, err
		}
	}
	return w.buf[at-w.from:], nil
}

// copier puts live entries again.
type copier struct {
	j    *Journal
	live []Ref
}

// Put implements Visitor. A place that is settled while it is put again gets
// a settle behind the put, since its own may lie before.
func (c *copier) Put(places []Ref, mark uint64, body Body) {
	c.live = c.live[:0]
	for _, p := range places {
		if c.j.opts.Live(p) {
			c.live = append(c.live, p)
		}
	}
	if len(c.live) == 0 {
		return
	}
	c.j.Append(func(b Batch) { b.Put(c.live, mark, body.Bytes) }, nil)
	for _, p := range c.live {
		if !c.j.opts.Live(p) {
			c.j.Append(func(b Batch) { b.Settle(p.Stream, []uint64{p.Seq}) }, nil)
		}
	}
}

// Settle implements Visitor: what it is for is in this segment or was in one
// that is gone.
func (c *copier) Settle(uint64, []uint64) {}

// Tally implements Visitor.
func (c *copier) Tally(r Ref, value uint64) {
	if c.j.opts.Live(r) {
		c.j.Append(func(b Batch) { b.Tally(r, value) }, nil)
	}
}

// Span implements Visitor: a segment has none.
func (c *copier) Span(Span) {}

// Level implements Visitor: putAgain has put the present one again.
func (c *copier) Level(uint64, uint64, bool) {}

// retire takes the oldest segment out of the log and keeps its file for later.
func (j *Journal) retire(s *segment) error {
	j.files.Lock()
	defer j.files.Unlock()
	j.segments = j.segments[1:]
	j.total.Add(-s.size)
	s.retired = true
	name := j.name(s.id, "wal")
	s.reading.Lock()
	s.gone = true
	err := s.file.Close()
	s.reading.Unlock()
	switch {
	case s.bad:
		err = errors.Join(err, j.opts.FS.Rename(name, j.name(s.id, "damaged")))
	case s.size != j.opts.SegmentSize || len(j.free) >= maxFree:
		err = errors.Join(err, j.opts.FS.Remove(name))
	default:
		free := j.name(s.id, "free")
		if err = errors.Join(err, j.opts.FS.Rename(name, free)); err == nil {
			j.free = append(j.free, free)
			j.ready.Broadcast()
			j.used.Broadcast()
		}
	}
	if s.digested {
		_ = j.opts.FS.Remove(j.name(s.id, "idx")) // if not, the next start does
	}
	return errors.Join(err, j.opts.FS.SyncDir(j.opts.Dir))
}
