package journal

import (
	"errors"
	"fmt"
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
	total := int64(0)
	for _, s := range j.segments {
		total += s.size
	}
	live := j.opts.LiveBytes()
	if j.full.Load() {
		return len(j.segments) > 2 && total > live+live/4+2*j.opts.SegmentSize
	}
	return len(j.segments) > j.opts.KeepSegments+1 && total > 2*live+int64(j.opts.KeepSegments)*j.opts.SegmentSize
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
	data := make([]byte, s.off)
	if _, err := s.file.ReadAt(data, 0); err != nil {
		return err
	}
	c := &copier{j: j, leveled: map[uint64]bool{}}
	var e entries
	for at := int64(headerSize); at < s.off; {
		body, _, n := frameAt(data[at:], s.id)
		if n == 0 || !e.visit(body, s.at(at), c) {
			if !s.bad { // what is damaged was reported at start
				return fmt.Errorf("%w: segment %016x at offset %d", ErrCorrupt, s.id, at)
			}
			at++
			continue
		}
		at += int64(n)
	}
	done := make(chan error, 1)
	j.Append(func(Batch) {}, func(err error) { done <- err })
	return <-done
}

// copier puts live entries again.
type copier struct {
	j       *Journal
	live    []Ref
	leveled map[uint64]bool
}

// Put implements Visitor. A place that is settled while it is put again gets
// a settle behind the put, since its own may lie before.
func (c *copier) Put(places []Ref, mark uint64, body []byte, _ Position) {
	c.live = c.live[:0]
	for _, p := range places {
		if c.j.opts.Live(p) {
			c.live = append(c.live, p)
		}
	}
	if len(c.live) == 0 {
		return
	}
	c.j.Append(func(b Batch) { b.Put(c.live, mark, body) }, nil)
	for _, p := range c.live {
		if !c.j.opts.Live(p) {
			c.j.Append(func(b Batch) { b.Settle(p.Stream, []uint64{p.Seq}) }, nil)
		}
	}
}

// Settle implements Visitor: what it is for is in this segment or was in one
// that is gone.
func (c *copier) Settle(uint64, []uint64) {}

// Level implements Visitor: the present level is put again, once a segment.
func (c *copier) Level(stream, _ uint64, _ bool) {
	if c.leveled[stream] {
		return
	}
	c.leveled[stream] = true
	if value, ok := c.j.opts.Level(stream); ok {
		c.j.Append(func(b Batch) { b.Level(stream, value, false) }, nil)
	}
}

// retire takes the oldest segment out of the log and keeps its file for later.
func (j *Journal) retire(s *segment) error {
	j.files.Lock()
	defer j.files.Unlock()
	j.segments = j.segments[1:]
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
	return errors.Join(err, j.opts.FS.SyncDir(j.opts.Dir))
}
