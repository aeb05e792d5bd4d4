package session

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/warrenmq/warren/internal/broker"
)

// TestOverdueModel holds what finds overdue deliveries against a look at all.
func TestOverdueModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		queues := []*broker.Queue{{}, {}}
		var sources []*source
		for _, q := range queues {
			sources = append(sources, &source{queue: q}, &source{queue: q, consumer: &broker.Consumer{}}, &source{queue: q, consumer: &broker.Consumer{}})
		}
		var u unacked
		tag, seq := uint64(0), uint64(0)
		var taken []oldDelivery
		some := func(t *rapid.T) uint64 {
			list := u.tags(0)
			if len(list) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(list).Draw(t, "tag")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 400).Draw(t, "n") {
					tag += uint64(1 + rapid.IntRange(0, 1).Draw(t, "skip"))
					if rapid.Bool().Draw(t, "new") {
						seq++
					} // else it comes again: the one before is gone for good
					for id, d := range u.each {
						if d.seq == seq {
							u.take(id)
							break
						}
					}
					taken = slices.DeleteFunc(taken, func(d oldDelivery) bool { return d.seq == seq })
					u.add(tag, outstanding{src: rapid.SampledFrom(sources).Draw(t, "source"), seq: seq})
				}
			},
			"take": func(t *rapid.T) {
				id := some(t)
				d, _ := u.take(id)
				taken = append(taken, oldDelivery{id, d})
			},
			"most": func(*rapid.T) {
				for i, id := range u.tags(0) {
					if i%40 != 7 {
						u.take(id)
					}
				}
			},
			"up to": func(t *rapid.T) { u.takeUpTo(some(t), nil) },
			"restore": func(*rapid.T) {
				u.restore(taken)
				taken = nil
			},
			"overdue": func(t *rapid.T) {
				src := rapid.SampledFrom(sources).Draw(t, "source")
				var seqs, want []uint64
				for id, d := range u.each {
					if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
						seqs = append(seqs, d.seq)
						if d.src == src {
							want = append(want, id)
						}
					}
				}
				slices.Reverse(seqs)
				got := u.overdue(src.queue, src.consumer, append(seqs, seq+1))
				if !slices.Equal(got, want) {
					t.Fatalf("overdue are %v, want %v", got, want)
				}
				for _, id := range got {
					u.take(id)
				}
			},
		})
	})
}

// TestOverdueInTurn: consumers that are overdue one after another, a message at
// a time, do not have all deliveries looked at for each.
func TestOverdueInTurn(t *testing.T) {
	t.Parallel()
	const consumers, each = 500, 20
	ch := &channel{}
	var sources [consumers]*source
	for i := range sources {
		sources[i] = &source{queue: &broker.Queue{}, consumer: &broker.Consumer{}}
	}
	for i := range uint64(consumers * each) {
		ch.unacked.add(i+1, outstanding{src: sources[i%consumers], seq: i})
	}
	var first *lateness
	for i := range uint64(consumers * each) {
		if late := ch.takeLate(sources[i%consumers], []uint64{i}); !slices.Equal(late, []uint64{i}) {
			t.Fatalf("message %d: %v", i, late)
		}
		if first == nil {
			first = ch.unacked.late
		}
		if left := consumers*each - 1 - int(i); ch.unacked.late != first || first.entries != left {
			t.Fatalf("after message %d: what finds them is made anew, or has %d entries instead of %d", i, first.entries, left)
		}
	}
	for i := range uint64(consumers * each) {
		if !ch.forgive(i+1, false) {
			t.Fatalf("tag %d is not known to be overdue", i+1)
		}
	}
	ch.unacked.add(consumers*each+1, outstanding{src: sources[0], seq: 1})
	if ch.unacked.late != nil {
		t.Error("what finds deliveries outlives all of them")
	}
}
