package session

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestUnackedModel holds the ring of outstanding deliveries against a map.
func TestUnackedModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var u unacked
		src := &source{}
		model := map[uint64]uint64{} // tag to sequence number
		removed := map[uint64]uint64{}
		tag, seq := uint64(0), uint64(0)
		tags := func() []uint64 {
			list := make([]uint64, 0, len(model))
			for t := range model {
				list = append(list, t)
			}
			slices.Sort(list)
			return list
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				step := uint64(rapid.SampledFrom([]int{1, 1, 1, 2, 5}).Draw(t, "step"))
				for range rapid.IntRange(1, 700).Draw(t, "n") {
					tag += step
					seq++
					u.add(tag, outstanding{src: src, seq: seq})
					model[tag] = seq
				}
			},
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					want := rapid.Uint64Range(0, tag+2).Draw(t, "tag")
					d, ok := u.take(want)
					if s, known := model[want]; ok != known || ok && d.seq != s {
						t.Fatalf("take(%d) = %v, %v; the model has %d, %v", want, d, ok, s, known)
					}
					if ok {
						removed[want] = model[want]
						delete(model, want)
					}
				}
			},
			"most": func(t *rapid.T) { // leave one in forty: what makes the ring retire
				for i, want := range tags() {
					if i%40 != 7 {
						if _, ok := u.take(want); !ok {
							t.Fatalf("take(%d) failed", want)
						}
						delete(model, want)
					}
				}
			},
			"up to": func(t *rapid.T) {
				upTo := rapid.Uint64Range(0, tag).Draw(t, "tag")
				var want []uint64
				for _, id := range tags() {
					if upTo == 0 || id <= upTo {
						want = append(want, model[id])
						delete(model, id)
					}
				}
				if list := u.tags(upTo); len(list) != len(want) {
					t.Fatalf("tags(%d) has %d, want %d", upTo, len(list), len(want))
				}
				var got []uint64
				for _, d := range u.takeUpTo(upTo, nil) {
					got = append(got, d.seq)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("takeUpTo(%d) = %v, want %v", upTo, got, want)
				}
			},
			"restore": func(t *rapid.T) {
				for id, s := range removed {
					u.restore([]oldDelivery{{id, outstanding{src: src, seq: s}}})
					model[id] = s
				}
				clear(removed)
			},
			"": func(t *rapid.T) {
				if u.live != len(model) {
					t.Fatalf("live = %d, want %d", u.live, len(model))
				}
				if probe := rapid.Uint64Range(0, tag+1).Draw(t, "probe"); u.has(probe) != has(model, probe) {
					t.Fatalf("has(%d) = %v", probe, u.has(probe))
				}
			},
		})
	})
}

func has(m map[uint64]uint64, tag uint64) bool {
	_, ok := m[tag]
	return ok
}

// TestUnackedForgotten: one forgotten acknowledgement must not keep the ring
// as long as the deliveries since.
func TestUnackedForgotten(t *testing.T) {
	t.Parallel()
	var u unacked
	src := &source{}
	u.add(1, outstanding{src: src, seq: 1})
	for tag := uint64(2); tag < 1_000_000; tag++ {
		u.add(tag, outstanding{src: src, seq: tag})
		if _, ok := u.take(tag); !ok {
			t.Fatalf("take(%d) failed", tag)
		}
	}
	if len(u.ring) > 4096 {
		t.Errorf("the ring has %d slots for one delivery", len(u.ring))
	}
	if d, ok := u.take(1); !ok || d.seq != 1 {
		t.Errorf("the forgotten delivery is %v, %v", d, ok)
	}
}

// TestUnackedRestored: what goes back together, in any order, lies where it did, beside what stayed.
func TestUnackedRestored(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var u unacked
		src := &source{}
		const n = 5000
		for tag := uint64(1); tag <= n; tag++ {
			u.add(tag, outstanding{src: src, seq: tag})
			if tag < n/2 && tag%7 != 0 { // so that some move to old
				u.take(tag)
			}
		}
		was := u.tags(0)
		var list []oldDelivery
		for _, i := range chance.Perm(len(was))[:chance.IntN(len(was))] {
			d, ok := u.take(was[i])
			if !ok {
				t.Fatalf("tag %d is not there", was[i])
			}
			list = append(list, oldDelivery{was[i], d})
		}
		u.restore(list)
		if now := u.tags(0); !slices.Equal(now, was) || u.live != len(was) || src.live != len(was) {
			t.Fatalf("%d tags, %d and %d live; before %d", len(now), u.live, src.live, len(was))
		}
		for _, tag := range was {
			if d, ok := u.take(tag); !ok || d.seq != tag {
				t.Fatalf("tag %d is %+v", tag, d)
			}
		}
	}
}
