package broker

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/pmap"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/route"
	"github.com/warrenmq/warren/internal/slab"
)

// Message is one published message as it came over the wire.
type Message struct {
	// Route is exchange and routing key as two short strings: the start of
	// basic.publish after its reserved field, and of the wire image.
	Route         []byte
	Exchange, Key []byte // the same without their lengths
	Headers       amqp.RawTable
	Extra         [][]byte // further routing keys: the CC and BCC headers
	Blind         int      // how many of Extra, at its end, are BCC's: Content has none of them
	// Content is the content header frame and the body frames.
	Content    []byte
	Persistent bool // delivery_mode 2
	Priority   uint8
	Ranked     bool // it names a priority, even if that is 0
	// Expires says that the message has a TTL: milliseconds that it may wait
	// in a queue (the expiration property).
	Expires bool
	TTL     int64

	// Ticket is what Publisher.Refused is told when a queue refuses the message;
	// not 0 or nobodys, and no other message's of the batch.
	Ticket uint64

	dead, seen bool // as in queue.Message
}

// Publisher publishes for one connection. It gathers what one socket read
// brought and enters each queue once. It belongs to the connection's reader.
type Publisher struct {
	// Refused, if set, is told during Flush, before durable may run, the
	// tickets of messages that a queue had no room for. One may come twice, and
	// 0 for one that is not known.
	Refused func(tickets []uint64)

	vhost *Vhost
	slabs slab.Writer
	log   Log

	tally tally
	// The last route: most publishers send to one place.
	top    *topology
	route  []byte
	from   *Exchange
	queues []*Queue
	// sticky says that queues depends on nothing but top and route, and that
	// the message was no answer: those go to who awaits them, not to queues.
	sticky  bool
	replied int
	waits   []waiting // where the message has to wait first
	err     *amqp.Error
	freed   *Queue // where it has waited
	// duped says that the message is a duplicate where it came to, picky that
	// queues may have seen it.
	duped, picky     bool
	noted, originals []noted // of the batch

	dst     []Destination
	visited []string

	gathered int // places in the batch
	runs     []run
	byQueue  map[*Queue]int // index into runs, once there are many
	batch    Batch
	waiting  []entering

	sampled *Sampled // by the next Flush; nil: it is not

	settling []*Queue // those of batch.Settled
	then     []follow
	woken    []*queue.Consumer
}

// entering is a queue whose messages from first on are in the batch.
type entering struct {
	queue  *Queue
	first  uint64
	firsts []uint64 // of each lane, in a queue with priorities
}

// manyRuns is from how many queues on a flush finds them by map.
const manyRuns = 16

// carryMax is how many consumers a publisher serves itself: those behind them
// would wait.
const carryMax = 4

// NewPublisher returns a publisher on v.
func (v *Vhost) NewPublisher() *Publisher { return &Publisher{vhost: v, log: v.opts.Log} }

// Publish routes one message and enters it into the batch. It returns how
// many queues take it; the error is the channel's.
func (p *Publisher) Publish(m *Message) (int, *amqp.Error) {
	before := len(p.noted)
	if err := p.find(m); err != nil {
		p.unnote(before)
		return 0, err
	}
	n := len(p.queues) + p.replied + len(p.waits)
	if p.duped {
		n++
	}
	p.count(n, 1)
	if n == 0 {
		p.unnote(before)
		p.tally.settle(p.vhost.counts)
		p.from.lost.add(m)
		return 0, nil
	}
	p.enter(m)
	return n, nil
}

// Again is Publish for messages with the route of the last one, and nothing
// else that decides where they go; they differ from m in their contents, and
// the ticket of each is step more than that of the one before. It returns how
// many it took: all when one queue takes them that wants to know no more, else
// the first, and none when they have to be published anew.
func (p *Publisher) Again(m *Message, contents [][]byte, step uint64) int {
	if !p.sticky || len(p.queues) == 0 || p.top != p.vhost.top.Load() || !bytes.Equal(p.route, m.Route) {
		return 0
	}
	if len(p.queues) > 1 || len(p.waits) > 0 || p.picky || m.Expires {
		contents = contents[:1]
		p.count(len(p.queues), 1)
		m.Content = contents[0]
		p.enter(m)
	} else {
		p.count(1, len(contents))
		p.enterAll(p.queues[0], m, contents, step)
	}
	m.Content = nil
	return len(contents)
}

// enterAll is enter for messages that differ in their contents and go to one
// queue.
func (p *Publisher) enterAll(q *Queue, m *Message, contents [][]byte, step uint64) {
	persistent, priority := q.Durable && (m.Persistent || q.Quorum), q.rank(m.Priority, m.Ranked)
	r, refuses, ticket := p.run(q), q.refuses.Load(), m.Ticket
	for _, content := range contents {
		m.Content = content
		sl, off, size := p.image(m)
		logged := -1
		if persistent {
			logged = len(p.batch.Images)
			p.batch.Images = append(p.batch.Images, sl.Bytes(off, size))
		}
		r.images = append(r.images, logged)
		r.messages = append(r.messages, queue.Message{
			Slab: sl, Off: off, Size: size, RouteLen: uint16(len(m.Route)), //nolint:gosec // two short strings
			Persistent: persistent, Priority: priority, Dead: m.dead, Seen: m.seen,
		})
		if refuses {
			r.note(ticket)
			ticket += step
		}
	}
	p.gathered += len(contents)
}

// enter gives a message to p.queues.
func (p *Publisher) enter(m *Message) {
	if len(p.waits) > 0 {
		p.wait(m)
	}
	if p.picky {
		p.dropSeen(m)
	}
	if len(p.queues) == 0 {
		return
	}
	sl, off, size := p.image(m)
	msg := queue.Message{Slab: sl, Off: off, Size: size, RouteLen: uint16(len(m.Route)), Priority: m.Priority, Dead: m.dead, Seen: m.seen} //nolint:gosec // two short strings
	if m.Expires {
		msg.Deadline = p.vhost.env.until(m.TTL)
	}
	logged := -1
	for _, q := range p.queues {
		msg.Persistent = q.Durable && (m.Persistent || q.Quorum)
		msg.Priority = q.rank(m.Priority, m.Ranked)
		if msg.Persistent && logged < 0 {
			logged = len(p.batch.Images)
			p.batch.Images = append(p.batch.Images, sl.Bytes(off, size))
		}
		r := p.run(q)
		r.messages = append(r.messages, msg)
		r.timed = r.timed || m.Expires
		if q.refuses.Load() {
			r.note(m.Ticket)
		}
		if msg.Persistent {
			r.images = append(r.images, logged)
		} else {
			r.images = append(r.images, -1)
		}
	}
	p.gathered += len(p.queues)
}

// Gathered returns how many places in queues the batch takes: what it costs
// in memory, however few messages a fanout made it from.
func (p *Publisher) Gathered() int { return p.gathered }

// image copies a message into the open slab.
func (p *Publisher) image(m *Message) (*slab.Slab, uint32, uint32) {
	n := len(m.Route) + 1 + len(m.Content)
	sl, off, dst := p.slabs.Alloc(n)
	copy(dst, m.Route)
	dst[len(m.Route)] = amqp.FrameEnd
	copy(dst[len(m.Route)+1:], m.Content)
	return sl, off, uint32(n) //nolint:gosec // bounded by the message size limit
}

// run finds the batch's entry for q, last first.
func (p *Publisher) run(q *Queue) *run {
	if len(p.runs) <= manyRuns {
		for i := len(p.runs) - 1; i >= 0; i-- {
			if p.runs[i].queue == q {
				return &p.runs[i]
			}
		}
	} else if i, ok := p.byQueue[q]; ok {
		return &p.runs[i]
	}
	if len(p.runs) < cap(p.runs) {
		p.runs = p.runs[:len(p.runs)+1]
	} else {
		p.runs = append(p.runs, run{})
	}
	i := len(p.runs) - 1
	p.runs[i].queue = q
	if i >= manyRuns {
		p.index()
	}
	return &p.runs[i]
}

// index enters the runs into the map that finds them.
func (p *Publisher) index() {
	if p.byQueue == nil {
		p.byQueue = make(map[*Queue]int)
	}
	if len(p.byQueue) == 0 {
		for i := range p.runs {
			p.byQueue[p.runs[i].queue] = i
		}
		return
	}
	p.byQueue[p.runs[len(p.runs)-1].queue] = len(p.runs) - 1
}

// Flush enters the batch into its queues and appends it to the log. When
// everything in it that must be is on stable storage, durable runs; when
// nothing must be, logged is false and durable does not run. The queue with
// consumers that has the most messages ready is longest, for flow control.
// With here the caller has little else to do: it serves the consumers that
// waited, and commits, itself.
func (p *Publisher) Flush(durable func(error), here bool) (longest *Queue, logged bool) {
	longest, logged = p.flush(durable, here)
	for _, f := range p.then {
		f.queue.finish(f.after)
	}
	clear(p.then)
	p.then, p.sampled = p.then[:0], nil
	return longest, logged
}

// flush is Flush but for what follows from it in the queues: p.then.
func (p *Publisher) flush(durable func(error), here bool) (longest *Queue, logged bool) {
	p.sampled.publishedTo(&p.tally)
	p.tally.settle(p.vhost.counts)
	longest = p.flushRuns(here)
	if len(p.noted) > 0 {
		p.keepKeys() // of what was not refused
		p.flushRuns(here)
	}
	p.gathered = 0
	logged = len(p.batch.Places)+len(p.batch.Settled) > 0
	if here && logged && durable != nil && len(p.originals) == 0 {
		p.log.Gather(p.batch, durable) // first: the consumers are served while the disk is at it
		p.entered()
		p.wake(carryMax)
		p.log.Push()
		return longest, true
	}
	p.wake(carryMax)
	if len(p.originals) > 0 {
		return longest, p.flushDuplicates(durable, logged)
	}
	if logged {
		p.log.Append(p.batch, durable)
	}
	p.entered()
	return longest, logged
}

// flushRuns enters the runs into their queues and notes what of them goes to
// the log.
func (p *Publisher) flushRuns(here bool) (longest *Queue) {
	for i := range p.runs {
		r := &p.runs[i]
		logged := slices.ContainsFunc(r.images, func(image int) bool { return image >= 0 })
		first, then, ok := r.queue.publish(r, logged, &p.woken)
		if r.refused != nil {
			p.forget(r.queue, r.refused)
			if p.Refused != nil {
				p.Refused(r.refused)
			}
		}
		p.then = then.add(r.queue, p.then)
		if ok {
			p.sampled.entered(r.queue, len(r.messages))
		}
		if ok && logged {
			p.place(r, first)
			p.waiting = append(p.waiting, entering{r.queue, first, r.firsts})
		}
		if !here {
			p.wake(0)
		}
		if r.queue.Consumers() > 0 && (longest == nil || r.queue.Ready() > longest.Ready()) {
			longest = r.queue
		}
		r.reset()
	}
	p.runs = p.runs[:0]
	clear(p.byQueue)
	return longest
}

// entered tells the queues that the batch is in the log, and empties it.
func (p *Publisher) entered() {
	for _, w := range p.waiting {
		if w.queue.lanes != nil {
			w.queue.appended(w.firsts...)
		} else {
			w.queue.appended(w.first)
		}
	}
	for i, q := range p.settling {
		q.left(p.batch.Settled[i].Seqs)
	}
	clear(p.waiting)
	clear(p.settling)
	p.waiting, p.settling = p.waiting[:0], p.settling[:0]
	p.batch.reset()
	if len(p.noted) > 0 {
		p.keysEntered()
	}
}

// wake wakes the consumers that waited for what was published, and serves the
// first few of them.
func (p *Publisher) wake(carry int) {
	for i, c := range p.woken {
		owner, ok := c.Owner.(*Consumer)
		switch {
		case !ok:
		case i < carry:
			owner.waker.Carry(owner)
		default:
			owner.waker.Wake(owner)
		}
	}
	clear(p.woken)
	p.woken = p.woken[:0]
}

// place notes where the messages of a run went.
func (p *Publisher) place(r *run, first uint64) {
	for i, image := range r.images {
		if image >= 0 {
			seq := r.seq(i, first)
			p.batch.Places = append(p.batch.Places, Place{
				Image: image, Queue: r.queue.UID, Seq: seq,
				RouteLen: int(r.messages[i].RouteLen), Dead: r.messages[i].Dead, Seen: r.messages[i].Seen,
				Deadline: r.messages[i].Deadline,
			})
			if i < len(r.tries) && r.tries[i] != (queue.Tries{}) {
				p.batch.Tried = append(p.batch.Tried, Tried{r.queue.UID, queue.Tried{Seq: seq, Tries: r.tries[i]}})
			}
		}
	}
}

// Err returns what fenced the log: what Flush did not have to log is not
// confirmed either.
func (p *Publisher) Err() error { return p.log.Err() }

// Empty reports whether the batch holds nothing.
func (p *Publisher) Empty() bool { return len(p.runs) == 0 }

// Release gives back what an idle connection does not need.
func (p *Publisher) Release() {
	p.slabs.Release()
	p.runs, p.byQueue, p.batch, p.waiting, p.settling, p.woken = nil, nil, Batch{}, nil, nil, nil
	p.then = nil
	p.top, p.route, p.from, p.queues = nil, nil, nil, nil
}

// Check says whether an exchange may be published to: it exists and is not
// internal.
func (p *Publisher) Check(exchange []byte) *amqp.Error {
	_, err := p.exchange(p.vhost.top.Load(), exchange)
	return err
}

func (p *Publisher) exchange(top *topology, name []byte) (*Exchange, *amqp.Error) {
	x, ok := pmap.GetBytes(top.exchanges, name)
	if !ok {
		return nil, p.vhost.notFound(KindExchange, string(name))
	}
	if x.Internal {
		return nil, amqp.ChannelErrorf(amqp.CodeAccessRefused, "cannot publish to internal %s",
			p.vhost.resource(KindExchange, x.Name))
	}
	return x, nil
}

// find sets p.queues to the queues that m is routed to.
func (p *Publisher) find(m *Message) *amqp.Error {
	top := p.vhost.top.Load()
	if p.sticky && p.top == top && len(m.Extra) == 0 && bytes.Equal(p.route, m.Route) {
		return nil
	}
	p.sticky = false
	x := p.from
	if p.top != top || x.Name != string(m.Exchange) {
		var err *amqp.Error
		if x, err = p.exchange(top, m.Exchange); err != nil {
			return err
		}
	}
	p.begin()
	p.sticky = true
	p.through(top, x, m)
	if p.err != nil {
		return p.err
	}
	p.dedup()
	p.top, p.route, p.from = top, append(p.route[:0], m.Route...), x
	p.sticky = p.sticky && len(m.Extra) == 0
	return nil
}

// begin forgets where the last message went. What is found next is not what the
// last route leads to, unless the caller says so.
func (p *Publisher) begin() {
	p.queues, p.visited, p.replied, p.waits, p.err = p.queues[:0], p.visited[:0], 0, p.waits[:0], nil
	p.sticky, p.duped, p.picky = false, false, false
}

// through routes a message through exchange x and on, each exchange once.
// Where x finds nothing its alternate exchange takes over.
func (p *Publisher) through(top *topology, x *Exchange, m *Message) {
	p.visited = append(p.visited, x.Name)
	p.sticky = p.sticky && x.sticky
	if p.stops(x, m) {
		return
	}
	from := len(p.dst)
	p.match(top, x, m, m.Key)
	if !x.chooses {
		for _, key := range m.Extra {
			p.match(top, x, m, key)
		}
	}
	found := p.dst[from:]
	if len(found) == 0 && x.alternate != "" {
		found = append(p.dst, Destination{exchange: x.alternate})[from:]
	}
	for _, d := range found {
		if d.queue != nil {
			p.queues = append(p.queues, d.queue)
			if d.queue.dedup != nil {
				p.picky, p.sticky = true, false
			}
			continue
		}
		if next, ok := top.exchanges.Get(d.exchange); ok && !p.seen(d.exchange) {
			p.through(top, next, m)
		}
	}
	p.dst = p.dst[:from]
}

// stops reports whether a message goes no further for now: exchange x has seen
// it before, or keeps it. One that goes on may be remembered.
func (p *Publisher) stops(x *Exchange, m *Message) bool {
	if x.dedup != nil && p.duplicate(x.dedup, m, x.Durable, true) {
		p.duped = true
		return true
	}
	if x.delayed != nil && p.keeps(x, m) {
		return true
	}
	if x.history != nil && !route.NoStore(m.Headers) {
		x.history.add(m)
	}
	return false
}

// match appends the destinations of one key to p.dst.
func (p *Publisher) match(top *topology, x *Exchange, m *Message, key []byte) {
	if x.Name != "" {
		r := route.Message{Key: key, Headers: m.Headers, Content: m.Content}
		if x.chance {
			r.Chance = rand.Uint64() //nolint:gosec // not a secret
		}
		p.dst = x.routes.Match(r, p.dst)
		return
	}
	if q, ok := pmap.GetBytes(top.queues, key); ok { // every queue is bound to the default exchange by its name
		p.dst = append(p.dst, Destination{queue: q})
	} else if p.vhost.reply(key, m) {
		p.replied++
		p.sticky = false
	}
}

func (p *Publisher) seen(exchange string) bool {
	return slices.Contains(p.visited, exchange)
}

// dedup leaves each queue once: a message reaches a queue once, however many
// bindings lead there.
func (p *Publisher) dedup() {
	if len(p.queues) < 2 {
		return
	}
	if len(p.queues) <= manyRuns {
		kept := p.queues[:1]
		for _, q := range p.queues[1:] {
			if !slices.Contains(kept, q) {
				kept = append(kept, q)
			}
		}
		p.queues = kept
		return
	}
	seen := make(map[*Queue]bool, len(p.queues))
	kept := p.queues[:0]
	for _, q := range p.queues {
		if !seen[q] {
			seen[q] = true
			kept = append(kept, q)
		}
	}
	p.queues = kept
}
