package broker

import (
	"runtime"
	"sync/atomic"

	"github.com/warrenmq/warren/internal/queue"
)

// The Log knows up to where a queue's messages may have been delivered: that
// is what marks them as redelivered after a crash. It has to be on stable
// storage before a message goes out, so it is told far ahead: with the first
// consumer, and again when half of what it was told is used up. Nobody waits
// but who comes sooner than the disk. A queue with priorities has such a level
// for each of its lanes.

// level is what the Log knows of one lane; q.mu guards all but known.
type level struct {
	delivered   uint64 // what the log was told last
	telling     bool   // it was told in this life
	redelivered uint64 // messages below were delivered by an earlier life

	known atomic.Uint64 // what of delivered is on stable storage
}

// levelOf returns the level of the lane of a message, or of a level.
func (q *Queue) levelOf(seq uint64) *level {
	if q.lanes == nil {
		return &q.level
	}
	return &q.lanes[seq>>queue.LaneShift]
}

// levelAt returns the level of a lane.
func (q *Queue) levelAt(lane int) *level {
	if q.lanes == nil {
		return &q.level
	}
	return &q.lanes[lane]
}

// restoreLevels takes over what an earlier life told: up to where messages of
// each lane were delivered, and the numbers behind the highest of each.
func (q *Queue) restoreLevels(delivered, ends []uint64) {
	for _, upTo := range delivered {
		l := q.levelOf(upTo)
		l.delivered = upTo
		l.known.Store(upTo)
	}
	for _, end := range ends {
		l := q.levelOf(end)
		l.redelivered = min(l.delivered, end)
	}
}

// tellAhead returns what tells the Log, in time for the first delivery, how far
// messages may be delivered; q.mu is held.
func (q *Queue) tellAhead() (d []Delivered) {
	for i := range q.state.Lanes() {
		if l, head := q.levelAt(i), q.state.HeadOf(i); l.delivered < head+deliveredStep/2 {
			d = append(d, q.tell(l, head))
		}
	}
	return d
}

// tellFurther is tellAhead for the lanes in which the reader comes near to what
// the Log was told; q.mu is held.
func (q *Queue) tellFurther() (d []Delivered) {
	for i := range q.state.Lanes() {
		l, head := q.levelAt(i), q.state.HeadOf(i)
		if head > l.delivered && (q.lanes == nil || head<<laneBits != 0) || l.telling && head+deliveredStep/2 > l.delivered {
			d = append(d, q.tell(l, head))
		}
	}
	return d
}

// laneBits are those of a sequence number that are the lane's.
const laneBits = 64 - queue.LaneShift

func (q *Queue) tell(l *level, head uint64) Delivered {
	l.delivered, l.telling = max(l.delivered, head+deliveredStep), true
	return Delivered{Queue: q.UID, UpTo: l.delivered}
}

// rest returns what the Log has to know at a graceful end; q.mu is held.
func (q *Queue) rest() (d []Delivered) {
	for i := range q.state.Lanes() {
		if l := q.levelAt(i); l.delivered > 0 {
			l.delivered = max(q.state.HeadOf(i), l.redelivered) // what an earlier life delivered may still be there
			d = append(d, Delivered{Queue: q.UID, UpTo: l.delivered, Exact: true})
		}
	}
	return d
}

// told returns what is to be run when the Log has d on stable storage.
func (q *Queue) told(d []Delivered) func(error) {
	if d == nil {
		return nil
	}
	return func(err error) {
		for i := 0; i < len(d) && err == nil; {
			l := q.levelOf(d[i].UpTo)
			before := l.known.Load()
			if before >= d[i].UpTo || l.known.CompareAndSwap(before, d[i].UpTo) {
				i++
			}
		}
	}
}

// settleLevel returns when the Log knows that the messages may have been
// delivered. False: it never will, and they must not be.
func (q *Queue) settleLevel(d []queue.Delivery) bool {
	if !q.Durable {
		return true
	}
	upTo := uint64(0)
	for i := range d {
		if !d[i].Persistent {
			continue
		}
		upTo = max(upTo, d[i].Seq+1)
		if q.lanes != nil && !q.settleOne(d[i].Seq+1) {
			return false
		}
	}
	return q.lanes != nil || q.settleOne(upTo)
}

// settleOne waits until the Log knows of messages below upTo of one lane.
func (q *Queue) settleOne(upTo uint64) bool {
	for l := q.levelOf(upTo); l.known.Load() < upTo; {
		done := make(chan error, 1)
		q.env.log.Append(Batch{}, func(err error) { done <- err })
		if err := <-done; err != nil {
			return false
		}
		runtime.Gosched() // another step was to tell the log and is about to
	}
	return true
}
