package queue

// Browse returns ready messages without delivering them: those of the first run
// that has any with a number of from or more, and the number behind the run.
// Cold says that the run is outside of memory: ThawAt(next) and Thawed should
// follow, and Browse again. It returns false when there are none.
func (s *State) Browse(from uint64) (kept []Kept, next uint64, cold, ok bool) {
	for _, c := range s.slots.chunks {
		if c.end() <= from || c.live == 0 {
			continue
		}
		if c.cold != nil {
			return nil, c.first, true, true
		}
		for i := range c.slots {
			if seq := c.first + uint64(i); seq >= from && c.slots[i].state() == stateReady {
				kept = append(kept, s.kept(c, i))
			}
		}
		if len(kept) > 0 {
			return kept, c.end(), false, true
		}
	}
	return nil, 0, false, false
}

// kept describes message i of a chunk in memory.
func (s *State) kept(c *chunk, i int) Kept {
	sl := &c.slots[i]
	seq := c.first + uint64(i) //nolint:gosec // an index
	return Kept{Seq: seq, Redelivered: sl.meta&metaRedelivered != 0, Message: Message{
		Slab: s.slots.rows.all[sl.row].slab, Off: sl.off, Size: sl.size, RouteLen: uint16(sl.routeLen()), //nolint:gosec // it came as one
		Persistent: sl.meta&metaPersistent != 0, Dead: sl.meta&metaDead != 0, Deadline: c.deadline(i),
	}}
}

// Cancel removes a ready message that is in memory; false: there is none.
func (s *State) Cancel(seq uint64, fx *Effects) bool {
	sl := s.slots.get(seq)
	if sl.state() != stateReady {
		return false
	}
	if l := s.lane(seq); seq >= l.head {
		s.count(l, -1)
	} else {
		s.gaps++
	}
	s.drop(seq, fx)
	s.closeGaps()
	return true
}
