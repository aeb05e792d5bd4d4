package queue

import "math"

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

// Prioritize gives the queue a lane for each priority from 0 to highest. It is
// called before anything else.
func (s *State) Prioritize(highest uint8) {
	s.lanes = make([]lane, int(highest)+1)
	for i := range s.lanes {
		s.lanes[i].next = uint64(i) << LaneShift
		s.lanes[i].head = s.lanes[i].next
	}
	s.slots.laned = true
}

// lane returns the lane of a message.
func (s *State) lane(seq uint64) *lane {
	if s.lanes == nil {
		return &s.only
	}
	return &s.lanes[seq>>LaneShift]
}

// laneFor returns the lane of a new message.
func (s *State) laneFor(priority uint8) *lane {
	if s.lanes == nil {
		return &s.only
	}
	highest := len(s.lanes) - 1
	return &s.lanes[highest-min(int(priority), highest)]
}

// nextLane returns the lane of the next message of the pool, which must not be
// empty.
func (s *State) nextLane() *lane {
	for i := range s.lanes {
		if s.lanes[i].pool > 0 {
			return &s.lanes[i]
		}
	}
	return &s.only
}

// wait counts n messages more, or less, in the pool.
func (s *State) count(l *lane, n int) {
	l.pool += n
	s.pool += n
}

// returnedFirst reports whether a message that came back is the next.
func (s *State) returnedFirst() bool {
	if len(s.returned) == 0 {
		return false
	}
	return s.lanes == nil || s.pool == 0 || s.returned[0] < s.nextLane().head
}

// promisedFirst reports whether what is promised to c comes before the pool.
func (s *State) promisedFirst(c *Consumer, common int) bool {
	return s.lanes == nil || s.pool == 0 || common <= 0 || c.assigned[0] < s.nextLane().head || !s.available()
}

// RestoreLanes sets, after Restore, the sequence numbers that follow the
// highest of each lane.
func (s *State) RestoreLanes(ends []uint64) {
	for _, end := range ends {
		if i := (end - 1) >> LaneShift; i < uint64(len(s.lanes)) {
			l := &s.lanes[i]
			l.next = end
			if l.pool == 0 {
				l.head = end
			}
		}
	}
}

// Level returns what the Log has to know at a graceful end of a queue with
// lanes: up to where messages were delivered, all or none.
func (s *State) level() uint64 {
	for i := range s.lanes {
		if l := &s.lanes[i]; max(l.head, l.furthest) > uint64(i)<<LaneShift {
			return math.MaxUint64
		}
	}
	return 0
}

// Held returns how many messages were delivered and are still there.
func (s *State) Held() int { return s.unacked + len(s.returned) }
