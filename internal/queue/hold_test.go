package queue

import "math"

// overdue checks what was not settled in time.
func (x *machine) overdue() {
	x.s.Overdue(x.now, &x.fx)
	for _, o := range x.fx.Overdue {
		for _, seq := range o.Seqs {
			at, ok := x.held[seq]
			if !ok || at > x.now || x.m.state[seq] != stateUnacked || x.consumers[x.m.owner[seq]] != o.Consumer {
				x.t.Fatalf("message %d is overdue at %d, until %d", seq, x.now, at)
			}
			delete(x.held, seq)
		}
	}
	first := int64(math.MaxInt64)
	for seq, at := range x.held {
		if x.m.state[seq] == stateUnacked {
			first = min(first, at)
		}
	}
	if first <= x.now || x.s.HoldEnd() != first {
		x.t.Fatalf("at %d the next is overdue at %d, want %d", x.now, x.s.HoldEnd(), first)
	}
}
