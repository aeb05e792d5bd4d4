package broker

import (
	"context"
	"math"
	"sync"
	"time"
)

// never is later than every time of a queue.
const never = math.MaxInt64

// timers know when each queue has something to do by the clock: one heap and
// one goroutine a node, and nothing for a queue without such a time.
type timers struct {
	mu     sync.Mutex
	heap   []*Queue
	sooner chan struct{} // holds a token when the first changed
}

// timer is a queue's place among the timers, guarded by timers.mu.
type timer struct {
	at    int64 // Unix milliseconds
	place int   // index in the heap plus one, 0: not there
}

func newTimers() *timers { return &timers{sooner: make(chan struct{}, 1)} }

// set makes q due at a time, or leaves it due sooner.
func (t *timers) set(q *Queue, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case q.timer.place == 0:
		t.heap = append(t.heap, q)
		q.timer = timer{at, len(t.heap)}
	case at < q.timer.at:
		q.timer.at = at
	default:
		return
	}
	t.rise(q.timer.place - 1)
	if t.heap[0] == q {
		select {
		case t.sooner <- struct{}{}:
		default:
		}
	}
}

// remove forgets a queue.
func (t *timers) remove(q *Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.timer.place > 0 {
		t.take(q.timer.place - 1)
	}
}

// due removes and returns a queue that is due at now, nil when there is none.
func (t *timers) due(now int64) *Queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 || t.heap[0].timer.at > now {
		return nil
	}
	return t.take(0)
}

// next returns when the first queue is due.
func (t *timers) next() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 {
		return never
	}
	return t.heap[0].timer.at
}

func (t *timers) take(i int) *Queue {
	q, n := t.heap[i], len(t.heap)-1
	t.swap(i, n)
	t.heap[n] = nil
	t.heap = t.heap[:n]
	q.timer.place = 0
	if i < n {
		t.rise(i)
		t.sink(i)
	}
	return q
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].timer.place, t.heap[j].timer.place = i+1, j+1
}

func (t *timers) rise(i int) {
	for i > 0 && t.heap[i].timer.at < t.heap[(i-1)/2].timer.at {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *timers) sink(i int) {
	for {
		c := 2*i + 1
		if c+1 < len(t.heap) && t.heap[c+1].timer.at < t.heap[c].timer.at {
			c++
		}
		if c >= len(t.heap) || t.heap[i].timer.at <= t.heap[c].timer.at {
			return
		}
		t.swap(i, c)
		i = c
	}
}

// Expire does until ctx ends what queues have to do by the clock: messages
// and queues expire.
func (b *Broker) Expire(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.env.timers.sooner:
		case <-wait.C:
		}
		b.ExpireDue()
		if next := b.env.timers.next(); next != never {
			ahead := time.UnixMilli(next).Sub(b.opts.Now())
			wait.Reset(min(ahead, time.Minute)) // the clock may be set meanwhile
		}
	}
}

// ExpireDue does what is due now, a part of each queue in turn. When it
// returns everything is done and dead letters are where they belong, but for
// messages that somebody else is just bringing into memory: these follow when
// they are there.
func (b *Broker) ExpireDue() {
	b.expiring.Lock()
	defer b.expiring.Unlock()
	for {
		q := b.env.timers.due(b.env.now())
		if q == nil {
			return
		}
		q.expire()
	}
}

// expire is what a queue does when its time has come.
func (q *Queue) expire() {
	now := q.env.now()
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.armed = never
	q.fx.Dead, q.postponed = q.postponed, nil
	q.state.Expire(now, &q.fx)
	q.state.Overdue(now, &q.fx)
	unused := q.leaseEnd() <= now
	q.unlock()
	if unused {
		q.env.drop(q)
	}
}

// arm makes sure that q is woken when it has something to do; q.mu is held.
func (q *Queue) arm() {
	if q.closed {
		return
	}
	at := min(q.state.Due(), q.state.HoldEnd())
	if q.lease.Load() > 0 {
		at = min(at, q.leaseEnd())
	}
	if at < q.armed {
		q.armed = at
		q.env.timers.set(q, max(at, q.env.now()))
	}
}

// leaseEnd returns when q expires if nobody uses it until then (x-expires);
// q.mu is held.
func (q *Queue) leaseEnd() int64 {
	lease := q.lease.Load()
	if lease == 0 || q.state.Consumers() > 0 {
		return never
	}
	return q.used.Load() + lease
}

// touch renews the lease of a queue that expires when it is unused.
func (q *Queue) touch() {
	if q.lease.Load() > 0 {
		q.used.Store(q.env.now())
	}
}

// lockTimely locks q with nothing in memory that has expired. It takes that out
// part by part, and finish does what this leaves. What lies outside of memory
// counts as there until it was fetched: a purge may take it, and nobody else can.
func (q *Queue) lockTimely(finish func(after)) {
	q.mu.Lock()
	if q.state.Due() == never {
		return
	}
	for now := q.env.now(); q.state.Due() <= now && !q.closed; {
		q.state.Expire(now, &q.fx)
		if q.state.Due() > now {
			return
		}
		finish(q.release())
		q.mu.Lock()
	}
}
