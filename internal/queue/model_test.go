package queue

import (
	"encoding/binary"
	"slices"
	"testing"

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
}

// elsewhere is where the test keeps a frozen run.
type elsewhere struct{ kept []Kept }

// freeze moves messages out of memory as the owner does, and now and then
// finds that they were wanted meanwhile.
func (x *machine) freeze(t *rapid.T) {
	kept, ok := x.s.Freeze(int64(rapid.IntRange(1, 300).Draw(t, "bytes")))
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
	}
	x.expired()
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
			x.t.Fatalf("message %d is gone at %d and expires at %d", seq, x.now, at)
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
	before, promised := x.m.ready(), len(c.assigned)
	outranked := slices.ContainsFunc(x.s.consumers, func(d *Consumer) bool { return d.Priority > c.Priority && d.able() })
	mine := !x.s.set.Single || x.s.Active() == c && !c.standby
	ds := x.s.Take(c, limit, 1<<20, nil, &x.fx)
	alone := x.s.Consumers() == 1
	for k, d := range ds {
		if k > 0 && alone && ds[k-1].Seq >= d.Seq {
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

func (x *machine) step(t *rapid.T) {
	x.t = t
	switch rapid.IntRange(0, 17).Draw(t, "op") {
	case 0, 1, 2:
		x.publish(rapid.IntRange(1, 40).Draw(t, "count"))
	case 3:
		if len(x.live()) < 5 {
			c := &Consumer{NoAck: rapid.Bool().Draw(t, "noack"), Prefetch: rapid.IntRange(0, 8).Draw(t, "prefetch")}
			if x.ranked {
				c.Priority = int64(rapid.IntRange(-1, 2).Draw(t, "rank"))
			}
			x.consumers = append(x.consumers, c)
			x.s.Add(c, &x.fx)
		}
	case 4, 5, 6:
		for i, c := range x.consumers {
			if x.woken[c] && rapid.Bool().Draw(t, "comes") {
				for x.take(i, rapid.IntRange(1, 20).Draw(t, "limit")) > 0 {
				}
				delete(x.woken, c)
			}
		}
	case 7:
		x.settleSome(t)
	case 8:
		x.returnSome(t)
	case 9:
		if l := x.live(); len(l) > 0 {
			x.s.Remove(x.consumers[rapid.SampledFrom(l).Draw(t, "gone")], &x.fx)
		}
	case 10:
		if d, ok := x.s.Get(false, &x.fx); ok {
			x.got(d, -1, false)
		} else if len(x.m.ready()) > 0 && !x.fx.Load {
			t.Fatal("get found nothing")
		}
	case 11:
		x.rare(t)
	case 12, 13:
		x.freeze(t)
	case 14:
		if x.load {
			x.thaw(t)
		}
	case 15, 16:
		x.pass(t)
	case 17:
		x.s.Pause(!x.s.Paused(), &x.fx)
	}
	x.done()
}

func (x *machine) settleSome(t *rapid.T) {
	for i := -1; i < len(x.consumers); i++ {
		seqs := some(t, x.m.unackedOf(i))
		if rapid.IntRange(0, 3).Draw(t, "reject") == 0 {
			x.rejectThose(i, seqs)
			continue
		}
		x.s.Settle(x.consumer(i), seqs, &x.fx)
		x.settled(seqs)
		for _, seq := range seqs {
			delete(x.m.state, seq)
		}
	}
}

func (x *machine) rejectThose(i int, seqs []uint64) {
	n := len(x.fx.Dead)
	x.s.Reject(x.consumer(i), seqs, &x.fx)
	for k, seq := range seqs {
		delete(x.m.state, seq)
		delete(x.held, seq)
		if x.letters && (x.fx.Dead[n+k].Seq != seq || x.fx.Dead[n+k].Reason != Rejected || slices.Contains(x.fx.Settled, seq)) {
			x.t.Fatalf("rejected %v, dead are %v", seqs, x.fx.Dead[n:])
		}
	}
	if !x.letters {
		x.settled(seqs)
	}
}

func (x *machine) returnThose(i int, seqs []uint64, failed bool) {
	x.s.Return(x.consumer(i), seqs, failed, 0, &x.fx)
	var gone []uint64
	for _, seq := range seqs {
		x.m.state[seq], x.m.redel[seq] = stateReady, true
		delete(x.held, seq)
		if !x.s.set.Counts {
			continue
		}
		n := x.m.tries[seq]
		n.Acquired++
		if failed {
			n.Failed++
		}
		x.m.tries[seq] = n
		if failed && int64(n.Failed) > x.s.set.DeliveryLimit || x.retries(failed) && int64(n.Acquired) > x.s.set.RetryLimit {
			gone = append(gone, seq)
			delete(x.m.state, seq)
			continue
		}
		if x.retries(failed) {
			x.waits(seq, n)
			continue
		}
		if got := x.s.Tries(seq); got != n {
			x.t.Fatalf("message %d was tried %+v, want %+v", seq, got, n)
		}
		if x.m.pers[seq] && !slices.Contains(x.fx.Tried, Tried{seq, n}) {
			x.t.Fatalf("message %d came back and the log is not told", seq)
		}
	}
	if !x.letters && !x.s.set.Parks {
		x.settled(gone)
		return
	}
	for _, seq := range gone {
		if !slices.ContainsFunc(x.fx.Dead, func(d Dead) bool { return d.Seq == seq && d.Reason == Undeliverable }) {
			x.t.Fatalf("message %d was delivered too often and is no dead letter", seq)
		}
	}
}

func (x *machine) returnSome(t *rapid.T) {
	i := rapid.IntRange(-1, len(x.consumers)-1).Draw(t, "whose")
	seqs := some(t, x.m.unackedOf(i))
	x.returnThose(i, seqs, rapid.Bool().Draw(t, "failed"))
}

// settled checks that exactly the persistent ones of seqs were reported.
func (x *machine) settled(seqs []uint64) {
	for _, seq := range seqs {
		delete(x.held, seq)
	}
	for _, seq := range seqs { // of a run outside of memory transient ones may be among them
		if got := slices.Contains(x.fx.Settled, seq); got != x.m.pers[seq] && (!got || !x.cold) {
			x.t.Fatalf("message %d: reported settled %v, persistent %v", seq, got, x.m.pers[seq])
		}
	}
}

func (x *machine) consumer(i int) *Consumer {
	if i < 0 {
		return nil
	}
	return x.consumers[i]
}

// drain lets every woken consumer come until nothing more happens.
func (x *machine) drain(t *rapid.T) {
	for range 3 {
		for busy := true; busy; {
			busy = x.load
			if x.load {
				x.thaw(t)
				x.done()
			}
			for i, c := range x.consumers {
				if x.woken[c] {
					delete(x.woken, c)
					for x.take(i, 7) > 0 {
						busy = true
					}
					x.done()
				}
			}
		}
		x.s.Tick(&x.fx)
		x.done()
	}
}

func TestModel(t *testing.T) {
	ops := 0
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{t: t, woken: map[*Consumer]bool{}, ops: &ops, now: 1000, held: map[uint64]int64{}}
		x.timed, x.letters = rapid.Bool().Draw(t, "timed"), rapid.Bool().Draw(t, "letters")
		set := Settings{DeadLetters: x.letters}
		if x.timed && rapid.IntRange(0, 2).Draw(t, "ttl") == 0 {
			set.TTL = new(int64)
			*set.TTL = int64(rapid.IntRange(0, 150).Draw(t, "ttl"))
		}
		if !x.timed && rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
			set.Refuse, set.MaxMessages = true, new(int64)
			*set.MaxMessages = int64(rapid.IntRange(0, 100).Draw(t, "most"))
		}
		if rapid.Bool().Draw(t, "counts") {
			set.Counts, set.DeliveryLimit = true, int64(rapid.IntRange(0, 3).Draw(t, "deliveries"))
			set.RetryFailed, set.RetryReturned = rapid.Bool().Draw(t, "retry failed"), rapid.IntRange(0, 2).Draw(t, "retry returned") == 0
			set.RetryLimit, set.Parks = int64(rapid.IntRange(0, 2).Draw(t, "retries")), rapid.Bool().Draw(t, "parks")
		}
		x.ranked = rapid.IntRange(0, 2).Draw(t, "ranked") == 0
		if rapid.IntRange(0, 2).Draw(t, "prioritized") == 0 {
			x.lanes = rapid.IntRange(1, 5).Draw(t, "highest")
			x.s.Prioritize(uint8(x.lanes))
		}
		if rapid.IntRange(0, 2).Draw(t, "holds") == 0 {
			set.ConsumerTimeout = int64(rapid.IntRange(1, 100).Draw(t, "timeout"))
		}
		set.Single = rapid.IntRange(0, 3).Draw(t, "single") == 0
		set.Preempt = rapid.Bool().Draw(t, "preempt")
		x.s.Configure(set)
		x.m = model{until: map[uint64]int64{}, tries: map[uint64]Tries{}, state: map[uint64]uint32{}, redel: map[uint64]bool{}, owner: map[uint64]int{}, pers: map[uint64]bool{}}
		t.Repeat(map[string]func(*rapid.T){"step": x.step})
		x.t = t
		x.s.Pause(false, &x.fx)
		x.done()
		// No wake-up may be lost: a consumer with credit drains the queue.
		if x.s.set.Single {
			for _, i := range x.live() {
				x.s.Remove(x.consumers[i], &x.fx)
			}
		}
		c := &Consumer{NoAck: true}
		x.consumers = append(x.consumers, c)
		x.s.Add(c, &x.fx)
		x.done()
		x.drain(t)
		if n := x.s.Ready(); n > 0 {
			t.Fatalf("%d messages are ready and nobody was woken for them", n)
		}
		for i := -1; i < len(x.consumers); i++ {
			seqs := x.m.unackedOf(i)
			x.s.Settle(x.consumer(i), seqs, &x.fx)
			for _, seq := range seqs {
				delete(x.m.state, seq)
			}
		}
		x.s.Tick(&x.fx)
		x.done()
		if len(x.s.tries) > 0 {
			t.Fatalf("an empty queue counts %v", x.s.tries)
		}
		if x.frozen != 0 {
			t.Fatalf("%d runs outside of memory are left", x.frozen)
		}
		if len(x.s.slots.chunks)+len(x.s.slots.strays)+len(x.s.slots.rows.all) > 0 {
			t.Fatalf("an empty queue keeps %d chunks, %d strays, %d slabs",
				len(x.s.slots.chunks), len(x.s.slots.strays), len(x.s.slots.rows.all))
		}
	})
	t.Logf("%d operations against the model", ops)
}
