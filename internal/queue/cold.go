package queue

import (
	"cmp"
	"slices"
)

// Kept is a message with its place, on its way out of memory or back.
type Kept struct {
	Message

	Seq         uint64
	Redelivered bool
}

// Cold describes a run of ready messages that are not in memory.
type Cold struct {
	// Where is whatever the owner needs to find them again.
	Where any
	// Seqs are the messages' sequence numbers, ascending; not more than MaxRun
	// of them, and the last less than MaxRun above the first. Nil: they are the
	// Count from From on.
	Seqs  []uint64
	From  uint64
	Count int
	// Bytes is the size of their images, BodyBytes of the bodies alone, and
	// PersistentBytes that of those that the Log keeps.
	Bytes, BodyBytes, PersistentBytes int64
	// First is when the first of them expires and Last when all have, in Unix
	// milliseconds; 0 when none ever does. See Expires.
	First, Last int64
}

// Expires adds the deadline of one more message of the run.
func (r *Cold) Expires(deadline int64) {
	at := deadline
	if at == 0 {
		at = never
	}
	if r.Last == 0 {
		r.First, r.Last = at, at
		return
	}
	r.First, r.Last = min(r.First, at), max(r.Last, at)
}

// MaxRun is how many sequence numbers a run outside of memory may span.
const MaxRun = maxChunk

// cold is what memory keeps of a chunk whose messages are elsewhere.
type cold struct {
	where any
	span  uint64
	mask  []uint64 // a bit for each message that is there; nil: all
	size
	persistent int64 // bytes
	loading    bool
}

func (c *cold) has(i uint64) bool { return c.mask == nil || c.mask[i/64]&(1<<(i%64)) != 0 }

// coldChunk makes the chunk of a run.
func coldChunk(r *Cold) *chunk {
	first, count, last := r.From, r.Count, r.From+uint64(r.Count)-1 //nolint:gosec // a number of messages
	if r.Seqs != nil {
		first, count, last = r.Seqs[0], len(r.Seqs), r.Seqs[len(r.Seqs)-1]
	}
	k := &cold{where: r.Where, span: last - first + 1, size: size{r.Bytes, r.BodyBytes}, persistent: r.PersistentBytes}
	if k.span != uint64(count) {
		k.mask = make([]uint64, (k.span+63)/64)
		for _, seq := range r.Seqs {
			k.mask[(seq-first)/64] |= 1 << ((seq - first) % 64)
		}
	}
	c := &chunk{first: first, live: count, cold: k}
	if r.Last != 0 && r.First != never {
		c.ttl = &deadlines{first: r.First, last: r.Last}
	}
	return c
}

// Restore enters messages that an earlier life of the queue left: runs in
// order, behind one another. It is called before anything else but Prioritize;
// ends are the numbers behind the highest that each lane ever had.
func (s *State) Restore(runs []Cold, ends []uint64) {
	for i := range runs {
		r := &runs[i]
		c := coldChunk(r)
		s.slots.chunks = append(s.slots.chunks, c)
		s.slots.enter(c)
		l := s.lane(c.first)
		if l.pool == 0 {
			l.head = c.first
		}
		s.count(l, c.live)
		s.all.more(c.cold.size)
		s.ready.more(c.cold.size)
		s.coldBytes += r.Bytes
		s.persistentBytes += r.PersistentBytes
	}
	for _, end := range ends {
		l := s.lane(end)
		l.next = end
		if l.pool == 0 {
			l.head = end
		}
	}
}

// HotBytes returns the size of the messages that are in memory.
func (s *State) HotBytes() int64 { return s.all.bytes - s.coldBytes }

// LogOverhead is about what the Log adds to a message: its place, and its part
// of a frame.
const LogOverhead = 24

// PersistentBytes returns the size of the messages that the Log keeps, as they
// lie there.
func (s *State) PersistentBytes() int64 { return s.persistentBytes }

// Live reports whether a message is in the queue.
func (s *State) Live(seq uint64) bool {
	c := s.slots.chunkOf(seq)
	if c != nil && c.cold != nil {
		return c.cold.has(seq - c.first)
	}
	sl := s.slots.get(seq)
	return sl.state() != stateGone
}

// anyStrays is how many strays are looked at one by one.
const anyStrays = 1024

// Any reports whether there may be a message from one number to another, both
// included: false is sure.
func (s *State) Any(from, to uint64) bool {
	q := &s.slots
	i, _ := slices.BinarySearchFunc(q.chunks, from, func(c *chunk, seq uint64) int {
		if c.end() <= seq {
			return -1
		}
		return 1
	})
	for ; i < len(q.chunks) && q.chunks[i].first <= to; i++ {
		if q.chunks[i].live > 0 {
			return true
		}
	}
	if len(q.strays) > anyStrays {
		return true
	}
	for seq := range q.strays {
		if seq >= from && seq <= to {
			return true
		}
	}
	return false
}

// Freeze picks messages that will be wanted last, with about most bytes, to
// be moved out of memory; ok is false when there are none. They stay where
// they are until Frozen is called. Those from number young on are taken only when
// there are no others.
func (s *State) Freeze(most int64, young uint64) (kept []Kept, ok bool) {
	c := s.coldest(young)
	if c == nil {
		return nil, false
	}
	n := c.part(most)
	if n < len(c.slots) {
		s.slots.split(c, n)
	} else {
		c.slots = c.slots[:n:n] // sealed: what comes next begins another chunk
	}
	for i := range c.slots {
		if c.slots[i].state() != stateGone {
			kept = append(kept, s.kept(c, i))
		}
	}
	return kept, len(kept) > 0
}

// part returns how many slots of a chunk are about most bytes: all when they are
// less than twice that, so that no small rest keeps its memory, which it
// shares with what has gone.
func (c *chunk) part(most int64) int {
	all, live, n := int64(0), 0, 0
	for i := range c.slots {
		if c.slots[i].state() == stateGone {
			continue
		}
		all += int64(c.slots[i].size)
		if live++; n == 0 && live > 1 && all > most {
			n = i
		}
	}
	if n == 0 || all < 2*most {
		return len(c.slots)
	}
	return n
}

// coldest finds the last chunk in memory behind the one that is being read
// in which all that is there is ready: one that is full rather than the one
// that is being filled, that rather than one with messages from number young
// on, and what is being read last of all. Nil when there is none.
func (s *State) coldest(young uint64) *chunk {
	var filling, late *chunk
	q := s.slots.chunks
	for i, c := range slices.Backward(q) {
		if c.first <= s.lane(c.first).head {
			if s.lanes == nil {
				break
			}
			continue // another lane may have one
		}
		switch {
		case c.cold != nil || c.live == 0:
		case c.end() > young:
			late = cmp.Or(late, c)
		case i < len(q)-1 || c.full():
			return c
		default:
			filling = c
		}
	}
	if c := cmp.Or(filling, late); c != nil {
		return c
	}
	return s.atRest()
}

// Frozen says that what Freeze picked is kept at where; the queue lets go of
// it. False: it was wanted meanwhile and stays.
func (s *State) Frozen(kept []Kept, where any) bool {
	c := s.slots.chunkOf(kept[0].Seq)
	if c == nil || c.cold != nil || c.first < s.lane(c.first).head || c.live != len(kept) || c.end() <= kept[len(kept)-1].Seq {
		return false
	}
	r := Cold{Where: where, Seqs: make([]uint64, len(kept))}
	for i := range kept {
		r.Seqs[i] = kept[i].Seq
		r.Expires(kept[i].Deadline)
		r.Bytes += int64(kept[i].Size)
		sl := &c.slots[kept[i].Seq-c.first]
		r.BodyBytes += sl.body()
		if kept[i].Persistent {
			r.PersistentBytes += int64(kept[i].Size) + LogOverhead
		}
	}
	for i := range c.slots {
		if c.slots[i].state() != stateGone {
			s.slots.rows.drop(c.slots[i].row)
		}
	}
	n := coldChunk(&r)
	c.slots, c.cold, c.live, c.first, c.ttl = nil, n.cold, n.live, n.first, n.ttl
	s.slots.hint = nil
	s.slots.enter(c)
	s.coldBytes += r.Bytes
	return true
}

// Thaw says where the messages at the read position are, and that they are
// being fetched: Thawed must follow. ok is false when they are in memory or
// being fetched already.
func (s *State) Thaw() (where any, first uint64, ok bool) {
	c := s.headChunk()
	if s.pool == 0 || c == nil || c.cold == nil || c.cold.loading {
		return nil, 0, false
	}
	c.cold.loading = true
	return c.cold.where, c.first, true
}

// Ahead is Thaw for the run behind the one that is being read, so that it is
// there when its turn comes.
func (s *State) Ahead() (where any, first uint64, ok bool) {
	c := s.behind()
	if c == nil {
		return nil, 0, false
	}
	c.cold.loading = true
	return c.cold.where, c.first, true
}

// behind returns the run behind the chunk that is being read: nil unless it is
// outside of memory and nobody fetches it. With priorities none is foreseen.
func (s *State) behind() *chunk {
	if s.coldBytes == 0 || s.pool == 0 || s.lanes != nil {
		return nil
	}
	c := s.slots.chunkOf(s.only.head)
	if c == nil || c.cold != nil {
		return nil
	}
	i, _ := slices.BinarySearchFunc(s.slots.chunks, c.end(), func(c *chunk, seq uint64) int { return cmp.Compare(c.first, seq) })
	if i == len(s.slots.chunks) {
		return nil
	}
	if c = s.slots.chunks[i]; c.cold == nil || c.cold.loading {
		return nil
	}
	return c
}

// ThawAt is Thaw for the run that message seq is in. Busy says that it is
// being fetched already.
func (s *State) ThawAt(seq uint64) (where any, first uint64, busy, ok bool) {
	c := s.slots.chunkOf(seq)
	if c == nil || c.cold == nil || !c.cold.has(seq-c.first) {
		return nil, 0, false, false
	}
	if c.cold.loading {
		return nil, 0, true, false
	}
	c.cold.loading = true
	return c.cold.where, c.first, false, true
}

// Where returns where message seq is kept, nil when it is in memory or gone.
func (s *State) Where(seq uint64) any {
	if c := s.slots.chunkOf(seq); c != nil && c.cold != nil && c.cold.has(seq-c.first) {
		return c.cold.where
	}
	return nil
}

// Fetching reports whether the run that begins at first is still waited for:
// it is not when the queue was purged meanwhile.
func (s *State) Fetching(first uint64) bool {
	c := s.slots.chunkOf(first)
	return c != nil && c.cold != nil && c.first == first && c.cold.loading
}

// Thawed brings the run that begins at first back into memory. False: it is
// not wanted any more, the queue was purged.
func (s *State) Thawed(first uint64, kept []Kept, fx *Effects) bool {
	if !s.Fetching(first) {
		return false
	}
	c := s.slots.chunkOf(first)
	c.slots, c.ttl = make([]slot, c.cold.span), nil
	for i := range kept {
		k := &kept[i]
		sl := &c.slots[k.Seq-first]
		*sl = slot{row: s.slots.rows.hold(k.Slab), off: k.Off, size: k.Size, meta: k.meta()}
		if k.Redelivered {
			sl.meta |= metaRedelivered
		}
		if _, ok := s.tries[k.Seq]; ok {
			sl.meta |= metaTried
		}
		if k.Deadline != 0 && c.ttl == nil {
			c.ttl = &deadlines{at: make([]int64, c.cold.span)}
		}
		if c.ttl != nil {
			c.ttl.at[k.Seq-first] = k.Deadline
		}
	}
	s.coldBytes -= c.cold.bytes
	c.cold = nil
	if c.ttl != nil {
		s.slots.again(c)
	}
	s.distribute(fx)
	s.dropHead(fx)
	return true
}

// Discard lets go of everything and returns where the messages outside of
// memory are, but for those being fetched: their Thawed is told.
func (s *State) Discard() (where []any) {
	for _, c := range s.slots.chunks {
		if c.cold != nil && !c.cold.loading {
			where = append(where, c.cold.where)
		}
	}
	*s = State{}
	return where
}

// available reports whether a shared message can be had without fetching it.
func (s *State) available() bool {
	if s.returnedFirst() {
		return true
	}
	if s.pool == 0 {
		return false
	}
	c := s.headChunk()
	return c != nil && c.cold == nil
}

// headChunk moves the read position to the next ready message, or to the run
// that has it, and returns its chunk; nil when the pool is empty.
func (s *State) headChunk() *chunk {
	if s.pool == 0 {
		return nil
	}
	return s.headChunkOf(s.nextLane())
}

// headChunkOf is headChunk for a lane with a pool.
func (s *State) headChunkOf(l *lane) *chunk {
	for {
		c := s.slots.chunkOf(l.head)
		switch {
		case c == nil: // a freed run of gone messages
			l.head = s.slots.after(l.head)
		case c.cold != nil || c.slots[l.head-c.first].state() == stateReady:
			return c
		default:
			l.head++
			if l.head == c.end() {
				s.slots.passed(c)
			}
		}
	}
}

// purgeCold drops the run at the read position.
func (s *State) purgeCold(c *chunk, fx *Effects) {
	s.lane(c.first).head = c.end()
	s.dropCold(c, fx)
}

// dropCold drops a run.
func (s *State) dropCold(c *chunk, fx *Effects) {
	for i := range c.cold.span {
		if c.cold.persistent > 0 && c.cold.has(i) {
			fx.Settled = append(fx.Settled, c.first+i)
		}
	}
	s.count(s.lane(c.first), -c.live)
	s.all.less(c.cold.size)
	s.ready.less(c.cold.size)
	s.coldBytes -= c.cold.bytes
	s.persistentBytes -= c.cold.persistent
	if !c.cold.loading {
		fx.Freed = append(fx.Freed, c.cold.where)
	}
	c.ttl = nil
	s.untry(c)
	i := slices.Index(s.slots.chunks, c)
	s.slots.chunks = slices.Delete(s.slots.chunks, i, i+1)
	s.slots.hint = nil
}
