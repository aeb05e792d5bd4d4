package bench

import (
	"context"
	"runtime"
	"syscall"
	"time"
)

// clock counts nanoseconds since a run began; it does not jump.
type clock struct{ base time.Time }

func newClock() clock {
	return clock{time.Now()} //nolint:forbidigo // to measure is what the package is for
}

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// at is a moment of the clock as the net package wants it.
func (c clock) at(t int64) time.Time { return c.base.Add(time.Duration(t)) }

// wait waits until a moment or the context's end, whatever is first.
func (c clock) wait(ctx context.Context, until int64) {
	t := time.NewTimer(time.Duration(until - c.now()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

const (
	// nap is the longest sleep of a pacer: it has to see that it shall stop.
	nap = int64(20 * time.Millisecond)
	// gather is how long a pacer sleeps at least where latencies are not measured, so that what is due
	// meanwhile goes in one write, as it does with programs that publish at a rate.
	gather = int64(500 * time.Microsecond)
	// prSetTimerSlack and the slack of 1 ns let the kernel wake a pacer when it wants to and not
	// 50 µs later.
	prSetTimerSlack = 29
)

// pacer sends the message i at start + i×interval. The runtime's timers are rounded to
// milliseconds when a program is idle, which at 10,000 messages a second would come as bursts of
// ten, so it sleeps in the kernel, on a thread of its own.
type pacer struct {
	clock    clock
	start    int64
	interval float64 // nanoseconds
	least    int64   // the shortest sleep
}

// exact makes the calling goroutine's sleeps exact. It keeps its thread until it ends.
func (p *pacer) exact() {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0) // without it only less exact
}

// due is when the message i shall be sent.
func (p *pacer) due(i int64) int64 { return p.start + int64(float64(i)*p.interval) }

// ready returns how many messages are due when the next is i; if there is none yet, it sleeps
// until there is one, for a nap at most.
func (p *pacer) ready(i int64) int64 {
	now := p.clock.now()
	if d := p.due(i) - now; d > 0 {
		ts := syscall.NsecToTimespec(min(max(d, p.least), nap))
		_ = syscall.Nanosleep(&ts, nil) // a signal only wakes it early
		now = p.clock.now()
	}
	if now < p.due(i) {
		return 0
	}
	n := int64(float64(now-p.start)/p.interval) + 1 - i
	return max(n, 1)
}
