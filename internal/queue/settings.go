package queue

// Settings are what a queue's arguments and policies say about its messages.
// The zero value asks for nothing.
type Settings struct {
	// MaxMessages and MaxBytes bound the messages that wait and their bodies
	// (x-max-length, x-max-length-bytes). Nil is no limit.
	MaxMessages, MaxBytes *int64
	// Refuse says that a message for which there is no room is not taken,
	// instead of another being dropped for it (x-overflow reject-publish), and
	// RefusedDie that it is a dead letter then (reject-publish-dlx).
	Refuse, RefusedDie bool
	// TTL is how long a message may wait, in milliseconds. Nil: for ever.
	TTL *int64
	// Counts says that the deliveries of each message are counted: the header
	// x-delivery-count. A message whose deliveries failed more than
	// DeliveryLimit times dies; less than 0: it does not.
	Counts        bool
	DeliveryLimit int64
	// RetryFailed and RetryReturned say that messages that come back, because
	// their consumer failed or returned them, wait elsewhere before they are
	// delivered again: they die for the reason Again. One that came back more
	// than RetryLimit times is Undeliverable; less than 0: it waits again. Counts
	// has to be set.
	RetryFailed, RetryReturned bool
	RetryLimit                 int64
	// Parks says that the owner wants to have what is Undeliverable.
	Parks bool
	// Single says that one consumer at a time is served, the others stand by
	// (x-single-active-consumer); Preempt that one with a higher priority takes
	// over. Set before there are consumers.
	Single, Preempt bool
	// ReturnsFirst says that messages that come back are delivered before all
	// others, in the order of their return, and not in their old places. Set before
	// there are messages.
	ReturnsFirst bool
	// ConsumerTimeout is how long a consumer may hold a message, in
	// milliseconds; 0: as long as it likes. See Hold.
	ConsumerTimeout int64
	// DeadLetters says that the owner wants to have what dies: Effects.Dead.
	DeadLetters bool
}

// Configure sets what the queue does from now on. Messages that are there keep
// the deadlines that they have; what is too many for new limits goes with the
// next Expire, which is due at once.
func (s *State) Configure(set Settings) {
	s.set = set
	s.overfull = s.limited() && !set.Refuse && s.over()
}

// Reason is why a message died.
type Reason uint8

// The reasons.
const (
	Rejected Reason = iota
	Expired
	MaxLen        // there was no room for it
	Undeliverable // its deliveries failed too often
	Again         // it did not die: it waits to be delivered again
)

// String returns the reason as the x-death header names it.
func (r Reason) String() string {
	return [...]string{"rejected", "expired", "maxlen", "delivery_limit", "retry"}[r]
}

// Dead is a message that is no longer in the queue and whose owner wants to
// know. When it is persistent, its sequence number is not among those that
// are Settled: it is the owner who tells the Log.
type Dead struct {
	Seq        uint64
	Image      []byte // in slab memory: read only, valid as long as it is held
	RouteLen   int
	Persistent bool
	Dead, Seen bool // as in Message
	Reason     Reason
	Tries      Tries // how often it was delivered, when that is counted
}

// limited reports whether the queue has a limit.
func (s *State) limited() bool { return s.set.MaxMessages != nil || s.set.MaxBytes != nil }

func (s *State) over() bool { return s.overWith(0, 0) }

// overWith is over with some more messages of so many bytes.
func (s *State) overWith(n int, bytes int64) bool {
	l := &s.set
	return l.MaxMessages != nil && int64(s.pool+len(s.returned)+n) > *l.MaxMessages ||
		l.MaxBytes != nil && s.ready.body-s.promised+bytes > *l.MaxBytes
}

// publishSome is Publish for a queue that refuses what it has no room for, each
// message for itself. What consumers can take at once takes no room.
func (s *State) publishSome(batch []Message, now int64, fx *Effects) {
	s.offer(fx)
	for i := range batch {
		m := &batch[i]
		if s.full(m) && !m.Back {
			fx.Refused = append(fx.Refused, i)
			if s.set.RefusedDie && s.set.DeadLetters {
				fx.Dead = append(fx.Dead, Dead{
					Image: m.Slab.Bytes(m.Off, m.Size), RouteLen: int(m.RouteLen), Dead: m.Dead, Reason: MaxLen,
				})
			}
			continue
		}
		s.push(batch[i:i+1], fx)
		s.offer(fx)
		if m.due(now) {
			s.Expire(now, fx)
		}
	}
	s.distribute(fx)
}

// full reports whether there is no room for one more message.
func (s *State) full(m *Message) bool {
	l := &s.set
	return l.MaxMessages != nil && int64(s.pool+len(s.returned)) >= *l.MaxMessages ||
		l.MaxBytes != nil && s.ready.body-s.promised+int64(BodySize(m.Slab.Bytes(m.Off, m.Size), int(m.RouteLen))) > *l.MaxBytes
}

// spare promises what is about to be dropped to consumers that have room and
// are about to come: RabbitMQ's would have it by now.
func (s *State) spare() {
	if s.limited() && !s.set.Refuse && !s.paused {
		s.spareWhile(s.over)
	}
}

// spareFor is spare for messages that are about to come back: their room is not there yet.
func (s *State) spareFor(seqs []uint64) {
	if !s.limited() || s.set.Refuse || s.paused {
		return
	}
	bytes := int64(0)
	for _, seq := range seqs {
		sl := s.slots.get(seq)
		bytes += sl.body()
	}
	s.spareWhile(func() bool { return s.overWith(len(seqs), bytes) })
}

func (s *State) spareWhile(over func() bool) {
	most := min(s.Ready(), spareMax)
	for i := 0; i < len(s.turns) && s.pool+len(s.returned) > 0 && over() && s.available() && s.promised < spareBytes; {
		c := s.turns[i]
		if c.waiting || c.room(most) <= 0 || !s.may(c) {
			i++
			continue
		}
		s.promise(c)
		s.served(c)
		i = 0
	}
}

// Bounds of what is spared from being dropped for consumers: they may not come.
const (
	spareMax   = 1 << 11 // messages of one
	spareBytes = 16 << 20
)

// dropHead drops the oldest messages that wait while there are too many. What
// is promised to a consumer counts as delivered.
func (s *State) dropHead(fx *Effects) {
	if s.limited() && !s.set.Refuse {
		s.dropSome(s.pool+len(s.returned), fx)
	}
}

// dropSome drops at most most messages and returns how many; what is left over
// is due at once.
func (s *State) dropSome(most int, fx *Effects) (n int) {
	for s.pool+len(s.returned) > 0 && s.over() {
		if n == most {
			s.overfull = true
			return n
		}
		var nobody Consumer
		one := 1
		seq, ok := s.nextFor(&nobody, &one)
		if !ok { // dropped when it is in memory again
			fx.Load = true
			return n
		}
		s.die(seq, MaxLen, fx)
		n++
	}
	return n
}
