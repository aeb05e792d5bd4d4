package queue

import (
	"encoding/binary"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/warrenmq/warren/internal/slab"
)

// model is the obvious queue: a list of messages with a state each.
type model struct {
	state map[uint64]uint32
	redel map[uint64]bool
	pers  map[uint64]bool
	owner map[uint64]int // consumer index, -1 for get
	until map[uint64]int64
	tries map[uint64]Tries
	next  uint64
	all   []uint64 // that ever were, ascending
	back  []uint64 // that came back, in that order
	// What the log was told: the last number of each lane, and tries.
	last   map[uint64]uint64
	logged map[uint64]Tries
}

func newModel() model {
	return model{
		state: map[uint64]uint32{}, redel: map[uint64]bool{}, pers: map[uint64]bool{}, owner: map[uint64]int{}, until: map[uint64]int64{},
		tries: map[uint64]Tries{}, last: map[uint64]uint64{}, logged: map[uint64]Tries{},
	}
}

// order is ready in the order of delivery.
func (m *model) order(returnsFirst bool) []uint64 {
	list := m.ready()
	if !returnsFirst {
		return list
	}
	var first []uint64
	for _, seq := range m.back {
		if m.state[seq] == stateReady {
			first = append(first, seq)
			list = slices.DeleteFunc(list, func(n uint64) bool { return n == seq })
		}
	}
	return append(first, list...)
}

func (m *model) ready() (seqs []uint64) {
	for _, seq := range m.all {
		if m.state[seq] == stateReady {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func (m *model) unackedOf(c int) (seqs []uint64) {
	for _, seq := range m.all {
		if m.state[seq] == stateUnacked && m.owner[seq] == c {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// machine drives a State and the model with the same steps.
type machine struct {
	t         *rapid.T
	s         State
	m         model
	fx        Effects
	w         slab.Writer
	consumers []*Consumer // nil when removed
	woken     map[*Consumer]bool
	ops       *int
	frozen    int // runs outside of memory
	load      bool
	cold      bool // there were some when the purge began
	now       int64
	letters   bool             // dead letters are asked for
	held      map[uint64]int64 // until when what is delivered is to be settled
	lanes     int              // the highest priority of messages
	ranked    bool             // consumers have priorities
	timed     bool             // some messages have deadlines
	drops     bool             // there is a limit, for which the oldest go
	late      int              // what had expired before the publish and was there: promised to a consumer, and back by now
	vague     bool             // promises or runs outside of memory have had a part in what is returned first
	crashes   *int
}

// elsewhere is where the test keeps a frozen run.
type elsewhere struct{ kept []Kept }

// freeze moves messages out of memory as the owner does, and now and then
// finds that they were wanted meanwhile.
func (x *machine) freeze(t *rapid.T) {
	x.vague = true // it may go back over what came back
	young := uint64(math.MaxUint64)
	if rapid.Bool().Draw(t, "young") {
		young = x.s.Next() - min(x.s.Next(), rapid.Uint64Range(0, 20).Draw(t, "behind"))
	}
	kept, ok := x.s.Freeze(int64(rapid.IntRange(1, 300).Draw(t, "bytes")), young)
	if !ok {
		return
	}
	if rapid.IntRange(0, 3).Draw(t, "meanwhile") == 0 {
		x.done()
		x.publish(3)
		for i := range x.consumers {
			if x.woken[x.consumers[i]] {
				x.take(i, 10)
			}
		}
	}
	e := &elsewhere{}
	for _, k := range kept { // another copy of the bytes
		sl, off, dst := x.w.Alloc(int(k.Size))
		copy(dst, k.Slab.Bytes(k.Off, k.Size))
		k.Slab, k.Off = sl, off
		e.kept = append(e.kept, k)
	}
	if x.s.Frozen(kept, e) {
		x.frozen++
	}
}

// thaw fetches what was asked for.
func (x *machine) thaw(t *rapid.T) {
	x.load = false
	where, first, ok := x.s.Thaw()
	if !ok && rapid.Bool().Draw(t, "ahead") {
		where, first, ok = x.s.Ahead()
	}
	if !ok {
		return
	}
	if rapid.IntRange(0, 7).Draw(t, "purged") == 0 {
		x.purge()
	}
	e, _ := where.(*elsewhere)
	x.s.Thawed(first, e.kept, &x.fx)
	x.frozen--
}

func (x *machine) done() {
	*x.ops++
	if x.drops && slices.ContainsFunc(x.m.ready(), func(seq uint64) bool { return !x.s.Live(seq) }) {
		x.expired()
	}
	x.vague = x.vague || x.s.assigned > 0
	for _, n := range x.fx.Tried {
		x.m.logged[n.Seq] = n.Tries
	}
	for _, c := range x.fx.Wake {
		x.woken[c] = true
	}
	x.frozen -= len(x.fx.Freed)
	x.load = x.load || x.fx.Load
	x.fx.Reset()
	hot, pers := int64(0), int64(0)
	for _, c := range x.s.slots.chunks {
		if c.cold != nil {
			hot -= int64(16 * c.live)
		}
	}
	for seq := range x.m.state {
		hot += 16
		if x.m.pers[seq] {
			pers += 16 + LogOverhead
		}
	}
	if x.s.HotBytes() != hot || x.s.PersistentBytes() != pers {
		x.t.Fatalf("HotBytes, PersistentBytes = %d, %d, want %d, %d", x.s.HotBytes(), x.s.PersistentBytes(), hot, pers)
	}
	for _, seq := range x.m.all {
		_, ok := x.m.state[seq]
		if ok != x.s.Live(seq) {
			x.t.Fatalf("message %d: Live = %v", seq, !ok)
		}
		if ok && !x.s.Any(seq/2, seq+3) {
			x.t.Fatalf("message %d is not there from %d to %d", seq, seq/2, seq+3)
		}
	}
	if got, want := x.s.Ready(), len(x.m.ready()); got != want {
		x.t.Fatalf("Ready = %d, want %d", got, want)
	}
	unacked, bytes := 0, int64(0)
	for _, st := range x.m.state {
		if st == stateUnacked {
			unacked++
		}
		bytes += 16
	}
	if ready := 16 * int64(x.s.Ready()); x.s.BodyBytes() != bytes || x.s.ReadyBodyBytes() != ready {
		x.t.Fatalf("BodyBytes, ReadyBodyBytes = %d, %d, want %d, %d", x.s.BodyBytes(), x.s.ReadyBodyBytes(), bytes, ready)
	}
	if x.s.promised != 16*int64(x.s.assigned) {
		x.t.Fatalf("%d bytes of %d messages are promised", x.s.promised, x.s.assigned)
	}
	if x.s.Unacked() != unacked || x.s.Bytes() != bytes {
		x.t.Fatalf("Unacked, Bytes = %d, %d, want %d, %d", x.s.Unacked(), x.s.Bytes(), unacked, bytes)
	}
}

func (x *machine) publish(n int) {
	var batch []Message
	for i := range n {
		sl, off, _ := x.w.Alloc(16)
		m := Message{Slab: sl, Off: off, Size: 16, RouteLen: 2, Persistent: i%2 == 0}
		if x.lanes > 0 {
			m.Priority = uint8((i*3 + n) % 8)
		}
		if x.timed && (i+n)%3 == 0 {
			m.Deadline = x.now + int64((i*7+n*5)%200)
		}
		batch = append(batch, m)
	}
	images := make([][]byte, n) // the number is not known before
	for i := range batch {
		images[i] = batch[i].Slab.Bytes(batch[i].Off, 16)
		binary.BigEndian.PutUint64(images[i], x.m.next+uint64(i))
	}
	before := x.s.pool + len(x.s.returned)
	x.late = 0
	for _, seq := range x.m.ready() {
		if at := x.m.until[seq]; at != 0 && at <= x.now {
			x.late++
		}
	}
	x.s.Publish(batch, x.now, &x.fx)
	if most := x.s.set.MaxMessages; x.s.set.Refuse && len(x.fx.Refused) > 0 && int64(x.s.pool+len(x.s.returned)) < *most {
		x.t.Fatalf("%d of %d refused with %d ready of %d", len(x.fx.Refused), n, x.s.pool+len(x.s.returned), *most)
	} else if x.s.set.Refuse && int64(x.s.pool+len(x.s.returned)) > max(*most, int64(before)) {
		x.t.Fatalf("%d ready of %d", x.s.pool+len(x.s.returned), *most)
	}
	numbers := slices.Clone(x.fx.Seqs)
	for i := range n {
		if slices.Contains(x.fx.Refused, i) {
			continue
		}
		seq := x.m.next
		if x.lanes > 0 {
			seq, numbers = numbers[0], numbers[1:]
			if lane := uint64(max(0, x.lanes-int(batch[i].Priority))); seq>>LaneShift != lane {
				x.t.Fatalf("priority %d of %d got lane %d", batch[i].Priority, x.lanes, seq>>LaneShift)
			}
		} else {
			x.m.next++
		}
		at, again := slices.BinarySearch(x.m.all, seq)
		if again {
			x.t.Fatalf("number %d is used again", seq)
		}
		x.m.all = slices.Insert(x.m.all, at, seq)
		binary.BigEndian.PutUint64(images[i], seq)
		x.m.until[seq] = batch[i].Deadline
		x.m.state[seq], x.m.pers[seq] = stateReady, i%2 == 0
		if i%2 == 0 {
			x.m.last[seq>>LaneShift] = max(x.m.last[seq>>LaneShift], seq)
		}
	}
	x.expired()
	x.late = 0
}

// pass lets time go by and expires what is due.
func (x *machine) pass(t *rapid.T) {
	x.now += int64(rapid.IntRange(0, 60).Draw(t, "time"))
	for x.s.Due() <= x.now {
		x.s.Expire(x.now, &x.fx)
		x.expired()
		for _, first := range slices.Clone(x.fx.Fetch) {
			x.done()
			where, at, _, ok := x.s.ThawAt(first)
			if !ok || at != first {
				t.Fatalf("run %d is to be fetched and cannot", first)
			}
			e, _ := where.(*elsewhere)
			x.s.Thawed(first, e.kept, &x.fx)
			x.frozen--
		}
		x.done()
	}
	x.overdue()
	for _, seq := range x.m.ready() {
		sl := x.s.slots.get(seq)
		if at := x.m.until[seq]; at != 0 && at <= x.now && sl.state() == stateReady {
			t.Fatalf("message %d is there at %d and expires at %d", seq, x.now, at)
		}
	}
}

// expired takes what the State has expired out of the model.
func (x *machine) expired() {
	var gone []uint64
	for _, seq := range x.m.ready() {
		if x.s.Live(seq) {
			continue
		}
		if at := x.m.until[seq]; at == 0 || at > x.now {
			x.dropped(seq)
		}
		gone = append(gone, seq)
		delete(x.m.state, seq)
	}
	if !x.letters {
		x.cold = x.frozen > 0
		x.settled(gone)
		x.cold = false
		return
	}
	var dead []uint64
	for _, d := range x.fx.Dead {
		if d.Reason != Expired && d.Reason != MaxLen {
			continue
		}
		if binary.BigEndian.Uint64(d.Image) != d.Seq || d.Persistent != x.m.pers[d.Seq] || slices.Contains(x.fx.Settled, d.Seq) {
			x.t.Fatalf("dead letter %+v", d)
		}
		dead = append(dead, d.Seq)
	}
	slices.Sort(dead)
	if !slices.Equal(dead, gone) {
		x.t.Fatalf("dead are %v, want %v", dead, gone)
	}
}

// dropped checks that a message that has not expired went for the limit: those
// that stay come after it, but for what is promised.
func (x *machine) dropped(seq uint64) {
	if !x.drops {
		x.t.Fatalf("message %d is gone at %d and expires at %d", seq, x.now, x.m.until[seq])
	}
	most := *x.s.set.MaxMessages
	if n := int64(x.s.Ready()); n+int64(x.late) < most { // what stays may be promised by now, or have expired since
		x.t.Fatalf("message %d is gone, and %d are left of %d", seq, n, most)
	}
	if x.s.set.ReturnsFirst || x.late > 0 { // there was room in between for what came behind
		return
	}
	for _, left := range x.m.ready() {
		if c := x.s.slots.chunkOf(left); left < seq && x.s.Live(left) && (c != nil && c.cold != nil || x.state(left) == stateReady) {
			x.t.Fatalf("message %d is gone, and %d is there", seq, left)
		}
	}
}

func (x *machine) state(seq uint64) uint32 {
	sl := x.s.slots.get(seq)
	return sl.state()
}

// got checks one delivery against the model.
func (x *machine) got(d Delivery, owner int, noAck bool) {
	if x.m.state[d.Seq] != stateReady {
		x.t.Fatalf("message %d delivered in state %d", d.Seq, x.m.state[d.Seq])
	}
	if seq := binary.BigEndian.Uint64(d.Image); seq != d.Seq {
		x.t.Fatalf("message %d came with the bytes of %d", d.Seq, seq)
	}
	if d.Redelivered != x.m.redel[d.Seq] {
		x.t.Fatalf("message %d: redelivered = %v", d.Seq, d.Redelivered)
	}
	if d.Tries != x.m.tries[d.Seq] {
		x.t.Fatalf("message %d: tried %+v, want %+v", d.Seq, d.Tries, x.m.tries[d.Seq])
	}
	if d.Persistent != x.m.pers[d.Seq] {
		x.t.Fatalf("message %d: persistent = %v", d.Seq, d.Persistent)
	}
	if noAck {
		x.settled([]uint64{d.Seq})
		delete(x.m.state, d.Seq)
		return
	}
	x.m.state[d.Seq], x.m.owner[d.Seq] = stateUnacked, owner
}

func (x *machine) take(i, limit int) int {
	c := x.consumers[i]
	first := x.s.set.ReturnsFirst
	before, promised := x.m.order(first), len(c.assigned)
	outranked := slices.ContainsFunc(x.s.consumers, func(d *Consumer) bool { return d.Priority > c.Priority && d.able() })
	mine := !x.s.set.Single || x.s.Active() == c && !c.standby
	ds := x.s.Take(c, limit, 1<<20, nil, &x.fx)
	alone := x.s.Consumers() == 1 && (!first || !x.vague)
	for k, d := range ds {
		if k > 0 && alone && !first && ds[k-1].Seq >= d.Seq {
			x.t.Fatalf("out of order: %d after %d", d.Seq, ds[k-1].Seq)
		}
		if alone && d.Seq != before[k] {
			x.t.Fatalf("delivered %d, first ready was %d", d.Seq, before[k])
		}
		x.got(d, i, c.NoAck)
		if timeout := x.s.set.ConsumerTimeout; timeout > 0 && !c.NoAck {
			x.held[d.Seq] = x.now + timeout
		}
	}
	x.s.Hold(c, ds, x.now)
	if x.s.Paused() && len(ds) > 0 {
		x.t.Fatalf("took %d from a paused queue", len(ds))
	}
	if outranked && len(ds) > promised || !mine && len(ds) > 0 {
		x.t.Fatalf("took %d, promised were %d, when it was another's turn", len(ds), promised)
	}
	if len(ds) > limit || !c.NoAck && c.Prefetch > 0 && len(x.m.unackedOf(i)) > c.Prefetch {
		x.t.Fatalf("took %d with limit %d, prefetch %d", len(ds), limit, c.Prefetch)
	}
	return len(ds)
}

func (x *machine) live() (idx []int) {
	for i, c := range x.consumers {
		if c != nil && !c.gone {
			idx = append(idx, i)
		}
	}
	return idx
}

// some draws a subset of seqs, in any order.
func some(t *rapid.T, seqs []uint64) []uint64 {
	if len(seqs) == 0 {
		return nil
	}
	n := rapid.IntRange(0, len(seqs)).Draw(t, "n")
	if rapid.Bool().Draw(t, "prefix") {
		return seqs[:n]
	}
	p := rapid.Permutation(seqs).Draw(t, "which")
	return p[:n]
}
