// Package queue is one queue as a pure state machine: messages go in, are
// taken by consumers, settled or returned. It has no goroutine, lock, clock or
// I/O; its owner (broker.Queue) holds a lock around every call, hands in what
// happened, and acts on the Effects that come out.
//
// Every message has a sequence number, its place in the queue for good. Ready
// messages are those from the read position on (the pool) and, before them,
// the ones that came back (AMQP 0-9-1 §1.8.3.27, basic.reject: a returned
// message takes its old place). Consumers pull; only when several wait for
// messages are new ones promised to them in turn, so that an idle set of
// consumers is served round-robin and a busy one at the pace of each.
package queue

import (
	"slices"

	"github.com/warrenmq/warren/internal/slab"
)

// Message is a message on its way in: its wire image in memory.
type Message struct {
	Slab       *slab.Slab
	Off, Size  uint32
	RouteLen   uint16 // bytes of the image before the method frame's end octet
	Persistent bool   // delivery_mode 2 on a durable queue
	Priority   uint8  // what counts in a queue that has priorities
	Dead       bool   // died before: the broker wrote its x-death header
	Seen       bool   // delivered before it came to this queue
	Back       bool   // it was in the queue before: it is not refused
	Deadline   int64  // when it expires, Unix milliseconds; 0: never
}

// Delivery is a message on its way out.
type Delivery struct {
	Seq         uint64
	Image       []byte // in slab memory: read only, valid as long as it is held
	RouteLen    int
	Redelivered bool
	Persistent  bool
	Tries       Tries // before this one, when they are counted
}

// Effects is what a step asks its owner to do. The owner passes one in and
// reuses it; steps append.
type Effects struct {
	// Wake lists consumers that may find messages now.
	Wake []*Consumer
	// Settled lists the sequence numbers of persistent messages that are
	// gone for good: what the Log has to be told.
	Settled []uint64
	// Freed lists where messages were kept outside of memory that are gone.
	Freed []any
	// Tried lists persistent messages that came back, when that is counted.
	Tried []Tried
	// Dead lists messages that died, when Settings.DeadLetters asks for them.
	Dead []Dead
	// Seqs are the numbers of the messages that were taken in, when the queue
	// has priorities.
	Seqs []uint64
	// Overdue lists what was not settled in time.
	Overdue []Overdue
	// Refused are the places in the batch of messages that were not taken.
	Refused []int
	// Fetch lists the first numbers of runs outside of memory in which
	// messages expire: ThawAt and Thawed should follow.
	Fetch []uint64
	// Load says that somebody waits for messages that are outside of memory:
	// Thaw and Thawed should follow.
	Load bool
	// Behind says that what is read next but one is: Ahead and Thawed may follow.
	Behind bool
}

// Reset empties the effects for the next step.
func (fx *Effects) Reset() {
	clear(fx.Freed)
	fx.Wake, fx.Settled, fx.Freed, fx.Load, fx.Behind = fx.Wake[:0], fx.Settled[:0], fx.Freed[:0], false, false
	fx.Seqs = fx.Seqs[:0]
	fx.Refused, fx.Tried = fx.Refused[:0], fx.Tried[:0]
	fx.Dead, fx.Overdue, fx.Fetch = nil, nil, fx.Fetch[:0] // the owner keeps Dead
}

// State is one queue. The zero value is an empty queue.
type State struct {
	set Settings

	slots slots
	only  lane   // of a queue without priorities
	lanes *lanes // of one with them

	ticked uint64 // how far it was read at the last Tick

	returned []uint64 // ascending, all before the head of their lane; see Settings.ReturnsFirst
	assigned int      // messages promised to consumers
	promised int64    // bytes of their bodies
	pool     int      // of all lanes

	unacked   int
	ready     size
	all       size  // ready and unacked
	coldBytes int64 // of those that are outside of memory
	// persistentBytes is of those that the Log keeps.
	persistentBytes int64

	tries map[uint64]Tries // of messages that came back, when that is counted

	holds *holds // deliveries that are to be settled in time; nil: none

	gaps  int      // of returned are gone
	dying []uint64 // of one step

	// These side by side: a queue is the smaller for it.
	resting   bool // it was read as far at the Tick before the last
	unordered bool // returned has to be sorted, or is not to be
	overfull  bool // more than the limits are left to be dropped
	paused    bool // consumers get nothing
	ranked    bool // a consumer has, or had, a priority

	active *Consumer // that has the queue to itself

	consumers []*Consumer
	turns     []*Consumer // in offer: consumers in the order in which they are served
	waiting   []*Consumer // in the order in which they began to wait
}

// Ready returns the number of messages that wait for a consumer.
func (s *State) Ready() int { return s.pool + len(s.returned) + s.assigned }

// Unacked returns the number of messages that are delivered and not settled.
func (s *State) Unacked() int { return s.unacked }

// Bytes returns the size of all messages, ready and unacked, as they lie in
// memory.
func (s *State) Bytes() int64 { return s.all.bytes }

// BodyBytes returns the size of the bodies of all messages.
func (s *State) BodyBytes() int64 { return s.all.body }

// ReadyBodyBytes returns the size of the ready messages' bodies.
func (s *State) ReadyBodyBytes() int64 { return s.ready.body }

// Next returns the sequence number that the next message will get, in a queue
// without priorities.
func (s *State) Next() uint64 { return s.only.next }

// Head returns how far a queue without priorities was read: no message from it
// on was delivered. See HeadOf.
func (s *State) Head() uint64 { return max(s.only.head, s.only.furthest) }

// Publish takes messages in, at the end of the queue; the first of them gets
// sequence number Next. Now, in Unix milliseconds, is needed when the queue has
// a TTL or a message a deadline: Publish sets the deadlines of the batch. Those
// for which there is no room may be refused, see Settings.Refuse: they get no
// sequence number.
func (s *State) Publish(batch []Message, now int64, fx *Effects) {
	soon := now > 0 && s.setDeadlines(batch, now)
	limited := s.limited()
	switch {
	case limited && s.set.Refuse:
		s.publishSome(batch, now, fx)
	case len(batch) > 1 && (limited && soon || s.lanes != nil && (limited || soon)):
		for i := range batch { // what one of them makes go depends on those before it alone
			s.push(batch[i:i+1], fx)
			s.makeRoom(batch[i].due(now), now, fx)
		}
	default:
		s.push(batch, fx)
		s.makeRoom(soon, now, fx)
	}
}

// makeRoom ends the publishing of what was pushed; with due some of it has to
// go at once if nobody takes it.
func (s *State) makeRoom(due bool, now int64, fx *Effects) {
	if due {
		s.offer(fx)
		s.Expire(now, fx)
	}
	s.distribute(fx)
	s.spare()
	s.dropHead(fx)
}

// push appends a batch, a run at a time: what goes to one lane and its last
// chunk has room for.
func (s *State) push(batch []Message, fx *Effects) {
	for rest := batch; len(rest) > 0; {
		l, some := &s.only, rest
		if s.lanes != nil {
			l, some = s.laneFor(rest[0].Priority), rest[:1]
			fx.Seqs = append(fx.Seqs, l.next)
		}
		run := s.slots.push(some, l)
		s.count(l, len(run))
		var sum size
		for i := range run {
			sum.add(&run[i])
			if run[i].meta&metaPersistent != 0 {
				s.persistentBytes += int64(run[i].size) + LogOverhead
			}
		}
		s.ready.more(sum)
		s.all.more(sum)
		rest = rest[len(run):]
	}
}

// setDeadlines lowers the deadlines of new messages to the queue's TTL, and
// reports whether any is due at once.
func (s *State) setDeadlines(batch []Message, now int64) (soon bool) {
	for i := range batch {
		m := &batch[i]
		if t := s.set.TTL; t != nil && (m.Deadline == 0 || m.Deadline > now+*t) {
			m.Deadline = now + *t
			if *t == 0 { // now is rounded up
				m.Deadline--
			}
		}
		soon = soon || m.due(now)
	}
	return soon
}

// due reports whether m may not wait at all; now is 0 when nothing has a
// deadline.
func (m *Message) due(now int64) bool { return m.Deadline != 0 && m.Deadline <= now }

// Settle removes messages that c acknowledged. Numbers that are not
// unacknowledged are passed over. For messages taken by Get, c is nil.
func (s *State) Settle(c *Consumer, seqs []uint64, fx *Effects) {
	n := 0
	for _, seq := range seqs {
		sl := s.slots.get(seq)
		if sl.state() != stateUnacked {
			continue
		}
		s.unhold(seq)
		s.forget(seq, &sl, fx)
		n++
	}
	s.unacked -= n
	s.credit(c, n, fx)
	s.succeed(c, fx)
}

// Reject is Settle for messages that c did not want: they die.
func (s *State) Reject(c *Consumer, seqs []uint64, fx *Effects) {
	if !s.set.DeadLetters {
		s.Settle(c, seqs, fx)
		return
	}
	n := 0
	for _, seq := range seqs {
		sl := s.slots.get(seq)
		if sl.state() != stateUnacked {
			continue
		}
		s.unhold(seq)
		s.bury(seq, &sl, Rejected, fx)
		n++
	}
	s.unacked -= n
	s.credit(c, n, fx)
	s.succeed(c, fx)
}

// Return puts unacknowledged messages back to their old places, marked as
// redelivered. Failed says that their consumer could not cope with them: of
// those for which that was once too often dies what comes back, and what has
// expired by now, in Unix milliseconds, is not given to others. For messages
// taken by Get, c is nil. What comes back from a consumer that had no room goes
// to one that waits, unless that has a lower priority: as with RabbitMQ, it is
// the last whose turn it is.
func (s *State) Return(c *Consumer, seqs []uint64, failed bool, now int64, fx *Effects) {
	s.spareFor(seqs)
	n := 0
	for _, seq := range seqs {
		sl := s.slots.get(seq)
		if sl.state() != stateUnacked {
			continue
		}
		n++
		s.unhold(seq)
		if s.set.Counts && !s.comesBack(seq, &sl, failed, fx) {
			continue
		}
		sl.setState(stateReady)
		sl.meta |= metaRedelivered
		s.slots.set(seq, sl)
		s.ready.add(&sl)
		s.giveBack(seq)
	}
	s.unacked -= n
	full := c != nil && !c.gone && !c.able() && !s.set.Single && len(s.waiting) > 0
	s.credit(c, n, fx)
	s.order()
	s.succeed(c, fx)
	if s.slots.calendar.used && s.slots.due() <= now {
		s.Expire(now, fx)
	}
	if s.set.ReturnsFirst { // as RabbitMQ's two types do it
		s.deal(full, fx)
		s.dropHead(fx)
	} else {
		s.dropHead(fx)
		s.deal(full, fx)
	}
}

// comesBack counts a delivery that came back, and removes the message when it
// does not stay; it reports whether it does.
func (s *State) comesBack(seq uint64, sl *slot, failed bool, fx *Effects) bool {
	switch s.tried(seq, sl, failed, fx) {
	case waits:
		s.bury(seq, sl, Again, fx)
	case dies:
		s.end(seq, sl, Undeliverable, fx)
	case stays:
		return true
	}
	return false
}

// giveBack enters a ready message among the returned; order must follow once
// all are there.
func (s *State) giveBack(seq uint64) {
	if n := len(s.returned); n > 0 && seq < s.returned[n-1] {
		s.unordered = true
	}
	s.returned = append(s.returned, seq)
	s.slots.ready(seq)
}

// order restores the order of the returned messages.
func (s *State) order() {
	if s.set.ReturnsFirst {
		s.unordered = s.unordered && len(s.returned) > 0
	} else if s.unordered {
		slices.Sort(s.returned)
		s.unordered = false
	}
}

// Purge removes all ready messages and returns how many there were.
func (s *State) Purge(fx *Effects) int {
	s.unassign()
	n := s.Ready()
	for _, seq := range s.returned {
		s.drop(seq, fx)
	}
	s.returned = nil
	for s.pool > 0 {
		if c := s.headChunk(); c.cold != nil {
			s.purgeCold(c, fx)
			continue
		}
		s.drop(s.advance(), fx)
	}
	return n
}

// drop removes a message that is no longer counted as ready.
func (s *State) drop(seq uint64, fx *Effects) {
	sl := s.slots.get(seq)
	s.ready.sub(&sl)
	s.forget(seq, &sl, fx)
}

// Tick does what may wait: promises that a consumer did not come for go back
// to everybody, and an empty queue gives memory back. The owner calls it every
// second or so.
func (s *State) Tick(fx *Effects) {
	at := s.readSoFar()
	s.resting, s.ticked = s.ticked == at, at
	if s.assigned > 0 {
		stale := false
		for _, c := range s.consumers {
			stale = s.expire(c) || stale
		}
		if stale {
			s.distribute(fx)
			s.dropHead(fx)
		}
	}
	if s.Ready() == 0 && s.unacked == 0 {
		s.each(func(l *lane) bool {
			l.head = l.next // what is behind it has expired
			return true
		})
		s.slots.trim()
		s.returned, s.dying = nil, nil
	}
}

// die removes a message that is no longer counted as ready, and keeps it for
// the owner when that is asked for.
func (s *State) die(seq uint64, why Reason, fx *Effects) {
	if !s.set.DeadLetters {
		s.drop(seq, fx)
		return
	}
	sl := s.slots.get(seq)
	s.ready.sub(&sl)
	s.bury(seq, &sl, why, fx)
}

// end removes a message that is not ready, and keeps it for the owner when
// that is asked for.
func (s *State) end(seq uint64, sl *slot, why Reason, fx *Effects) {
	if s.set.DeadLetters || s.set.Parks && why == Undeliverable {
		s.bury(seq, sl, why, fx)
	} else {
		s.forget(seq, sl, fx)
	}
}

// bury is forget for a message that the owner wants to have.
func (s *State) bury(seq uint64, sl *slot, why Reason, fx *Effects) {
	persistent := sl.meta&metaPersistent != 0
	fx.Dead = append(fx.Dead, Dead{
		Seq: seq, Image: s.slots.image(sl), RouteLen: sl.routeLen(), Persistent: persistent, Dead: sl.meta&metaDead != 0,
		Seen: sl.meta&metaRedelivered != 0, Reason: why, Tries: s.tries[seq],
	})
	n := len(fx.Settled)
	s.forget(seq, sl, fx)
	fx.Settled = fx.Settled[:n]
}
