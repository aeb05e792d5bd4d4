package differential_test

import (
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// theme is what a script is about: chance alone seldom does what belongs together.
type theme struct {
	prepare func(g *generator)
	step    func(g *generator)
}

// themes are all of them.
func themes() []theme {
	return []theme{
		{(*generator).prepareHeaders, (*generator).stepHeaders},
		{(*generator).prepareNet, (*generator).stepNet},
		{(*generator).prepareCopies, (*generator).stepCopies},
		{(*generator).prepareCrowd, (*generator).stepCrowd},
		{(*generator).prepareCrowd, (*generator).stepCrowd},
		{(*generator).prepareWork, (*generator).stepTx},
		{(*generator).prepareWork, (*generator).stepReturns},
		{(*generator).prepareWork, (*generator).stepReturns},
		{(*generator).prepareWork, (*generator).stepPolicy},
		{(*generator).prepareLimits, (*generator).stepReturns},
	}
}

// choose gives a script its theme, half of them.
func (g *generator) choose() {
	if list := themes(); g.chance(50) {
		g.theme = &list[g.IntN(len(list))]
		g.theme.prepare(g)
	}
}

// on is add for a given channel.
func (g *generator) on(conn int, channel uint16, do any) {
	at := len(g.s.ops)
	g.add(do)
	g.s.ops[at].conn, g.s.ops[at].channel = conn, channel
}

// send publishes a message on the script's first channel.
func (g *generator) send(to amqp.BasicPublish, p amqp.Properties) {
	g.bodies++
	g.on(0, 1, publish{to, p, fmt.Sprintf("m%02d", g.bodies)})
}

// feed publishes to the first queue.
func (g *generator) feed(most int) {
	for range 1 + g.IntN(most) {
		g.send(amqp.BasicPublish{RoutingKey: g.s.queues[0], Mandatory: g.chance(10)}, amqp.Properties{Priority: uint8(g.IntN(10) / 7 * g.IntN(6))})
	}
}

// allQueues declares the queues that are missing, without arguments.
func (g *generator) allQueues() {
	for _, q := range g.s.queues[1:] {
		d := &amqp.QueueDeclare{Queue: q}
		if g.quorum {
			d.Durable, d.Arguments = true, amqp.Table{{Key: "x-queue-type", Value: "quorum"}}
		}
		g.on(0, 2, d)
	}
}

// likely is a value of a header that may well be that of another.
func (g *generator) likely() any {
	return pick[any](g, int32(1), int32(1), int32(2), "1", "1", "v", int64(1), int8(1), int16(1), uint8(1), true, true, false, nil, nil,
		1.0, float32(1), amqp.Timestamp(1), []byte("1"), amqp.Decimal{Value: 1}, amqp.Table{{Key: "a", Value: int32(1)}}, []any{"1"})
}

func (g *generator) likelyHeaders(percent int) (t amqp.Table) {
	for _, key := range []string{"h", "x-h", "k", "x-", ""} {
		if g.chance(percent) {
			t = append(t, amqp.Field{Key: key, Value: g.likely()})
		}
		percent = percent * 4 / 5
	}
	return t
}

func (g *generator) prepareHeaders() {
	g.allQueues()
	g.on(0, 2, &amqp.ExchangeDeclare{Exchange: g.s.exchanges[1], Type: "headers"})
	for range 2 + g.IntN(3) {
		g.stepBindHeaders()
	}
}

func (g *generator) stepBindHeaders() {
	t := g.likelyHeaders(45)
	if g.chance(80) {
		t = append(t, amqp.Field{Key: "x-match", Value: pick(g, "all", "any", "all-with-x", "any-with-x")})
	}
	g.on(0, 2, &amqp.QueueBind{Queue: pick(g, g.s.queues...), Exchange: g.s.exchanges[1], RoutingKey: pick(g, "", "", "k"), Arguments: t})
}

func (g *generator) stepHeaders() {
	if g.chance(20) {
		g.stepBindHeaders()
		return
	}
	g.send(amqp.BasicPublish{Exchange: g.s.exchanges[1], RoutingKey: pick(g, "", "k"), Mandatory: true}, amqp.Properties{Headers: g.likelyHeaders(60)})
}

// prepareNet makes exchanges that are bound to each other, in circles too, and alternates.
func (g *generator) prepareNet() {
	g.allQueues()
	for i, x := range g.s.exchanges[:3] {
		d := &amqp.ExchangeDeclare{Exchange: x, Type: pick(g, "fanout", "direct", "topic", "headers"), Internal: g.chance(15), AutoDelete: g.chance(15)}
		if g.chance(50) {
			d.Arguments = amqp.Table{{Key: "alternate-exchange", Value: g.s.exchanges[(i+1+g.IntN(2))%3]}}
		}
		g.on(0, 2, d)
	}
	for range 3 + g.IntN(3) {
		g.bindNet()
	}
}

func (g *generator) bindNet() {
	x, key := pick(g, g.s.exchanges[:3]...), pick(g, "a", "b", "a.b", "")
	if g.chance(40) {
		key = pick(g, "#", "*", "a.#", "*.b")
	}
	if g.chance(50) {
		g.on(0, 2, &amqp.ExchangeBind{Destination: pick(g, g.s.exchanges[:3]...), Source: x, RoutingKey: key, Arguments: g.bindArguments()})
	} else {
		g.on(0, 2, &amqp.QueueBind{Queue: pick(g, g.s.queues...), Exchange: x, RoutingKey: key, Arguments: g.bindArguments()})
	}
}

func (g *generator) stepNet() {
	x := pick(g, g.s.exchanges[:3]...)
	switch n := g.IntN(20); {
	case n < 3:
		g.bindNet()
	case n < 4:
		g.on(0, 2, &amqp.ExchangeUnbind{Destination: pick(g, g.s.exchanges[:3]...), Source: x, RoutingKey: pick(g, "a", "b", "#")})
	case n < 5:
		g.on(0, 2, &amqp.ExchangeDelete{Exchange: x, IfUnused: g.chance(60)})
	case n < 6:
		g.on(0, 2, &amqp.QueueDelete{Queue: pick(g, g.s.queues...)})
	default:
		p := amqp.Properties{}
		if g.chance(30) {
			p.Headers = amqp.Table{{Key: "h", Value: g.header()}}
		}
		if g.chance(20) {
			p.Headers = append(p.Headers, amqp.Field{Key: "CC", Value: []any{pick(g, "a", "b", "a.b")}})
		}
		g.send(amqp.BasicPublish{Exchange: x, RoutingKey: pick(g, "a", "b", "a.b", "none"), Mandatory: true}, p)
	}
}

// prepareCopies is for messages with CC and BCC, and what becomes of them.
func (g *generator) prepareCopies() {
	g.allQueues()
	g.on(0, 2, &amqp.ExchangeDeclare{Exchange: g.s.exchanges[1], Type: pick(g, "direct", "topic", "fanout")})
	for _, q := range g.s.queues {
		g.on(0, 2, &amqp.QueueBind{Queue: q, Exchange: g.s.exchanges[1], RoutingKey: pick(g, "a", "b", q)})
	}
	if g.chance(50) {
		g.on(0, 1, &amqp.ConfirmSelect{})
	}
}

func (g *generator) stepCopies() {
	if g.chance(30) {
		g.get()
		return
	}
	to := amqp.BasicPublish{Exchange: pick(g, "", g.s.exchanges[1]), RoutingKey: pick(g, "a", "none", g.s.queues[0], g.s.queues[1]), Mandatory: g.chance(50)}
	var p amqp.Properties
	for _, key := range []string{"CC", "BCC"} {
		var keys []any
		for range g.IntN(4) {
			keys = append(keys, pick[any](g, "a", "b", "none", g.s.queues[0], g.s.queues[1], g.s.queues[2]))
		}
		switch {
		case g.chance(4):
			p.Headers = append(p.Headers, amqp.Field{Key: key, Value: pick[any](g, "a", int32(1), []any{int32(1)}, []any{"a", nil}, []any{}, amqp.Table{})})
		case g.chance(60):
			p.Headers = append(p.Headers, amqp.Field{Key: key, Value: keys})
		}
	}
	g.send(to, p)
}

// get takes a message and settles it, or not.
func (g *generator) get() {
	g.on(0, 1, &amqp.BasicGet{Queue: pick(g, g.s.queues[0], g.s.queues[0], g.s.queues[1]), NoAck: g.chance(20)})
	if g.chance(60) {
		g.on(0, 1, settle{pick: g.IntN(4), multiple: g.chance(20), how: pick(g, "ack", "nack", "reject", "nack"), requeue: g.chance(40)})
	}
}

// prepareCrowd is for several consumers of one queue: priorities, single active, prefetch, and those that go.
func (g *generator) prepareCrowd() {
	g.on(0, 2, &amqp.QueueDelete{Queue: g.s.queues[0]})
	d := &amqp.QueueDeclare{Queue: g.s.queues[0]}
	if g.quorum {
		d.Durable, d.Arguments = true, amqp.Table{{Key: "x-queue-type", Value: "quorum"}}
	}
	if g.chance(50) {
		d.Arguments = append(d.Arguments, amqp.Field{Key: "x-single-active-consumer", Value: true})
	}
	if g.chance(20) {
		d.AutoDelete = !g.quorum
	}
	g.on(0, 1, d)
	for conn := range 2 {
		for channel := range uint16(2) {
			if g.chance(60) {
				g.on(conn, channel+1, &amqp.BasicQos{PrefetchCount: uint16(1 + g.IntN(2))})
			}
		}
	}
}

func (g *generator) stepCrowd() {
	conn, channel := g.IntN(2), uint16(1+g.IntN(2))
	switch n := g.IntN(20); {
	case n < 6:
		c := &amqp.BasicConsume{Queue: g.s.queues[0], ConsumerTag: g.tag(), NoAck: g.chance(10), Exclusive: g.chance(5)}
		if g.chance(60) {
			c.Arguments = amqp.Table{{Key: "x-priority", Value: pick[any](g, int32(0), int32(1), int32(2), int32(-1), int64(7), int16(1))}}
		}
		g.on(conn, channel, c)
	case n < 11:
		g.feed(3)
	case n < 13:
		g.on(conn, channel, &amqp.BasicCancel{ConsumerTag: g.tag()})
	case n < 18:
		g.on(conn, channel, settle{pick: g.IntN(3), how: pick(g, "ack", "ack", "nack", "reject"), requeue: g.chance(50), multiple: g.chance(20)})
	case n < 19:
		g.on(conn, channel, &amqp.ChannelClose{ReplyCode: 200})
	default:
		g.on(conn, channel, &amqp.QueueDeclare{Queue: g.s.queues[0], Passive: true})
	}
}

// prepareWork puts messages into the first queue.
func (g *generator) prepareWork() {
	g.allQueues()
	if g.chance(30) {
		g.on(0, 1, &amqp.ConfirmSelect{})
	} else if g.chance(40) {
		g.on(0, 1, &amqp.TxSelect{})
	}
	g.feed(4)
}

func (g *generator) stepTx() {
	switch n := g.IntN(20); {
	case n < 2:
		g.on(0, 1, &amqp.TxSelect{})
	case n < 6:
		g.on(0, 1, pick[amqp.Method](g, &amqp.TxCommit{}, &amqp.TxCommit{}, &amqp.TxRollback{}))
	case n < 10:
		g.feed(2)
	case n < 12:
		g.on(0, 1, &amqp.BasicGet{Queue: g.s.queues[0]})
	case n < 13:
		g.on(0, 1, &amqp.BasicConsume{Queue: g.s.queues[0], ConsumerTag: g.tag()})
	case n < 19:
		g.on(0, 1, settle{pick: g.IntN(4), how: pick(g, "ack", "nack", "reject"), requeue: g.chance(50), multiple: g.chance(30), unknown: g.chance(6)})
	default:
		g.on(0, 1, pick[any](g, &amqp.ChannelClose{ReplyCode: 200}, &amqp.BasicRecover{Requeue: true}, &amqp.QueuePurge{Queue: g.s.queues[0]},
			publish{amqp.BasicPublish{Exchange: g.s.exchanges[3]}, amqp.Properties{}, "lost"}))
	}
}

// stepReturns mixes consumers and basic.get with all that brings messages back or lets them go.
func (g *generator) stepReturns() {
	q, channel := pick(g, g.s.queues[0], g.s.queues[0], g.s.queues[0], g.s.queues[1]), uint16(1+g.IntN(4)/3)
	switch n := g.IntN(24); {
	case n < 3:
		g.on(0, channel, &amqp.BasicConsume{Queue: q, ConsumerTag: g.tag(), NoAck: g.chance(10)})
	case n < 7:
		g.on(0, channel, &amqp.BasicGet{Queue: q})
	case n < 10:
		g.feed(3)
	case n < 17:
		g.on(0, channel, settle{pick: g.IntN(4), how: pick(g, "ack", "nack", "reject", "nack"), requeue: g.chance(70), multiple: g.chance(25)})
	case n < 18:
		g.on(0, channel, &amqp.BasicRecover{Requeue: g.chance(90)})
	case n < 20:
		g.on(0, channel, &amqp.QueuePurge{Queue: q})
	case n < 21:
		g.on(0, channel, &amqp.ChannelClose{ReplyCode: 200})
	case n < 22:
		g.on(0, channel, &amqp.BasicCancel{ConsumerTag: g.tag()})
	case n < 23:
		g.on(0, channel, &amqp.BasicQos{PrefetchCount: uint16(g.IntN(3))})
	default:
		g.on(0, channel, &amqp.QueueDeclare{Queue: q, Passive: true})
	}
}

// prepareLimits is for a queue that lets messages go after some deliveries, or when it has many.
func (g *generator) prepareLimits() {
	g.allQueues()
	g.on(0, 2, &amqp.QueueDelete{Queue: g.s.queues[0]})
	d := &amqp.QueueDeclare{Queue: g.s.queues[0], Durable: true, Arguments: amqp.Table{{Key: "x-queue-type", Value: pick(g, "quorum", "quorum", "classic")}}}
	add := func(key string, v any) { d.Arguments = append(d.Arguments, amqp.Field{Key: key, Value: v}) }
	quorum := d.Arguments[0].Value == "quorum"
	if quorum && g.chance(70) {
		add("x-delivery-limit", pick[any](g, int32(0), int32(1), int32(2), int32(-1)))
	}
	if g.chance(60) {
		add("x-dead-letter-exchange", "")
		add("x-dead-letter-routing-key", pick(g, g.s.queues[1], g.s.queues[1], g.s.queues[0]))
	}
	if g.chance(50) {
		add("x-max-length", int32(1+g.IntN(4)))
		if !quorum && g.chance(50) {
			add("x-overflow", pick(g, "reject-publish", "reject-publish-dlx"))
		}
	}
	g.on(0, 1, d)
	g.feed(4)
}

// stepPolicy changes policies while there are messages and consumers.
func (g *generator) stepPolicy() {
	if !g.chance(35) {
		g.stepReturns()
		return
	}
	kind, name := pick(g, "policies", "policies", "policies", "operator-policies"), pick(g, "p", "p", "o")
	path := "/api/" + kind + "/VHOST/" + g.s.prefix + name
	if g.chance(25) {
		g.on(0, 1, manage{"DELETE", path, ""})
		return
	}
	what := pick(g, `"max-length":1`, `"max-length":2`, `"max-length":0`, `"max-length-bytes":8`, `"delivery-limit":1`, `"expires":600000`,
		`"dead-letter-exchange":"","dead-letter-routing-key":"`+g.s.queues[1]+`"`, `"max-length":2,"dead-letter-exchange":"","dead-letter-routing-key":"`+g.s.queues[1]+`"`,
		`"dead-letter-routing-key":"`+g.s.queues[2]+`"`, `"message-ttl":600000`, `"max-length":2,"overflow":"reject-publish"`, `"overflow":"drop-head"`,
		`"alternate-exchange":"amq.fanout"`, `"max-length":"x"`, `"message-ttl":-1`)
	apply := pick(g, "", "", `,"apply-to":"queues"`, `,"apply-to":"all"`, `,"apply-to":"classic_queues"`, `,"apply-to":"quorum_queues"`, `,"apply-to":"exchanges"`, `,"apply-to":"no"`)
	g.on(0, 1, manage{"PUT", path, fmt.Sprintf(`{"pattern":"^%s(q1|x1)$","definition":{%s},"priority":%d%s}`, g.s.prefix, what, g.IntN(3), apply)})
}
