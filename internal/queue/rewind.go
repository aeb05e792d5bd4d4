package queue

// atRest finds messages to be moved out of memory at the read position, when
// nobody reads there: no consumer has room. It comes last, since who comes
// next wants these first.
func (s *State) atRest() *chunk {
	if s.lanes != nil {
		return nil
	}
	for _, c := range s.consumers {
		if !c.stalled && !c.standby {
			return nil
		}
	}
	s.rewind()
	c := s.headChunk()
	if c == nil || c.cold != nil {
		return nil
	}
	if n := s.only.head - c.first; n > 0 {
		s.slots.split(c, int(n)) //nolint:gosec // a number of slots
		front := c
		c = s.slots.chunkOf(s.only.head)
		s.slots.passed(front)
	}
	return c
}

// rewind takes the read position back over messages that came back, as far as
// there is nothing else: so that the many that a consumer took with it when it
// ended are a backlog again, and not a list.
func (s *State) rewind() {
	n := len(s.returned) // those before it stay
	at := s.only.head
	for at > 0 && n > 0 {
		c := s.slots.chunkOf(at - 1)
		if c == nil || c.cold != nil {
			break // strays are not found by reading on
		}
		for at > c.first && n > 0 {
			switch st := c.slots[at-1-c.first].state(); {
			case st == stateGone:
			case st == stateReady && s.returned[n-1] == at-1:
				n--
			default:
				s.rewindTo(at, n)
				return
			}
			at--
		}
	}
	s.rewindTo(at, n)
}

// rewindTo makes what came back behind the first n part of the pool.
func (s *State) rewindTo(at uint64, n int) {
	if n == len(s.returned) {
		return
	}
	s.only.furthest = max(s.only.furthest, s.only.head)
	s.only.head = at
	s.count(&s.only, len(s.returned)-n)
	s.returned = s.returned[:n]
}
