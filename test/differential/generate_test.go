package differential_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// generator makes a script from a seed.
type generator struct {
	*rand.Rand
	s      *script
	bodies int
	expire int  // of the script's messages, ms; 0: they do not
	timed  bool // something expires: time passes between the steps
	quorum bool // the script's durable queues are
	theme  *theme
}

// settled is the time after which what expires has expired.
const settled = 260 * time.Millisecond

func generate(seed uint64) *script {
	prefix := fmt.Sprintf("s%d.", seed)
	s := &script{
		seed: seed, prefix: prefix, queues: []string{prefix + "q1", prefix + "q2", prefix + "q3"},
		exchanges: []string{prefix + "x1", prefix + "x2", prefix + "x3", prefix + "nox"},
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), s: s}
	g.timed = g.chance(8)
	if g.timed && g.chance(50) {
		g.expire = 30
	}
	g.quorum = g.chance(6)
	g.prepare()
	g.choose()
	for range 6 + g.IntN(14) {
		if g.theme != nil && g.chance(75) {
			g.theme.step(g)
		} else {
			g.step()
		}
	}
	return s
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) add(do any) {
	g.s.ops = append(g.s.ops, op{conn: g.IntN(8) / 7, channel: uint16(1 + g.IntN(5)/4), do: do})
	if _, ok := do.(pause); !ok && g.timed {
		g.s.ops = append(g.s.ops, op{do: pause(settled)})
	}
}

// prepare declares what most steps need: a queue or two, an exchange bound to them.
func (g *generator) prepare() {
	at := len(g.s.ops)
	g.declare(g.s.queues[0], true)
	if g.chance(70) {
		g.declare(g.s.queues[1], true)
	}
	if g.chance(70) {
		x := g.s.exchanges[0]
		g.add(&amqp.ExchangeDeclare{Exchange: x, Type: pick(g, "direct", "topic", "fanout", "headers")})
		g.add(&amqp.QueueBind{Queue: g.s.queues[0], Exchange: x, RoutingKey: g.pattern(), Arguments: g.bindArguments()})
		if g.chance(50) {
			g.add(&amqp.QueueBind{Queue: g.s.queues[1], Exchange: x, RoutingKey: g.pattern(), Arguments: g.bindArguments()})
		}
	}
	for i := range g.s.ops[at:] {
		g.s.ops[at+i].conn, g.s.ops[at+i].channel = 0, 1
	}
}

// step adds one operation, or a few that belong together.
func (g *generator) step() {
	switch n := g.IntN(100); {
	case n < 8:
		g.declare(g.queue(), false)
	case n < 12:
		g.declareExchange()
	case n < 18:
		g.bind()
	case n < 46:
		g.publish()
	case n < 54:
		g.add(&amqp.BasicGet{Queue: g.queue(), NoAck: g.chance(30)})
	case n < 62:
		g.consume()
	case n < 64:
		g.add(&amqp.BasicCancel{ConsumerTag: g.tag()})
	case n < 80:
		g.settle()
	case n < 83:
		g.add(&amqp.BasicQos{PrefetchCount: uint16(g.IntN(4))})
	case n < 85:
		g.add(&amqp.BasicRecover{Requeue: true})
	case n < 89:
		g.mode()
	case n < 91:
		g.add(&amqp.QueuePurge{Queue: g.queue()})
	case n < 94:
		g.remove()
	case n < 96:
		g.add(&amqp.ChannelClose{ReplyCode: 200})
	case n < 97:
		g.add(hangUp{})
	default:
		g.policy()
	}
}

func (g *generator) queue() string {
	if g.chance(3) {
		return pick(g, "", g.s.prefix+"none", "amq.none")
	}
	return pick(g, g.s.queues[0], g.s.queues[0], g.s.queues[0], g.s.queues[1], g.s.queues[1], g.s.queues[2])
}

func (g *generator) exchange() string {
	if g.chance(4) {
		return g.s.prefix + "nox"
	}
	x := g.s.exchanges
	return pick(g, x[0], x[0], x[0], x[1], x[2], "amq.direct", "amq.topic", "")
}

// key is a routing key; the prefix keeps the scripts apart on amq.* exchanges.
func (g *generator) key() string {
	return g.s.prefix + pick(g, "a", "b", "a.b", "q1", "q1", "q2", "q2", "q3", "a.b.c", "")
}

func (g *generator) pattern() string {
	if g.chance(40) {
		return g.key()
	}
	return g.s.prefix + pick(g, "*", "#", "*.b", "a.#", "#.c", "*.*")
}

func (g *generator) tag() string { return pick(g, "t1", "t2", "t3") }

// declare declares a queue; with sane nothing is wrong with it.
func (g *generator) declare(name string, sane bool) {
	d := &amqp.QueueDeclare{Queue: name, Durable: g.chance(40), Arguments: g.arguments(sane)}
	if g.quorum {
		d.Durable = d.Durable || g.chance(90)
		d.Arguments = append(d.Arguments, amqp.Field{Key: "x-queue-type", Value: "quorum"})
	}
	if !sane {
		d.Passive, d.Exclusive, d.AutoDelete = g.chance(25), g.chance(8), g.chance(10)
		if g.chance(25) {
			d.Arguments = nil
		}
	} else if g.chance(6) {
		d.AutoDelete = true
	} else if g.chance(4) {
		d.Exclusive = true
	}
	g.add(d)
}

// arguments are those of a queue, mostly right ones.
func (g *generator) arguments(sane bool) (t amqp.Table) {
	add := func(key string, v any) { t = append(t, amqp.Field{Key: key, Value: v}) }
	if g.chance(35) {
		add("x-dead-letter-exchange", pick(g, "", "", "amq.direct", g.s.exchanges[0], g.s.exchanges[1]))
		if g.chance(60) {
			add("x-dead-letter-routing-key", pick(g, g.s.queues[1], g.s.queues[1], g.s.queues[0], g.s.queues[2], g.key()))
		}
	}
	if g.chance(18) {
		add("x-max-length", pick[any](g, int32(0), int32(1), int32(2), int64(3), int16(1)))
	} else if g.chance(6) {
		add("x-max-length-bytes", pick[any](g, int32(0), int32(100000)))
	}
	if !g.quorum && g.chance(18) {
		add("x-overflow", pick(g, "drop-head", "reject-publish", "reject-publish-dlx"))
	}
	if g.timed && g.expire == 0 && g.chance(50) {
		add("x-message-ttl", pick[any](g, int32(0), int32(30), int64(50)))
	}
	if g.chance(6) {
		add("x-single-active-consumer", true)
	}
	if g.chance(5) {
		add("x-expires", pick[any](g, int32(600000), int64(700000)))
	}
	if g.chance(8) {
		add("x-max-priority", pick[any](g, int32(1), int32(5), int8(9)))
	}
	if g.quorum && g.chance(20) {
		add("x-delivery-limit", pick[any](g, int32(0), int32(1), int32(2)))
	}
	if g.chance(6) {
		add(pick(g, "x-queue-type", "x-queue-mode", "x-unknown", "x-queue-version"), pick[any](g, "classic", "lazy", int32(2)))
	}
	if !sane && g.chance(25) {
		g.wrong(add)
	}
	return t
}

// wrong adds an argument that is likely to be refused.
func (g *generator) wrong(add func(string, any)) {
	key := pick(g, "x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-overflow", "x-dead-letter-exchange",
		"x-dead-letter-routing-key", "x-single-active-consumer", "x-queue-type", "x-max-priority",
		"x-queue-mode", "x-queue-version", "x-queue-leader-locator", "x-max-age",
		"x-max-in-memory-length", "x-initial-cluster-size", "x-quorum-initial-group-size", "x-cancel-on-ha-failover")
	add(key, g.odd())
}

// odd is a value of any kind.
func (g *generator) odd() any {
	return pick[any](g, int32(-1), int32(0), int32(1), int64(1)<<40, "text", "", true, false, 1.5, float32(2), amqp.Timestamp(7), nil,
		amqp.Table{{Key: "a", Value: int32(1)}}, []any{int32(1), "b"}, []byte("bin"), uint8(3), int8(-3), uint16(4), uint32(5), int16(-6),
		amqp.Decimal{Scale: 1, Value: 15})
}

func (g *generator) declareExchange() {
	d := &amqp.ExchangeDeclare{
		Exchange: g.exchange(), Type: pick(g, "direct", "topic", "fanout", "headers"),
		Durable: g.chance(30), AutoDelete: g.chance(15), Internal: g.chance(8), Passive: g.chance(12),
	}
	if g.chance(5) {
		d.Type = "nope"
	}
	if g.chance(3) {
		d.Exchange = "amq." + g.s.prefix
	}
	if g.chance(25) {
		d.Arguments = append(d.Arguments, amqp.Field{Key: "alternate-exchange", Value: pick(g, g.s.exchanges[1], g.s.exchanges[2], "amq.fanout.none")})
	} else if g.chance(6) {
		d.Arguments = append(d.Arguments, amqp.Field{Key: pick(g, "alternate-exchange", "x-unknown"), Value: g.odd()})
	}
	g.add(d)
}

func (g *generator) bindArguments() (t amqp.Table) {
	if !g.chance(30) {
		return nil
	}
	if g.chance(60) {
		t = append(t, amqp.Field{Key: "x-match", Value: pick(g, "all", "any", "any", "all-with-x", "any-with-x")})
	} else if g.chance(8) {
		t = append(t, amqp.Field{Key: "x-match", Value: g.odd()})
	}
	for _, key := range []string{"h", "x-h", "k"} {
		if g.chance(40) {
			t = append(t, amqp.Field{Key: key, Value: g.header()})
		}
	}
	return t
}

func (g *generator) header() any {
	if g.chance(10) {
		return g.odd()
	}
	return pick[any](g, int32(1), int64(1), "1", "v", true, nil)
}

func (g *generator) bind() {
	switch n := g.IntN(10); {
	case n < 5:
		g.add(&amqp.QueueBind{Queue: g.queue(), Exchange: g.exchange(), RoutingKey: g.pattern(), Arguments: g.bindArguments()})
	case n < 7:
		g.add(&amqp.QueueUnbind{Queue: g.queue(), Exchange: g.exchange(), RoutingKey: g.pattern(), Arguments: g.bindArguments()})
	case n < 9:
		g.add(&amqp.ExchangeBind{Destination: g.exchange(), Source: g.exchange(), RoutingKey: g.pattern(), Arguments: g.bindArguments()})
	default:
		g.add(&amqp.ExchangeUnbind{Destination: g.exchange(), Source: g.exchange(), RoutingKey: g.pattern()})
	}
}

// publish publishes one to three messages, mostly where somebody may take them.
func (g *generator) publish() {
	var to amqp.BasicPublish
	if g.chance(55) {
		to.RoutingKey = pick(g, g.s.queues[0], g.s.queues[0], g.s.queues[1])
	} else {
		to.Exchange, to.RoutingKey = g.exchange(), g.key()
	}
	to.Mandatory = g.chance(25)
	for range 1 + g.IntN(3) {
		g.bodies++
		g.add(publish{to, g.properties(), fmt.Sprintf("m%02d%s", g.bodies, pick(g, "", "", "-longer"))})
		last := &g.s.ops[len(g.s.ops)-1]
		if g.timed {
			last = &g.s.ops[len(g.s.ops)-2]
		}
		last.conn, last.channel = 0, uint16(1+g.IntN(5)/4)
	}
}

func (g *generator) properties() (p amqp.Properties) {
	if g.chance(40) {
		p.DeliveryMode = uint8(1 + g.IntN(2))
	}
	if g.expire > 0 {
		p.Expiration = strconv.Itoa(g.expire)
	} else if g.chance(2) {
		p.Expiration = pick(g, "abc", "-1", "1s", " 1", "99999999999999")
	}
	if g.chance(20) {
		p.Priority = uint8(g.IntN(8)) + uint8(g.IntN(10)/9)*28
	}
	if g.chance(10) {
		p.ContentType, p.CorrelationID, p.MessageID, p.AppID, p.Timestamp = "text/plain", "c", "m", "app", 1700000000
	}
	if g.chance(4) {
		p.UserID = pick(g, "guest", "guest", "other")
	}
	if g.chance(3) {
		p.ReplyTo = pick(g, "amq.rabbitmq.reply-to", "somewhere")
	}
	if !g.chance(35) {
		return p
	}
	for _, key := range []string{"h", "x-h", "k"} {
		if g.chance(40) {
			p.Headers = append(p.Headers, amqp.Field{Key: key, Value: g.header()})
		}
	}
	for _, key := range []string{"CC", "BCC"} {
		if g.chance(15) {
			p.Headers = append(p.Headers, amqp.Field{Key: key, Value: []any{g.key(), pick(g, g.s.queues[1], g.s.queues[2])}})
		} else if g.chance(3) {
			p.Headers = append(p.Headers, amqp.Field{Key: key, Value: g.odd()})
		}
	}
	if g.chance(4) {
		p.Headers = append(p.Headers, amqp.Field{Key: pick(g, "x-death", "x-delivery-count", "x-first-death-queue"), Value: g.odd()})
	}
	return p
}

func (g *generator) consume() {
	c := &amqp.BasicConsume{Queue: g.queue(), ConsumerTag: g.tag(), NoAck: g.chance(20), Exclusive: g.chance(8)}
	if g.chance(8) {
		c.Arguments = append(c.Arguments, amqp.Field{Key: "x-priority", Value: pick[any](g, int32(1), int32(-2), int64(5))})
	} else if g.chance(3) {
		c.Arguments = append(c.Arguments, amqp.Field{Key: pick(g, "x-priority", "x-cancel-on-ha-failover", "x-foo"), Value: g.odd()})
	}
	g.add(c)
}

func (g *generator) settle() {
	g.add(settle{
		pick: g.IntN(4), multiple: g.chance(20), how: pick(g, "ack", "nack", "reject"), requeue: g.chance(50), unknown: g.chance(2),
	})
}

func (g *generator) mode() {
	switch g.IntN(7) {
	case 0, 1, 2:
		g.add(&amqp.ConfirmSelect{})
	case 3:
		g.add(&amqp.TxSelect{})
	case 4:
		g.add(&amqp.TxRollback{})
	default:
		g.add(&amqp.TxCommit{})
	}
}

func (g *generator) remove() {
	if g.chance(70) {
		g.add(&amqp.QueueDelete{Queue: g.queue(), IfUnused: !g.quorum && g.chance(25), IfEmpty: !g.quorum && g.chance(25)})
	} else {
		g.add(&amqp.ExchangeDelete{Exchange: g.exchange(), IfUnused: g.chance(40)})
	}
}

// policy puts a policy for the script's queues or exchanges, or takes it away.
func (g *generator) policy() {
	path := "/api/policies/VHOST/" + g.s.prefix + "p"
	if g.chance(20) {
		g.add(manage{"DELETE", path, ""})
		return
	}
	what := pick(g, `"max-length":1`, `"max-length":2`, `"dead-letter-exchange":"","dead-letter-routing-key":"`+g.s.queues[1]+`"`,
		`"alternate-exchange":"`+g.s.exchanges[2]+`"`, `"max-length":-1`, `"nonsense":1`, `"expires":600000`)
	g.add(manage{"PUT", path, fmt.Sprintf(`{"pattern":"^%s(q1|x1)$","definition":{%s},"priority":1}`, g.s.prefix, what)})
}
