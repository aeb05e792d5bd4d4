package journal

import (
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/warrenmq/warren/internal/vfs"
)

// Options are what a Journal is made of.
type Options struct {
	FS  vfs.FS
	Dir string
	// SegmentSize in bytes; 0: DefaultSegmentSize. A larger batch gets a
	// segment of its own size.
	SegmentSize int64
	// Live says whether a place is live; it is asked before the oldest
	// segment's records are put again. It runs in a goroutine of its own.
	Live func(Ref) bool
	// LiveBytes is about how large all live bodies are. The journal takes
	// twice that on the disk, and KeepSegments more.
	LiveBytes func() int64
	// KeepSegments is how many full segments are kept in any case; 0:
	// DefaultKeepSegments.
	KeepSegments int
	// Fenced is told, once, why the journal cannot be written to any more.
	Fenced func(error)
}

const (
	// DefaultSegmentSize is the length of a segment.
	DefaultSegmentSize = 64 << 20
	// DefaultKeepSegments is how many full segments are kept in any case.
	DefaultKeepSegments = 8
	// maxPending is how many bytes may wait for the committer before Append
	// blocks.
	maxPending = 32 << 20
)

// Journal is an open journal.
type Journal struct {
	opts Options

	mu      sync.Mutex // guards what follows
	more    sync.Cond  // there is something to commit
	room    sync.Cond  // pending was taken
	pending pending
	closed  bool
	fenced  error

	done chan struct{} // closed when the committer has ended

	spare pending // the committer's

	files    sync.Mutex // guards what follows
	segments []*segment // oldest first; the last is written to, by the committer
	free     []string   // names of files to be used again
	next     uint64     // id of the next segment
	begun    bool       // a segment was begun since Open
	sweeping bool

	sweeper sync.WaitGroup
}

// pending is what waits for the committer.
type pending struct {
	buf     []byte
	frames  []int // where each frame ends in buf
	waiters []func(error)
}

func (p *pending) reset() {
	clear(p.waiters)
	p.buf, p.frames, p.waiters = p.buf[:0], p.frames[:0], p.waiters[:0]
	if cap(p.buf) > 4<<20 {
		p.buf = nil
	}
}

// Batch is what Append's callback fills: one frame.
type Batch struct{ p *pending }

// Put adds a body with its places; mark is a number kept with it.
func (b Batch) Put(places []Ref, mark uint64, body []byte) {
	b.p.buf = appendPut(b.p.buf, places, mark, body)
}

// Settle takes places of a stream away.
func (b Batch) Settle(stream uint64, seqs []uint64) {
	b.p.buf = appendSettle(b.p.buf, stream, seqs)
}

// Append adds one batch, which fill makes, and returns. When it is on stable
// storage, or never will be, durable runs, in the order of the calls; it must
// not block. Append itself blocks while too much waits for the disk.
func (j *Journal) Append(fill func(Batch), durable func(error)) {
	j.mu.Lock()
	for len(j.pending.buf) > maxPending && j.fenced == nil && !j.closed {
		j.room.Wait()
	}
	err := j.fenced
	if err == nil && j.closed {
		err = ErrClosed
	}
	if err != nil {
		j.mu.Unlock()
		if durable != nil {
			durable(err)
		}
		return
	}
	j.add(fill, durable)
	j.mu.Unlock()
}

// add appends a frame to pending; j.mu is held.
func (j *Journal) add(fill func(Batch), durable func(error)) {
	p := &j.pending
	start := len(p.buf)
	p.buf = append(p.buf, make([]byte, frameHeader)...)
	fill(Batch{p})
	if len(p.buf) == start+frameHeader {
		p.buf = p.buf[:start] // nothing in it: only somebody who waits for what came before
	} else {
		p.frames = append(p.frames, len(p.buf))
	}
	if durable != nil {
		p.waiters = append(p.waiters, durable)
	}
	j.more.Signal()
}

// Close makes everything durable that was appended, and ends the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.more.Signal()
	j.room.Broadcast()
	j.mu.Unlock()
	<-j.done
	j.sweeper.Wait()
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.file.Close())
	}
	j.segments = nil
	return errors.Join(errs...)
}

// run is the committer: while one batch of frames is synced, the next gathers.
func (j *Journal) run() {
	defer close(j.done)
	for {
		j.mu.Lock()
		for len(j.pending.frames) == 0 && len(j.pending.waiters) == 0 && !j.closed {
			j.more.Wait()
		}
		p := j.pending
		j.pending = j.spare
		last := j.closed && len(p.frames) == 0 && len(p.waiters) == 0
		j.room.Broadcast()
		j.mu.Unlock()
		if last {
			return
		}
		err := j.commit(&p)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrFenced, err)
		}
		for _, durable := range p.waiters {
			durable(err)
		}
		p.reset()
		j.spare = p
		if err != nil {
			j.fence(err)
			return
		}
		j.sweep()
	}
}

// fence lets nothing be confirmed any more and fails what waits.
func (j *Journal) fence(err error) {
	j.mu.Lock()
	first := j.fenced == nil
	j.fenced = err
	waiters := j.pending.waiters
	j.pending = pending{}
	j.room.Broadcast()
	j.mu.Unlock()
	for _, durable := range waiters {
		durable(j.fenced)
	}
	if first && j.opts.Fenced != nil {
		j.opts.Fenced(err)
	}
}

// commit writes and syncs the frames of p.
func (j *Journal) commit(p *pending) error {
	var s *segment
	for i := 0; i < len(p.frames); {
		from := 0
		if i > 0 {
			from = p.frames[i-1]
		}
		var err error
		if s, err = j.segmentFor(int64(p.frames[i] - from)); err != nil {
			return err
		}
		to := from
		for ; i < len(p.frames) && s.off+int64(p.frames[i]-from) <= s.size; i++ {
			seal(p.buf[to:p.frames[i]], s.id, s.synced)
			to = p.frames[i]
		}
		if err := s.write(p.buf[from:to]); err != nil {
			return err
		}
	}
	if s == nil {
		return nil
	}
	return s.sync()
}

// segmentFor returns the segment that a frame of size bytes goes to, beginning
// a new one when it does not fit.
func (j *Journal) segmentFor(size int64) (*segment, error) {
	j.files.Lock()
	defer j.files.Unlock()
	prev := int64(0)
	if n := len(j.segments); n > 0 {
		s := j.segments[n-1]
		if j.begun && s.off+size <= s.size {
			return s, nil
		}
		if err := s.sync(); err != nil { // what is before a segment is synced before it begins
			return nil, err
		}
		prev = s.off
	}
	j.begun = true
	return j.begin(max(j.opts.SegmentSize, headerSize+size), prev)
}

func (j *Journal) name(id uint64, ending string) string {
	return path.Join(j.opts.Dir, fmt.Sprintf("%016x.%s", id, ending))
}

// begin makes the next segment, out of a used file when there is one; j.files
// is held.
func (j *Journal) begin(size, prev int64) (*segment, error) {
	s := &segment{id: j.next, size: size}
	name := j.name(s.id, "wal")
	j.next++
	var err error
	if n := len(j.free); n > 0 && size == j.opts.SegmentSize {
		used := j.free[n-1]
		j.free = j.free[:n-1]
		if err = j.opts.FS.Rename(used, name); err == nil {
			s.file, err = j.opts.FS.Open(name)
		}
	} else {
		s.file, err = j.create(name, size)
	}
	if err != nil {
		return nil, err
	}
	if err := j.opts.FS.SyncDir(j.opts.Dir); err != nil {
		return nil, err
	}
	if err := s.write(appendHeader(nil, s.id, prev)); err != nil {
		return nil, err
	}
	j.segments = append(j.segments, s)
	return s, nil
}

// create writes a file in advance, so that what is written later overwrites:
// quicker to sync than what makes a file longer.
func (j *Journal) create(name string, size int64) (vfs.File, error) {
	f, err := j.opts.FS.Create(name)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, f.Sync()
}

// segment is one file of the journal.
type segment struct {
	id     uint64
	file   vfs.File
	size   int64
	off    int64 // where the next frame goes
	synced int64
	bad    bool // damaged: kept when it is retired
}

func (s *segment) write(b []byte) error {
	if _, err := s.file.WriteAt(b, s.off); err != nil {
		return fmt.Errorf("write segment %016x: %w", s.id, err)
	}
	s.off += int64(len(b))
	return nil
}

func (s *segment) sync() error {
	if s.synced == s.off {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.synced = s.off
	return nil
}
