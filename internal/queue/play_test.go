package queue

import (
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestModel plays random sequences of operations, with time and crashes, against
// the model: at least COUNT operations, or as many as rapid's checks make.
func TestModel(t *testing.T) {
	ops, crashes := 0, 0
	most, _ := strconv.Atoi(os.Getenv("COUNT"))
	for once := true; once || ops < most && !t.Failed(); once = false {
		rapid.Check(t, func(t *rapid.T) { play(t, &ops, &crashes) })
	}
	t.Logf("%d operations against the model, %d of them crashes", ops, crashes)
}

// play plays one sequence of operations.
func play(t *rapid.T, ops, crashes *int) {
	x := &machine{t: t, woken: map[*Consumer]bool{}, ops: ops, crashes: crashes, now: 1000, held: map[uint64]int64{}}
	set := x.setup(t)
	x.s.Configure(set)
	x.m = newModel()
	t.Repeat(map[string]func(*rapid.T){"step": x.step})
	x.t = t
	x.s.Pause(false, &x.fx)
	x.done()
	x.end(t)
}

// setup draws what the queue's settings are.
func (x *machine) setup(t *rapid.T) Settings {
	x.timed, x.letters = rapid.Bool().Draw(t, "timed"), rapid.Bool().Draw(t, "letters")
	set := Settings{DeadLetters: x.letters}
	if x.timed && rapid.IntRange(0, 2).Draw(t, "ttl") == 0 {
		set.TTL = new(int64)
		*set.TTL = int64(rapid.IntRange(0, 150).Draw(t, "ttl"))
	}
	if rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
		set.Refuse, set.MaxMessages = !x.timed && rapid.Bool().Draw(t, "refuses"), new(int64)
		x.drops = !set.Refuse
		*set.MaxMessages = int64(rapid.IntRange(0, 100).Draw(t, "most"))
	}
	if rapid.Bool().Draw(t, "counts") {
		set.Counts, set.DeliveryLimit = true, int64(rapid.IntRange(0, 3).Draw(t, "deliveries"))
		set.RetryFailed, set.RetryReturned = rapid.Bool().Draw(t, "retry failed"), rapid.IntRange(0, 2).Draw(t, "retry returned") == 0
		set.RetryLimit, set.Parks = int64(rapid.IntRange(0, 2).Draw(t, "retries")), rapid.Bool().Draw(t, "parks")
	}
	x.ranked = rapid.IntRange(0, 2).Draw(t, "ranked") == 0
	if rapid.IntRange(0, 2).Draw(t, "prioritized") == 0 {
		x.lanes = rapid.SampledFrom([]int{1, 2, 5, 31, 255}).Draw(t, "highest")
		x.s.Prioritize(uint8(x.lanes))
	}
	if rapid.IntRange(0, 2).Draw(t, "holds") == 0 {
		set.ConsumerTimeout = int64(rapid.IntRange(1, 100).Draw(t, "timeout"))
	}
	set.Single = rapid.IntRange(0, 3).Draw(t, "single") == 0
	set.Preempt = rapid.Bool().Draw(t, "preempt")
	set.ReturnsFirst = rapid.IntRange(0, 2).Draw(t, "returns first") == 0
	return set
}

// end lets the queue be emptied: nothing is left of it.
func (x *machine) end(t *rapid.T) {
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
}
