package queue

import "math/bits"

// A queue has one lane or, with priorities (x-max-priority), one for each. The
// upper bits of a sequence number are the lane's, the highest priority's the
// least, so that numbers ascend in the order of delivery in any case.

// LaneShift is how many bits of a sequence number count within a lane.
const LaneShift = 56

// lane is a sequence of messages that are read from front to back.
type lane struct {
	next uint64 // the sequence number of the next message
	head uint64 // the read position: the pool is head and all after it
	// furthest is where head has been before it was taken back.
	furthest uint64
	pool     int // ready messages at or after head
}

// lanes are those of a queue with priorities, the highest first.
type lanes struct {
	all  []lane
	busy [4]uint64 // a bit for each that has a pool
}

// Prioritize gives the queue a lane for each priority from 0 to highest. It is
// called before anything else.
func (s *State) Prioritize(highest uint8) {
	s.lanes = &lanes{all: make([]lane, int(highest)+1)}
	for i := range s.lanes.all {
		s.lanes.all[i].next = uint64(i) << LaneShift
		s.lanes.all[i].head = s.lanes.all[i].next
	}
	s.slots.laned = true
}

// Lanes returns how many lanes the queue has.
func (s *State) Lanes() int {
	if s.lanes == nil {
		return 1
	}
	return len(s.lanes.all)
}

// HeadOf returns how far a lane was read: no message of it from there on was
// delivered.
func (s *State) HeadOf(i int) uint64 {
	l := &s.only
	if s.lanes != nil {
		l = &s.lanes.all[i]
	}
	return max(l.head, l.furthest)
}

// lane returns the lane of a message.
func (s *State) lane(seq uint64) *lane {
	if s.lanes == nil {
		return &s.only
	}
	return &s.lanes.all[seq>>LaneShift]
}

// laneFor returns the lane of a new message.
func (s *State) laneFor(priority uint8) *lane {
	if s.lanes == nil {
		return &s.only
	}
	highest := len(s.lanes.all) - 1
	return &s.lanes.all[highest-min(int(priority), highest)]
}

// nextLane returns the lane of the next message of the pool, which must not be
// empty.
func (s *State) nextLane() *lane {
	if s.lanes == nil {
		return &s.only
	}
	for i, b := range s.lanes.busy {
		if b != 0 {
			return &s.lanes.all[64*i+bits.TrailingZeros64(b)]
		}
	}
	return &s.only
}

// count counts n messages more, or less, in the pool.
func (s *State) count(l *lane, n int) {
	l.pool += n
	s.pool += n
	if s.lanes == nil {
		return
	}
	i := l.next >> LaneShift
	s.lanes.busy[i/64] &^= 1 << (i % 64)
	if l.pool > 0 {
		s.lanes.busy[i/64] |= 1 << (i % 64)
	}
}

// each calls f for each lane, the last to be read first, until it returns
// false.
func (s *State) each(f func(l *lane) bool) {
	if s.lanes == nil {
		f(&s.only)
		return
	}
	for i := range s.lanes.all {
		if !f(&s.lanes.all[len(s.lanes.all)-1-i]) {
			return
		}
	}
}

// readSoFar returns how far all lanes were read, as one number that changes
// with each of them.
func (s *State) readSoFar() (n uint64) {
	if s.lanes == nil {
		return s.only.head
	}
	for i := range s.lanes.all {
		n += s.lanes.all[i].head
	}
	return n
}

// returnedFirst reports whether a message that came back is the next.
func (s *State) returnedFirst() bool {
	if len(s.returned) == 0 {
		return false
	}
	return s.lanes == nil || s.pool == 0 || s.set.ReturnsFirst || s.returned[0] < s.nextLane().head
}

// promisedFirst reports whether what is promised to c comes before the pool,
// even if that has to be fetched first.
func (s *State) promisedFirst(c *Consumer, common int) bool {
	return s.lanes == nil || s.pool == 0 || common <= 0 || s.set.ReturnsFirst || c.assigned[0] < s.nextLane().head
}
