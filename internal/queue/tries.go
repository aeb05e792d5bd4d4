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

// Tries returns how often a message was delivered and came back.
func (s *State) Tries(seq uint64) Tries { return s.tries[seq] }

// tried counts a delivery that came back. It reports whether the message may
// be delivered again.
func (s *State) tried(seq uint64, sl *slot, failed bool, fx *Effects) bool {
	t := s.tries[seq]
	t.Acquired++
	if failed {
		t.Failed++
	}
	if failed && s.set.DeliveryLimit >= 0 && int64(t.Failed) > s.set.DeliveryLimit {
		return false
	}
	if s.tries == nil {
		s.tries = map[uint64]Tries{}
	}
	s.tries[seq] = t
	sl.meta |= metaTried
	if sl.meta&metaPersistent != 0 {
		fx.Tried = append(fx.Tried, Tried{seq, t})
	}
	return true
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
