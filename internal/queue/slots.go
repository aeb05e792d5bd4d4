package queue

import (
	"cmp"
	"slices"

	"github.com/warrenmq/warren/internal/slab"
)

// The life of a message in its slot.
const (
	stateGone     = iota // settled, or never there
	stateReady           // in the pool, or among the returned
	stateAssigned        // promised to one waiting consumer, not yet taken
	stateUnacked         // delivered, not yet settled
)

// slot is what a queue keeps of a message in memory: 16 bytes without a
// pointer, so that millions of them cost the garbage collector nothing.
type slot struct {
	row  uint32 // of the slab table
	off  uint32 // of the image in its slab
	size uint32 // of the image, bytes
	meta uint32
}

// Layout of slot.meta.
const (
	metaState       = 3 // the two low bits
	metaRedelivered = 1 << 2
	metaPersistent  = 1 << 3
	metaDead        = 1 << 4 // Message.Dead
	metaTried       = 1 << 5 // it is in State.tries
	metaRouteShift  = 6      // length of the image's route part, at most 512
	metaRoute       = 1<<10 - 1
	metaRestShift   = 16 // bytes of the image that are not body, or maxRest
	maxRest         = 1<<16 - 1
)

func (s *slot) state() uint32      { return s.meta & metaState }
func (s *slot) setState(st uint32) { s.meta = s.meta&^metaState | st }
func (s *slot) routeLen() int      { return int(s.meta >> metaRouteShift & metaRoute) }
func (s *slot) body() int64        { return int64(s.size - min(s.size, s.meta>>metaRestShift)) }

// Sizes of chunks, in slots. They grow with the queue, so that a hundred
// thousand idle queues stay small.
const (
	minChunk = 8
	maxChunk = 1024
	// chunkBytes is how large a chunk's messages get before another begins.
	chunkBytes = 1 << 20
	// A chunk that has been read and has less than 1/sparse of its messages
	// left moves them to the strays and is freed.
	sparse = 8
)

// chunk is a run of consecutive sequence numbers.
type chunk struct {
	first uint64
	slots []slot
	live  int   // slots that are not gone
	bytes int64 // that were pushed
	cold  *cold // set while the messages are outside of memory; slots is nil then
	ttl   *deadlines
}

func (c *chunk) end() uint64 {
	if c.cold != nil {
		return c.first + c.cold.span
	}
	return c.first + uint64(len(c.slots))
}

// full reports whether nothing is to be pushed to c any more.
func (c *chunk) full() bool {
	return c.cold != nil || len(c.slots) == cap(c.slots) || c.bytes >= chunkBytes
}

// thin reports whether a chunk that has been read is worth freeing. One that
// is still being filled is kept until it is empty.
func (c *chunk) thin() bool {
	return c.live == 0 || len(c.slots) == cap(c.slots) && c.live <= cap(c.slots)/sparse
}

// slots holds a queue's live messages by sequence number. Old messages that
// outlive their neighbours (an unacknowledged one from last month) move to
// strays and so cost their own bytes only.
type slots struct {
	chunks []*chunk // ascending
	hint   *chunk   // where the last lookup ended
	spare  *chunk
	strays map[uint64]slot
	laned  bool // of several lanes
	rows   rows

	calendar calendar
}

// push appends as many of a batch to a lane as its last chunk has room for, one
// at least, and returns their slots.
func (q *slots) push(batch []Message, l *lane) []slot {
	c, at := q.last(l.next)
	if c == nil || c.end() != l.next || c.full() {
		c = q.addChunk(c, at, l.next)
	}
	before := len(c.slots)
	for i := range batch {
		m := &batch[i]
		c.bytes += int64(m.Size)
		c.slots = append(c.slots, slot{row: q.rows.hold(m.Slab), off: m.Off, size: m.Size, meta: m.meta()})
		if m.Deadline != 0 || c.ttl != nil {
			q.note(c, m.Deadline)
		}
		if c.full() {
			break
		}
	}
	run := c.slots[before:]
	c.live += len(run)
	l.next += uint64(len(run))
	return run
}

// meta is the meta of a ready message's slot.
func (m *Message) meta() uint32 {
	rest := m.Size - BodySize(m.Slab.Bytes(m.Off, m.Size), int(m.RouteLen))
	meta := uint32(m.RouteLen)<<metaRouteShift | min(rest, maxRest)<<metaRestShift | stateReady
	if m.Persistent {
		meta |= metaPersistent
	}
	if m.Dead {
		meta |= metaDead
	}
	if m.Seen {
		meta |= metaRedelivered
	}
	return meta
}

// last returns the last chunk of the lane of a number, nil when it has none,
// and where another goes.
func (q *slots) last(seq uint64) (c *chunk, at int) {
	at = len(q.chunks)
	if q.laned {
		at, _ = slices.BinarySearchFunc(q.chunks, seq>>LaneShift, func(c *chunk, lane uint64) int {
			return cmp.Compare(c.first>>LaneShift, lane+1)
		})
	}
	if at == 0 || q.chunks[at-1].first>>LaneShift != seq>>LaneShift {
		return nil, at
	}
	return q.chunks[at-1], at
}

func (q *slots) addChunk(last *chunk, at int, next uint64) *chunk {
	size := minChunk
	switch {
	case last == nil:
	case last.cold != nil:
		size = maxChunk
	default:
		size = min(max(2*len(last.slots), minChunk), maxChunk)
	}
	c := q.spare
	if q.spare = nil; c == nil || cap(c.slots) < size {
		c = &chunk{slots: make([]slot, 0, size)}
	}
	c.first, c.slots, c.live, c.bytes, c.cold, c.ttl = next, c.slots[:0], 0, 0, nil, nil
	q.chunks = slices.Insert(q.chunks, at, c)
	return c
}

// chunkOf finds the chunk that holds seq, or nil.
func (q *slots) chunkOf(seq uint64) *chunk {
	if h := q.hint; h != nil && seq >= h.first && seq < h.end() {
		return h
	}
	i, ok := slices.BinarySearchFunc(q.chunks, seq, func(c *chunk, seq uint64) int {
		switch {
		case seq < c.first:
			return 1
		case seq >= c.end():
			return -1
		}
		return 0
	})
	if !ok {
		return nil
	}
	q.hint = q.chunks[i]
	return q.hint
}

// after returns the first sequence number behind seq that has a chunk; there
// is one, since messages are ready there.
func (q *slots) after(seq uint64) uint64 {
	for _, c := range q.chunks {
		if c.first > seq {
			return c.first
		}
	}
	return seq + 1
}

// get returns the slot of seq by value; gone when there is none in memory.
func (q *slots) get(seq uint64) slot {
	if c := q.chunkOf(seq); c != nil {
		if c.cold != nil {
			return slot{}
		}
		return c.slots[seq-c.first]
	}
	return q.strays[seq]
}

// set writes back what get returned.
func (q *slots) set(seq uint64, s slot) {
	if c := q.chunkOf(seq); c != nil {
		c.slots[seq-c.first] = s
		return
	}
	q.strays[seq] = s
}

// remove forgets a live message. Chunks before the read position head that
// have emptied are freed, thinned ones give up their rest.
func (q *slots) remove(seq, head uint64) {
	c := q.chunkOf(seq)
	if c == nil {
		q.rows.drop(q.strays[seq].row)
		delete(q.strays, seq)
		delete(q.calendar.strays, seq)
		return
	}
	i := seq - c.first
	q.removeRun(c, c.slots[i:i+1], head)
}

// removeRun is remove for live messages of chunk c that lie together.
func (q *slots) removeRun(c *chunk, run []slot, head uint64) {
	for i := range run {
		q.rows.drop(run[i].row)
		run[i].setState(stateGone)
	}
	c.live -= len(run)
	if c.end() <= head && c.thin() {
		q.free(c)
	} else if c.live == 0 {
		if last, _ := q.last(c.first); c != last { // all behind the read position has expired
			q.free(c)
		}
	}
}

// passed is called when the read position leaves chunk c behind.
func (q *slots) passed(c *chunk) {
	if c.thin() {
		q.free(c)
	}
}

// free drops a chunk and keeps its live messages as strays.
func (q *slots) free(c *chunk) {
	if c.live > 0 {
		if q.strays == nil {
			q.strays = make(map[uint64]slot)
		}
		for i, s := range c.slots {
			if s.state() != stateGone {
				q.strays[c.first+uint64(i)] = s
				if c.ttl != nil {
					q.strayed(c.first+uint64(i), c.ttl.at[i])
				}
			}
		}
	}
	c.ttl = nil
	i := 0
	if q.chunks[0] != c {
		i = slices.Index(q.chunks, c)
	}
	q.chunks = slices.Delete(q.chunks, i, i+1)
	q.hint = nil
	if q.spare == nil || cap(q.spare.slots) < cap(c.slots) {
		c, q.spare = q.spare, c
	}
	if c != nil {
		c.slots = nil // the calendar may know it for a while
	}
}

// split cuts a chunk in two, the first with n slots.
func (q *slots) split(c *chunk, n int) {
	rest := &chunk{first: c.first + uint64(n), slots: c.slots[n:]} //nolint:gosec // a number of slots
	c.slots = c.slots[:n:n]
	for i := range rest.slots {
		if rest.slots[i].state() != stateGone {
			rest.live++
		}
	}
	c.live -= rest.live
	if c.ttl != nil {
		rest.ttl = &deadlines{at: c.ttl.at[n:], first: c.ttl.first}
		c.ttl.at = c.ttl.at[:n:n]
	}
	q.chunks = slices.Insert(q.chunks, slices.Index(q.chunks, c)+1, rest)
	q.enter(rest)
	q.hint = nil
}

// trim gives memory back that a queue without a message does not need.
func (q *slots) trim() {
	for len(q.chunks) > 0 {
		q.free(q.chunks[len(q.chunks)-1])
	}
	q.spare = nil
	if len(q.strays) == 0 {
		q.rows = rows{}
		q.calendar = calendar{}
	}
}

// image returns the bytes of a message.
func (q *slots) image(s *slot) []byte {
	return q.rows.all[s.row].slab.Bytes(s.off, s.size)
}

// rows is the queue's table of slabs: one pointer a slab, however many
// messages lie in it. A row is free when no message names it.
type rows struct {
	all    []row
	free   []uint32
	recent [4]uint32 // row numbers plus one, newest first
}

type row struct {
	slab *slab.Slab
	live int
}

// hold counts one more message in s and returns its row.
func (r *rows) hold(s *slab.Slab) uint32 {
	for _, n := range r.recent {
		if n > 0 && r.all[n-1].slab == s {
			r.all[n-1].live++
			return n - 1
		}
	}
	var i uint32
	if n := len(r.free); n > 0 {
		i, r.free = r.free[n-1], r.free[:n-1]
		r.all[i] = row{s, 1}
	} else {
		i = uint32(len(r.all)) //nolint:gosec // fewer rows than messages in memory
		r.all = append(r.all, row{s, 1})
	}
	copy(r.recent[1:], r.recent[:])
	r.recent[0] = i + 1
	return i
}

// drop counts one message less and lets the slab go with the last.
func (r *rows) drop(i uint32) {
	if r.all[i].live--; r.all[i].live > 0 {
		return
	}
	r.all[i].slab = nil
	r.free = append(r.free, i)
}
