package broker

import "github.com/warrenmq/warren/internal/queue"

// after is what is left to do when a step of a queue has ended and its lock is
// free.
type after struct {
	load  bool         // somebody waits for messages outside of memory
	fetch []uint64     // runs outside of memory in which messages expire
	dead  []queue.Dead // for the dead letter exchange
	// overdue was not settled in time. It comes of the timers' steps alone.
	overdue []queue.Overdue
}

func (a after) nothing() bool {
	return !a.load && a.fetch == nil && a.dead == nil && a.overdue == nil
}

// follow is what a queue has left to do.
type follow struct {
	queue *Queue
	after
}

// finish does what a step left, and what that leaves in other queues: dead
// letters may die again. It goes on with the youngest, so that a burst of them
// is handled part by part to its end.
func (q *Queue) finish(a after) { q.work(a, false) }

// finishLater is finish that leaves dead letters to the timers. It is for those
// who may have a batch of their own on the way to the log: a dead letter may
// have to wait for it.
func (q *Queue) finishLater(a after) { q.work(a, true) }

func (q *Queue) work(a after, later bool) {
	if a.nothing() {
		return
	}
	work := []follow{{q, a}}
	for len(work) > 0 {
		f := work[len(work)-1]
		work = work[:len(work)-1]
		if later && len(f.dead) > 0 {
			f.queue.postpone(f.dead)
			f.dead = nil
		}
		if n := part(f.dead); n < len(f.dead) {
			work = append(work, follow{f.queue, after{dead: f.dead[n:]}})
			f.dead = f.dead[:n]
		}
		for _, o := range f.overdue {
			if owner, ok := o.Consumer.Owner.(*Consumer); ok {
				owner.waker.Overdue(owner, o.Seqs)
			}
		}
		for _, first := range f.fetch {
			work = f.queue.fetchAt(first).add(f.queue, work)
		}
		if f.load {
			work = f.queue.warm().add(f.queue, work)
		}
		if len(f.dead) > 0 {
			work = append(work, q.env.bury(f.queue, f.dead)...)
		}
	}
}

// postpone leaves dead letters to the timers.
func (q *Queue) postpone(dead []queue.Dead) {
	q.mu.Lock()
	q.postponed = append(q.postponed, dead...)
	q.mu.Unlock()
	q.env.timers.set(q, 0)
}

// Bounds of one frame of the log with dead letters: a step may leave any
// number of them.
const (
	maxBuried      = 256
	maxBuriedBytes = 1 << 20
)

// part returns how many dead letters go into the next frame.
func part(dead []queue.Dead) int {
	for i, bytes := 0, 0; i < len(dead); i++ {
		if bytes += len(dead[i].Image); i > 0 && (i == maxBuried || bytes > maxBuriedBytes) {
			return i
		}
	}
	return len(dead)
}

// add appends what q has left to do.
func (a after) add(q *Queue, work []follow) []follow {
	if a.nothing() {
		return work
	}
	return append(work, follow{q, a})
}
