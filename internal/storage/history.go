package storage

import (
	"cmp"
	"math"
	"slices"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/journal"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
)

// history is what replay finds of one queue, or of one lane of a queue with
// priorities.
type history struct {
	entries []entry
	sorted  bool // entries is ascending, each number once
	level   uint64
	// deadlines are of those messages that have one, as they came: a table
	// beside the entries, which most queues do without.
	deadlines []deadline
	tallies   map[uint64]uint64 // of messages that came back, nil without any
	// lanes are the others of the queue, by number less one; some may be nil.
	lanes []*history
}

// deadline is when a message expires, Unix milliseconds.
type deadline struct {
	seq uint64
	at  int64
}

// entry is one message: where it is, or that it is settled.
type entry struct {
	seq     uint64
	segment uint32
	off     uint32
	size    uint32 // 0: settled
	route   uint16 // the low bits of its mark
	rest    uint16 // bytes that are not body
}

// replay collects histories by queue.
type replay map[uint64]*history

// of returns the history of the lane of a message, or of a level.
func (r replay) of(stream, seq uint64) *history {
	h := r[stream]
	if h == nil {
		h = &history{sorted: true}
		r[stream] = h
	}
	return h.lane(seq)
}

func (h *history) lane(seq uint64) *history {
	i := int(seq >> queue.LaneShift)
	if i == 0 {
		return h
	}
	for len(h.lanes) < i {
		h.lanes = append(h.lanes, nil)
	}
	if h.lanes[i-1] == nil {
		h.lanes[i-1] = &history{sorted: true}
	}
	return h.lanes[i-1]
}

// each returns the history's lanes in order.
func (h *history) each(yield func(*history) bool) {
	if !yield(h) {
		return
	}
	for _, l := range h.lanes {
		if l != nil && !yield(l) {
			return
		}
	}
}

// Put implements journal.Visitor.
func (r replay) Put(places []journal.Ref, mark uint64, body journal.Body) {
	rest := body.Brief
	if body.Bytes != nil {
		rest = brief(mark, body.Bytes)
	}
	for _, p := range places {
		h := r.of(p.Stream, p.Seq)
		h.add(entry{
			seq: p.Seq, segment: uint32(body.At.Segment), off: body.At.Off, size: body.Size, route: uint16(mark), //nolint:gosec // as they were written
			rest: uint16(rest), //nolint:gosec // brief's
		})
		if at := mark >> markDeadline; at != 0 {
			h.deadlines = append(h.deadlines, deadline{p.Seq, int64(at)})
		}
	}
}

// brief is what of a message is not body, as much of it as the queue counts.
func brief(mark uint64, image []byte) uint64 {
	rest := len(image) - int(queue.BodySize(image, int(mark&markRoute)))
	return uint64(min(rest, math.MaxUint16)) //nolint:gosec // not negative
}

// Settle implements journal.Visitor.
func (r replay) Settle(stream uint64, seqs []uint64) {
	h := r.of(stream, 0)
	for _, seq := range seqs {
		h.lane(seq).settle(seq)
	}
}

// Level implements journal.Visitor.
func (r replay) Level(stream, value uint64, exact bool) {
	h := r.of(stream, value)
	if exact || value > h.level {
		h.level = value
	}
}

// Tally implements journal.Visitor.
func (r replay) Tally(place journal.Ref, value uint64) {
	h := r.of(place.Stream, place.Seq)
	if h.tallies == nil {
		h.tallies = map[uint64]uint64{}
	}
	h.tallies[place.Seq] = max(h.tallies[place.Seq], value)
}

// tries adds what is counted of the messages that are there.
func (h *history) tries(tries map[uint64]queue.Tries) map[uint64]queue.Tries {
	if h.tallies == nil {
		return tries
	}
	if tries == nil {
		tries = map[uint64]queue.Tries{}
	}
	for _, e := range h.entries {
		if v, ok := h.tallies[e.seq]; ok {
			tries[e.seq] = queue.Tries{Acquired: uint32(v >> 32), Failed: uint32(v)} //nolint:gosec // as they were written
		}
	}
	return tries
}

func (h *history) add(e entry) {
	if n := len(h.entries); n > 0 && e.seq <= h.entries[n-1].seq {
		h.sorted = false
	}
	h.entries = append(h.entries, e)
}

// settle marks a message that is among the entries, or notes that it is
// settled for the case that it comes later.
func (h *history) settle(seq uint64) {
	if h.sorted {
		i, ok := h.find(seq)
		if ok {
			h.entries[i].size = 0
			return
		}
	}
	h.add(entry{seq: seq})
}

// find looks near the end of what is settled first: most are in order.
func (h *history) find(seq uint64) (int, bool) {
	n := len(h.entries)
	if n > 0 && seq >= h.entries[0].seq {
		if i := seq - h.entries[0].seq; i < uint64(n) && h.entries[i].seq == seq {
			return int(i), true //nolint:gosec // less than n
		}
	}
	return slices.BinarySearchFunc(h.entries, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

// settled sorts the entries and keeps each message that was never settled
// once, the latest place it has. It returns the number behind the highest.
func (h *history) finish() (next uint64) {
	if !h.sorted {
		slices.SortStableFunc(h.entries, func(x, y entry) int { return cmp.Compare(x.seq, y.seq) })
	}
	if n := len(h.entries); n > 0 {
		next = h.entries[n-1].seq + 1
	}
	kept := h.entries[:0]
	for i := 0; i < len(h.entries); {
		e, settled := h.entries[i], false
		for ; i < len(h.entries) && h.entries[i].seq == e.seq; i++ {
			settled = settled || h.entries[i].size == 0
			e = h.entries[i]
		}
		if !settled {
			kept = append(kept, e)
		}
	}
	h.entries = kept
	bySeq := func(x, y deadline) int { return cmp.Compare(x.seq, y.seq) }
	if !slices.IsSortedFunc(h.deadlines, bySeq) { // of a message that was put twice they are the same
		slices.SortFunc(h.deadlines, bySeq)
	}
	return next
}

// expires returns when a message expires, 0 for never. Numbers are asked for
// in ascending order.
func (h *history) expires(seq uint64) int64 {
	for len(h.deadlines) > 0 && h.deadlines[0].seq < seq {
		h.deadlines = h.deadlines[1:]
	}
	if len(h.deadlines) > 0 && h.deadlines[0].seq == seq {
		return h.deadlines[0].at
	}
	return 0
}

// runBytes is how large the messages of a run are.
const runBytes = 1 << 20

// Restore returns what replay found of a queue. It is called once a queue,
// before Attach.
func (s *Store) Restore(uid uint64) broker.Restored {
	h := s.histories[uid]
	if h == nil {
		return broker.Restored{}
	}
	delete(s.histories, uid)
	var r broker.Restored
	for l := range h.each {
		if end := l.finish(); end > 0 {
			r.Ends = append(r.Ends, end)
		}
		if l.level > 0 {
			r.Delivered = append(r.Delivered, l.level)
		}
		r.Tries = l.tries(r.Tries)
		r.Runs = l.runs(s.journal, r.Runs)
	}
	return r
}

// runs appends the messages that are there, once finish has found them.
func (h *history) runs(j *journal.Journal, to []queue.Cold) []queue.Cold {
	for rest := h.entries; len(rest) > 0; {
		first, bytes, over, n := rest[0].seq, int64(0), int64(0), 0
		for n < len(rest) && rest[n].seq-first < queue.MaxRun && (bytes < runBytes || n == 0) {
			bytes += int64(rest[n].size)
			over += int64(rest[n].rest)
			n++
		}
		c := queue.Cold{Bytes: bytes, BodyBytes: bytes - over, PersistentBytes: bytes + int64(n)*queue.LogOverhead, Seqs: make([]uint64, n)}
		run := &logRun{journal: j, first: first, entries: make([]logEntry, n)}
		for i, e := range rest[:n] {
			c.Seqs[i] = e.seq
			run.entries[i] = logEntry{segment: e.segment, off: e.off, size: e.size, step: uint16(e.seq - first), route: e.route} //nolint:gosec // less than MaxRun
			at := h.expires(e.seq)
			c.Expires(at)
			run.expires(i, at)
		}
		c.Where = run
		to = append(to, c)
		rest = rest[n:]
	}
	return to
}

// Unknown returns the queues that the journal has live messages of and nobody
// restored: they were deleted.
func (s *Store) Unknown() int { return len(s.histories) }

// logRun is a run of messages that lie in the journal alone, as recovery
// found them.
type logRun struct {
	journal *journal.Journal
	first   uint64
	entries []logEntry
	// deadlines are as many as entries, nil when none has one.
	deadlines []int64
}

// expires notes when message i of the run expires.
func (r *logRun) expires(i int, at int64) {
	if at == 0 {
		return
	}
	if r.deadlines == nil {
		r.deadlines = make([]int64, len(r.entries))
	}
	r.deadlines[i] = at
}

// logEntry is 16 bytes: a backlog of millions comes back with a table of them.
type logEntry struct {
	segment, off, size uint32
	step, route        uint16
}

// InLog implements broker.Cold.
func (r *logRun) InLog() bool { return true }

// Free implements broker.Cold.
func (r *logRun) Free() {}

// Read implements broker.Cold: in as few reads as lie close together.
func (r *logRun) Read() ([]queue.Kept, error) {
	kept := make([]queue.Kept, len(r.entries))
	for i := 0; i < len(r.entries); {
		from := &r.entries[i]
		end, useful, n := uint64(from.off)+uint64(from.size), uint64(from.size), 1
		for ; i+n < len(r.entries); n++ {
			e := &r.entries[i+n]
			to := uint64(e.off) + uint64(e.size)
			if e.segment != from.segment || uint64(e.off) < end || to-uint64(from.off) > 2*(useful+uint64(e.size))+4096 {
				break
			}
			end = to
			useful += uint64(e.size)
		}
		buf, err := r.journal.Read(journal.Position{Segment: uint64(from.segment), Off: from.off}, uint32(end-uint64(from.off))) //nolint:gosec // in a segment
		if err != nil {
			return nil, err
		}
		all := slab.Adopt(buf)
		for k := i; k < i+n; k++ {
			e := &r.entries[k]
			kept[k] = queue.Kept{Seq: r.first + uint64(e.step), Message: queue.Message{
				Slab: all, Off: e.off - from.off, Size: e.size, RouteLen: e.route & markRoute, Persistent: true,
				Dead: e.route&markDead != 0, Seen: e.route&markSeen != 0,
			}}
			if r.deadlines != nil {
				kept[k].Deadline = r.deadlines[k]
			}
		}
		i += n
	}
	return kept, nil
}
