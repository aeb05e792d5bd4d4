package storage

import (
	"cmp"
	"errors"
	"fmt"
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
	entries []entry // of messages by themselves
	sorted  bool    // entries is ascending, each number once
	spans   []journal.Span
	settled intervals
	next    uint64 // behind the highest number
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

// entry is where one message is.
type entry struct {
	seq     uint64
	segment uint32
	off     uint32
	size    uint32
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
		rest, _ = brief(mark, body.Bytes)
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

// Span implements journal.Visitor.
func (r replay) Span(s journal.Span) {
	h := r.of(s.Stream, s.First)
	h.spans = append(h.spans, s)
	h.next = max(h.next, end(&s))
}

// end is the number behind the last of a span.
func end(s *journal.Span) uint64 { return s.First + uint64(s.Count) } //nolint:gosec // at most journal.MaxSpan

// brief is what of a message is not body, as much of it as the queue counts. One
// that expires is told by itself.
func brief(mark uint64, image []byte) (rest uint64, plain bool) {
	n := len(image) - int(queue.BodySize(image, int(mark&markRoute)))
	return uint64(min(n, math.MaxUint16)), mark>>markDeadline == 0 //nolint:gosec // not negative
}

// Settle implements journal.Visitor.
func (r replay) Settle(stream uint64, seqs []uint64) {
	h := r.of(stream, 0)
	for _, seq := range seqs {
		l := h.lane(seq)
		l.settled = l.settled.add(seq)
		l.next = max(l.next, seq+1)
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
	for seq, v := range h.tallies {
		if h.has(seq) {
			tries[seq] = queue.Tries{Acquired: uint32(v >> 32), Failed: uint32(v)} //nolint:gosec // as they were written
		}
	}
	return tries
}

func (h *history) add(e entry) {
	if n := len(h.entries); n > 0 && e.seq <= h.entries[n-1].seq {
		h.sorted = false
	}
	h.entries = append(h.entries, e)
	h.next = max(h.next, e.seq+1)
}

// finish leaves each message that was never settled once: in a span, if no
// other has it and nothing of that is settled, else by itself. Of those it reads
// where they are.
func (h *history) finish(j *journal.Journal) error {
	h.settled = h.settled.merge()
	if err := h.part(j); err != nil {
		return err
	}
	if !h.sorted {
		slices.SortStableFunc(h.entries, func(x, y entry) int { return cmp.Compare(x.seq, y.seq) })
	}
	kept, gone := h.entries[:0], h.settled
	for i, e := range h.entries {
		if i+1 < len(h.entries) && h.entries[i+1].seq == e.seq {
			continue // the latest place it has
		}
		if gone = gone.from(e.seq); len(gone) == 0 || e.seq < gone[0].from {
			kept = append(kept, e)
		}
	}
	h.entries, h.sorted, h.settled = kept, true, nil
	bySeq := func(x, y deadline) int { return cmp.Compare(x.seq, y.seq) }
	if !slices.IsSortedFunc(h.deadlines, bySeq) { // of a message that was put twice they are the same
		slices.SortFunc(h.deadlines, bySeq)
	}
	return nil
}

// part takes spans apart of which something is settled or is elsewhere too, and
// drops those of which all is settled. The others are sorted then.
func (h *history) part(j *journal.Journal) error {
	if len(h.spans) == 0 {
		return nil
	}
	byFirst := func(x, y journal.Span) int { return cmp.Compare(x.First, y.First) }
	if !slices.IsSortedFunc(h.spans, byFirst) {
		slices.SortFunc(h.spans, byFirst)
	}
	byOne := h.numbers()
	spans, before := h.spans, uint64(0)
	kept, gone := spans[:0], h.settled
	for i := range spans {
		s := spans[i]
		gone = gone.from(s.First)
		if len(gone) > 0 && gone[0].from <= s.First && gone[0].to >= end(&s) {
			continue
		}
		whole := len(gone) == 0 || gone[0].from >= end(&s)
		whole = whole && s.First >= before && (i+1 == len(spans) || spans[i+1].First >= end(&s))
		n, _ := slices.BinarySearch(byOne, s.First)
		whole = whole && (n == len(byOne) || byOne[n] >= end(&s))
		before = max(before, end(&s))
		if whole {
			kept = append(kept, s)
			continue
		}
		if err := h.apart(j, &s); err != nil {
			return err
		}
	}
	h.spans = kept
	return nil
}

// numbers returns those of the entries, ascending.
func (h *history) numbers() []uint64 {
	all := make([]uint64, len(h.entries))
	for i := range h.entries {
		all[i] = h.entries[i].seq
	}
	if !h.sorted {
		slices.Sort(all)
	}
	return all
}

// apart makes entries of a span.
func (h *history) apart(j *journal.Journal, s *journal.Span) error {
	h.sorted = false
	n := len(h.entries)
	if _, err := j.Frames(s.At, &parter{history: h, span: s}); err != nil {
		return err
	}
	if n = len(h.entries) - n; n != s.Count {
		return errors.Join(fmt.Errorf("%w: %d of %d messages of queue %d from %d on", journal.ErrCorrupt, n, s.Count, s.Stream, s.First), j.Distrust())
	}
	return nil
}

// parter makes entries of what is of a span.
type parter struct {
	putsOnly

	history *history
	span    *journal.Span
}

// Put implements journal.Visitor.
func (p *parter) Put(places []journal.Ref, mark uint64, body journal.Body) {
	for _, r := range places {
		if r.Stream == p.span.Stream && r.Seq >= p.span.First && r.Seq < end(p.span) {
			rest, _ := brief(mark, body.Bytes)
			p.history.add(entry{
				seq: r.Seq, segment: uint32(body.At.Segment), off: body.At.Off, size: body.Size, route: uint16(mark), //nolint:gosec // as they were written
				rest: uint16(rest), //nolint:gosec // brief's
			})
		}
	}
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

// has reports whether a message is there, once finish has found them.
func (h *history) has(seq uint64) bool {
	_, ok := slices.BinarySearchFunc(h.entries, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
	if !ok {
		i, _ := slices.BinarySearchFunc(h.spans, seq, func(s journal.Span, seq uint64) int { return cmp.Compare(end(&s), seq+1) })
		ok = i < len(h.spans) && h.spans[i].First <= seq
	}
	return ok
}

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
		if l.next > 0 {
			r.Ends = append(r.Ends, l.next)
		}
		if l.level > 0 {
			r.Delivered = append(r.Delivered, l.level)
		}
		r.Tries = l.tries(r.Tries)
		r.Runs = l.runs(s.journal, uid, r.Runs)
	}
	return r
}

// runs appends the messages that are there, once finish has found them.
func (h *history) runs(j *journal.Journal, uid uint64, to []queue.Cold) []queue.Cold {
	rest, spans := h.entries, h.spans
	for len(rest)+len(spans) > 0 {
		switch {
		case len(spans) == 0:
			to, rest = h.alone(j, rest, to), nil
		case len(rest) > 0 && rest[0].seq < spans[0].First:
			n, _ := slices.BinarySearchFunc(rest, spans[0].First, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
			to, rest = h.alone(j, rest[:n], to), rest[n:]
		default:
			n := together(spans)
			to, spans = append(to, spanned(j, uid, spans[:n])), spans[n:]
		}
	}
	return to
}

// alone appends runs of messages by themselves.
func (h *history) alone(j *journal.Journal, rest []entry, to []queue.Cold) []queue.Cold {
	for len(rest) > 0 {
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

// together returns how many spans make one run: those without a gap.
func together(spans []journal.Span) int {
	n, count, bytes := 1, spans[0].Count, spans[0].Bytes
	for ; n < len(spans); n++ {
		s := &spans[n]
		if count, bytes = count+s.Count, bytes+s.Bytes; s.First != end(&spans[n-1]) || count > queue.MaxRun || bytes > runBytes {
			break
		}
	}
	return n
}

// spanned makes a run of spans.
func spanned(j *journal.Journal, uid uint64, spans []journal.Span) queue.Cold {
	c := queue.Cold{From: spans[0].First}
	r := &stay{journal: j, uid: uid, first: c.From}
	for i := range spans {
		s := &spans[i]
		c.Count += s.Count
		c.Bytes += s.Bytes
		c.BodyBytes += s.Bytes - int64(s.Brief) //nolint:gosec // a sum of lengths
		r.at = append(r.at, s.At)
	}
	c.PersistentBytes = c.Bytes + int64(c.Count)*queue.LogOverhead
	r.count, r.span = c.Count, uint64(c.Count) //nolint:gosec // at most MaxRun
	c.Where = r
	return c
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
