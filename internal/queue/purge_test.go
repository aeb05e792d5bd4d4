package queue

import "pgregory.net/rapid"

func (x *machine) rare(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "purge") > 0 {
		x.s.Tick(&x.fx)
		return
	}
	x.purge()
}

func (x *machine) purge() {
	want := x.m.ready()
	x.cold = x.frozen > 0
	defer func() { x.cold = false }()
	if n := x.s.Purge(&x.fx); n != len(want) {
		x.t.Fatalf("purged %d, want %d", n, len(want))
	}
	x.settled(want)
	for _, seq := range want {
		delete(x.m.state, seq)
	}
}
