package queue

import "slices"

// atRest finds messages to be moved out of memory at the read position, when
// nobody reads there: there is no consumer, or none has had room since the
// last Tick. It comes last, since who comes next wants these first.
func (s *State) atRest() (c *chunk) {
	if len(s.consumers) > 0 && (!s.resting || s.readSoFar() != s.ticked) {
		return nil
	}
	for _, c := range s.consumers {
		if !c.stalled && !c.standby {
			return nil
		}
	}
	s.each(func(l *lane) bool {
		c = s.atRestIn(l)
		return c == nil
	})
	return c
}

// atRestIn is atRest in one lane.
func (s *State) atRestIn(l *lane) *chunk {
	s.rewind(l)
	if l.pool == 0 {
		return nil
	}
	c := s.headChunkOf(l)
	if c.cold != nil {
		return nil
	}
	if n := l.head - c.first; n > 0 {
		s.slots.split(c, int(n)) //nolint:gosec // a number of slots
		front := c
		c = s.slots.chunkOf(l.head)
		s.slots.passed(front)
	}
	return c
}

// rewind takes the read position of a lane back over messages that came back,
// as far as there is nothing else: so that the many that a consumer took with
// it when it ended are a backlog again, and not a list.
func (s *State) rewind(l *lane) {
	if s.unordered && len(s.returned) > 0 { // that order is to stay
		return
	}
	begin, _ := slices.BinarySearch(s.returned, l.head>>LaneShift<<LaneShift)
	end, _ := slices.BinarySearch(s.returned, l.head)
	n := end // those before it stay
	at := l.head
	for at > 0 && n > begin {
		c := s.slots.chunkOf(at - 1)
		if c == nil || c.cold != nil {
			break // strays are not found by reading on
		}
		for at > c.first && n > begin {
			switch st := c.slots[at-1-c.first].state(); {
			case st == stateGone:
			case st == stateReady && s.returned[n-1] == at-1:
				n--
			default:
				s.rewindTo(l, at, n, end)
				return
			}
			at--
		}
	}
	s.rewindTo(l, at, n, end)
}

// rewindTo makes what came back from place n to end part of the pool.
func (s *State) rewindTo(l *lane, at uint64, n, end int) {
	if n == end {
		return
	}
	l.furthest = max(l.furthest, l.head)
	l.head = at
	s.count(l, end-n)
	s.returned = slices.Delete(s.returned, n, end)
}
