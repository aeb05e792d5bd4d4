package queue

import "math"

// never is later than every deadline.
const never = math.MaxInt64

// expireStep is about how many messages one step expires; what is left is due
// at once.
const expireStep = 1024

// deadlines are when the messages of a chunk expire, in Unix milliseconds, 0
// for never. A chunk without any has none.
type deadlines struct {
	at    []int64 // as long as chunk.slots; nil while the chunk is cold
	first int64   // no ready message expires before
	last  int64   // of a cold chunk: from then on all of it has expired
}

// dueRun says that a chunk has something to expire. It is stale when the
// chunk's first deadline is another by now.
type dueRun struct {
	at    int64
	first uint64 // of those that are due together the oldest goes first
	chunk *chunk
}

func (r *dueRun) before(o *dueRun) bool { return r.at < o.at || r.at == o.at && r.first < o.first }

// calendar finds the chunk that expires first: a heap of chunks.
type calendar struct {
	heap []dueRun
	// Deadlines of the strays, nil when they have none, and their first.
	strays      map[uint64]int64
	straysFirst int64
	used        bool // any message ever had a deadline
}

// due returns when the first ready message expires; it may be too early.
func (q *slots) due() int64 {
	first := int64(never)
	if len(q.calendar.strays) > 0 {
		first = q.calendar.straysFirst
	}
	if r := q.firstRun(); r != nil {
		first = min(first, r.at)
	}
	return first
}

// firstRun drops what is stale from the calendar and returns the first.
func (q *slots) firstRun() *dueRun {
	h := q.calendar.heap
	for len(h) > 0 && (h[0].chunk.ttl == nil || h[0].chunk.ttl.first != h[0].at) {
		q.popRun()
		h = q.calendar.heap
	}
	if len(h) == 0 {
		return nil
	}
	return &h[0]
}

// note keeps the deadline of the message that was just pushed to c.
func (q *slots) note(c *chunk, at int64) {
	if c.ttl == nil {
		c.ttl = &deadlines{at: make([]int64, len(c.slots)-1, cap(c.slots)), first: never}
		q.calendar.used = true
	}
	c.ttl.at = append(c.ttl.at, at)
	q.lower(c, at)
}

// lower enters a chunk of which a message expires at a time.
func (q *slots) lower(c *chunk, at int64) {
	if at == 0 || at >= c.ttl.first {
		return
	}
	c.ttl.first = at
	q.pushRun(dueRun{at, c.first, c})
}

// deadline is of message i of a chunk in memory.
func (c *chunk) deadline(i int) int64 {
	if c.ttl == nil {
		return 0
	}
	return c.ttl.at[i]
}

// deadline returns when a message in memory expires, 0 for never.
func (q *slots) deadline(seq uint64) int64 {
	if !q.calendar.used {
		return 0
	}
	c := q.chunkOf(seq)
	switch {
	case c == nil:
		return q.calendar.strays[seq]
	case c.ttl == nil || c.cold != nil:
		return 0
	}
	return c.ttl.at[seq-c.first]
}

// ready says that a message is ready again: it expires when it is time.
func (q *slots) ready(seq uint64) {
	at := q.deadline(seq)
	if at == 0 {
		return
	}
	if c := q.chunkOf(seq); c != nil {
		q.lower(c, at)
		return
	}
	q.calendar.straysFirst = min(q.calendar.straysFirst, at)
}

// strayed keeps the deadline of a message whose chunk is freed.
func (q *slots) strayed(seq uint64, at int64) {
	if at == 0 {
		return
	}
	if len(q.calendar.strays) == 0 {
		q.calendar.strays, q.calendar.straysFirst = map[uint64]int64{}, never
	}
	q.calendar.strays[seq] = at
	q.calendar.straysFirst = min(q.calendar.straysFirst, at)
}

// enter puts a chunk that came with deadlines into the calendar.
func (q *slots) enter(c *chunk) {
	if c.ttl != nil && c.ttl.first != never {
		q.calendar.used = true
		q.pushRun(dueRun{c.ttl.first, c.first, c})
	}
}

// again looks for the first deadline of the ready messages of c anew.
func (q *slots) again(c *chunk) {
	c.ttl.first = never
	for i, at := range c.ttl.at {
		if at != 0 && c.slots[i].state() == stateReady {
			c.ttl.first = min(c.ttl.first, at)
		}
	}
	q.enter(c)
}

func (q *slots) pushRun(r dueRun) {
	h := append(q.calendar.heap, r)
	if len(h) > 2*len(q.chunks)+16 { // most of it is stale
		h = h[:0]
		for _, c := range q.chunks {
			if c.ttl != nil && c.ttl.first != never {
				h = append(h, dueRun{c.ttl.first, c.first, c})
			}
		}
		clear(h[len(h):cap(h)])
		for i := len(h)/2 - 1; i >= 0; i-- {
			sink(h, i)
		}
		q.calendar.heap = h
		return
	}
	for i := len(h) - 1; i > 0 && h[i].before(&h[(i-1)/2]); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
	q.calendar.heap = h
}

func (q *slots) popRun() {
	h := q.calendar.heap
	n := len(h) - 1
	h[0], h[n] = h[n], dueRun{}
	q.calendar.heap = h[:n]
	sink(h[:n], 0)
}

func sink(h []dueRun, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].before(&h[c]) {
			c++
		}
		if !h[c].before(&h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// Due returns when Expire has something to do, in Unix milliseconds; it may
// be too early. It is math.MaxInt64 when there is nothing.
func (s *State) Due() int64 {
	if s.overfull {
		return 0
	}
	return s.slots.due()
}

// Expire removes the ready messages whose time has come, wherever they stand;
// now is in Unix milliseconds. What is promised to a consumer counts as
// delivered. It does about expireStep messages: as long as Due is not later
// than now there are more. Runs outside of memory that have some come into
// fx.Fetch.
func (s *State) Expire(now int64, fx *Effects) {
	left := expireStep
	if s.overfull {
		s.overfull = false
		left -= s.dropSome(expireStep, fx)
	}
	for left > 0 {
		r := s.slots.firstRun()
		if r == nil || r.at > now {
			break
		}
		c := r.chunk
		s.slots.popRun()
		if c.cold != nil {
			left -= s.expireCold(c, now, fx)
			continue
		}
		left -= s.expireHot(c, now, left, fx)
	}
	if len(s.slots.calendar.strays) > 0 && s.slots.calendar.straysFirst <= now {
		s.expireStrays(now, fx)
	}
	s.closeGaps()
}

// expireHot expires messages of a chunk in memory and returns their number.
func (s *State) expireHot(c *chunk, now int64, most int, fx *Effects) int {
	s.dying = s.dying[:0]
	for i, at := range c.ttl.at {
		if at != 0 && at <= now && c.slots[i].state() == stateReady && len(s.dying) < most {
			s.dying = append(s.dying, c.first+uint64(i))
		}
	}
	for _, seq := range s.dying {
		s.expireOne(seq, fx)
	}
	if c.ttl != nil { // it was not freed meanwhile
		s.slots.again(c)
	}
	return len(s.dying)
}

// expireCold drops a run that has expired as a whole and of which nobody wants
// to know; any other has to be fetched.
func (s *State) expireCold(c *chunk, now int64, fx *Effects) int {
	n := 1
	switch {
	case c.ttl.last <= now && !s.set.DeadLetters:
		n = c.live
		s.dropCold(c, fx)
		return n
	case !c.cold.loading:
		fx.Fetch = append(fx.Fetch, c.first)
	}
	c.ttl.first = never // until it is in memory
	return n
}

func (s *State) expireStrays(now int64, fx *Effects) {
	s.dying = s.dying[:0]
	first := int64(never)
	for seq, at := range s.slots.calendar.strays {
		sl := s.slots.strays[seq]
		switch {
		case sl.state() != stateReady:
		case at <= now:
			s.dying = append(s.dying, seq)
		default:
			first = min(first, at)
		}
	}
	s.slots.calendar.straysFirst = first
	for _, seq := range s.dying {
		s.expireOne(seq, fx)
	}
}

// expireOne removes a ready message; closeGaps must follow.
func (s *State) expireOne(seq uint64, fx *Effects) {
	if l := s.lane(seq); seq >= l.head {
		s.count(l, -1)
	} else {
		s.gaps++
	}
	s.die(seq, Expired, fx)
}

// closeGaps takes what has expired out of the returned messages.
func (s *State) closeGaps() {
	if s.gaps == 0 {
		return
	}
	kept := s.returned[:0]
	for _, seq := range s.returned {
		sl := s.slots.get(seq)
		if sl.state() == stateReady {
			kept = append(kept, seq)
		}
	}
	s.returned, s.gaps = kept, 0
}
