package broker

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
)

// An exchange of type x-delayed-message keeps a message with an x-delay header
// in a queue of its own, that nobody sees and where it expires when its time
// has come. What expires there is routed as if it came just now; the copies
// and its end there are one batch of the log, like those of a dead letter.

const headerDelay = "x-delay"

// waiting is where a message waits, and for how many milliseconds.
type waiting struct {
	in    *Queue
	delay int64
}

// keeping is what a queue has that keeps what waits: in the exchange of a name,
// or to be delivered again by another queue. What was seen is kept so too.
type keeping struct {
	exchange string
	back     *Queue
	apart    []slab.Writer // by lane; nil: nothing waits
}

// newWaiting makes a queue of what waits. Its lanes are for
// delays of about the same length, so that what leaves memory together comes
// back together.
func (v *Vhost) newWaiting(k keeping, uid uint64, durable bool) *Queue {
	q := v.newQueue("", uid, nil)
	q.keeps, q.Durable = &k, durable
	q.prioritize(math.MaxUint8)
	q.state.Configure(queue.Settings{DeadLetters: true})
	return q
}

// apartSize is what the blocks of memory of one lane grow to, in bytes: there
// are up to 256 open ones.
const apartSize = 64 << 10

// keepApart copies messages that are to wait into the memory of their lanes:
// one block with all that came together would stay as long as any of it; q.mu
// is held.
func (q *Queue) keepApart(messages []queue.Message) {
	k := q.keeps
	if k.apart == nil {
		k.apart = make([]slab.Writer, q.state.Lanes())
		for i := range k.apart {
			k.apart[i].Most = apartSize
		}
	}
	for i := range messages {
		m := &messages[i]
		sl, off, dst := k.apart[int(m.Priority)].Alloc(int(m.Size)) // of one lane it is 0
		copy(dst, m.Slab.Bytes(m.Off, m.Size))
		m.Slab, m.Off = sl, off
	}
}

// uid is the number of what waits in the exchange, 0 when it keeps nothing.
func (x *Exchange) uid() uint64 {
	if x.delayed == nil {
		return 0
	}
	return x.delayed.UID
}

// delayClass orders delays by length: each class is an eighth of an octave, the
// longest delay is in the last but a few of 256 (10 years are 2^38.2 ms).
func delayClass(millis int64) uint8 {
	n := bits.Len64(uint64(millis)) //nolint:gosec // more than 0
	eighths := 0
	if n > 3 {
		eighths = int(millis>>(n-4)) & 7
	}
	return uint8(min(max(0, (n-8)*8+eighths), math.MaxUint8))
}

// keeps reports whether a message has to wait in x first, and notes it.
func (p *Publisher) keeps(x *Exchange, m *Message) bool {
	if p.freed == x.delayed {
		return false
	}
	delay := delayOf(m.Headers)
	if delay <= 0 {
		return false
	}
	if p.err = checkDelay(delay); p.err == nil {
		p.waits = append(p.waits, waiting{x.delayed, delay})
	}
	return true
}

// checkDelay refuses more than ten years.
func checkDelay(delay int64) *amqp.Error {
	if delay <= maxMillis {
		return nil
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid header '%s': {value_too_large,%d}, at most %d", headerDelay, delay, int64(maxMillis))
}

// CheckHeld is Check for a message that is held back. What exchanges behind the
// first one make of it is seen when it is published.
func (p *Publisher) CheckHeld(m *Message) *amqp.Error {
	x, err := p.exchange(p.vhost.top.Load(), m.Exchange)
	if err != nil || x.delayed == nil {
		return err
	}
	return checkDelay(delayOf(m.Headers))
}

// delayOf reads the x-delay header: a number, or one in a string; 0 when there
// is none.
func delayOf(headers amqp.RawTable) int64 {
	v, ok := headers.Lookup(headerDelay)
	if !ok {
		return 0
	}
	if n, ok := v.Int(); ok {
		return n
	}
	switch v := v.Value().(type) {
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	case float64:
		return int64(v)
	case float32:
		return int64(v)
	}
	return 0
}

// wait enters a message into the queues in which it has to wait.
func (p *Publisher) wait(m *Message) {
	kept := *m
	if m.Blind > 0 {
		kept.Content = withBlind(m)
	}
	sl, off, size := p.image(&kept)
	logged := -1
	for _, w := range p.waits {
		msg := queue.Message{
			Slab: sl, Off: off, Size: size, RouteLen: uint16(len(m.Route)), Dead: m.dead, Seen: m.seen, //nolint:gosec // two short strings
			Persistent: w.in.Durable && m.Persistent, Priority: math.MaxUint8 - delayClass(w.delay),
			Deadline: p.vhost.env.soon() + w.delay,
		}
		r := p.run(w.in)
		r.messages, r.timed = append(r.messages, msg), true
		image := -1
		if msg.Persistent {
			if logged < 0 {
				logged = len(p.batch.Images)
				p.batch.Images = append(p.batch.Images, sl.Bytes(off, size))
			}
			image = logged
		}
		r.images = append(r.images, image)
	}
	p.gathered += len(p.waits)
}

// withBlind returns a message's content with its BCC header, which was taken
// out of it, in again.
func withBlind(m *Message) []byte {
	l, err := openContent(m.Content)
	if err != nil {
		return m.Content
	}
	var keys []any
	for _, k := range m.Extra[len(m.Extra)-m.Blind:] {
		keys = append(keys, string(k))
	}
	l.properties.Headers = with(l.properties.Headers, "BCC", keys)
	l.properties.Flags |= amqp.FlagHeaders
	return l.content()
}

// release routes messages whose time has come, as part of the batch. When their
// exchange is gone they are too.
func (p *Publisher) release(q *Queue, due []queue.Dead) {
	if back := q.keeps.back; back != nil {
		for i := range due {
			p.again(back, &due[i])
		}
		p.settlesDead(q, due)
		return
	}
	top := p.vhost.top.Load()
	x, ok := top.exchanges.Get(q.keeps.exchange)
	ok = ok && x.delayed == q
	for i := range due {
		d := &due[i]
		if m, err := released(d); ok && err == nil {
			p.begin()
			p.freed = q
			p.through(top, x, &m)
			p.freed = nil
			p.dedup()
			if len(p.queues)+p.replied+len(p.waits) == 0 {
				x.lost.add(&m)
			}
			p.enter(&m)
		}
	}
	p.settlesDead(q, due)
}

// released makes a message that has waited one to be published: as it came, but
// for its delay, which is negative now.
func released(d *queue.Dead) (Message, error) {
	l, err := openLetter(d)
	if err != nil {
		return Message{}, err
	}
	n := int(d.Image[0])
	m := Message{
		Route: d.Image[:d.RouteLen], Exchange: d.Image[1 : 1+n], Key: d.Image[2+n : d.RouteLen],
		Persistent: l.properties.DeliveryMode == 2, Priority: l.properties.Priority, Ranked: l.properties.Has(amqp.FlagPriority), dead: d.Dead, seen: d.Seen,
	}
	if err := m.Select(&l.properties); err != nil {
		return Message{}, err
	}
	blind := m.Extra[len(m.Extra)-m.Blind:]
	m.Extra = append(l.keys[1:], blind...) // a dead letter may not be routed by those of CC
	if delay := delayOf(l.headers()); delay > 0 {
		v := any(-delay)
		if delay <= math.MaxInt32 {
			v = int32(-delay)
		}
		l.properties.Headers = with(l.properties.Headers, headerDelay, v)
	}
	if e := l.properties.Expiration; e != "" {
		if ttl, err := ParseExpiration(e); err == nil {
			m.Expires, m.TTL = true, ttl
		}
	}
	m.Headers, m.Content = l.headers(), l.content()
	return m, nil
}
