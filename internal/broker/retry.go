package broker

import (
	"math"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// A message whose delivery failed may have to wait before it is delivered again,
// longer each time. It waits in a queue of its own that nobody sees, like what
// an exchange delays, and its counts go with it. When it came back too often it
// is a dead letter, or, where there is no dead letter exchange, is parked: in
// the queue <name>.parked, which anybody can see and consume from.

// parkedSuffix is behind the name of a queue in that of where it parks.
const parkedSuffix = ".parked"

// Defaults of x-retry-delay and x-retry-max-delay, in milliseconds.
const (
	retryDelay    = 1000
	retryMaxDelay = 3_600_000
)

// Retry is when messages that come back are delivered again.
type Retry struct {
	// Attempts is how often (x-retry-attempts). Delay is how long a message waits
	// the first time, twice as long each time after it, at most Max
	// (x-retry-delay, x-retry-max-delay; milliseconds).
	Attempts   *int64
	Delay, Max int64
	// Type is RabbitMQ's x-delayed-retry-type, which takes the place of
	// Attempts: all, failed or returned. A message waits Delay times the number
	// of deliveries that failed, at most Max.
	Type string
}

func readRetry(args amqp.Table) (r Retry) {
	number := func(key string, otherwise int64) int64 {
		if n, _, ok := args.Int(key); ok {
			return n
		}
		return otherwise
	}
	if n, _, ok := args.Int("x-retry-attempts"); ok {
		return Retry{Attempts: &n, Delay: number("x-retry-delay", retryDelay), Max: number("x-retry-max-delay", retryMaxDelay)}
	}
	if v, ok := args.Get("x-delayed-retry-type"); ok && v != "disabled" {
		r.Type, _ = v.(string)
		r.Delay, r.Max = number("x-delayed-retry-min", retryDelay), number("x-delayed-retry-max", maxMillis)
	}
	return r
}

func (r *Retry) on() bool { return r.Attempts != nil || r.Type != "" }

// state sets what the state machine acts on.
func (r *Retry) state(set *queue.Settings) {
	set.Counts, set.RetryLimit = true, -1
	set.RetryFailed, set.RetryReturned = r.Type != "returned", r.Type != "failed"
	if r.Attempts != nil {
		set.RetryLimit, set.Parks = *r.Attempts, true
	}
}

// wait is for how many milliseconds a message waits that came back.
func (r *Retry) wait(t queue.Tries) int64 {
	most := min(r.Max, maxMillis)
	if r.Attempts == nil {
		n := max(1, int64(t.Failed))
		if r.Delay > most/n {
			return most
		}
		return r.Delay * n
	}
	n := max(1, t.Acquired) - 1
	if n > 38 || r.Delay > most>>n {
		return most
	}
	return r.Delay << n
}

// put enters a message into one queue.
func (p *Publisher) put(q *Queue, m *queue.Message, t queue.Tries) {
	r := p.run(q)
	r.messages = append(r.messages, *m)
	r.timed = r.timed || m.Deadline != 0
	image := -1
	if m.Persistent {
		image = len(p.batch.Images)
		p.batch.Images = append(p.batch.Images, m.Slab.Bytes(m.Off, m.Size))
	}
	r.images = append(r.images, image)
	for len(r.tries) < len(r.messages)-1 {
		r.tries = append(r.tries, queue.Tries{})
	}
	r.tries = append(r.tries, t)
	p.gathered++
}

// moved makes a message that leaves a queue one for another.
func (p *Publisher) moved(d *queue.Dead) queue.Message {
	sl, off, dst := p.slabs.Alloc(len(d.Image))
	copy(dst, d.Image)
	return queue.Message{
		Slab: sl, Off: off, Size: uint32(len(dst)), RouteLen: uint16(d.RouteLen), //nolint:gosec // as they were
		Persistent: d.Persistent, Dead: d.Dead, Seen: true, Back: true,
	}
}

// retry lets a message of q wait before it is delivered again, as part of the
// batch.
func (p *Publisher) retry(q *Queue, d *queue.Dead, delay int64) {
	w := p.vhost.waitingFor(q)
	if w == nil { // it could not be made: the message does not wait
		p.again(q, d)
		return
	}
	m := p.moved(d)
	m.Deadline, m.Priority = p.vhost.env.soon()+delay, math.MaxUint8-delayClass(delay)
	p.put(w, &m, d.Tries)
}

// again gives a message that has waited back to its queue, as part of the batch.
// What it may wait there begins anew.
func (p *Publisher) again(q *Queue, d *queue.Dead) {
	m := p.moved(d)
	if l, err := openContent(d.Image[d.RouteLen+1:]); err == nil {
		m.Priority = q.rank(l.properties.Priority, l.properties.Has(amqp.FlagPriority))
		if e := l.properties.Expiration; e != "" {
			if ttl, err := ParseExpiration(e); err == nil {
				m.Deadline = p.vhost.env.until(ttl)
			}
		}
	}
	p.put(q, &m, d.Tries)
}

// park puts a message that came back too often where it is seen. When that
// place cannot be made it waits once more.
func (p *Publisher) park(q *Queue, d *queue.Dead, r *Retry) {
	key := q.Name + parkedSuffix
	if !p.vhost.parking(key, q.Durable) {
		p.retry(q, d, min(r.Max, maxMillis))
		return
	}
	p.send(q, d, "", &key)
}

// parking sees to it that there is a queue to park in; false: there cannot be.
func (v *Vhost) parking(name string, durable bool) bool {
	if _, ok := v.Queue(name); ok {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settled(name)
	if _, ok := v.Queue(name); ok {
		return true
	}
	if v.closed {
		return false
	}
	_, err := v.addQueue(nil, &QueueDeclare{Name: name, Durable: durable})
	return err == nil
}

// waitingFor returns the queue of what waits to be delivered again by q, which
// it makes the first time; nil: it cannot.
func (v *Vhost) waitingFor(q *Queue) *Queue {
	if w := q.retries.Load(); w != nil {
		return w
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settled(q.Name)
	if w := q.retries.Load(); w != nil {
		return w
	}
	if now, ok := v.Queue(q.Name); v.closed || !ok || now != q {
		return nil
	}
	w := v.newRetries(q, v.opts.NextUID())
	if q.Durable {
		if v.opts.Definitions.PutQueue(v.queueDefinition(q, w.UID)) != nil {
			return nil
		}
		v.uids.set(w)
	}
	q.retries.Store(w)
	return w
}

// newRetries makes the queue of what waits to be delivered again by q.
func (v *Vhost) newRetries(q *Queue, uid uint64) *Queue {
	return v.newWaiting(keeping{back: q}, uid, q.Durable)
}

// Waiting returns how many messages wait to be delivered again.
func (q *Queue) Waiting() int {
	if w := q.retries.Load(); w != nil {
		return w.Ready()
	}
	return 0
}
