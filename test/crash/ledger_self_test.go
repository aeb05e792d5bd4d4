package crash_test

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestLedger shows the ledger each kind of loss that it is there for: a
// verifier that finds nothing proves nothing.
func TestLedger(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	b := func(seq uint32) received { return received{body(id{1, seq}, 20, rng), true} }
	tests := []struct {
		name string
		run  func(l *Ledger, f *flow)
		want string
	}{
		{"all is well", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.check("q", []received{b(1)})
		}, ""},
		{"not confirmed, not there", func(l *Ledger, f *flow) {
			l.sending(f, id{1, 1}, true, nil, "q")
			l.check("q", nil)
		}, ""},
		{"lost", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q", "r"))
			l.check("q", []received{b(1)})
			l.check("r", nil)
		}, "queue r has lost 1/1"},
		{"twice", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.check("q", []received{b(1), b(1)})
		}, "has 1/1 twice"},
		{"order", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.confirmed(l.sending(f, id{1, 2}, true, nil, "q"))
			l.check("q", []received{b(2), b(1)})
		}, "has 1/1 behind 1/2"},
		{"invented", func(l *Ledger, _ *flow) { l.check("q", []received{b(1)}) }, "nobody published it"},
		{"changed", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			m := b(1)
			m.body[15]++
			l.check("q", []received{m})
		}, "a body of 20 bytes that nobody published"},
		{"transient", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, false, nil, "q"))
			l.check("q", []received{b(1)})
		}, "which is transient"},
		{"acknowledged, not synced, is back", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.acking("q", id{1, 1})
			l.acked(f, "q", id{1, 1})
			l.check("q", []received{b(1)})
		}, ""},
		{"acknowledged, synced, is back", func(l *Ledger, f *flow) {
			l.source(f, "q")
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.acking("q", id{1, 1})
			l.acked(f, "q", id{1, 1})
			l.confirmed(l.sending(f, id{1, 2}, true, nil, "q"))
			l.check("q", []received{b(1), b(2)})
		}, "has 1/1: it was gone"},
		{"acknowledged by another than who publishes", func(l *Ledger, f *flow) {
			other := &flow{}
			l.source(f, "q")
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.acking("q", id{1, 1})
			l.acked(other, "q", id{1, 1})
			l.confirmed(l.sending(other, id{2, 1}, true, nil, "other"))
			l.check("q", []received{b(1)}) // not proved yet
			l.confirmed(l.sending(f, id{1, 2}, true, nil, "r"))
			l.check("q", []received{b(1)})
		}, "has 1/1: it was gone"},
		{"not marked as redelivered", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			l.delivered("q", b(1).body)
			l.check("q", []received{{b(1).body, false}})
		}, "not marked as redelivered"},
		{"half a transaction", func(l *Ledger, f *flow) {
			g := l.begin()
			l.sending(f, id{1, 1}, true, g, "q")
			l.sending(f, id{1, 2}, true, g, "q")
			l.committing(g)
			l.check("q", []received{b(1)})
			l.settle()
		}, "1 of 2 publishes, 0 of 0 acknowledgements"},
		{"a transaction without its acknowledgement", func(l *Ledger, f *flow) {
			l.confirmed(l.sending(f, id{1, 1}, true, nil, "q"))
			g := l.begin()
			l.sending(f, id{1, 2}, true, g, "q")
			l.ackIn(g, "q", id{1, 1})
			l.committing(g)
			l.check("q", []received{b(1), b(2)})
			l.settle()
		}, "1 of 1 publishes, 0 of 1 acknowledgements"},
		{"a transaction that was not committed", func(l *Ledger, f *flow) {
			l.sending(f, id{1, 1}, true, l.begin(), "q")
			l.check("q", []received{b(1)})
		}, "was not committed"},
		{"delivered again", func(l *Ledger, f *flow) {
			l.sending(f, id{1, 1}, true, nil, "q")
			l.delivered("q", b(1).body)
			l.acking("q", id{1, 1})
			l.acked(f, "q", id{1, 1})
			l.delivered("q", b(1).body)
		}, "again after its acknowledgement"},
		{"back after it was away", func(l *Ledger, f *flow) {
			l.sending(f, id{1, 1}, true, nil, "q")
			l.check("q", nil)
			l.settle()
			l.check("q", []received{b(1)})
		}, "an earlier restart did not have it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			tt.run(l, &flow{})
			got := strings.Join(l.take(), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
