package queue

// Tries says how often a message was delivered and came back: Acquired times,
// Failed times of it because its consumer could not cope with it.
type Tries struct{ Acquired, Failed uint32 }

// Tried is a message that came back, for the Log: in its next life the queue
// goes on counting from there.
type Tried struct {
	Seq uint64
	Tries
}

// RestoreTries sets what an earlier life counted. It is called after Restore.
func (s *State) RestoreTries(tries map[uint64]Tries) {
	if len(tries) > 0 {
		s.tries = tries
	}
}

// Carry says how often a message that was just published was delivered before,
// by this queue or another.
func (s *State) Carry(seq uint64, t Tries) {
	sl := s.slots.get(seq)
	if sl.state() == stateGone {
		return
	}
	sl.meta |= metaTried
	s.slots.set(seq, sl)
	s.setTries(seq, t)
}

// Tries returns how often a message was delivered and came back.
func (s *State) Tries(seq uint64) Tries { return s.tries[seq] }

// verdict is what becomes of a message that came back.
type verdict uint8

const (
	stays verdict = iota // where it was
	waits                // elsewhere, before it is delivered again
	dies
)

// tried counts a delivery that came back.
func (s *State) tried(seq uint64, sl *slot, failed bool, fx *Effects) verdict {
	t := s.tries[seq]
	t.Acquired++
	if failed {
		t.Failed++
	}
	if failed && s.set.DeliveryLimit >= 0 && int64(t.Failed) > s.set.DeliveryLimit {
		return dies
	}
	retry := failed && s.set.RetryFailed || !failed && s.set.RetryReturned
	if retry && s.set.RetryLimit >= 0 && int64(t.Acquired) > s.set.RetryLimit {
		return dies
	}
	s.setTries(seq, t)
	sl.meta |= metaTried
	if retry {
		return waits
	}
	if sl.meta&metaPersistent != 0 {
		fx.Tried = append(fx.Tried, Tried{seq, t})
	}
	return stays
}

func (s *State) setTries(seq uint64, t Tries) {
	if s.tries == nil {
		s.tries = map[uint64]Tries{}
	}
	s.tries[seq] = t
}

// untry forgets the tries of a run outside of memory that is dropped.
func (s *State) untry(c *chunk) {
	for i := range c.cold.span {
		if len(s.tries) == 0 {
			return
		}
		delete(s.tries, c.first+i)
	}
}
