package session_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// TestShared has two connections share queues: several consumers with priorities or a single active
// one, transactions, confirms, delays, limits and what comes back, in writes that are cut anywhere.
// Who gets what is free then; what is not is held against a ledger of all messages:
//
//   - none is lost: each is settled, in its queue, a dead letter or purged, and none is in two places;
//   - nobody gets what another has, what is settled, or what was published in a transaction that is
//     not committed;
//   - a delivery is marked as redelivered when, and only when, it was delivered before;
//   - of one publisher each consumer gets what is new in its order, as long as no consumer has gone or
//     kept the queue waiting for a second;
//   - delivery tags are one after the other, and nobody has more than its prefetch;
//   - a publish is confirmed once, and what is refused is never seen;
//   - one consumer at a time is served when that was asked for, and none after cancel-ok;
//   - what is left in a queue stands in the order of its priorities and its publishers.
//
// SEED and COUNT are as for TestTogether. A run of a seed is not the same each time.
func TestShared(t *testing.T) {
	t.Parallel()
	eachSeed(t, 60, 4, func(t *testing.T, seed uint64) {
		t.Helper()
		s := &sharing{t: t, r: rand.New(rand.NewPCG(seed, 3)), messages: map[string]*message{}, queues: map[string]*shared{}}
		if s.play(); s.wrong != "" {
			t.Errorf("seed %d: %s\n%s", seed, s.wrong, strings.Join(s.log, "\n"))
		}
	})
}

// sharing is one play.
type sharing struct {
	t        *testing.T
	r        *rand.Rand
	b        *warrentest.Broker
	clients  []*client
	events   chan happening
	messages map[string]*message
	queues   map[string]*shared
	names    []string
	wrong    string
	log      []string
	begun    time.Time
}

// shared is a queue.
type shared struct {
	name, kind string
	ends       bool // a consumer has gone, so that what was meant for it may come to another
	silent     bool // a consumer without acknowledgements was cut off: what is lost then is lost
	purged     int
}

// message is one message and what became of it.
type message struct {
	id        string
	n         int // in the order of publishing
	q         *shared
	by        *lane
	priority  uint8
	state     state
	holder    *consumer // nil: by basic.get
	with      *lane     // who has it, or had it last
	delivered bool      // somebody got it
	loose     bool      // a connection was cut that had to do with it: it may be there or not
	unheard   bool      // its channel ended before it was confirmed
}

type state string

const (
	pending  state = "in a transaction"
	there    state = "in the queue"
	held     state = "with a client"
	gone     state = "settled"
	rejected state = "rejected"
	refused  state = "refused"
	dropped  state = "rolled back"
)

// client is a connection, lane a channel of it.
type client struct {
	index int
	p     *peer
	lanes []*lane
	burst []byte
}

type lane struct {
	c        *client
	ch       uint16
	mode     string
	closing  bool
	tags     uint64
	held     []holding
	settled  []holding // in the transaction
	pending  []*message
	next     uint64
	unsure   map[uint64]*message // not confirmed
	gets     []get
	consume  map[string]*consumer
	content  amqp.Method
	size     uint64
	body     []byte
	prefetch int
	last     map[string]int // by queue and publisher: the last that basic.get got
}

type holding struct {
	tag     uint64
	m       *message
	how     state // what becomes of it with the commit
	requeue bool
}

type get struct {
	q     *shared
	noAck bool
}

type consumer struct {
	tag    string
	q      *shared
	l      *lane
	noAck  bool
	served bool
	ending bool // cancelled; over: and that was answered
	over   bool
	has    int
	last   map[string]int
}

type happening struct {
	c   *client
	f   amqp.Frame
	err error
}

func (s *sharing) chance(n int) bool { return s.r.IntN(n) == 0 }

func (s *sharing) fail(format string, a ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf(format, a...)
	}
}

func (s *sharing) note(format string, a ...any) { s.log = append(s.log, fmt.Sprintf(format, a...)) }

// play plays a script and looks at what is left.
func (s *sharing) play() {
	s.begun = time.Now()
	s.b = warrentest.Start(s.t)
	defer s.b.Stop()
	s.events = make(chan happening, 1<<16)
	look := open(s.t, s.b, true)
	defer func() { _ = look.nc.Close() }()
	look.exchange(s.t, &amqp.ChannelOpen{})
	s.declare(look)
	for i := range 2 {
		s.clients = append(s.clients, s.connect(i))
	}
	for range 10 + s.r.IntN(25) {
		if s.wrong != "" {
			break
		}
		for range 1 + s.r.IntN(12) {
			s.act()
		}
		s.flush()
		s.pump(time.Duration(s.r.IntN(3)) * 500 * time.Microsecond)
		if s.chance(40) {
			s.cut(s.clients[s.r.IntN(2)])
		}
	}
	s.end(look)
}

// declare makes the queues: each has dead letters, so that what goes is seen.
func (s *sharing) declare(look *peer) {
	setup := []amqp.Method{
		&amqp.QueueDeclare{Queue: "dead"}, &amqp.ExchangeDeclare{Exchange: "late", Type: "x-delayed-message", Arguments: amqp.Table{{Key: "x-delayed-type", Value: "direct"}}},
	}
	for i := range 3 {
		q := &shared{name: fmt.Sprintf("q%d", i), kind: []string{
			"plain", "plain", "single", "priority", "quorum", "quorum single", "drop", "refuse", "late", "brief", "priority single",
		}[s.r.IntN(11)]}
		d := &amqp.QueueDeclare{Queue: q.name, Durable: s.chance(2), Arguments: amqp.Table{
			{Key: "x-dead-letter-exchange", Value: ""}, {Key: "x-dead-letter-routing-key", Value: "dead"},
		}}
		for word := range strings.FieldsSeq(q.kind) {
			switch word {
			case "single":
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-single-active-consumer", Value: true})
			case "priority":
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-max-priority", Value: int32(4)})
			case "quorum":
				d.Durable = true
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-queue-type", Value: "quorum"}, amqp.Field{Key: "x-delivery-limit", Value: int32(2)})
			case "drop":
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-max-length", Value: int32(1 + s.r.IntN(20))})
			case "refuse":
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-max-length", Value: int32(1 + s.r.IntN(20))}, amqp.Field{Key: "x-overflow", Value: "reject-publish"})
			case "brief":
				d.Arguments = append(d.Arguments, amqp.Field{Key: "x-message-ttl", Value: int32(s.r.IntN(30))})
			}
		}
		setup = append(setup, d, &amqp.QueueBind{Queue: q.name, Exchange: "late", RoutingKey: q.name})
		s.queues[q.name] = q
		s.names = append(s.names, q.name)
		s.note("%s is %s, %s", q.name, q.kind, describe(d))
	}
	for _, m := range setup {
		if text := look.exchange(s.t, m); strings.HasPrefix(text, "channel.close") {
			s.fail("%s: %s", m.ID(), text)
		}
	}
}

// connect opens a connection with two channels.
func (s *sharing) connect(index int) *client {
	c := &client{index: index, p: open(s.t, s.b, true)}
	go func() {
		for {
			f, err := c.p.frame(20 * time.Minute) // somebody may have stopped the machine
			s.events <- happening{c, f, err}
			if err != nil {
				return
			}
		}
	}()
	for ch := range uint16(2) {
		l := &lane{c: c, ch: ch + 1, mode: []string{"", "confirm", "confirm", "tx"}[s.r.IntN(4)]}
		c.lanes = append(c.lanes, l)
		s.open(l)
	}
	return c
}

// open opens a channel.
func (s *sharing) open(l *lane) {
	*l = lane{c: l.c, ch: l.ch, mode: l.mode, next: 1, unsure: map[uint64]*message{}, consume: map[string]*consumer{}, last: map[string]int{}}
	s.send(l, &amqp.ChannelOpen{})
	switch l.mode {
	case "confirm":
		s.send(l, &amqp.ConfirmSelect{})
	case "tx":
		s.send(l, &amqp.TxSelect{})
	}
	if l.prefetch = s.r.IntN(6); l.prefetch > 0 {
		s.send(l, &amqp.BasicQos{PrefetchCount: uint16(l.prefetch)})
	}
}

func (s *sharing) send(l *lane, m amqp.Method) {
	s.note("%d/%d %s%s", l.c.index, l.ch, m.ID(), describe(m))
	l.c.burst = amqp.AppendMethod(l.c.burst, l.ch, m)
}

// flush writes what the clients have to say, cut anywhere, now of one and now of the other.
func (s *sharing) flush() {
	for len(s.clients[0].burst)+len(s.clients[1].burst) > 0 {
		c := s.clients[s.r.IntN(2)]
		n := len(c.burst)
		if n == 0 {
			continue
		}
		if s.chance(2) {
			n = 1 + s.r.IntN(n)
		}
		_, _ = c.p.nc.Write(c.burst[:n])
		c.burst = c.burst[n:]
	}
}

// pump takes what comes until nothing does for a while.
func (s *sharing) pump(quiet time.Duration) {
	for s.wrong == "" {
		select {
		case e := <-s.events:
			s.happened(e)
		case <-time.After(quiet):
			return
		}
	}
}

// cut ends a connection as a network does: nobody knows what of its last words was heard.
func (s *sharing) cut(c *client) {
	s.note("%d is cut", c.index)
	_ = c.p.nc.Close()
	// Messages that nobody acknowledges may be on their way, and go there until the broker knows.
	for _, l := range c.lanes {
		for _, g := range l.gets {
			g.q.silent = true
		}
		for _, k := range l.consume {
			k.q.silent = k.q.silent || k.noAck
		}
	}
	for _, m := range s.messages {
		m.loose = m.loose || m.by.c == c || m.with != nil && m.with.c == c || m.q.silent
	}
	for _, l := range c.lanes {
		s.leave(l)
	}
	s.clients[c.index] = s.connect(c.index)
}

// leave notes that a channel is about to end: what it has goes back.
func (s *sharing) leave(l *lane) {
	l.closing = true
	for _, h := range append(l.held, l.settled...) {
		s.back(h.m)
	}
	for _, m := range l.pending {
		m.state = dropped
	}
	l.held, l.settled, l.pending = nil, nil, nil
	for _, g := range l.gets { // the answer may be on its way
		g.q.ends = true
	}
	for _, m := range l.unsure { // nobody hears what is refused now
		m.unheard = true
	}
	for _, k := range l.consume {
		k.ending, k.over, k.q.ends = true, true, true
	}
}

// back notes that a message is in its queue again.
func (s *sharing) back(m *message) {
	if m.state == held {
		m.state = there
	}
}
