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

// Keep implements broker.Backlog: what lies together in the journal stays
// there, all else is copied into the backlog.
func (s *Store) Keep(uid uint64, kept []queue.Kept, enter func(broker.Cold)) error {
	if bytes, ok := asLogged(kept); ok {
		r := newStay(s.journal, uid, kept)
		if s.journal.Adopt(uid, r.seqs(), bytes, func(at []journal.Stretch) {
			r.at = at
			enter(r)
		}) {
			return nil
		}
	}
	b, err := s.backlog.Write(kept)
	if err != nil {
		return err
	}
	enter(b)
	return nil
}

// Young implements broker.Backlog. In a queue with priorities it knows of one of
// them, and the others are kept as they come.
func (s *Store) Young(uid uint64) uint64 {
	if behind := s.journal.Behind(uid); behind != 0 {
		return behind
	}
	return math.MaxUint64
}

// asLogged reports whether messages are as the journal has them, and how large
// they are.
func asLogged(kept []queue.Kept) (bytes int64, ok bool) {
	for i := range kept {
		k := &kept[i]
		if !k.Persistent || k.Redelivered || k.Deadline != 0 {
			return 0, false
		}
		bytes += int64(k.Size)
	}
	return bytes, true
}

// stay is a run of messages that lie in the journal, among others or alone.
type stay struct {
	journal *journal.Journal
	uid     uint64
	first   uint64
	count   int
	span    uint64
	mask    []uint64 // a bit for each that is there; nil: all
	at      []journal.Stretch
}

func newStay(j *journal.Journal, uid uint64, kept []queue.Kept) *stay {
	r := &stay{journal: j, uid: uid, first: kept[0].Seq, count: len(kept)}
	if r.span = kept[len(kept)-1].Seq - r.first + 1; r.span != uint64(len(kept)) {
		r.mask = make([]uint64, (r.span+63)/64)
		for i := range kept {
			n := kept[i].Seq - r.first
			r.mask[n/64] |= 1 << (n % 64)
		}
	}
	return r
}

func (r *stay) has(seq uint64) bool {
	i := seq - r.first
	return i < r.span && (r.mask == nil || r.mask[i/64]&(1<<(i%64)) != 0)
}

func (r *stay) seqs() []uint64 {
	seqs := make([]uint64, 0, r.count)
	for i := range r.span {
		if r.has(r.first + i) {
			seqs = append(seqs, r.first+i)
		}
	}
	return seqs
}

// InLog implements broker.Cold.
func (r *stay) InLog() bool { return true }

// Free implements broker.Cold.
func (r *stay) Free() {}

// Read implements broker.Cold.
func (r *stay) Read() ([]queue.Kept, error) {
	p := &picker{stay: r, kept: make([]queue.Kept, 0, r.count)}
	for _, at := range r.at {
		n := len(p.kept)
		p.from = at.From
		b, err := r.journal.Frames(at, p)
		if err != nil {
			return nil, err
		}
		all := slab.Adopt(b)
		for i := range p.kept[n:] {
			p.kept[n+i].Slab = all
		}
	}
	bySeq := func(a, b queue.Kept) int { return cmp.Compare(a.Seq, b.Seq) }
	if !slices.IsSortedFunc(p.kept, bySeq) {
		slices.SortStableFunc(p.kept, bySeq)
	}
	p.kept = slices.CompactFunc(p.kept, func(a, b queue.Kept) bool { return a.Seq == b.Seq })
	if len(p.kept) != r.count {
		err := fmt.Errorf("%w: %d of %d messages of queue %d from %d on", journal.ErrCorrupt, len(p.kept), r.count, r.uid, r.first)
		return nil, errors.Join(err, r.journal.Distrust())
	}
	return p.kept, nil
}

// picker takes out of frames what is of a run.
type picker struct {
	putsOnly
	*stay

	kept []queue.Kept
	from uint32
}

// Put implements journal.Visitor.
func (p *picker) Put(places []journal.Ref, mark uint64, body journal.Body) {
	for _, r := range places {
		if r.Stream == p.uid && p.has(r.Seq) {
			p.kept = append(p.kept, queue.Kept{Seq: r.Seq, Message: queue.Message{
				Off: body.At.Off - p.from, Size: body.Size, RouteLen: uint16(mark & markRoute), Persistent: true,
				Dead: mark&markDead != 0, Seen: mark&markSeen != 0,
			}})
		}
	}
}

// putsOnly is the rest of a visitor that looks for messages in frames: all else
// is known.
type putsOnly struct{}

// Settle implements journal.Visitor.
func (putsOnly) Settle(uint64, []uint64) {}

// Level implements journal.Visitor.
func (putsOnly) Level(uint64, uint64, bool) {}

// Tally implements journal.Visitor.
func (putsOnly) Tally(journal.Ref, uint64) {}

// Span implements journal.Visitor: frames have none.
func (putsOnly) Span(journal.Span) {}
