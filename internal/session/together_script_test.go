package session_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// script is what a client does on a few channels of one connection, on a broker with some queues
// and exchanges.
type script struct {
	seed      uint64
	setup     []amqp.Method // on another connection, before
	modes     []string      // of the channels from 1 on: "", "confirm" or "tx"
	queues    []string
	consumers []*consuming
	steps     []step
}

// step is one thing that the client does.
type step struct {
	ch      uint16
	sync    bool // the broker has nothing left to do before
	m       amqp.Method
	publish *publishing
	settle  *settling
	request string // to the HTTP API
}

type publishing struct {
	method amqp.BasicPublish
	props  amqp.Properties
	body   string
	cut    []int // sizes of the first body frames
	within *step // comes between the method and its content, on another channel
}

// settling is what becomes of one of the deliveries that the client had when it was quiet.
type settling struct {
	which             int
	how               string
	multiple, requeue bool
}

// consuming is a consumer, one for its channel, and for its queue if no other stands by.
type consuming struct {
	tag, queue string
	ch         uint16
	any        bool // of a queue with priorities: it may get any of them first
	on         bool
}

// generator makes a script.
type generator struct {
	*rand.Rand
	*script
	last     map[uint16]*publishing
	kinds    map[string]string
	count    int
	settling map[uint16]bool   // the channel has something to settle
	from     map[uint16]string // where its deliveries come from
	twice    map[string]bool   // a queue has had two consumers at a time
	narrowed bool
	calm     bool // there are consumers, and no channel fails by surprise: what it has would go back
}

func newScript(seed uint64) *script {
	g := &generator{
		Rand: rand.New(rand.NewPCG(seed, 1)), script: &script{seed: seed}, last: map[uint16]*publishing{},
		kinds: map[string]string{}, settling: map[uint16]bool{}, from: map[uint16]string{},
		twice: map[string]bool{},
	}
	g.modes = []string{"confirm", "", []string{"tx", "confirm", ""}[g.IntN(3)], []string{"confirm", ""}[g.IntN(2)]}
	g.topology()
	g.calm = g.chance(2)
	for range 20 + g.IntN(30) {
		g.step()
	}
	if len(g.settling) == 0 && g.chance(3) {
		g.add(step{ch: g.channel(), m: &amqp.BasicQos{PrefetchSize: 1}}) // ends the connection
		ch := g.channel()
		g.add(step{ch: ch, publish: g.publish(ch)})
	}
	return g.script
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

func (g *generator) channel() uint16 { return uint16(1 + g.IntN(len(g.modes))) }

// routes are the keys of publishes and bindings.
var routes = []string{"a", "b", "a.b", "a.b.c", "none", ""}

// topology declares queues, exchanges and bindings.
func (g *generator) topology() {
	g.queues = []string{"dead", "lost"}
	g.setup = append(g.setup, &amqp.QueueDeclare{Queue: "dead"}, &amqp.QueueDeclare{Queue: "lost"},
		&amqp.ExchangeDeclare{Exchange: "letters", Type: "fanout"}, &amqp.QueueBind{Queue: "dead", Exchange: "letters"},
		&amqp.ExchangeDeclare{Exchange: "rest", Type: "fanout"}, &amqp.QueueBind{Queue: "lost", Exchange: "rest"},
		&amqp.ExchangeDeclare{Exchange: "topics", Type: "topic", Arguments: amqp.Table{{Key: "alternate-exchange", Value: "rest"}}},
		&amqp.ExchangeDeclare{Exchange: "once", Type: "direct", Arguments: amqp.Table{{Key: "x-message-deduplication", Value: true}}},
		&amqp.ExchangeDeclare{Exchange: "late", Type: "x-delayed-message", Arguments: amqp.Table{{Key: "x-delayed-type", Value: "topic"}}},
		&amqp.ExchangeDeclare{Exchange: "some", Type: "x-modulus-hash"}, &amqp.ExchangeDeclare{Exchange: "last", Type: "x-recent-history"},
		&amqp.ExchangeBind{Source: "topics", Destination: "amq.fanout", RoutingKey: "a.#"},
		&amqp.ExchangeBind{Source: "amq.direct", Destination: "topics", RoutingKey: "b"})
	for i := range 5 {
		q := fmt.Sprintf("q%d", i)
		g.queues = append(g.queues, q)
		g.setup = append(g.setup, g.queue(q))
		for range 1 + g.IntN(3) {
			g.setup = append(g.setup, g.binding(q))
		}
	}
}

var exchanges = []string{"amq.direct", "amq.topic", "amq.fanout", "amq.headers", "topics", "once", "some", "last", "late"}

func (g *generator) binding(q string) *amqp.QueueBind {
	b := &amqp.QueueBind{Queue: q, Exchange: pick(g, exchanges...), RoutingKey: pick(g, routes...)}
	switch {
	case b.Exchange == "amq.headers":
		b.Arguments = amqp.Table{{Key: "h", Value: int32(g.IntN(2))}}
	case b.Exchange == "once" && strings.Contains(g.kinds[q], "refuse"):
		b.Exchange = "amq.direct"
	case strings.Contains(b.Exchange, "topic") && g.chance(2):
		b.RoutingKey = pick(g, "#", "*", "a.*", "#.b", "a.#")
	}
	return b
}

// queue makes a queue of a random kind.
func (g *generator) queue(q string) *amqp.QueueDeclare {
	d := &amqp.QueueDeclare{Queue: q, Durable: g.chance(2)}
	kind := pick(g, "plain", "drop", "drop bytes", "refuse", "refuse", "refuse bytes", "refuse dlx", "priority", "priority drop", "once", "once refuse", "once refuse", "quorum", "quorum drop", "now", "single")
	g.kinds[q] = kind
	add := func(key string, v any) { d.Arguments = append(d.Arguments, amqp.Field{Key: key, Value: v}) }
	for word := range strings.FieldsSeq(kind) {
		switch word {
		case "drop":
			add("x-max-length", int32(1+g.IntN(4)))
		case "refuse":
			add("x-max-length", int32(1+g.IntN(4)))
			add("x-overflow", "reject-publish")
		case "bytes":
			add("x-max-length-bytes", int32(20+g.IntN(60)))
		case "priority":
			add("x-max-priority", int32(3))
		case "once":
			add("x-message-deduplication", true)
		case "quorum":
			add("x-queue-type", "quorum")
			add("x-delivery-limit", int32(1))
			d.Durable = true
		case "now":
			add("x-message-ttl", int32(0))
		case "single":
			add("x-single-active-consumer", true)
		case "dlx":
			d.Arguments[len(d.Arguments)-1].Value = "reject-publish-dlx"
		}
	}
	if g.chance(2) {
		add("x-dead-letter-exchange", "letters")
	}
	return d
}

func (g *generator) add(s step) { g.steps = append(g.steps, s) }

// step adds a step.
func (g *generator) step() {
	ch := g.channel()
	switch n := g.IntN(100); {
	case n < 62:
		for range 1 + g.IntN(4) {
			g.add(step{ch: ch, publish: g.publish(ch)})
		}
	case n < 72:
		g.settle()
	case n < 78:
		g.consume(ch)
	case n < 82:
		g.get(ch)
	case n < 85:
		g.cancel()
	case n < 92:
		g.change(ch)
	case n < 95:
		g.mistake(ch)
	case n < 97:
		g.permission()
	default:
		if g.modes[ch-1] == "tx" {
			g.add(step{ch: ch, sync: g.calm, m: pick[amqp.Method](g, &amqp.TxCommit{}, &amqp.TxCommit{}, &amqp.TxRollback{})})
		}
		if g.chance(3) {
			g.add(step{sync: true})
		}
	}
}

// publish makes a publish that differs in something from the last one on the channel.
func (g *generator) publish(ch uint16) *publishing {
	p := &publishing{}
	if last := g.last[ch]; last != nil {
		*p = *last
	} else {
		p.method.RoutingKey = pick(g, g.queues[2:]...)
	}
	p.cut, p.within = nil, nil
	switch n := g.IntN(20); {
	case n < 10:
	case n < 13:
		p.key(g)
	case n < 15:
		p.method.Exchange = pick(g, append(exchanges, "", "", "")...)
		p.key(g)
	case n < 18:
		g.properties(&p.props)
	case n < 19:
		p.method.Mandatory = !p.method.Mandatory
	default:
		*p = publishing{method: amqp.BasicPublish{RoutingKey: pick(g, g.queues[2:]...)}}
	}
	g.count++
	p.body = fmt.Sprintf("m%d", g.count)
	switch g.IntN(40) {
	case 0:
		p.body = ""
	case 1:
		p.body += strings.Repeat("x", 3000+g.IntN(3000))
	case 2:
		p.body += strings.Repeat("y", 100_000+g.IntN(100_000))
	case 3, 4:
		p.body += strings.Repeat("z", g.IntN(30))
	}
	g.last[ch] = p
	for g.chance(6) && len(p.cut) < 4 {
		p.cut = append(p.cut, 1+g.IntN(1+len(p.body)))
	}
	if other := g.channel(); other != ch && g.chance(12) {
		q := g.publish(other)
		q.within = nil
		p.within = &step{ch: other, publish: q}
	}
	return p
}

func (p *publishing) key(g *generator) {
	p.method.RoutingKey = pick(g, routes...)
	if p.method.Exchange == "" && !g.chance(8) {
		p.method.RoutingKey = pick(g, g.queues[2:]...)
	}
}

// properties changes one of the properties.
func (g *generator) properties(p *amqp.Properties) {
	switch g.IntN(13) {
	case 12: // at once, or after the test
		p.Headers = amqp.Table{{Key: "x-delay", Value: pick[any](g, int32(0), int64(0), int32(3_600_000), "x")}}
	case 0:
		*p = amqp.Properties{}
	case 1, 2:
		p.DeliveryMode = 3 - max(1, p.DeliveryMode)
	case 3:
		p.Priority = uint8(g.IntN(6))
	case 4:
		p.Expiration = pick(g, "", "0", "3600000")
	case 5, 6:
		p.Headers = amqp.Table{{Key: "h", Value: int32(g.IntN(3))}}
	case 7:
		p.Headers = amqp.Table{{Key: pick(g, "CC", "BCC"), Value: []any{pick(g, g.queues[2:]...), pick(g, routes...)}}}
	case 8:
		p.ReplyTo = pick(g, "", "somebody")
	case 9:
		p.UserID = pick(g, "", "guest")
	case 10, 11:
		p.MessageID = pick(g, "", "i", "j", "k")
	}
}

// settle settles what is with a client.
func (g *generator) settle() {
	var list []uint16
	for ch := range uint16(len(g.modes)) {
		if g.settling[ch+1] {
			list = append(list, ch+1)
		}
	}
	if len(list) == 0 {
		return
	}
	if g.chance(2) {
		g.add(step{sync: true})
	}
	ch := pick(g, list...)
	for range 1 + g.IntN(3) {
		how := pick(g, "ack", "ack", "reject", "nack")
		g.add(step{ch: ch, sync: how == "ack" && g.full(ch), settle: &settling{
			which: g.IntN(8), how: how, multiple: g.chance(3), requeue: g.chance(2),
		}})
		if g.chance(2) {
			on := g.channel()
			p := g.publish(on)
			if g.chance(2) { // to where deliveries go back
				p.method = amqp.BasicPublish{RoutingKey: g.from[ch]}
			}
			g.add(step{ch: on, publish: p})
		}
	}
}

// on returns the consumer of a queue or a channel.
func (g *generator) on(q string, ch uint16) *consuming {
	for _, c := range g.consumers {
		if c.on && (c.queue == q || c.ch == ch) {
			return c
		}
	}
	return nil
}

// full reports whether a channel consumes from a queue with a limit, or one that keeps nothing.
func (g *generator) full(ch uint16) bool {
	c := g.on("", ch)
	if c == nil {
		return false
	}
	kind := g.kinds[c.queue]
	return strings.Contains(kind, "drop") || strings.Contains(kind, "refuse") || kind == "now"
}

func (g *generator) consume(ch uint16) {
	q := pick(g, g.queues[2:]...)
	second := g.kinds[q] == "single" && !g.twice[q] // stands by
	if g.on("", ch) != nil || g.on(q, 0) != nil && !second || g.settling[ch] || !g.calm {
		return
	}
	g.twice[q] = g.on(q, 0) != nil
	ordered := !strings.Contains(g.kinds[q], "quorum") && !strings.Contains(g.kinds[q], "priority")
	noAck := g.chance(3) || !ordered
	c := &consuming{tag: fmt.Sprintf("c%d", len(g.consumers)), queue: q, ch: ch, on: true, any: !ordered}
	if noAck {
		c.tag = "no" + "ack" + c.tag
	}
	g.consumers = append(g.consumers, c)
	g.settling[ch], g.from[ch] = !noAck, q
	g.add(step{ch: ch, sync: g.chance(2), m: &amqp.BasicQos{PrefetchCount: pick[uint16](g, 0, 1, 2, 3, 100)}})
	m := &amqp.BasicConsume{Queue: q, ConsumerTag: c.tag, NoAck: noAck}
	if g.chance(3) {
		m.Arguments = amqp.Table{{Key: "x-priority", Value: int32(g.IntN(3))}}
	}
	g.add(step{ch: ch, m: m})
	g.add(step{sync: true})
}

func (g *generator) cancel() {
	for _, c := range g.consumers {
		if c.on && g.chance(2) {
			c.on = false
			g.add(step{ch: c.ch, sync: true, m: &amqp.BasicCancel{ConsumerTag: c.tag}})
			g.add(step{sync: true})
			return
		}
	}
}

func (g *generator) get(ch uint16) {
	q := pick(g, g.queues[2:]...)
	if g.on(q, ch) != nil {
		return
	}
	g.settling[ch], g.from[ch] = true, q
	for range 1 + g.IntN(3) {
		g.add(step{ch: ch, m: &amqp.BasicGet{Queue: q}})
	}
}

// change changes queues, exchanges and bindings.
func (g *generator) change(ch uint16) {
	q := pick(g, g.queues[2:]...)
	busy := g.on(q, 0) != nil
	switch g.IntN(9) {
	case 0, 1:
		g.add(step{ch: ch, sync: busy, m: &amqp.QueuePurge{Queue: q}})
	case 2, 3:
		g.add(step{ch: ch, sync: busy, m: &amqp.QueueDeclare{Queue: q, Passive: true}})
	case 4:
		b := g.binding(q)
		g.add(step{ch: ch, m: b})
	case 5:
		b := g.binding(q)
		g.add(step{ch: ch, m: &amqp.QueueUnbind{Queue: q, Exchange: b.Exchange, RoutingKey: b.RoutingKey, Arguments: b.Arguments}})
	case 6:
		if !busy && g.chance(2) {
			g.add(step{ch: ch, m: &amqp.QueueDelete{Queue: q}})
			if g.chance(2) {
				g.kinds[q] = "plain"
				g.add(step{ch: ch, m: &amqp.QueueDeclare{Queue: q}})
			}
		}
	case 7:
		x := pick(g, "topics", "once", "some", "last")
		g.add(step{ch: ch, m: &amqp.ExchangeDelete{Exchange: x}})
		if g.calm || g.chance(2) {
			g.add(step{ch: ch, m: &amqp.ExchangeDeclare{Exchange: x, Type: pick(g, "topic", "direct", "fanout")}})
			g.add(step{ch: ch, m: &amqp.QueueBind{Queue: q, Exchange: x, RoutingKey: "a"}})
		}
	case 8:
		d, s := pick(g, "amq.fanout", "amq.topic", "topics"), pick(g, "amq.direct", "amq.headers", "topics")
		if g.chance(2) {
			g.add(step{ch: ch, m: &amqp.ExchangeBind{Destination: d, Source: s, RoutingKey: "a"}})
		} else {
			g.add(step{ch: ch, m: &amqp.ExchangeUnbind{Destination: d, Source: s, RoutingKey: "a"}})
		}
	}
}

// mistake makes a channel fail; what it consumes waits for that.
func (g *generator) mistake(ch uint16) {
	sync := g.on("", ch) != nil || g.settling[ch]
	p := &publishing{body: "wrong"}
	if last := g.last[ch]; last != nil && g.chance(2) {
		*p = *last
		p.within = nil
	}
	switch g.IntN(6) {
	case 0:
		p.method.Exchange = "nowhere"
		g.add(step{ch: ch, sync: sync, publish: p})
	case 1:
		p.props.UserID = "bob"
		g.add(step{ch: ch, sync: sync, publish: p})
	case 2:
		p.props.Expiration = "x"
		g.add(step{ch: ch, sync: sync, publish: p})
	case 3:
		p.props.Headers = amqp.Table{{Key: "CC", Value: "x"}}
		g.add(step{ch: ch, sync: sync, publish: p})
	case 4:
		g.add(step{ch: ch, sync: sync, m: &amqp.BasicAck{DeliveryTag: 9999}})
	case 5:
		g.add(step{ch: ch, sync: sync, m: &amqp.QueueDeclare{Queue: "missing", Passive: true}})
	}
}

// permission narrows what the client may do, or takes that back.
func (g *generator) permission() {
	switch {
	case g.calm:
		return
	case g.narrowed:
		g.add(step{sync: true, request: "DELETE /api/topic-permissions/%2F/guest"})
		g.add(step{request: `PUT /api/permissions/%2F/guest {"configure":".*","write":".*","read":".*"}`})
	default:
		g.add(step{sync: true, request: pick(g,
			`PUT /api/topic-permissions/%2F/guest {"exchange":"amq.topic","write":"^a[.a-z]*$","read":".*"}`,
			`PUT /api/topic-permissions/%2F/guest {"exchange":"topics","write":"^(a|b)$","read":".*"}`,
			`PUT /api/permissions/%2F/guest {"configure":".*","write":"^(amq\\.default|topics|letters|q.*)$","read":".*"}`,
			`PUT /api/permissions/%2F/guest {"configure":".*","write":"^(amq\\.[dth].*|letters|q.*)$","read":".*"}`)})
	}
	g.narrowed = !g.narrowed
}

// String is the script for the reader.
func (s *script) String() string {
	var b strings.Builder
	for _, m := range s.setup {
		fmt.Fprintf(&b, "   %s%s\n", m.ID(), describe(m))
	}
	fmt.Fprintf(&b, "modes %q\n", s.modes)
	for i := range s.steps {
		b.WriteString(s.steps[i].String() + "\n")
	}
	return b.String()
}

func (s *step) String() string {
	text := fmt.Sprintf("%d: ", s.ch)
	if s.sync {
		text += "(sync) "
	}
	switch {
	case s.publish != nil:
		p := s.publish
		text += plain(fmt.Sprintf("basic.publish%s | %q%s", describe(&p.method), p.body, describe(&p.props)))
		if p.cut != nil {
			text += fmt.Sprintf(" cut at %d", p.cut)
		}
		if p.within != nil {
			text += " with, in between, " + p.within.String()
		}
	case s.settle != nil:
		text += fmt.Sprintf("settle %+v", *s.settle)
	case s.request != "":
		text += s.request
	case s.m != nil:
		text += s.m.ID().String() + describe(s.m)
	}
	return text
}
