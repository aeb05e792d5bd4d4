package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
	// Any reports whether any place of a stream from one number to another,
	// both included, may be live; asked first, since it saves a read when
	// none is. Nil: always.
	Any func(stream, from, to uint64) bool
	// Levels returns the present levels of the lanes of a stream, none when the
	// stream is gone.
	Levels func(stream uint64) []uint64
	// LiveBytes is about how large all live records are. The journal takes
	// twice that on the disk, and KeepSegments more.
	LiveBytes func() int64
	// KeepSegments is how many full segments are kept in any case; 0:
	// DefaultKeepSegments.
	KeepSegments int
	// SpaceInterval is how often space is looked for when there was none; 0:
	// DefaultSpaceInterval.
	SpaceInterval time.Duration
	// Linger is how long what nobody waits for may stay in memory, so that it
	// is synced with something that is waited for; 0: DefaultLinger.
	Linger time.Duration
	// Lag is how long what nobody waits for may then be written and not synced; 0:
	// DefaultLag.
	Lag time.Duration
	// Brief is what replay tells of a body in place of its bytes: digests are kept
	// of segments, and a start reads these. Plain: that of many together may be
	// told as a sum, without their marks. It is called by several goroutines. Nil: every
	// start reads all bodies.
	Brief func(mark uint64, body []byte) (brief uint64, plain bool)
	// Space is told when there is no space for another segment, and with nil
	// when there is again.
	Space func(error)
	// Fenced is told, once, why the journal cannot be written to any more.
	Fenced func(error)
	// Synced is told how long the system took to make a commit stable, by who
	// commits: it must not block. Nil: it is not measured.
	Synced func(took time.Duration)
}

const (
	// DefaultSegmentSize is the length of a segment.
	DefaultSegmentSize = 64 << 20
	// DefaultKeepSegments is how many full segments are kept in any case.
	DefaultKeepSegments = 4
	// DefaultSpaceInterval is how often space is looked for.
	DefaultSpaceInterval = 200 * time.Millisecond
	// DefaultLinger is how long what nobody waits for may stay in memory.
	DefaultLinger = 10 * time.Millisecond
	// DefaultLag is how long what nobody waits for may be written and not synced.
	DefaultLag = 100 * time.Millisecond
	// maxPending is how many bytes may wait for the committer before Append
	// blocks.
	maxPending = 4 << 20
	// maxLinger is how many bytes that nobody waits for stay in memory.
	maxLinger = 512 << 10
	// maxLag is how many bytes that nobody waits for are written and not synced: who
	// waits next waits for them too.
	maxLag = 4 << 20
)

// Journal is an open journal.
type Journal struct {
	opts Options

	mu      sync.Mutex // guards what follows
	more    sync.Cond  // there is something to commit
	room    sync.Cond  // pending was taken
	pending pending
	written []func(error) // who waits for what is written and not yet synced; before pending's
	due     bool          // pending has lingered long enough
	behind  bool          // something is written that nobody waits for and is not synced
	late    bool          // for long enough
	busy    bool          // somebody commits: the committer, or who called Gather or Push
	closed  bool
	fenced  error

	done   chan struct{} // closed when the committer has ended
	linger *time.Timer   // makes pending due
	lag    *time.Timer   // makes what is behind late

	spare    pending  // belongs to who commits, as
	unsynced *segment // the last one that was written to and not synced; nil: none

	full   atomic.Bool           // no space for another segment
	failed atomic.Pointer[error] // as fenced; set before anybody is told

	// adopting is held for reading while messages are adopted; taken before files.
	adopting sync.RWMutex
	files    sync.Mutex   // guards what follows
	used     sync.Cond    // a free file was taken, or the journal ends
	ready    sync.Cond    // there is a free file, or there will be none
	segments []*segment   // oldest first; the last is written to, by the committer
	total    atomic.Int64 // bytes of segments; changed under files
	free     []string     // names of files to be used again
	fresh    uint64       // number of the next one that is made
	next     uint64       // id of the next segment
	ending   error        // why no more files are made
	begun    bool         // a segment was begun since Open
	coarse   bool         // the last one that was full had few syncs
	sweeping bool

	sweeper sync.WaitGroup
	maker   sync.WaitGroup
	stop    chan struct{} // closed by Close
	sealed  chan struct{} // a segment is full
}

// pending is what waits for the committer.
type pending struct {
	buf     []byte
	frames  []int // where each frame ends in buf
	notes   []note
	waiters []func(error)
}

func (p *pending) reset() {
	clear(p.waiters)
	p.buf, p.frames, p.notes, p.waiters = p.buf[:0], p.frames[:0], p.notes[:0], p.waiters[:0]
	if cap(p.buf) > 4*maxPending {
		p.buf = nil
	}
}

// Batch is what Append's callback fills: one frame.
type Batch struct{ p *pending }

// Put adds a body with its places; mark is a number kept with it.
func (b Batch) Put(places []Ref, mark uint64, body []byte) {
	b.p.buf = appendPut(b.p.buf, places, mark, body)
	for _, r := range places {
		b.p.note(r, 1)
	}
}

// Settle takes places of a stream away.
func (b Batch) Settle(stream uint64, seqs []uint64) {
	b.p.buf = appendSettle(b.p.buf, stream, seqs)
}

// Tally sets a number of a place: of all that are in the log the greatest
// counts. It is kept as long as the place is live.
func (b Batch) Tally(place Ref, value uint64) {
	b.p.buf = appendTally(b.p.buf, place, value)
	b.p.note(place, 0)
}

// Level sets a number of a stream: of all that are in the log the greatest
// counts, but an exact one takes the place of those before it.
func (b Batch) Level(stream, value uint64, exact bool) {
	b.p.buf = appendLevel(b.p.buf, stream, value, exact)
	b.p.notes = append(b.p.notes, note{frame: len(b.p.frames), stream: stream, extent: extent{leveled: true}})
}

// Append adds one batch, which fill makes, and returns. When it is on stable
// storage, or never will be, durable runs, in the order of the calls; it must
// not block. What nobody waits for is written with what comes next, or a
// little later, and synced then. Append itself blocks while too much waits for the disk.
func (j *Journal) Append(fill func(Batch), durable func(error)) {
	if j.enter(fill, durable) {
		if j.wanted() && !j.busy {
			j.more.Signal()
		}
		j.mu.Unlock()
	}
}

// Gather is Append of which the end is left to Push, which must follow. For a
// caller that waits for the disk itself, which saves two changes of goroutine:
// unless somebody is at it, what is pending is written here and the disk begins
// to store it, and what the caller does until Push costs no time.
func (j *Journal) Gather(fill func(Batch), durable func(error)) {
	if !j.enter(fill, durable) {
		return
	}
	if j.busy || !j.wanted() || j.closed { // who is at it goes on with this
		j.mu.Unlock()
		return
	}
	p := j.take()
	j.mu.Unlock()
	s, err := j.write(&p)
	if err != nil {
		_ = j.tell(&p, err)
		return
	}
	if s != nil {
		s.start()
		j.unsynced = s
	}
	j.mu.Lock()
	j.written = append(j.written, p.waiters...)
	j.mu.Unlock()
	j.release(&p)
}

// Push makes durable what was gathered, unless somebody is at it. What nobody
// waits for stays where it is: it would dirty a page that the disk is storing,
// which would be stored twice.
func (j *Journal) Push() {
	j.mu.Lock()
	if j.busy || !j.wanted() && len(j.written) == 0 || j.closed {
		j.mu.Unlock()
		return
	}
	var p pending
	if j.wanted() {
		p = j.take()
	} else {
		p, j.busy = j.spare, true
	}
	j.mu.Unlock()
	_ = j.turn(&p)
}

// enter adds a batch to pending and leaves j.mu locked; false: the journal
// has ended, and j.mu is free.
func (j *Journal) enter(fill func(Batch), durable func(error)) bool {
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
		return false
	}
	j.add(fill, durable)
	return true
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
	} else if start == 0 && len(p.waiters) == 0 {
		j.linger.Reset(j.opts.Linger)
	}
}

// wanted reports whether what is pending is to be committed now; j.mu is held.
func (j *Journal) wanted() bool {
	p := &j.pending
	return len(p.waiters) > 0 || len(p.buf) >= maxLinger || j.due && len(p.frames) > 0 || j.late
}

// lingered is called some time after something was appended that nobody
// waits for.
func (j *Journal) lingered() {
	j.mu.Lock()
	j.due = len(j.pending.frames) > 0
	if j.due && !j.busy {
		j.more.Signal()
	}
	j.mu.Unlock()
}

// lagged is called some time after something was written that nobody waits for.
func (j *Journal) lagged() {
	j.mu.Lock()
	j.late = j.behind
	if j.late && !j.busy {
		j.more.Signal()
	}
	j.mu.Unlock()
}

// Close makes everything durable that was appended, and ends the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.more.Signal()
	j.room.Broadcast()
	j.mu.Unlock()
	close(j.stop)
	j.linger.Stop()
	j.lag.Stop()
	<-j.done
	j.end(ErrClosed)
	j.maker.Wait() // before the sweeper, which it may start
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
		for j.busy || !j.wanted() && !j.closed && j.fenced == nil {
			j.more.Wait()
		}
		if j.fenced != nil {
			j.mu.Unlock()
			return
		}
		idle := len(j.pending.waiters)+len(j.written) == 0 // nobody waits
		commit := j.turn
		if idle && !j.closed && !j.late && j.unsynced.lag() < maxLag {
			commit = j.pass
		}
		p := j.take()
		last := j.closed && idle && !j.behind && len(p.frames) == 0
		j.mu.Unlock()
		if last {
			j.markEnd()
			return
		}
		if commit(&p) != nil {
			return
		}
	}
}

// take makes the caller the one who commits, and hands over what is pending;
// turn, tell or release must follow. j.mu is held.
func (j *Journal) take() pending {
	p := j.pending
	j.pending, j.due, j.busy = j.spare, false, true
	j.room.Broadcast()
	return p
}

// turn commits p and tells who waits for it.
func (j *Journal) turn(p *pending) error { return j.tell(p, j.commit(p)) }

// pass writes p, for which nobody waits: it is synced with something that is
// waited for, or a little later.
func (j *Journal) pass(p *pending) error {
	s, err := j.write(p)
	if err != nil {
		return j.tell(p, err)
	}
	if s != nil {
		if len(p.buf) >= maxLinger {
			s.start()
		}
		j.unsynced = s
		j.mu.Lock()
		if !j.behind {
			j.behind = true
			j.lag.Reset(j.opts.Lag)
		}
		j.mu.Unlock()
	}
	j.sweep()
	j.release(p)
	return nil
}

// tell ends a turn: it tells who waits for p, and for what was written before,
// how it went.
func (j *Journal) tell(p *pending, err error) error {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrFenced, err)
		j.failed.CompareAndSwap(nil, &err)
	}
	j.mu.Lock()
	written := j.written
	j.written, j.behind, j.late = nil, false, false
	j.mu.Unlock()
	for _, durable := range written {
		durable(err)
	}
	for _, durable := range p.waiters {
		durable(err)
	}
	if err != nil {
		j.fence(err)
	} else {
		j.sweep()
	}
	j.release(p)
	return err
}

// release ends what take began.
func (j *Journal) release(p *pending) {
	p.reset()
	j.mu.Lock()
	j.spare, j.busy = *p, false
	if j.wanted() || j.closed || j.fenced != nil {
		j.more.Signal()
	}
	j.mu.Unlock()
}

// fence lets nothing be confirmed any more and fails what waits.
func (j *Journal) fence(err error) {
	j.mu.Lock()
	first := j.fenced == nil
	j.fenced = err
	j.failed.CompareAndSwap(nil, &err)
	waiters := j.pending.waiters
	j.pending = pending{}
	j.room.Broadcast()
	j.more.Signal()
	j.mu.Unlock()
	for _, durable := range waiters {
		durable(err)
	}
	if first && j.opts.Fenced != nil {
		j.opts.Fenced(err)
	}
}

// Err returns what fenced the journal, from before the first who waits is
// told; nil: it can be written to.
func (j *Journal) Err() error {
	if err := j.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// commit writes the frames of p, and syncs them and what was written before.
func (j *Journal) commit(p *pending) error {
	s, err := j.write(p)
	if err != nil {
		return err
	}
	if s == nil {
		s = j.unsynced
	}
	j.unsynced = nil
	if s == nil {
		return nil
	}
	return j.sync(s)
}

// write writes the frames of p, the last of them to the segment that it returns:
// nil when there are none.
func (j *Journal) write(p *pending) (s *segment, err error) {
	notes := p.notes
	for i := 0; i < len(p.frames); {
		from := 0
		if i > 0 {
			from = p.frames[i-1]
		}
		if s, err = j.segmentFor(int64(p.frames[i] - from)); err != nil {
			return nil, err
		}
		to := from
		for ; i < len(p.frames) && s.off+int64(p.frames[i]-from) <= s.size; i++ {
			seal(p.buf[to:p.frames[i]], s.id, s.synced)
			to = p.frames[i]
		}
		n := 0
		for ; n < len(notes) && notes[n].frame < i; n++ {
			s.enter(notes[n].stream, notes[n].extent)
		}
		base := s.off - int64(from)
		if err := s.write(p.buf[from:to]); err != nil {
			return nil, err
		}
		j.placeAll(s, p, notes[:n], base)
		notes = notes[n:]
	}
	return s, nil
}

// sync makes a commit stable, and tells how long that took.
func (j *Journal) sync(s *segment) error {
	if j.opts.Synced == nil || s.synced == s.off {
		return s.sync()
	}
	begun := time.Now() //nolint:forbidigo // to say how long it took
	if err := s.sync(); err != nil {
		return err
	}
	j.opts.Synced(time.Since(begun))
	return nil
}

// DiskBytes is how long the segments of the log are together, without the files
// that are kept ready for more.
func (j *Journal) DiskBytes() int64 { return j.total.Load() }

// markEnd writes a last frame, which says that what is before it was synced:
// after a graceful end damage is told from a write that was cut off wherever
// it is. Nothing is lost when that cannot be done.
func (j *Journal) markEnd() {
	if !j.begun {
		return
	}
	b := appendEnd(make([]byte, frameHeader))
	s, err := j.segmentFor(int64(len(b)))
	if err != nil {
		return
	}
	seal(b, s.id, s.synced)
	if s.write(b) == nil {
		_ = s.sync()
	}
}
