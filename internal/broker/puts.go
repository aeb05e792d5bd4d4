package broker

import (
	"slices"

	"github.com/warrenmq/warren/internal/queue"
)

// What settles a message must not come before its put in the log: settles of
// batches that are on their way there gather.

// appended says that a batch is in the log: the first number that it has of
// this queue, or of each of its lanes.
func (q *Queue) appended(firsts ...uint64) {
	q.mu.Lock()
	for _, first := range firsts {
		if i := slices.Index(q.unlogged, first); i >= 0 {
			q.unlogged = slices.Delete(q.unlogged, i, i+1)
		}
	}
	again := q.deferred
	q.deferred = nil
	settled := q.settled(again)
	q.entered.Broadcast()
	q.mu.Unlock()
	if settled != nil {
		q.env.log.Append(Batch{Settled: settled}, nil)
	}
}

// onTheWay reports whether message seq may not be in the log yet; q.mu is held.
func (q *Queue) onTheWay(seq uint64) bool {
	for _, first := range q.unlogged {
		if seq >= first && (q.lanes == nil || seq>>queue.LaneShift == first>>queue.LaneShift) {
			return true
		}
	}
	return false
}

// settled returns what of seqs may go to the log, and defers the others; q.mu
// is held.
func (q *Queue) settled(seqs []uint64) []Settled {
	sure := make([]uint64, 0, len(seqs))
	for _, seq := range seqs {
		if q.onTheWay(seq) {
			q.deferred = append(q.deferred, seq)
		} else {
			sure = append(sure, seq)
		}
	}
	if len(sure) == 0 {
		return nil
	}
	return []Settled{{Queue: q.UID, Seqs: sure}}
}
