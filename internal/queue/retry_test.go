package queue

import "slices"

// retries reports whether what comes back waits elsewhere.
func (x *machine) retries(failed bool) bool {
	return failed && x.s.set.RetryFailed || !failed && x.s.set.RetryReturned
}

// waits checks that a message has left to wait, with its counts.
func (x *machine) waits(seq uint64, n Tries) {
	is := func(d Dead) bool { return d.Seq == seq && d.Reason == Again && d.Tries == n }
	if !slices.ContainsFunc(x.fx.Dead, is) || slices.Contains(x.fx.Settled, seq) {
		x.t.Fatalf("message %d came back and does not wait", seq)
	}
	delete(x.m.state, seq)
}
