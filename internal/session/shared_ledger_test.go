package session_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// act adds one thing that a client does to its next words.
func (s *sharing) act() {
	l := s.clients[s.r.IntN(2)].lanes[s.r.IntN(2)]
	if l.closing {
		return
	}
	q := s.queues[s.names[s.r.IntN(len(s.names))]]
	switch n := s.r.IntN(40); {
	case n < 16:
		for range 1 + s.r.IntN(5) {
			if l.mode != "tx" || q.kind != "refuse" { // which fails, as it does with RabbitMQ
				s.publish(l, q)
			}
		}
	case n < 26:
		s.settle(l)
	case n < 30:
		s.consume(l, q)
	case n < 33 && q.kind != "quorum single":
		g := get{q, s.chance(3)}
		l.gets = append(l.gets, g)
		s.send(l, &amqp.BasicGet{Queue: q.name, NoAck: g.noAck})
	case n < 35:
		for tag, k := range l.consume {
			if !k.ending {
				k.ending, k.q.ends = true, true
				s.send(l, &amqp.BasicCancel{ConsumerTag: tag})
				break
			}
		}
	case n < 36:
		s.send(l, &amqp.ChannelClose{ReplyCode: 200})
		s.leave(l)
	case n < 37 && s.chance(2):
		s.send(l, &amqp.QueuePurge{Queue: q.name})
		l.gets = append(l.gets, get{q, false})
	case l.mode == "tx":
		s.commit(l, s.chance(3))
	}
}

func (s *sharing) publish(l *lane, q *shared) {
	n := len(s.messages) + 1
	m := &message{id: fmt.Sprintf("m%d", n), n: n, q: q, by: l, state: there, loose: q.silent}
	s.messages[m.id] = m
	body := m.id + ":"
	if s.chance(10) {
		body += strings.Repeat("x", s.r.IntN(9000))
	}
	p := amqp.Properties{DeliveryMode: uint8(1 + s.r.IntN(2))}
	to := amqp.BasicPublish{RoutingKey: q.name}
	switch {
	case q.kind == "late":
		to.Exchange = "late"
		p.Headers = amqp.Table{{Key: "x-delay", Value: int32(s.r.IntN(4) * 10)}}
	case strings.Contains(q.kind, "priority"), strings.Contains(q.kind, "quorum"):
		m.priority = uint8(s.r.IntN(7))
		p.Priority = m.priority
	}
	switch l.mode {
	case "tx":
		m.state = pending
		l.pending = append(l.pending, m)
	case "confirm":
		l.unsure[l.next] = m
		l.next++
	}
	s.note("%d/%d publish %s to %s, priority %d, %s", l.c.index, l.ch, m.id, q.name, m.priority, describe(&p))
	l.c.burst = amqp.AppendMethod(l.c.burst, l.ch, &to)
	l.c.burst = p.AppendHeader(l.c.burst, l.ch, uint64(len(body)))
	for rest := []byte(body); len(rest) > 0; {
		n := len(rest)
		if s.chance(8) {
			n = 1 + s.r.IntN(n)
		}
		l.c.burst = amqp.AppendBody(l.c.burst, l.ch, rest[:n], 131072)
		rest = rest[n:]
	}
}

// settle settles one or all of what a channel has.
func (s *sharing) settle(l *lane) {
	if len(l.held) == 0 {
		return
	}
	at := s.r.IntN(len(l.held))
	list, multiple := l.held[at:at+1], s.chance(4)
	tag := list[0].tag
	if multiple {
		list = l.held[:at+1] // in the order of their tags
	}
	list = slices.Clone(list)
	requeue := s.chance(2)
	var m amqp.Method
	how := rejected
	switch n := s.r.IntN(5); {
	case n < 3:
		m, how, requeue = &amqp.BasicAck{DeliveryTag: tag, Multiple: multiple}, gone, false
	case n < 4 || multiple:
		m = &amqp.BasicNack{DeliveryTag: tag, Multiple: multiple, Requeue: requeue}
	default:
		m = &amqp.BasicReject{DeliveryTag: tag, Requeue: requeue}
	}
	l.held = slices.DeleteFunc(l.held, func(h holding) bool { return h.tag == tag || multiple && h.tag < tag })
	s.send(l, m)
	for _, h := range list {
		h.how, h.requeue = how, requeue
		if l.mode == "tx" {
			l.settled = append(l.settled, h)
		} else {
			s.release(h)
		}
	}
}

// release does what a settlement says.
func (s *sharing) release(h holding) {
	if h.m.state != held {
		s.fail("%s is settled when it is %s", h.m.id, h.m.state)
	}
	if h.m.holder != nil {
		h.m.holder.has--
	}
	h.m.state = h.how
	if h.requeue {
		h.m.state = there
	}
}

// commit ends a transaction.
func (s *sharing) commit(l *lane, undo bool) {
	if undo {
		s.send(l, &amqp.TxRollback{})
		for _, m := range l.pending {
			m.state = dropped
		}
		l.held = append(l.held, l.settled...)
		slices.SortFunc(l.held, func(a, b holding) int { return int(a.tag) - int(b.tag) })
	} else {
		s.send(l, &amqp.TxCommit{})
		for _, m := range l.pending {
			m.state = there
		}
		for _, h := range l.settled {
			s.release(h)
		}
	}
	l.pending, l.settled = nil, nil
}

func (s *sharing) consume(l *lane, q *shared) {
	k := &consumer{tag: fmt.Sprintf("c%d", len(s.log)), q: q, l: l, noAck: s.chance(4), last: map[string]int{}}
	l.consume[k.tag] = k
	c := &amqp.BasicConsume{Queue: q.name, ConsumerTag: k.tag, NoAck: k.noAck}
	if s.chance(3) && q.kind != "quorum single" { // there the highest priority is the active one
		c.Arguments = amqp.Table{{Key: "x-priority", Value: int32(s.r.IntN(3))}}
	}
	s.send(l, c)
}

// happened takes a frame that came.
func (s *sharing) happened(e happening) {
	if e.c != s.clients[e.c.index] {
		return // of a connection that was cut
	}
	if e.err != nil {
		s.fail("connection %d: %v", e.c.index, e.err)
		return
	}
	if e.f.Channel == 0 {
		if e.f.Type == amqp.FrameMethod {
			m, _ := amqp.DecodeMethod(e.f.Payload)
			s.fail("connection %d: %s%s", e.c.index, m.ID(), describe(m))
		}
		return
	}
	l := e.c.lanes[e.f.Channel-1]
	switch e.f.Type {
	case amqp.FrameMethod:
		m, err := amqp.DecodeMethod(e.f.Payload)
		if err != nil {
			s.fail("%v", err)
			return
		}
		if m.ID().HasContent() {
			l.content, l.size, l.body = m, 0, nil
			return
		}
		s.answered(l, m)
	case amqp.FrameHeader:
		h, err := amqp.ParseHeader(e.f.Payload)
		if err != nil {
			s.fail("%v", err)
			return
		}
		l.size = h.BodySize
	default:
		l.body = append(l.body, e.f.Payload...)
	}
	if e.f.Type != amqp.FrameMethod && uint64(len(l.body)) == l.size {
		s.came(l, l.content, string(l.body))
	}
}

// answered takes a method without content.
func (s *sharing) answered(l *lane, m amqp.Method) {
	switch m := m.(type) {
	case *amqp.BasicAck:
		s.confirmed(l, m.DeliveryTag, m.Multiple, false)
	case *amqp.BasicNack:
		s.confirmed(l, m.DeliveryTag, m.Multiple, true)
	case *amqp.BasicGetEmpty:
		l.gets = l.gets[1:]
	case *amqp.QueuePurgeOk:
		l.gets[0].q.purged += int(m.MessageCount)
		l.gets = l.gets[1:]
	case *amqp.BasicCancelOk:
		l.consume[m.ConsumerTag].over = true
	case *amqp.ChannelCloseOk:
		s.note("%d/%d closed", l.c.index, l.ch)
		s.open(l)
	case *amqp.ChannelClose, *amqp.BasicCancel:
		s.fail("channel %d/%d: %s%s", l.c.index, l.ch, m.ID(), describe(m))
	}
}

func (s *sharing) confirmed(l *lane, tag uint64, multiple, nack bool) {
	if _, ok := l.unsure[tag]; !ok {
		s.fail("channel %d/%d: publish %d is confirmed again, or never was", l.c.index, l.ch, tag)
	}
	for n, m := range l.unsure {
		if n != tag && (!multiple || n > tag) {
			continue
		}
		delete(l.unsure, n)
		switch {
		case !nack:
			continue
		case m.q.kind != "refuse":
			s.fail("%s is refused by a queue that is %s", m.id, m.q.kind)
		case m.delivered:
			s.fail("%s was delivered and is refused", m.id)
		}
		m.state = refused
	}
}

// came takes a delivery or a message of basic.get.
func (s *sharing) came(l *lane, method amqp.Method, body string) {
	id, _, _ := strings.Cut(body, ":")
	m := s.messages[id]
	var k *consumer
	var q *shared
	var tag uint64
	var again, noAck bool
	last := l.last
	switch d := method.(type) {
	case *amqp.BasicDeliver:
		k = l.consume[d.ConsumerTag]
		if k == nil {
			s.fail("a delivery to %s on %d/%d, which is not there", d.ConsumerTag, l.c.index, l.ch)
			return
		}
		q, tag, again, noAck, last = k.q, d.DeliveryTag, d.Redelivered, k.noAck, k.last
	case *amqp.BasicGetOk:
		q, tag, again, noAck = l.gets[0].q, d.DeliveryTag, d.Redelivered, l.gets[0].noAck
		l.gets = l.gets[1:]
	}
	s.note("          %d/%d got %s of %s, tag %d, again %t", l.c.index, l.ch, id, q.name, tag, again)
	if l.tags++; tag != l.tags {
		s.fail("delivery tag %d on %d/%d behind %d", tag, l.c.index, l.ch, l.tags-1)
	}
	if m == nil || m.q != q {
		s.fail("%s came from %s", id, q.name)
		return
	}
	if l.closing {
		if m.delivered = true; noAck {
			s.take(m)
		}
		return
	}
	s.take(m)
	s.ordered(m, again, last, k)
	m.delivered = true
	if k != nil {
		s.served(k)
	}
	if noAck {
		return
	}
	m.state, m.holder, m.with = held, k, l
	l.held = append(l.held, holding{tag: tag, m: m})
	if k == nil {
		return
	}
	if k.has++; l.prefetch > 0 && k.has > l.prefetch {
		s.fail("%s has %d with a prefetch of %d", k.tag, k.has, l.prefetch)
	}
}

// take takes a message out of its queue.
func (s *sharing) take(m *message) {
	if m.state != there && !m.loose {
		s.fail("%s came when it is %s", m.id, m.state)
	}
	m.state = gone
}

// ordered checks the mark of a delivery and, of what is new, its place.
func (s *sharing) ordered(m *message, again bool, last map[string]int, k *consumer) {
	if again != m.delivered && !m.loose && (!again || !m.q.ends) {
		s.fail("%s: redelivered is %t and delivered is %t", m.id, again, m.delivered)
	}
	if k == nil || again || m.loose || m.q.ends || m.q.kind == "late" || time.Since(s.begun) > time.Second {
		return
	}
	from := fmt.Sprintf("%d/%d, %d", m.by.c.index, m.by.ch, m.priority)
	if m.n < last[from] {
		s.fail("%s came behind m%d", m.id, last[from])
	}
	last[from] = m.n
}

// served checks that a single active consumer is the only one.
func (s *sharing) served(k *consumer) {
	k.served = true
	if k.over {
		s.fail("%s got something when it was cancelled", k.tag)
	}
	if k.ending || !strings.Contains(k.q.kind, "single") { // it was on its way
		return
	}
	for _, c := range s.clients {
		for _, l := range c.lanes {
			for _, other := range l.consume {
				if other != k && other.q == k.q && other.served && !other.ending {
					s.fail("%s got something of %s when %s is the active consumer", k.tag, k.q.name, other.tag)
				}
			}
		}
	}
}

// end lets everybody go and looks at what is left.
func (s *sharing) end(look *peer) {
	s.pump(30 * time.Millisecond)
	for _, c := range s.clients {
		for _, l := range c.lanes {
			if !l.closing {
				s.settled(l)
				s.send(l, &amqp.ChannelClose{ReplyCode: 200})
				s.leave(l)
			}
		}
	}
	s.flush()
	for end := time.Now().Add(20 * time.Second); s.wrong == "" && time.Now().Before(end) && !s.closed(); {
		s.pump(20 * time.Millisecond)
	}
	if s.wrong == "" && !s.closed() {
		s.fail("the channels do not close")
	}
	found := map[string]string{}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // what is late comes, what is brief goes
		for _, q := range append(slices.Clone(s.names), "dead") {
			s.drain(look, q, found)
		}
		lost := slices.IndexFunc(s.names, func(name string) bool { q := s.queues[name]; return s.missing(q, found) > q.purged })
		if lost < 0 || s.wrong != "" {
			break
		}
		if time.Now().After(end) {
			q := s.queues[s.names[lost]]
			s.fail("%d messages of %s are missing, and %d were purged", s.missing(q, found), q.name, q.purged)
		}
	}
	for _, c := range s.clients {
		_ = c.p.nc.Close()
	}
	for _, m := range s.messages {
		s.account(m, found[m.id])
	}
}

// missing returns how many messages of a queue ought to be somewhere and are not.
func (s *sharing) missing(q *shared, found map[string]string) (n int) {
	for _, m := range s.messages {
		if m.q == q && found[m.id] == "" && m.state == there && !m.loose && (q.kind != "refuse" || m.by.mode == "confirm" && !m.unheard) {
			n++
			s.note("%s is not in %s", m.id, q.name)
		}
	}
	return n
}

// settled checks that everything on a channel is confirmed.
func (s *sharing) settled(l *lane) {
	for end := time.Now().Add(20 * time.Second); len(l.unsure) > 0 && s.wrong == ""; {
		s.pump(10 * time.Millisecond)
		if time.Now().After(end) {
			s.fail("%d publishes on %d/%d are not confirmed", len(l.unsure), l.c.index, l.ch)
		}
	}
}

func (s *sharing) closed() bool {
	for _, c := range s.clients {
		for _, l := range c.lanes {
			if l.closing {
				return false
			}
		}
	}
	return true
}

// contents returns what is left in a queue. Nobody may get from a quorum queue with a single active consumer.
func (s *sharing) contents(look *peer, name string) (list []string) {
	if q := s.queues[name]; q == nil || q.kind != "quorum single" {
		for {
			text := look.exchange(s.t, &amqp.BasicGet{Queue: name, NoAck: true})
			if !strings.HasPrefix(text, "basic.get-ok") {
				return list
			}
			list = append(list, text)
		}
	}
	_, _ = look.nc.Write(amqp.AppendMethod(nil, 1, &amqp.BasicConsume{Queue: name, ConsumerTag: "look", NoAck: true}))
	for range 100_000 {
		f, err := look.frame(300 * time.Millisecond)
		if err != nil {
			break
		}
		if text := look.answer(s.t, f); strings.HasPrefix(text, "basic.deliver") {
			list = append(list, text)
		}
	}
	look.exchange(s.t, &amqp.BasicCancel{ConsumerTag: "look"})
	return list
}

// drain reads what is left in a queue.
func (s *sharing) drain(look *peer, name string, found map[string]string) {
	last, priority := map[string]int{}, 255
	for _, text := range s.contents(look, name) {
		_, content, _ := strings.Cut(text, ` | "`)
		id, _, _ := strings.Cut(content, ":")
		s.note("%s has %s", name, plain(text))
		if found[id] != "" {
			s.fail("%s is in %s and in %s", id, found[id], name)
		}
		found[id] = name
		m := s.messages[id]
		if m == nil || name == "dead" || m.loose {
			continue
		}
		if again := strings.Contains(text, "Redelivered=true"); again != m.delivered && (!again || !m.q.ends) {
			s.fail("%s is left in %s: redelivered is %t and delivered is %t", id, name, again, m.delivered)
		}
		if strings.Contains(m.q.kind, "quorum") || m.q.kind == "late" {
			continue
		}
		if strings.Contains(m.q.kind, "priority") {
			if p := int(min(m.priority, 4)); p > priority {
				s.fail("%s is behind what has priority %d in %s", id, priority, name)
			} else {
				priority = p
			}
		}
		from := fmt.Sprintf("%d/%d, %d", m.by.c.index, m.by.ch, min(m.priority, 4))
		if m.n < last[from] {
			s.fail("%s is behind m%d in %s", id, last[from], name)
		}
		last[from] = m.n
	}
}

// account checks that a message is where it belongs.
func (s *sharing) account(m *message, where string) {
	if m.loose {
		return
	}
	ok := true
	switch m.state {
	case gone, refused, dropped, pending:
		ok = where == ""
	case rejected:
		ok = where == "dead"
	case held:
		ok = false
	case there:
		ok = where == "" || where == m.q.name || where == "dead" && (m.delivered || m.q.kind == "drop" || m.q.kind == "brief" || m.q.ends)
	}
	if !ok {
		s.fail("%s of %s, a queue that is %s, is %s at the end, and found in %q", m.id, m.q.name, m.q.kind, m.state, where)
	}
}
