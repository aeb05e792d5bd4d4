package queue

// Take moves up to limit ready messages with about budget bytes to consumer c
// and appends them to dst. With NoAck they are settled at once, else they
// count as c's unacknowledged ones. A consumer that finds nothing is woken by
// a later step's Effects. A limit of 0 says that its owner holds it back for
// now, see Wanted.
func (s *State) Take(c *Consumer, limit, budget int, dst []Delivery, fx *Effects) []Delivery {
	if c.gone || c.standby {
		return dst
	}
	if s.paused {
		s.wait(c)
		return dst
	}
	room := limit
	c.held = limit <= 0
	if !c.NoAck && c.Prefetch > 0 {
		room = min(room, c.Prefetch-c.unacked)
	}
	if room <= 0 || budget <= 0 {
		c.stalled = c.Prefetch > 0 && c.unacked >= c.Prefetch
		return dst
	}
	common := s.pool + len(s.returned)
	if n := len(s.consumers); n > 1 && !s.ranked && !s.set.Single {
		common = min(common, max(1, common/n))
	}
	if !s.may(c) {
		common = 0
	}
	taken, promised := 0, len(c.assigned)
	for taken < room && budget > 0 {
		before := len(dst)
		if dst = s.takeSome(c, room-taken, &common, &budget, dst, fx); len(dst) == before {
			break
		}
		taken += len(dst) - before
	}
	if taken == 0 {
		s.wait(c)
	}
	if taken < room && budget > 0 && s.pool > 0 && !s.available() && s.may(c) {
		fx.Load = true
	}
	if taken > 0 {
		s.took(c, taken > promised, fx)
		fx.Behind = fx.Behind || s.behind() != nil
	}
	return dst
}

// takeSome takes messages that lie together, or else one, if there is any that
// c may have. Common is as in nextFor, budget what is left of it.
func (s *State) takeSome(c *Consumer, limit int, common, budget *int, dst []Delivery, fx *Effects) []Delivery {
	if s.plain(c) {
		before := len(dst)
		if dst = s.takeRun(c, min(limit, *common), budget, dst, fx); len(dst) > before {
			*common -= len(dst) - before
			return dst
		}
	}
	seq, ok := s.nextFor(c, common)
	if !ok {
		return dst
	}
	d := s.deliver(seq, c, fx)
	*budget -= len(d.Image)
	return append(dst, d)
}

// plain reports whether c has its messages from the pool alone, in their order.
func (s *State) plain(c *Consumer) bool {
	return s.lanes == nil && len(s.returned) == 0 && len(c.assigned) == 0
}

// takeRun takes what lies together at the read position for a plain consumer:
// up to limit messages, none when the next one needs a closer look. It spells
// out what deliver does too: a function that returns a Delivery copies it once
// more, which costs a tenth of the rate.
func (s *State) takeRun(c *Consumer, limit int, budget *int, dst []Delivery, fx *Effects) []Delivery {
	limit = min(limit, s.pool)
	if limit <= 0 {
		return dst
	}
	k := s.headChunk()
	if k == nil || k.cold != nil {
		return dst
	}
	l := &s.only
	slots := k.slots[l.head-k.first:]
	slots = slots[:min(limit, len(slots))]
	var sum size
	n := 0
	for ; n < len(slots) && *budget > 0; n++ {
		sl := &slots[n]
		if sl.state() != stateReady || sl.meta&metaTried != 0 {
			break
		}
		d := Delivery{
			Seq: l.head + uint64(n), Image: s.slots.image(sl), RouteLen: sl.routeLen(),
			Redelivered: sl.meta&metaRedelivered != 0, Persistent: sl.meta&metaPersistent != 0,
		}
		*budget -= len(d.Image)
		dst = append(dst, d)
		sum.add(sl)
		if c.NoAck && d.Persistent {
			fx.Settled = append(fx.Settled, d.Seq)
			s.persistentBytes -= int64(sl.size) + LogOverhead
		}
	}
	s.count(l, -n)
	l.head += uint64(n)
	s.ready.less(sum)
	if c.NoAck {
		s.all.less(sum)
		s.slots.removeRun(k, slots[:n], l.head)
		return dst
	}
	for i := range slots[:n] {
		slots[i].setState(stateUnacked)
	}
	c.unacked += n
	s.unacked += n
	return dst
}

// Get takes one ready message for basic.get; ok is false when there is none,
// or none in memory yet.
// Of those promised to consumers it takes the first when nothing else is left.
func (s *State) Get(noAck bool, fx *Effects) (d Delivery, ok bool) {
	getter := Consumer{NoAck: noAck}
	common := 1
	seq, ok := s.nextFor(&getter, &common)
	if !ok && s.pool > 0 { // outside of memory: come again
		fx.Load = true
		return Delivery{}, false
	}
	if !ok {
		if seq, ok = s.steal(); !ok {
			return Delivery{}, false
		}
	}
	d = s.deliver(seq, &getter, fx)
	fx.Behind = fx.Behind || s.behind() != nil
	return d, true
}

// nextFor removes the first message that c may have from the ready ones:
// those promised to it and, as long as *common allows, the shared ones.
func (s *State) nextFor(c *Consumer, common *int) (uint64, bool) {
	mine := len(c.assigned) > 0
	if *common > 0 && s.returnedFirst() && (!mine || s.returned[0] < c.assigned[0] && !s.set.ReturnsFirst) {
		*common--
		seq := s.returned[0]
		s.returned = s.returned[1:]
		return seq, true
	}
	if mine && s.promisedFirst(c, *common) {
		seq := c.assigned[0]
		c.assigned = c.assigned[1:]
		s.assigned--
		return seq, true
	}
	if *common > 0 && s.available() {
		*common--
		return s.advance(), true
	}
	return 0, false
}

// advance moves the read position over the next message of the pool;
// available or headChunk has just found it in memory.
func (s *State) advance() uint64 {
	l := s.nextLane()
	l.head++
	s.count(l, -1)
	return l.head - 1
}

// deliver hands ready message seq to c.
func (s *State) deliver(seq uint64, c *Consumer, fx *Effects) Delivery {
	sl := s.slots.get(seq)
	d := Delivery{
		Seq: seq, Image: s.slots.image(&sl), RouteLen: sl.routeLen(),
		Redelivered: sl.meta&metaRedelivered != 0, Persistent: sl.meta&metaPersistent != 0,
	}
	if sl.meta&metaTried != 0 {
		d.Tries = s.tries[seq]
	}
	if sl.state() == stateAssigned {
		s.promised -= sl.body()
	}
	s.ready.sub(&sl)
	if c.NoAck {
		s.forget(seq, &sl, fx)
		return d
	}
	c.unacked++
	s.unacked++
	sl.setState(stateUnacked)
	s.slots.set(seq, sl)
	return d
}

// forget removes a message for good.
func (s *State) forget(seq uint64, sl *slot, fx *Effects) {
	s.all.sub(sl)
	if sl.meta&metaTried != 0 {
		delete(s.tries, seq)
	}
	if sl.meta&metaPersistent != 0 {
		fx.Settled = append(fx.Settled, seq)
		s.persistentBytes -= int64(sl.size) + LogOverhead
	}
	s.slots.remove(seq, s.lane(seq).head)
}
