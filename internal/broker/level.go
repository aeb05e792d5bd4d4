package broker

import (
	"runtime"

	"github.com/warrenmq/warren/internal/queue"
)

// The Log knows up to where a queue's messages may have been delivered: that
// is what marks them as redelivered after a crash. It has to be on stable
// storage before a message goes out, so it is told far ahead: with the first
// consumer, and again when half of what it was told is used up. Nobody waits
// but who comes sooner than the disk.

// deliverUpTo returns what tells the Log that messages below upTo may have
// been delivered; q.mu is held.
func (q *Queue) deliverUpTo(upTo uint64) []Delivered {
	q.delivered, q.telling = max(q.delivered, upTo), true
	return []Delivered{{Queue: q.UID, UpTo: q.delivered}}
}

// told returns what is to be run when the Log has d on stable storage.
func (q *Queue) told(d []Delivered) func(error) {
	if d == nil {
		return nil
	}
	upTo := d[0].UpTo
	return func(err error) {
		for err == nil {
			before := q.leveled.Load()
			if before >= upTo || q.leveled.CompareAndSwap(before, upTo) {
				return
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
		if d[i].Persistent {
			upTo = max(upTo, d[i].Seq+1)
		}
	}
	for q.leveled.Load() < upTo {
		done := make(chan error, 1)
		q.env.log.Append(Batch{}, func(err error) { done <- err })
		if err := <-done; err != nil {
			return false
		}
		runtime.Gosched() // another step was to tell the log and is about to
	}
	return true
}
