package differential_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// broker is one of the two that are compared.
type broker struct {
	name  string
	amqp  string // address
	vhost string
	http  func(method, path, body string) (status int, answer string)
}

// The connections of a script; the last is not the script's: it reads what is left in the queues and removes them, and serves
// one script after the other. RabbitMQ now and then takes five seconds to answer a new connection.
const (
	seats     = 3
	caretaker = 2
)

// player plays one script against one broker.
type player struct {
	b     *broker
	s     *script
	quiet time.Duration
	conns [seats]*seat
	names []string // made up by the broker, in the order of their appearance
	queue []string // all names of queues that the broker made up
}

// seat is one of the script's connections, and what its client remembers.
type seat struct {
	c        *client
	channels map[uint16]*lane
}

// lane is what a client remembers of a channel.
type lane struct {
	confirming bool
	next       uint64 // publish number
	waiting    []uint64
	noAck      map[string]bool // consumers
	held       []delivery
}

type delivery struct {
	tag  uint64
	body string
}

// play returns what each step brought. The caretaker's connection is kept in *kept for the next script.
func (b *broker) play(s *script, quiet time.Duration, kept **seat) ([]string, error) {
	p := &player{b: b, s: s, quiet: quiet}
	p.conns[caretaker] = *kept
	defer func() { p.tidy(); *kept = p.conns[caretaker] }()
	if _, _, err := p.open(op{conn: caretaker, channel: 1}); err != nil {
		return nil, err
	}
	var steps []string
	for _, o := range s.ops {
		text, err := p.step(o)
		if err != nil {
			return append(steps, err.Error()), err
		}
		steps = append(steps, text)
	}
	left, err := p.leftovers()
	return append(steps, left), err
}

// open makes sure that the step's channel is open.
func (p *player) open(o op) (*seat, *lane, error) {
	s := p.conns[o.conn]
	if s == nil {
		c, err := dial(p.b.amqp, p.b.vhost)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.b.name, err)
		}
		s = &seat{c: c, channels: map[uint16]*lane{}}
		p.conns[o.conn] = s
	}
	l := s.channels[o.channel]
	if l == nil {
		s.c.send(o.channel, &amqp.ChannelOpen{})
		if err := s.c.await(o.channel, amqp.IDChannelOpenOk); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.b.name, err)
		}
		l = &lane{noAck: map[string]bool{}}
		s.channels[o.channel] = l
	}
	return s, l, nil
}

// step does one thing and returns all that came of it.
func (p *player) step(o op) (string, error) {
	switch d := o.do.(type) {
	case pause:
		time.Sleep(time.Duration(d))
		return p.gather(o), nil
	case manage:
		status, answer := p.b.http(d.method, p.b.path(d), d.body)
		time.Sleep(5 * p.quiet) // it is applied in the background
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, answer)) + "\n" + p.gather(o), nil
	}
	s, l, err := p.open(o)
	if err != nil {
		return "", err
	}
	switch d := o.do.(type) {
	case hangUp:
		s.c.send(0, &amqp.ConnectionClose{ReplyCode: 200})
		err = s.c.await(0, amqp.IDConnectionCloseOk)
	case publish:
		b := amqp.AppendMethod(nil, o.channel, &d.BasicPublish)
		b = d.props.AppendHeader(b, o.channel, uint64(len(d.body)))
		s.c.write(amqp.AppendBody(b, o.channel, []byte(d.body), 131072))
		if l.confirming {
			l.next++
			l.waiting = append(l.waiting, l.next)
			err = s.c.await(o.channel, amqp.IDBasicAck, amqp.IDBasicNack)
		}
	case settle:
		l.settle(s.c, o.channel, d)
	case amqp.Method:
		s.c.send(o.channel, d)
		switch k := d.(type) {
		case *amqp.BasicConsume:
			l.noAck[k.ConsumerTag] = k.NoAck
		case *amqp.BasicGet:
			l.noAck["basic.get"] = k.NoAck
		}
		if ids := answers(d); ids != nil {
			err = s.c.await(o.channel, ids...)
		}
		l.sent(d)
	}
	text := p.gather(o)
	if err != nil {
		err = fmt.Errorf("%s: %w", p.b.name, err)
	}
	return text, err
}

// sent remembers what a method changes; that it may fail closes the channel.
func (l *lane) sent(m amqp.Method) {
	switch m.(type) {
	case *amqp.ConfirmSelect:
		l.confirming = true
	case *amqp.BasicRecover:
		l.held = nil
	}
}

// settle sends an acknowledgement.
func (l *lane) settle(c *client, channel uint16, d settle) {
	tag := uint64(4711)
	if !d.unknown {
		if len(l.held) == 0 {
			return
		}
		slices.SortStableFunc(l.held, func(a, b delivery) int {
			return cmp.Or(cmp.Compare(a.body, b.body), cmp.Compare(a.tag, b.tag))
		})
		tag = l.held[d.pick%len(l.held)].tag
		l.held = slices.DeleteFunc(l.held, func(h delivery) bool { return h.tag == tag || d.multiple && h.tag < tag })
	}
	switch d.how {
	case "ack":
		c.send(channel, &amqp.BasicAck{DeliveryTag: tag, Multiple: d.multiple})
	case "nack":
		c.send(channel, &amqp.BasicNack{DeliveryTag: tag, Multiple: d.multiple, Requeue: d.requeue})
	case "reject":
		c.send(channel, &amqp.BasicReject{DeliveryTag: tag, Requeue: d.requeue})
	}
}

// gather waits until nothing comes any more and describes what came.
func (p *player) gather(o op) string {
	p.settle(o)
	return p.taken()
}

// taken describes what came so far.
func (p *player) taken() string {
	var b strings.Builder
	for i, s := range p.conns {
		if s == nil {
			continue
		}
		list, closed := s.c.take()
		p.remember(s, list)
		for _, line := range p.lines(s, list) {
			fmt.Fprintf(&b, "  %d/%s\n", i, line)
		}
		if closed {
			_ = s.c.nc.Close()
			p.conns[i] = nil
		}
	}
	return b.String()
}

// settle waits until nothing comes any more. That the broker had the time to say more is seen by a round trip behind the wait, on the
// channel of the step if that is still there: when it took long, the wait begins again. A machine with much to do, or a broker
// that was stopped for a while, makes the waits longer and no differences.
func (p *player) settle(o op) {
	var open []*client
	for _, s := range p.conns {
		if s != nil {
			open = append(open, s.c)
		}
	}
	for range 20 {
		calm(p.quiet, open...)
		begun := time.Now()
		if s := p.conns[o.conn]; s == nil || s.channels[o.channel] == nil || !s.c.barrier(o.channel) {
			if s := p.conns[caretaker]; s == nil || !s.c.barrier(1) {
				return
			}
		}
		if took := time.Since(begun); took < p.quiet*2/3 || took >= patience { // of a channel that says nothing no more is expected
			return
		}
	}
}

// remember notes what the client has to know of what came.
func (p *player) remember(s *seat, list []event) {
	for _, e := range list {
		if e.queue != "" {
			p.queue = append(p.queue, e.queue)
		}
		l := s.channels[e.channel]
		if l == nil {
			continue
		}
		tag, isDelivery := strings.CutPrefix(e.group, "deliver ")
		switch {
		case e.id == amqp.IDChannelClose, e.id == amqp.IDChannelCloseOk:
			delete(s.channels, e.channel)
		case isDelivery && !l.noAck[tag], e.id == amqp.IDBasicGetOk && !l.noAck["basic.get"]:
			l.held = append(l.held, delivery{e.tag, e.body})
		}
	}
}

// lines describes what came on a connection, group by group: what is not in
// order among groups is not compared.
func (p *player) lines(s *seat, list []event) (lines []string) {
	groups := map[string][]string{}
	var order []string
	confirms := map[uint16][2][]uint64{}
	for _, e := range list {
		if e.id == amqp.IDChannelOpenOk {
			continue
		}
		if e.group == "confirm" {
			confirms[e.channel] = s.confirmed(e, confirms[e.channel])
			continue
		}
		key := fmt.Sprintf("%d %s", e.channel, e.group)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], fmt.Sprintf("%d %s", e.channel, p.short(e.text)))
	}
	slices.Sort(order)
	for _, key := range order {
		lines = append(lines, groups[key]...)
	}
	for channel := range uint16(8) {
		for i, tags := range confirms[channel] {
			if slices.Sort(tags); len(tags) > 0 {
				lines = append(lines, fmt.Sprintf("%d confirmed, %s: %v", channel, [2]string{"ack", "nack"}[i], tags))
			}
		}
	}
	return lines
}

// confirmed adds the publishes that a confirm is for to those acked and nacked.
func (s *seat) confirmed(e event, got [2][]uint64) [2][]uint64 {
	l, i := s.channels[e.channel], 0
	if e.id == amqp.IDBasicNack {
		i = 1
	}
	if l == nil {
		return got
	}
	multiple := strings.Contains(e.text, "Multiple=true")
	l.waiting = slices.DeleteFunc(l.waiting, func(n uint64) bool {
		done := n == e.tag || multiple && n < e.tag
		if done {
			got[i] = append(got[i], n)
		}
		return done
	})
	return got
}

// madeUp matches names that brokers make up.
var madeUp = regexp.MustCompile(`amq\.(?:gen-|ctag-|rabbitmq\.reply-to\.)[A-Za-z0-9_./+=-]{15,}`)

// short replaces what is made up by the number of the name.
func (p *player) short(text string) string {
	text = madeUp.ReplaceAllStringFunc(text, func(name string) string {
		i := slices.Index(p.names, name)
		if i < 0 {
			p.names = append(p.names, name)
			i = len(p.names) - 1
		}
		return fmt.Sprintf("$%d", i+1)
	})
	return text
}

// leftovers closes the connections and reads what is in the queues then.
func (p *player) leftovers() (string, error) {
	for i, s := range p.conns[:caretaker] {
		if s != nil {
			s.c.send(0, &amqp.ConnectionClose{ReplyCode: 200})
			if err := s.c.await(0, amqp.IDConnectionCloseOk); err != nil {
				return "", fmt.Errorf("%s: %w", p.b.name, err)
			}
			_ = s.c.nc.Close()
			p.conns[i] = nil
			p.settle(op{conn: caretaker, channel: 1}) // one after the other: what comes back may depend on it
		}
	}
	var b strings.Builder
	for _, q := range p.s.queues {
		for range 12 {
			s, _, err := p.open(op{conn: caretaker, channel: 1})
			if err == nil {
				s.c.send(1, &amqp.BasicGet{Queue: q, NoAck: true})
				err = s.c.await(1, amqp.IDBasicGetOk, amqp.IDBasicGetEmpty)
			}
			if err != nil {
				return "", fmt.Errorf("%s: %w", p.b.name, err)
			}
			text := p.taken()
			if b.WriteString(text); !strings.Contains(text, "get-ok") {
				break
			}
		}
	}
	return b.String(), nil
}

// tidy removes what the script left behind.
func (p *player) tidy() {
	for _, s := range p.conns[:caretaker] {
		if s != nil {
			_ = s.c.nc.Close()
		}
	}
	for end := time.Now().Add(patience); !p.remove() && time.Now().Before(end); {
		time.Sleep(p.quiet)
	}
	for _, o := range p.s.ops {
		if m, ok := o.do.(manage); ok && m.method == http.MethodPut {
			p.b.http(http.MethodDelete, p.b.path(m), "")
			time.Sleep(5 * p.quiet) // in the background again
		}
	}
}

// remove deletes what the script declared. False: it was refused, since an exclusive queue's connection has not
// ended yet.
func (p *player) remove() bool {
	s, _, err := p.open(op{conn: caretaker, channel: 1})
	if err != nil {
		return false
	}
	for _, q := range slices.Concat(p.s.queues, p.queue) {
		s.c.send(1, &amqp.QueueDelete{Queue: q, NoWait: true})
	}
	for _, x := range p.s.exchanges {
		s.c.send(1, &amqp.ExchangeDelete{Exchange: x, NoWait: true})
	}
	s.c.send(1, &amqp.BasicQos{})
	if s.c.await(1, amqp.IDBasicQosOk) != nil {
		_ = s.c.nc.Close()
		p.conns[caretaker] = nil
		return false
	}
	p.taken()
	return p.conns[caretaker] != nil && s.channels[1] != nil
}

// path is that of a request, in the broker's vhost.
func (b *broker) path(m manage) string { return strings.Replace(m.path, "/VHOST/", "/"+b.vhost+"/", 1) }

// overHTTP makes requests to an HTTP API as guest.
func overHTTP(base string) func(method, path, body string) (int, string) {
	return func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, base+path, strings.NewReader(body)) //nolint:noctx // the test's end
		if err != nil {
			return 0, err.Error()
		}
		req.SetBasicAuth("guest", "guest")
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		answer, _ := io.ReadAll(res.Body)
		return res.StatusCode, reason(answer)
	}
}

// reason takes the reason out of an error of the API.
func reason(answer []byte) string {
	var e struct{ Reason any }
	if json.Unmarshal(answer, &e) != nil || e.Reason == nil {
		return ""
	}
	return fmt.Sprint(e.Reason)
}
