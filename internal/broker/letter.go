package broker

import (
	"slices"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// bury publishes the dead letters of a queue to its dead letter exchange. The
// copies and the end of the originals are one batch of the log: a crash leaves
// one or the other. What follows from it is returned. No lock of a queue may
// be held, nor may a batch of the caller be on its way to the log.
func (v *Vhost) bury(q *Queue, dead []queue.Dead) []follow {
	p, ok := v.undertakers.Get().(*Publisher)
	if !ok {
		p = v.NewPublisher()
	}
	var seqs []uint64
	for i := range dead {
		v.counts.died(dead[i].Reason)
		if dead[i].Persistent {
			seqs = append(seqs, dead[i].Seq)
		}
	}
	q.mu.Lock()
	q.waitForPuts(seqs)
	q.mu.Unlock()
	p.lay(q, dead)
	p.flush(nil, false)
	then := slices.Clone(p.then)
	clear(p.then)
	p.then = p.then[:0]
	p.slabs.Release()
	v.undertakers.Put(p)
	return then
}

// lay enters the dead letters of q into the batch, and that they are settled
// there.
func (p *Publisher) lay(q *Queue, dead []queue.Dead) {
	if len(dead) == 0 {
		return
	}
	if q.keeps != nil {
		p.release(q, dead)
		return
	}
	set := q.Settings()
	for i := range dead {
		switch d := &dead[i]; {
		case d.Reason == queue.Again:
			p.retry(q, d, set.Retry.wait(d.Tries))
		case set.DeadLetterExchange != nil: // it may be gone by now
			p.send(q, d, *set.DeadLetterExchange, set.DeadLetterKey)
		case d.Reason == queue.Undeliverable && set.Retry.Attempts != nil:
			p.park(q, d, &set.Retry)
		}
	}
	p.settlesDead(q, dead)
}

// settlesDead makes the end of dead messages part of the batch.
func (p *Publisher) settlesDead(q *Queue, dead []queue.Dead) {
	var seqs []uint64
	for i := range dead {
		if dead[i].Persistent {
			seqs = append(seqs, dead[i].Seq)
		}
	}
	if len(seqs) > 0 {
		q.mu.Lock()
		p.settles(q, seqs)
		q.mu.Unlock()
	}
}

// send enters one dead letter into the batch, with its own routing keys or with
// one. It is dropped when there is no such exchange, or no queue that takes it.
func (p *Publisher) send(q *Queue, d *queue.Dead, exchange string, key *string) {
	top := p.vhost.top.Load()
	x, ok := top.exchanges.Get(exchange)
	if !ok {
		return
	}
	l, err := openLetter(d)
	if err != nil {
		return // it came over the wire whole
	}
	l.record(q.Name, d, p.vhost.env.clock().Unix())
	keys := l.keys
	if key != nil {
		keys = [][]byte{[]byte(*key)}
	}
	m := l.compose(x.Name, keys)
	m.Ticket = nobodys
	m.seen = d.Reason == queue.Rejected || d.Reason == queue.Undeliverable // RabbitMQ says so of the copy too
	p.begin()
	p.through(top, x, &m)
	p.dedup()
	p.queues = slices.DeleteFunc(p.queues, func(to *Queue) bool { return l.cycle(to.Name) })
	p.enter(&m)
}

// letter is a dead message taken apart.
type letter struct {
	properties amqp.Properties
	size       uint64 // of the body
	body       []byte // its frames
	exchange   string
	keys       [][]byte // the routing key, and those of CC
	deaths     []any    // of x-death, youngest first
	endless    bool     // there were too many
}

// openLetter takes a dead message apart.
func openLetter(d *queue.Dead) (*letter, error) {
	l, err := openContent(d.Image[d.RouteLen+1:])
	if err != nil {
		return nil, err
	}
	n := int(d.Image[0])
	l.exchange = string(d.Image[1 : 1+n])
	key := d.Image[2+n : d.RouteLen]
	if d.Dead { // what a client writes there counts for nothing
		v, _ := l.properties.Headers.Get("x-death")
		l.deaths, _ = v.([]any)
	}
	l.keys = l.routingKeys(key)
	return l, nil
}

// openContent takes the frames of a message apart.
func openContent(frames []byte) (*letter, error) {
	f, used, err := amqp.ParseFrame(frames, 1<<31)
	if err != nil {
		return nil, err
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return nil, err
	}
	l := &letter{size: h.BodySize, body: frames[used:]}
	return l, l.properties.Decode(h.Flags, h.Properties)
}

// headers returns the message's headers as they are encoded.
func (l *letter) headers() amqp.RawTable {
	if len(l.properties.Headers) == 0 {
		return nil
	}
	return amqp.RawTable(amqp.AppendTable(nil, l.properties.Headers)[4:])
}

// content returns the message's frames.
func (l *letter) content() []byte {
	return append(l.properties.AppendHeader(nil, 0, l.size), l.body...)
}

// routingKeys returns the keys that the message was routed by. A dead letter
// with a key of its own was not routed by those of CC.
func (l *letter) routingKeys(key []byte) [][]byte {
	keys := [][]byte{key}
	if len(l.deaths) > 0 {
		last, _ := l.deaths[0].(amqp.Table)
		v, _ := last.Get("routing-keys")
		list, _ := v.([]any)
		if len(list) == 0 || list[0] != string(key) {
			return keys
		}
	}
	v, _ := l.properties.Headers.Get("CC")
	list, _ := v.([]any)
	for _, k := range list {
		if s, ok := k.(string); ok && len(s) <= 255 {
			keys = append(keys, []byte(s))
		}
	}
	return keys
}

// record writes a death into the headers (RabbitMQ: x-death, x-first-death-*,
// x-last-death-*); now is in Unix seconds.
func (l *letter) record(from string, d *queue.Dead, now int64) {
	p := &l.properties
	reason := d.Reason.String()
	first := len(l.deaths) == 0
	l.deaths, l.endless = bound(l.died(from, reason, now))
	p.Headers = with(p.Headers, "x-death", l.deaths)
	for _, f := range []amqp.Field{{Key: "reason", Value: reason}, {Key: "queue", Value: from}, {Key: "exchange", Value: l.exchange}} {
		if first {
			p.Headers = with(p.Headers, "x-first-death-"+f.Key, f.Value)
		}
		p.Headers = with(p.Headers, "x-last-death-"+f.Key, f.Value)
	}
	p.Flags |= amqp.FlagHeaders
	p.Expiration = ""
	p.Flags &^= amqp.FlagExpiration
}

// died returns the deaths with one more: one entry for each queue and reason,
// the youngest first.
func (l *letter) died(from, reason string, now int64) []any {
	deaths := slices.Clone(l.deaths)
	for i, e := range deaths {
		t, _ := e.(amqp.Table)
		if q, _ := t.Get("queue"); q != from {
			continue
		}
		if r, _ := t.Get("reason"); r != reason {
			continue
		}
		n, _, _ := t.Int("count")
		t = with(slices.Clone(t), "count", n+1)
		return slices.Insert(slices.Delete(deaths, i, i+1), 0, any(t))
	}
	keys := make([]any, len(l.keys))
	for i, k := range l.keys {
		keys[i] = string(k)
	}
	t := amqp.Table{
		{Key: "count", Value: int64(1)},
		{Key: "reason", Value: reason},
		{Key: "queue", Value: from},
		{Key: "time", Value: amqp.Timestamp(now)}, //nolint:gosec // after 1970
		{Key: "exchange", Value: l.exchange},
		{Key: "routing-keys", Value: keys},
	}
	if e := l.properties.Expiration; e != "" {
		t = slices.Insert(t, 0, amqp.Field{Key: "original-expiration", Value: e})
	}
	return slices.Insert(deaths, 0, any(t))
}

// cycle reports whether a queue would get a message that died there before,
// and nobody rejected since then, or has seen so many that it cannot be told:
// it would go round for ever.
func (l *letter) cycle(to string) bool {
	if l.endless {
		return true
	}
	for _, e := range l.deaths {
		t, _ := e.(amqp.Table)
		if r, _ := t.Get("reason"); r == "rejected" {
			return false
		}
		if q, _ := t.Get("queue"); q == to {
			return true
		}
	}
	return false
}

// compose makes the message that is published again.
func (l *letter) compose(exchange string, keys [][]byte) Message {
	rt := append([]byte{byte(len(exchange) & 0xff)}, exchange...)
	rt = append(append(rt, byte(len(keys[0])&0xff)), keys[0]...)
	m := Message{
		Route: rt, Exchange: rt[1 : 1+len(exchange)], Key: rt[2+len(exchange):], Extra: keys[1:], dead: true,
		Headers: l.headers(), Persistent: l.properties.DeliveryMode == 2, Priority: l.properties.Priority,
		Ranked: l.properties.Has(amqp.FlagPriority), Content: l.content(),
	}
	return m
}

// with sets a field of a table.
func with(t amqp.Table, key string, v any) amqp.Table {
	for i := range t {
		if t[i].Key == key {
			t[i].Value = v
			return t
		}
	}
	return append(t, amqp.Field{Key: key, Value: v})
}
