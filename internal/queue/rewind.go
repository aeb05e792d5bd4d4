package queue

// atRest finds messages to be moved out of memory at the read position, when
// nobody reads there: there is no consumer, or none has had room since the
// last Tick. It comes last, since who comes next wants these first.
func (s *State) atRest() *chunk {
	if len(s.consumers) > 0 && (!s.resting || s.head != s.ticked) {
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
	if n := s.head - c.first; n > 0 {
		s.slots.split(c, int(n)) //nolint:gosec // a number of slots
		front := c
		c = s.slots.chunkOf(s.head)
		s.slots.passed(front)
	}
	return c
}

// rewind takes the read position back over messages that came back, as far as
// there is nothing else: so that the many that a consumer took with it when it
// ended are a backlog again, and not a list.
func (s *State) rewind() {
	n := len(s.returned) // those before it stay
	at := s.head
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
	s.furthest = max(s.furthest, s.head)
	s.head = at
	s.pool += len(s.returned) - n
	s.returned = s.returned[:n]
}
