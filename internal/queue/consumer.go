package queue

import "slices"

// promiseMax is how many messages a waiting consumer is promised at once.
const promiseMax = 32

// Bounds of what is offered to consumers that may not come.
const (
	offerMax   = 1 << 13  // messages of one
	offerBytes = 64 << 20 // of bodies, of all that are about to come
)

// Consumer is one consumer of one queue. The exported fields are set before
// Add and do not change; the rest belongs to the State.
type Consumer struct {
	// Owner is whatever the queue's owner needs to find its own object.
	Owner any
	// Prefetch is the most messages that may be unacknowledged; 0: no limit.
	Prefetch int
	// NoAck consumers' messages are settled when they are taken.
	NoAck bool
	// Priority is from where on consumers with a lower one come only when those
	// with a higher one have no room (consumer argument x-priority).
	Priority int64
	// Timeout takes the place of Settings.ConsumerTimeout; 0: it does not.
	Timeout int64

	unacked  int
	assigned []uint64 // promised to this consumer, ascending; see Settings.ReturnsFirst
	promised bool     // assigned survived one Tick
	waiting  bool     // found nothing, is in State.waiting
	stalled  bool     // found no credit
	held     bool     // its owner lets it take nothing for now
	standby  bool     // another consumer has the queue to itself
	gone     bool
}

// Unacked returns how many messages this consumer has not settled.
func (c *Consumer) Unacked() int { return c.unacked }

// Busy reports whether most of what c may hold unsettled is with its client.
func (c *Consumer) Busy() bool { return !c.NoAck && c.Prefetch > 0 && 4*c.unacked >= 3*c.Prefetch }

// room returns how many more messages may be promised to c: at most most.
func (c *Consumer) room(most int) int {
	n := most
	if !c.NoAck && c.Prefetch > 0 {
		n = min(n, c.Prefetch-c.unacked)
	}
	return n - len(c.assigned)
}

// credit takes back n unacknowledged messages and wakes a consumer that
// waited for that. A nil consumer (basic.get) has no credit.
func (c *Consumer) credit(n int, fx *Effects) {
	if c == nil || n == 0 {
		return
	}
	c.unacked -= n
	if c.stalled && !c.gone {
		c.stalled = false
		fx.Wake = append(fx.Wake, c)
	}
}

// Add makes c a consumer and wakes it when there is something for it.
func (s *State) Add(c *Consumer, fx *Effects) {
	if s.enlist(c, fx) {
		s.wait(c)
		s.distribute(fx)
	}
}

// Remove ends a consumer. Its unacknowledged messages stay outstanding until
// they are settled or returned; those promised to it go to the others.
func (s *State) Remove(c *Consumer, fx *Effects) {
	i := slices.Index(s.consumers, c)
	if i < 0 {
		return
	}
	s.consumers = slices.Delete(s.consumers, i, i+1)
	s.turns = slices.Delete(s.turns, slices.Index(s.turns, c), 1+slices.Index(s.turns, c))
	c.gone = true
	s.stopWaiting(c)
	s.release(c)
	s.succeed(c, fx)
	s.distribute(fx)
	s.dropHead(fx) // what was promised counts again
}

// unsentMax is how many messages a consumer without a prefetch is taken to have
// room for: RabbitMQ's queues give a channel as many that its socket has not
// taken.
const unsentMax = 200

// wantingMax is how many consumers are asked whether they have room: each
// question looks at all of them.
const wantingMax = 64

// Wanted reports whether consumers have room for all that is ready. Then there
// is nothing for basic.get: with RabbitMQ they had it when it came.
func (s *State) Wanted() bool {
	left := s.pool + len(s.returned)
	for i := 0; i < min(len(s.consumers), wantingMax) && left > 0; i++ {
		switch c := s.consumers[i]; {
		case c.held || !s.may(c):
		case c.NoAck || c.Prefetch == 0:
			left -= unsentMax
		default:
			left -= max(0, c.room(c.Prefetch))
		}
	}
	return left <= 0
}

// Consumers returns the number of consumers.
func (s *State) Consumers() int { return len(s.consumers) }

// All returns the consumers in the order in which they came. The slice is the
// state's own.
func (s *State) All() []*Consumer { return s.consumers }

func (s *State) wait(c *Consumer) {
	if !c.waiting {
		c.waiting = true
		s.waiting = append(s.waiting, c)
	}
}

func (s *State) stopWaiting(c *Consumer) {
	if c.waiting {
		c.waiting = false
		s.waiting = slices.Delete(s.waiting, slices.Index(s.waiting, c), 1+slices.Index(s.waiting, c))
	}
}

// distribute wakes waiting consumers for ready messages. One that waits alone
// is only woken and takes what it can. Several are each promised messages in
// turn, so that who is quicker to wake does not decide who is served.
func (s *State) distribute(fx *Effects) { s.deal(false, fx) }

// deal is distribute; with always, one that waits alone is promised messages too.
func (s *State) deal(always bool, fx *Effects) {
	if len(s.waiting) == 0 || s.pool+len(s.returned) == 0 || s.paused {
		return
	}
	if !s.available() {
		fx.Load = true
		return
	}
	most := promiseMax
	if s.limited() { // what a waiting consumer can take is not dropped
		most = s.pool + len(s.returned)
	} else if len(s.waiting) == 1 && !always {
		c := s.waiting[0]
		if !s.may(c) {
			return
		}
		c.waiting = false
		s.waiting = s.waiting[:0]
		fx.Wake = append(fx.Wake, c)
		return
	}
	for more := true; more; {
		more = s.promiseRound(most)
	}
	left := s.available()
	s.waiting = slices.DeleteFunc(s.waiting, func(c *Consumer) bool {
		if len(c.assigned) == 0 && (!left || !s.may(c)) {
			return false
		}
		c.waiting = false
		fx.Wake = append(fx.Wake, c)
		return true
	})
	if len(s.waiting) > 0 && s.pool > 0 && !left {
		fx.Load = true
	}
}

// promiseRound promises one message to each waiting consumer that has less than
// most; false: to none.
func (s *State) promiseRound(most int) (more bool) {
	for _, c := range s.waiting {
		if !s.available() {
			break
		}
		if c.room(most) > 0 && s.may(c) {
			s.promise(c)
			if s.set.Refuse {
				s.served(c)
			}
			more = true
		}
	}
	return more
}

// offer promises ready messages to all consumers that have room, in turn,
// whether they wait or are about to come: what nobody can take at once is to go.
// One without a prefetch has room for offerMax, as RabbitMQ's has for 200 that
// its socket has not taken: it may not come.
func (s *State) offer(fx *Effects) {
	most := min(s.Ready(), offerMax)
	for i := 0; !s.paused && i < len(s.turns) && s.available(); {
		c := s.turns[i]
		if c.room(most) <= 0 || !s.may(c) || s.promised >= offerBytes && !c.waiting {
			i++
			continue
		}
		s.promise(c)
		s.served(c)
		if c.waiting {
			s.stopWaiting(c)
			fx.Wake = append(fx.Wake, c)
		}
		if s.ranked && !c.able() {
			i = 0 // it may be the turn of those with a lower priority
		}
	}
}

// served makes c the last whose turn it is, in a queue that offers its messages.
func (s *State) served(c *Consumer) {
	if i := slices.Index(s.turns, c); i >= 0 {
		copy(s.turns[i:], s.turns[i+1:])
		s.turns[len(s.turns)-1] = c
	}
}

// took is called when c has taken messages, more than were promised to it or not.
func (s *State) took(c *Consumer, more bool, fx *Effects) {
	if s.set.Refuse && more {
		s.served(c)
	}
	if s.ranked && !c.able() {
		s.distribute(fx) // to those with a lower priority
	}
}

// credit is Consumer.credit. One that had no room is the last whose turn it is.
func (s *State) credit(c *Consumer, n int, fx *Effects) {
	if s.set.Refuse && c != nil && n > 0 && !c.able() {
		s.served(c)
	}
	c.credit(n, fx)
}

// promise assigns the first ready message to c.
func (s *State) promise(c *Consumer) {
	var nobody Consumer
	one := 1
	seq, _ := s.nextFor(&nobody, &one)
	sl := s.slots.get(seq)
	sl.setState(stateAssigned)
	s.slots.set(seq, sl)
	s.promised += sl.body()
	if n := len(c.assigned); n > 0 && seq < c.assigned[n-1] && !s.set.ReturnsFirst {
		i, _ := slices.BinarySearch(c.assigned, seq)
		c.assigned = slices.Insert(c.assigned, i, seq)
	} else {
		c.assigned = append(c.assigned, seq)
	}
	c.promised = false
	s.assigned++
}

// release gives what was promised to c back to everybody.
func (s *State) release(c *Consumer) {
	later := len(s.returned)
	for _, seq := range c.assigned {
		sl := s.slots.get(seq)
		sl.setState(stateReady)
		s.slots.set(seq, sl)
		s.promised -= sl.body()
		s.giveBack(seq)
	}
	if s.set.ReturnsFirst && later > 0 && len(c.assigned) > 0 { // they were the first
		s.returned = slices.Concat(s.returned[later:], s.returned[:later])
		s.unordered = true
	}
	s.assigned -= len(c.assigned)
	c.assigned = nil
	s.order()
}

// unassign takes back all promises.
func (s *State) unassign() {
	if s.assigned == 0 {
		return
	}
	for _, c := range s.consumers {
		s.release(c)
	}
}

// steal takes the first of the promised messages from its consumer. The others stay where they are: what
// came back to everybody would be given to a consumer that has later ones.
func (s *State) steal() (seq uint64, ok bool) {
	var from *Consumer
	for _, c := range s.consumers {
		if len(c.assigned) > 0 && (!ok || c.assigned[0] < seq) {
			from, seq, ok = c, c.assigned[0], true
		}
	}
	if ok {
		from.assigned = from.assigned[1:]
		s.assigned--
	}
	return seq, ok
}

// expire takes back promises that are older than one Tick.
func (s *State) expire(c *Consumer) bool {
	if len(c.assigned) == 0 {
		return false
	}
	if !c.promised {
		c.promised = true
		return false
	}
	s.release(c)
	return true
}
