package queue

import (
	"slices"

	"pgregory.net/rapid"
)

func (x *machine) step(t *rapid.T) {
	x.t = t
	switch rapid.IntRange(0, 18).Draw(t, "op") {
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
	case 18:
		if rapid.IntRange(0, 2).Draw(t, "crash") == 0 {
			x.crash(t)
		}
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
		x.m.back = append(slices.DeleteFunc(x.m.back, func(n uint64) bool { return n == seq }), seq)
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
		if x.drops && !x.s.Live(seq) {
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
