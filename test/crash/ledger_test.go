package crash_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
)

// A body is pub u16 | seq u32 | crc32 of all else u32 | filler, big endian:
// ten bytes at least, so that no message can be invented or changed unseen.
const bodyHeader = 10

// id names a message: a publisher's number and its count, from 1.
type id struct {
	pub uint16
	seq uint32
}

func (i id) String() string { return fmt.Sprintf("%d/%d", i.pub, i.seq) }

// body makes the body of message i, size bytes long.
func body(i id, size int, rng *rand.Rand) []byte {
	b := make([]byte, max(size, bodyHeader))
	binary.BigEndian.PutUint16(b, i.pub)
	binary.BigEndian.PutUint32(b[2:], i.seq)
	for at := bodyHeader; at+8 <= len(b); at += 8 {
		binary.BigEndian.PutUint64(b[at:], rng.Uint64())
	}
	binary.BigEndian.PutUint32(b[6:], bodySum(b))
	return b
}

func bodySum(b []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(b[:6]), crc32.IEEETable, b[bodyHeader:])
}

// parse reads a body; ok is false when it is not one, whole.
func parse(b []byte) (i id, ok bool) {
	if len(b) < bodyHeader || binary.BigEndian.Uint32(b[6:]) != bodySum(b) {
		return id{}, false
	}
	return id{binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])}, true
}

// Ledger keeps, for every message in every queue, what the clients did with
// it and what they were told, and says what a queue may and must hold after
// the process was killed.
//
// What the broker guarantees is worked out from its code:
//
//   - A persistent message on a durable queue is sure when its confirm (or its
//     transaction's commit-ok) has come: both are sent after the sync of the
//     journal's frame that has it (session.sendConfirms, session.commit).
//   - An acknowledgement by itself promises nothing: its settle is appended to
//     the journal and nobody waits for it. It is synced when a frame behind it
//     is. A connection's reader hands the acknowledgements of what it has read
//     to their queues before it appends the publishes (Conn.flush), so an
//     acknowledgement is appended before a publish that was sent after it on
//     the same connection, and the confirm of that one proves both, except:
//   - While another connection's publishes to the same queue are in the queue
//     and not in the journal yet, settles gather (broker.Queue.unlogged) and
//     are appended when that connection has appended them, before it reads on.
//     So where another connection publishes to the queue, the acknowledgement
//     is proved by a confirm of that connection, for a publish that was sent
//     after the first confirm had come. Where several others publish, there
//     may always be one on its way, and nothing is proved: acknowledgements
//     there count as synced only in transactions, which wait (SettleWith).
//   - A transaction is one frame: its publishes and its acknowledgements are
//     all there or none is. One that was never committed leaves nothing.
//   - That a message may be delivered is on stable storage before it is
//     (broker.Queue.settleLevel): whoever had it finds it marked as
//     redelivered.
//   - A transient message does not survive, and proves nothing.
//
// Whatever is found after a restart is sure from then on, and what is not
// there must never come back.
type Ledger struct {
	mu       sync.Mutex // guards everything, and the fields of books, flows and groups
	clock    uint64
	books    map[string]*book
	last     map[uint16]uint32 // the highest number of each publisher
	groups   []*group          // that are not decided
	deaf     bool              // answers count for nothing
	problems []string
	counts   counts
}

// counts say how much was checked.
type counts struct {
	sent, confirmed, delivered, acked, proved, commits, found, redelivered int
}

// book is what the ledger knows of one queue.
type book struct {
	entries map[id]*entry
	sources []*flow      // who publishes to it
	waiting []provenOnce // acknowledgements that were processed and may not be appended yet
	seen    map[id]bool  // by the present check
}

type provenOnce struct {
	id id
	at uint64
}

// entry is one message in one queue.
type entry struct {
	persistent bool
	sure       bool   // told to be on stable storage, or found there
	put, ack   *group // transactions that it is published and acknowledged in
	delivered  bool
	out        bool // delivered and not settled
	acking     bool // may have been acknowledged
	purged     bool // may have been purged
	acked      bool // its acknowledgement was sent
}

// flow is one connection, as far as the order of its frames matters.
type flow struct {
	acks []ackSent
	// alone says that nobody publishes while this connection lives.
	alone bool
}

type ackSent struct {
	queue string
	id    id
	at    uint64
}

// place is one message in one queue.
type place struct {
	queue string
	id    id
}

// state of a transaction.
type state int

const (
	open       state = iota // nothing of it may be seen
	committing              // commit was sent: all or nothing
	committed
)

// group is a transaction.
type group struct {
	state      state
	puts, acks []place
}

// publish is a message that was sent.
type publish struct {
	id         id
	queues     []string
	persistent bool
	flow       *flow
	late       bool // sent after something had been refused
	at         uint64
}

func newLedger() *Ledger { return &Ledger{books: map[string]*book{}, last: map[uint16]uint32{}} }

// problem notes a violation; l.mu is held.
func (l *Ledger) problem(format string, args ...any) {
	if len(l.problems) < 50 {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

func (l *Ledger) queue(name string) *book {
	b := l.books[name]
	if b == nil {
		b = &book{entries: map[id]*entry{}}
		l.books[name] = b
	}
	return b
}

func (l *Ledger) now() uint64 {
	l.clock++
	return l.clock
}

// live says how many messages a queue may hold.
func (l *Ledger) live(queue string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue(queue).entries)
}

// source notes that f publishes to queues.
func (l *Ledger) source(f *flow, queues ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range queues {
		b := l.queue(name)
		if !slices.Contains(b.sources, f) {
			b.sources = append(b.sources, f)
		}
	}
}

// next numbers a publisher's next message.
func (l *Ledger) next(pub uint16) id {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[pub]++
	return id{pub, l.last[pub]}
}

// sending notes a publish before it is sent; g is its transaction, or nil.
func (l *Ledger) sending(f *flow, i id, persistent bool, g *group, queues ...string) *publish {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.sent++
	l.last[i.pub] = max(l.last[i.pub], i.seq)
	for _, name := range queues {
		l.queue(name).entries[i] = &entry{persistent: persistent, put: g}
		if g != nil {
			g.puts = append(g.puts, place{name, i})
		}
	}
	return &publish{id: i, queues: queues, persistent: persistent, flow: f, at: l.now()}
}

// confirmed notes that a publish was confirmed.
func (l *Ledger) confirmed(p *publish) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return
	}
	l.counts.confirmed++
	if !p.persistent {
		return
	}
	for _, name := range p.queues {
		if e := l.books[name].entries[p.id]; e != nil {
			e.sure = true
		}
	}
	l.prove(p)
}

// prove finds the acknowledgements that the confirm of p proves.
func (l *Ledger) prove(p *publish) {
	for _, b := range l.books {
		if !slices.Contains(b.sources, p.flow) || len(b.sources) > 1 {
			continue
		}
		n := 0
		for n < len(b.waiting) && b.waiting[n].at < p.at {
			l.settled(b, b.waiting[n].id)
			n++
		}
		b.waiting = b.waiting[n:]
	}
	n, now := 0, l.now()
	for n < len(p.flow.acks) && p.flow.acks[n].at < p.at {
		a := p.flow.acks[n]
		n++
		b := l.books[a.queue]
		switch {
		case p.flow.alone, len(b.sources) == 0, len(b.sources) == 1 && b.sources[0] == p.flow:
			l.settled(b, a.id)
		case len(b.sources) == 1:
			b.waiting = append(b.waiting, provenOnce{a.id, now})
		}
	}
	p.flow.acks = p.flow.acks[n:]
}

// settled notes that an acknowledgement is on stable storage.
func (l *Ledger) settled(b *book, i id) {
	if e := b.entries[i]; e != nil && e.acking {
		l.counts.proved++
		delete(b.entries, i) // if it is seen again, it has come back
	}
}

// delivered notes a delivery while the load runs.
func (l *Ledger) delivered(queue string, b []byte) (id, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := parse(b)
	if !ok {
		l.problem("queue %s delivered a body of %d bytes that nobody published", queue, len(b))
		return i, false
	}
	return i, l.deliver(queue, i)
}

// deliver is delivered for a message that was read; l.mu is held.
func (l *Ledger) deliver(queue string, i id) bool {
	l.counts.delivered++
	e := l.queue(queue).entries[i]
	switch {
	case e == nil:
		l.problem("queue %s delivered %s: %s", queue, i, l.unknown(i))
		return false
	case e.out:
		l.problem("queue %s delivered %s to two at once", queue, i)
	case e.acked:
		l.problem("queue %s delivered %s again after its acknowledgement", queue, i)
	case e.put != nil && e.put.state == open:
		l.problem("queue %s delivered %s before its transaction was committed", queue, i)
	}
	e.out, e.delivered = true, true
	return true
}

// unknown says what a message is that no queue may hold.
func (l *Ledger) unknown(i id) string {
	if i.seq > l.last[i.pub] {
		return "nobody published it"
	}
	return "it was gone: its acknowledgement was synced, or an earlier restart did not have it"
}

// returned notes that deliveries were given back.
func (l *Ledger) returned(queue string, ids ...id) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range ids {
		if e := l.queue(queue).entries[i]; e != nil {
			e.out = false
		}
	}
}

// acking notes acknowledgements before they are sent.
func (l *Ledger) acking(queue string, ids ...id) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range ids {
		if e := l.queue(queue).entries[i]; e != nil {
			e.acking, e.out = true, false
		}
	}
}

// acked notes that acknowledgements were sent.
func (l *Ledger) acked(f *flow, queue string, ids ...id) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.acked += len(ids)
	at := l.now()
	for _, i := range ids {
		f.acks = append(f.acks, ackSent{queue, i, at})
		if e := l.queue(queue).entries[i]; e != nil {
			e.acked = true
		}
	}
}

// purging notes that a queue is purged: any of its messages may go.
func (l *Ledger) purging(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.queue(queue).entries {
		e.purged = true
	}
}

// parted notes that connections were closed: what they had goes back, and what
// they acknowledged last may not have been read.
func (l *Ledger) parted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		for _, e := range b.entries {
			e.out, e.acked = false, false
		}
	}
}

// stopListening says that the power goes: what clients are told from now on
// they would never have heard, and it counts for nothing.
func (l *Ledger) stopListening() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

// begin begins a transaction.
func (l *Ledger) begin() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &group{}
	l.groups = append(l.groups, g)
	return g
}

// ackIn notes an acknowledgement in a transaction.
func (l *Ledger) ackIn(g *group, queue string, i id) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.queue(queue).entries[i]; e != nil {
		e.ack = g
		g.acks = append(g.acks, place{queue, i})
	}
}

// committing notes that commit will be sent.
func (l *Ledger) committing(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.state = committing
	for _, p := range g.acks {
		l.books[p.queue].entries[p.id].acking = true
	}
}

// decided notes the answer to a commit or a rollback. False: it counts for
// nothing, and nothing may be built on it.
func (l *Ledger) decided(g *group, yes bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return false
	}
	l.groups = slices.DeleteFunc(l.groups, func(o *group) bool { return o == g })
	for _, p := range g.puts {
		if e := l.books[p.queue].entries[p.id]; !yes {
			delete(l.books[p.queue].entries, p.id)
		} else if e != nil {
			e.sure, e.put = true, nil
		}
	}
	for _, p := range g.acks {
		if yes {
			l.settled(l.books[p.queue], p.id)
		} else if e := l.books[p.queue].entries[p.id]; e != nil {
			e.ack = nil
		}
	}
	if yes {
		g.state = committed
		l.counts.commits++
		l.counts.acked += len(g.acks)
	}
	return true
}

// received is one message as a restart has it.
type received struct {
	body        []byte
	redelivered bool
}

// check compares what a queue holds after a restart, first to last, with what
// it may and must hold.
func (l *Ledger) check(queue string, got []received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.queue(queue)
	b.seen = map[id]bool{}
	last := map[uint16]uint32{}
	for n, r := range got {
		i, ok := parse(r.body)
		if !ok {
			l.problem("queue %s: message %d of %d has a body of %d bytes that nobody published", queue, n, len(got), len(r.body))
			continue
		}
		e := b.entries[i]
		switch {
		case b.seen[i]:
			l.problem("queue %s has %s twice", queue, i)
		case i.seq <= last[i.pub]:
			l.problem("queue %s has %s behind %d/%d", queue, i, i.pub, last[i.pub])
		}
		b.seen[i] = true
		last[i.pub] = i.seq
		l.counts.found++
		l.checkOne(queue, i, e, r.redelivered)
	}
	for i, e := range b.entries {
		if e.sure && e.persistent && !e.acking && !e.purged && !b.seen[i] {
			l.problem("queue %s has lost %s, which was confirmed and not acknowledged", queue, i)
		}
	}
}

func (l *Ledger) checkOne(queue string, i id, e *entry, redelivered bool) {
	switch {
	case e == nil:
		l.problem("queue %s has %s: %s", queue, i, l.unknown(i))
	case !e.persistent:
		l.problem("queue %s has %s, which is transient, after a restart", queue, i)
	case e.put != nil && e.put.state == open:
		l.problem("queue %s has %s of a transaction that was not committed", queue, i)
	case e.delivered && !redelivered:
		l.problem("queue %s has %s not marked as redelivered, though it was delivered", queue, i)
	case redelivered:
		l.counts.redelivered++
	}
}

// settle ends the checks of all queues after a restart: transactions must be
// there as a whole or not at all, and what was found is sure from now on.
func (l *Ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.groups {
		l.checkGroup(g)
	}
	l.groups, l.deaf = nil, false
	for _, b := range l.books {
		for i, e := range b.entries {
			if !b.seen[i] {
				delete(b.entries, i)
				continue
			}
			*e = entry{persistent: true, sure: true, delivered: true}
		}
		b.seen, b.sources, b.waiting = nil, nil, nil
	}
}

func (l *Ledger) checkGroup(g *group) {
	if g.state != committing {
		return // what is wrong with it has been found one by one
	}
	puts, acks := 0, 0
	for _, p := range g.puts {
		if l.books[p.queue].seen[p.id] {
			puts++
		}
	}
	for _, p := range g.acks {
		if !l.books[p.queue].seen[p.id] {
			acks++
		}
	}
	if all, none := puts == len(g.puts) && acks == len(g.acks), puts == 0 && acks == 0; !all && !none {
		l.problem("a transaction is there in part: %d of %d publishes, %d of %d acknowledgements",
			puts, len(g.puts), acks, len(g.acks))
	}
}

// take returns what was found wrong since the last time.
func (l *Ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.problems
	l.problems = nil
	return p
}

// total returns the counts so far.
func (l *Ledger) total() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (c counts) String() string {
	return fmt.Sprintf("%d sent, %d confirmed, %d delivered, %d acknowledged (%d proved synced), %d transactions; %d found after restarts (%d redelivered)",
		c.sent, c.confirmed, c.delivered, c.acked, c.proved, c.commits, c.found, c.redelivered)
}
