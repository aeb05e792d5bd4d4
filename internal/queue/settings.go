package queue

// Settings are what a queue's arguments and policies say about its messages.
// The zero value asks for nothing.
type Settings struct {
	// MaxMessages and MaxBytes bound the messages that wait (x-max-length,
	// x-max-length-bytes). Nil is no limit.
	MaxMessages, MaxBytes *int64
	// TTL is how long a message may wait, in milliseconds. Nil: for ever.
	TTL *int64
	// DeadLetters says that the owner wants to have what dies: Effects.Dead.
	DeadLetters bool
}

// Configure sets what the queue does from now on. Messages that are there keep
// the deadlines that they have; what is too many for new limits goes with the
// next Expire, which is due at once.
func (s *State) Configure(set Settings) {
	s.set = set
	s.overfull = s.limited() && s.over()
}

// Reason is why a message died.
type Reason uint8

// The reasons.
const (
	Rejected Reason = iota
	Expired
	MaxLen // there was no room for it
)

// String returns the reason as the x-death header names it.
func (r Reason) String() string { return [...]string{"rejected", "expired", "maxlen"}[r] }

// Dead is a message that is no longer in the queue and whose owner wants to
// know. When it is persistent, its sequence number is not among those that
// are Settled: it is the owner who tells the Log.
type Dead struct {
	Seq        uint64
	Image      []byte // in slab memory: read only, valid as long as it is held
	RouteLen   int
	Persistent bool
	Dead       bool // as in Message
	Reason     Reason
}

// limited reports whether the queue has a limit.
func (s *State) limited() bool { return s.set.MaxMessages != nil || s.set.MaxBytes != nil }

func (s *State) over() bool {
	l := &s.set
	return l.MaxMessages != nil && int64(s.pool+len(s.returned)) > *l.MaxMessages || l.MaxBytes != nil && s.readyBytes > *l.MaxBytes
}

// dropHead drops the oldest messages that wait while there are too many. What
// is promised to a consumer counts as delivered.
func (s *State) dropHead(fx *Effects) {
	if s.limited() {
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
