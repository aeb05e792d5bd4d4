package session

import (
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
					u.restore(id, outstanding{src: src, seq: s})
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
