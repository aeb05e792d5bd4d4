package broker

import (
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/queue"
)

// Flow control: a publisher that is ahead of the consumers of its queue waits
// for them for a moment. It keeps latency and memory flat, and what is
// delivered in the processor's cache.
const (
	// highReady and highBytes are how many messages wait, and how large what is
	// in memory is, when publishers are ahead.
	highReady = 2000
	highBytes = 2 << 20
	// lowReady is how many wait when they go on.
	lowReady = 1000
	// aheadMax is how long they wait at most: consumers may be slow.
	aheadMax = 5 * time.Millisecond
)

// Ahead reports whether the publishers of q are ahead of its consumers.
func (q *Queue) Ahead() bool {
	return q.depth.ready.Load() > highReady && q.hot.Load() > highBytes && q.consumers.Load() > 0
}

// CatchUp returns when the consumers of q have caught up, or after a few
// milliseconds; false: it did not wait, since they wait for their clients.
func (q *Queue) CatchUp() bool {
	q.mu.Lock()
	busy := q.busy() || q.state.Paused()
	if q.closed || q.state.Ready() <= lowReady || busy {
		q.mu.Unlock()
		return !busy
	}
	if q.ahead == nil {
		q.ahead = make(chan struct{})
	}
	ahead := q.ahead
	q.mu.Unlock()
	t := time.NewTimer(aheadMax)
	defer t.Stop()
	select {
	case <-ahead:
	case <-t.C:
	}
	return true
}

// busy reports whether all consumers have enough to do: they wait for their
// clients, and will not catch up in a moment; q.mu is held.
func (q *Queue) busy() bool {
	return !slices.ContainsFunc(q.state.All(), func(c *queue.Consumer) bool { return !c.Busy() })
}

// caughtUp lets the publishers go on that wait; q.mu is held.
func (q *Queue) caughtUp() {
	if q.ahead != nil {
		close(q.ahead)
		q.ahead = nil
	}
}
