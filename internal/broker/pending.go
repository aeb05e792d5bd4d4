package broker

import (
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/queue"
)

// Pending is a message that waits in an exchange.
type Pending struct {
	ID  uint64 // names it while it waits
	Due int64  // when it is routed, Unix milliseconds
	Content
}

// Pending returns how many messages wait in the exchange, and whether it is one
// in which they may.
func (x *Exchange) Pending() (n int, ok bool) {
	if x.delayed == nil {
		return 0, false
	}
	return x.delayed.Ready(), true
}

// waitingIn finds what waits in an exchange, if a has a right to it.
func (v *Vhost) waitingIn(a *Actor, exchange string, o auth.Op) (*Queue, *amqp.Error) {
	if err := v.Check(a, o, KindExchange, exchange); err != nil {
		return nil, err
	}
	x, ok := v.Exchange(exchange)
	if !ok || x.delayed == nil {
		return nil, v.notFound(KindExchange, exchange)
	}
	return x.delayed, nil
}

// ListPending returns up to most messages that wait in an exchange, of about
// mostBytes in all, with an ID of from or more, and from where to go on; 0 at the end. It needs the right to
// read from the exchange. They come in no order of time.
func (v *Vhost) ListPending(a *Actor, exchange string, from uint64, most, mostBytes int) (list []Pending, next uint64, _ *amqp.Error) {
	q, err := v.waitingIn(a, exchange, auth.Read)
	if err != nil {
		return nil, 0, err
	}
	for {
		q.mu.Lock()
		kept, end, cold, ok := q.state.Browse(from)
		broken := q.broken
		q.mu.Unlock()
		switch {
		case !ok || broken:
			return list, 0, nil
		case cold:
			q.bring(end)
			continue
		}
		for i := range kept {
			k := &kept[i]
			if len(list) == most || mostBytes <= 0 {
				return list, k.Seq, nil
			}
			d := queue.Delivery{Image: k.Slab.Bytes(k.Off, k.Size), RouteLen: int(k.RouteLen)}
			if c, err := Open(&d); err == nil {
				mostBytes -= len(d.Image)
				list = append(list, Pending{ID: k.Seq, Due: k.Deadline, Content: c})
			}
		}
		from = end
	}
}

// CancelPending removes a message that waits in an exchange, which is durable
// when it returns; false: there is none, or none any more. It needs the right
// to configure the exchange.
func (v *Vhost) CancelPending(a *Actor, exchange string, id uint64) (bool, *amqp.Error) {
	q, err := v.waitingIn(a, exchange, auth.Configure)
	if err != nil {
		return false, err
	}
	q.bring(id)
	q.mu.Lock()
	ok := q.state.Cancel(id, &q.fx)
	q.unlock()
	return ok, v.stored(q.synced())
}

// PurgePending removes all that waits in an exchange and returns how many they
// were. It needs the right to configure the exchange.
func (v *Vhost) PurgePending(a *Actor, exchange string) (int, *amqp.Error) {
	q, err := v.waitingIn(a, exchange, auth.Configure)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	n := q.state.Purge(&q.fx)
	q.unlock()
	return n, v.stored(q.synced())
}

// bring sees to it that a message is in memory, if it is there.
func (q *Queue) bring(seq uint64) {
	for {
		q.mu.Lock()
		where, first, busy, ok := q.state.ThawAt(seq)
		q.mu.Unlock()
		switch {
		case ok:
			q.finish(q.fetch(where, first))
			return
		case !busy:
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // somebody is reading it from the disk
	}
}

// synced returns when all that the log was told of q is on stable storage.
func (q *Queue) synced() error {
	if !q.Durable {
		return nil
	}
	done := make(chan error, 1)
	q.env.log.Append(Batch{}, func(err error) { done <- err })
	return <-done
}
