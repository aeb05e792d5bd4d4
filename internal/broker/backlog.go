package broker

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/internal/queue"
)

// Backlog is where messages go for which there is no room in memory. It keeps
// them for the life of the process; what must survive is in the Log.
type Backlog interface {
	// Keep calls enter with where it keeps messages of a queue, whose number in the
	// Log is uid. It may be that they lie in the Log and stay there. Enter must not
	// append to the Log, which may wait for what Keep holds.
	Keep(uid uint64, kept []queue.Kept, enter func(Cold)) error
	// Young returns the first number of a queue whose message, if it is persistent,
	// may not be in the Log yet: those before it are kept at less cost. It may
	// be too high.
	Young(uid uint64) uint64
}

// Cold is a run of messages outside of memory.
type Cold interface {
	// Read brings them back, without letting go of them.
	Read() ([]queue.Kept, error)
	// Free lets go of them.
	Free()
	// InLog says that they lie in the Log alone: what of it is thrown away
	// must be read before.
	InLog() bool
}

// blockSize is how many bytes of messages are moved out of memory at once.
const blockSize = 1 << 20

// Restored is what an earlier life of a queue left.
type Restored struct {
	Runs []queue.Cold // Where is a Cold
	// Ends are the numbers behind the highest of each lane, of a queue without
	// priorities the next message's sequence number.
	Ends []uint64
	// Delivered is up to where messages of each lane may have been delivered;
	// of those of which none was it may be missing.
	Delivered []uint64
	// Tries are of those that were delivered and came back.
	Tries map[uint64]queue.Tries
}

// uids finds durable queues by their number in the Log.
type uids struct {
	mu sync.RWMutex
	m  map[uint64]*Queue
}

func (u *uids) get(uid uint64) *Queue {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.m[uid]
}

func (u *uids) set(q *Queue) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.m[q.UID] = q
}

func (u *uids) remove(uid uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.m, uid)
}

// Live reports whether the Log still has to keep a message. One that lies
// nowhere else comes into memory, so that its place in the Log can go.
func (b *Broker) Live(uid, seq uint64) bool {
	q := b.uids.get(uid)
	return q != nil && q.keep(seq)
}

// Any reports whether the Log may still have to keep a message of a queue from
// one number to another, both included.
func (b *Broker) Any(uid, from, to uint64) bool {
	q := b.uids.get(uid)
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && (len(q.leaving) > 0 || q.state.Any(from, to))
}

// Delivered returns what the Log was told last of the lanes of a queue, nothing
// when the queue is gone.
func (b *Broker) Delivered(uid uint64) (upTo []uint64) {
	q := b.uids.get(uid)
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.state.Lanes() {
		if l := q.levelAt(i); l.delivered > 0 && !q.closed {
			upTo = append(upTo, l.delivered)
		}
	}
	return upTo
}

// Rest tells the Log, before it is closed, how far each queue has delivered.
func (b *Broker) Rest() {
	var batch Batch
	b.uids.mu.RLock()
	for _, q := range b.uids.m {
		q.mu.Lock()
		if q.state.PersistentBytes() > 0 {
			batch.Delivered = append(batch.Delivered, q.rest()...)
		}
		q.mu.Unlock()
	}
	b.uids.mu.RUnlock()
	if len(batch.Delivered) > 0 {
		b.opts.Log.Append(batch, nil)
	}
}

// keep is Live for one queue.
func (q *Queue) keep(seq uint64) bool {
	for {
		q.mu.Lock()
		leaving := q.isLeaving(seq)
		if q.closed || leaving || !q.state.Live(seq) {
			leaving = leaving && !q.closed
			q.mu.Unlock()
			return leaving
		}
		if c, ok := q.state.Where(seq).(Cold); !ok || !c.InLog() || q.broken {
			q.mu.Unlock()
			return true
		}
		where, first, busy, ok := q.state.ThawAt(seq)
		q.mu.Unlock()
		switch {
		case ok:
			q.finish(q.fetch(where, first))
		case busy:
			time.Sleep(time.Millisecond) //nolint:forbidigo // somebody is reading it from the disk
		}
	}
}

// warm fetches the run at the read position if somebody waits for it.
func (q *Queue) warm() after {
	q.mu.Lock()
	where, first, ok := q.state.Thaw()
	q.mu.Unlock()
	if !ok {
		return after{}
	}
	return q.fetch(where, first)
}

// aheadMost is how many queues may wait to be read ahead; others are read when
// somebody waits for them.
const aheadMost = 64

// askAhead has the run behind the one that is being read fetched; q.mu is held.
func (q *Queue) askAhead() {
	if q.env.memory.pressed() {
		return
	}
	select {
	case q.env.ahead <- q: // perhaps again: then there is nothing to do when it is its turn
	default:
	}
}

// ReadAhead fetches runs that are about to be wanted, until ctx ends.
func (b *Broker) ReadAhead(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-b.env.ahead:
			q.readAhead()
		}
	}
}

func (q *Queue) readAhead() {
	q.mu.Lock()
	where, first, ok := q.state.Ahead()
	q.mu.Unlock()
	if ok {
		q.finish(q.fetch(where, first))
	}
}

// fetchAt brings a run back into memory in which messages expire.
func (q *Queue) fetchAt(first uint64) after {
	q.mu.Lock()
	where, at, _, ok := q.state.ThawAt(first)
	q.mu.Unlock()
	if !ok {
		return after{}
	}
	return q.fetch(where, at)
}

// fetch brings a run back into memory and returns what that leaves to do.
func (q *Queue) fetch(where any, first uint64) after {
	c, ok := where.(Cold)
	if !ok {
		return after{}
	}
	kept, err := c.Read()
	q.mu.Lock()
	if err != nil {
		wanted := q.state.Fetching(first)
		q.broken = q.broken || wanted
		q.mu.Unlock()
		if wanted { // it is in the Log: the next life of the process has it
			q.env.failed(err)
		} else {
			c.Free()
		}
		return after{}
	}
	for i := range kept {
		kept[i].Redelivered = kept[i].Redelivered || kept[i].Seq < q.levelOf(kept[i].Seq).redelivered
	}
	q.state.Thawed(first, kept, &q.fx)
	a := q.release()
	c.Free()
	return a
}

// chill moves messages of q out of memory, about blockSize of them. It
// reports whether there were any.
func (q *Queue) chill(to Backlog) (bool, error) {
	young := to.Young(q.UID)
	q.mu.Lock()
	kept, ok := q.state.Freeze(blockSize, young)
	q.mu.Unlock()
	if !ok {
		return false, nil
	}
	err := to.Keep(q.UID, kept, func(c Cold) {
		q.mu.Lock()
		ok = q.state.Frozen(kept, c)
		q.account() // the step has no effects
		q.arm()
		q.mu.Unlock()
		if !ok {
			c.Free()
		}
	})
	return err == nil && ok, err
}

// Relieve moves messages out of memory when there are too many in it, until
// ctx ends.
func (b *Broker) Relieve(ctx context.Context) {
	if b.opts.Backlog == nil || b.memory.hot == 0 {
		return
	}
	again := time.NewTicker(relieveInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.memory.pressure:
		case <-again.C:
		}
		if !b.memory.pressed() {
			continue
		}
		moved, err := b.relieve()
		if err != nil {
			b.opts.Logger.Error("messages cannot be moved out of memory; publishers wait while there is no room", slog.Any("error", err))
		}
		if !moved { // what is there is being delivered: look again, but not at once
			select {
			case <-ctx.Done():
			case <-again.C:
			}
		}
	}
}

// relieveInterval is how often memory is looked at unasked.
const relieveInterval = 500 * time.Millisecond

// relieve takes from the queues with most in memory first, from each what it
// has more than half of what it had. It reports whether it found anything.
func (b *Broker) relieve() (moved bool, err error) {
	type hot struct {
		q     *Queue
		bytes int64
	}
	var all []hot
	for _, v := range b.Vhosts() {
		for _, q := range v.stores() {
			if n := q.hot.Load(); n > 0 {
				all = append(all, hot{q, n})
			}
		}
	}
	slices.SortFunc(all, func(x, y hot) int { return cmp.Compare(y.bytes, x.bytes) })
	for _, h := range all {
		for b.memory.relieved() > 0 && h.q.hot.Load() > h.bytes/2 {
			ok, err := h.q.chill(b.opts.Backlog)
			if err != nil {
				return moved, err
			}
			if !ok {
				break
			}
			moved = true
		}
	}
	return moved, nil
}
