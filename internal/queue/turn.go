package queue

// Whose turn it is: a single active consumer has the queue to itself while the
// others stand by, and of consumers with priorities those with a lower one come
// when those with a higher one have no room.

// Pause stops deliveries to consumers, or lets them go on. Messages come in and
// expire all the same, and what is delivered can be settled; what was promised
// to consumers waits with the rest.
func (s *State) Pause(on bool, fx *Effects) {
	if s.paused = on; on {
		s.unassign()
		s.dropHead(fx) // promises take no room
		return
	}
	s.distribute(fx)
}

// Paused reports whether deliveries are stopped.
func (s *State) Paused() bool { return s.paused }

// able reports whether c can take messages, or is about to.
func (c *Consumer) able() bool {
	return !c.gone && !c.standby && (c.NoAck || c.Prefetch == 0 || c.unacked+len(c.assigned) < c.Prefetch)
}

// may reports whether c may have messages that are promised to nobody.
func (s *State) may(c *Consumer) bool {
	if c.standby {
		return false
	}
	if s.ranked {
		for _, d := range s.consumers {
			if d.Priority > c.Priority && d.able() {
				return false
			}
		}
	}
	return true
}

// enlist makes c a consumer and reports whether it is to be served.
func (s *State) enlist(c *Consumer, fx *Effects) bool {
	s.consumers = append(s.consumers, c)
	s.turns = append(s.turns, c)
	s.ranked = s.ranked || c.Priority != 0
	if !s.set.Single {
		return true
	}
	if s.active == nil {
		s.active = c
		return true
	}
	c.standby = true
	if s.set.Preempt && !s.active.standby && c.Priority > s.active.Priority {
		s.active.standby = true // until what it has is settled
		s.stopWaiting(s.active)
		s.release(s.active)
		s.succeed(s.active, fx)
	}
	return false
}

// Active returns the single active consumer, nil when there is none.
func (s *State) Active() *Consumer { return s.active }

// succeed makes another consumer the active one when c was it and has nothing
// to do with it any more: it is gone, or stands by and holds no message.
func (s *State) succeed(c *Consumer, fx *Effects) {
	if c == nil || c != s.active || !c.gone && (!c.standby || c.unacked > 0) {
		return
	}
	s.active = nil
	for _, d := range s.consumers {
		if s.active == nil || d.Priority > s.active.Priority {
			s.active = d
		}
	}
	if s.active != nil {
		s.active.standby = false
		s.wait(s.active)
		s.distribute(fx)
	}
}
