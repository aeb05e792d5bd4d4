package pmap

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func pairs(o Ordered[int, string]) []Pair[int, string] {
	var all []Pair[int, string]
	for k, v := range o.All() {
		all = append(all, Pair[int, string]{k, v})
	}
	return all
}

// TestOrderedModel drives an Ordered and a slice of pairs with the same calls, over and back
// across the border between few and many, and looks at every version again at the end.
func TestOrderedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			o    Ordered[int, string]
			want []Pair[int, string]
		}
		var o Ordered[int, string]
		var model []Pair[int, string]
		var old []version
		keys := rapid.IntRange(0, rapid.SampledFrom([]int{3, 12, 80}).Draw(t, "keys"))
		for step := range rapid.IntRange(1, 120).Draw(t, "steps") {
			old = append(old, version{o, slices.Clone(model)})
			k := keys.Draw(t, "key")
			i := slices.IndexFunc(model, func(p Pair[int, string]) bool { return p.Key == k })
			if v, ok := o.Get(k); ok != (i >= 0) || ok && v != model[i].Value {
				t.Fatalf("Get(%d) = %q, %v in %v", k, v, ok, model)
			}
			if rapid.IntRange(0, 2).Draw(t, "op") == 0 {
				o = o.Delete(k)
				if i >= 0 {
					model[i] = model[len(model)-1]
					model = model[:len(model)-1]
				}
				continue
			}
			v := strconv.Itoa(step)
			o = o.Set(k, v)
			if i >= 0 {
				model[i].Value = v
			} else {
				model = append(model, Pair[int, string]{k, v})
			}
		}
		for i, v := range append(old, version{o, model}) {
			if v.o.Len() != len(v.want) {
				t.Fatalf("version %d: Len = %d, want %d", i, v.o.Len(), len(v.want))
			}
			if diff := cmp.Diff(v.want, pairs(v.o), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("version %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

func TestOrderedGrowsAndShrinks(t *testing.T) {
	var o Ordered[int, string]
	for i := range maxFew {
		o = o.Set(i, "")
	}
	if o.many != nil {
		t.Errorf("a crowd at %d", o.Len())
	}
	if o = o.Set(maxFew, ""); o.many == nil {
		t.Errorf("no crowd at %d", o.Len())
	}
	for i := range maxFew / 2 {
		if o = o.Delete(i); o.many == nil {
			t.Errorf("no crowd any more at %d", o.Len())
		}
	}
	if o = o.Delete(maxFew); o.many != nil || o.Len() != maxFew/2 {
		t.Errorf("still a crowd at %d", o.Len())
	}
}

func BenchmarkOrdered(b *testing.B) {
	for _, n := range []int{4, 1000, 100_000} {
		var o Ordered[int, int]
		for i := range n {
			o = o.Set(i, i)
		}
		b.Run(fmt.Sprintf("set/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.Set(n, n)
			}
		})
		b.Run(fmt.Sprintf("walk/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			sum := 0
			for b.Loop() {
				for i := 0; i < o.Len(); {
					run := o.Run(i)
					for j := range run {
						sum += run[j].Value
					}
					i += len(run)
				}
			}
			if sum == 0 {
				b.Fatal("nothing walked")
			}
		})
	}
}
