package pmap

import (
	"fmt"
	"hash/maphash"
	"maps"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMapZeroValueIsEmpty(t *testing.T) {
	var m Map[string, int]
	if v, ok := m.Get("a"); ok || v != 0 {
		t.Errorf("Get = %d, %v; want 0, false", v, ok)
	}
	if v, ok := GetBytes(m, []byte("a")); ok || v != 0 {
		t.Errorf("GetBytes = %d, %v; want 0, false", v, ok)
	}
	if m.Delete("a") != m {
		t.Error("Delete of a missing key made another map")
	}
	for k := range m.All() {
		t.Errorf("All yields %q", k)
	}
	m = m.Set("", 7)
	if v, ok := m.Get(""); !ok || v != 7 || m.Len() != 1 {
		t.Errorf("Get(\"\") = %d, %v, Len %d; want 7, true, 1", v, ok, m.Len())
	}
	if m = m.Delete(""); m.Len() != 0 || m.root != nil {
		t.Errorf("after the last Delete: Len %d, root %v", m.Len(), m.root)
	}
}

func TestMapAllStopsWhenTold(t *testing.T) {
	var m Map[int, int]
	for i := range 100 {
		m = m.Set(i, i)
	}
	n := 0
	for range m.All() {
		if n++; n == 40 {
			break
		}
	}
	if n != 40 {
		t.Errorf("yielded %d, want 40", n)
	}
}

func TestGetHashedFindsWithSharedSeed(t *testing.T) {
	seed := maphash.MakeSeed()
	a := New[string, int](seed).Set("k", 1)
	b := New[string, int](seed).Set("k", 2)
	hash := maphash.Bytes(seed, []byte("k"))
	if v, ok := GetHashed(a, hash, []byte("k")); !ok || v != 1 {
		t.Errorf("a: %d, %v; want 1, true", v, ok)
	}
	if v, ok := GetHashed(b, hash, []byte("k")); !ok || v != 2 {
		t.Errorf("b: %d, %v; want 2, true", v, ok)
	}
	if _, ok := GetHashed(a, hash+1, []byte("k")); ok {
		t.Error("found with another hash")
	}
}

// TestMapModel drives a map and a Go map with the same calls, through hashes so poor that nodes
// are deep and full collisions common, and looks at every version again at the end.
func TestMapModel(t *testing.T) {
	masks := map[string]uint64{
		"good":      ^uint64(0),
		"deep":      7<<61 | 1,
		"colliding": 3 << 40,
		"constant":  0,
	}
	for name, mask := range masks {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkMap(t, mask) })
		})
	}
}

func checkMap(t *rapid.T, mask uint64) {
	type version struct {
		m    Map[string, int]
		want map[string]int
	}
	m := New[string, int](maphash.MakeSeed())
	model := map[string]int{}
	var old []version
	key := rapid.Custom(func(t *rapid.T) string { return "k" + strconv.Itoa(rapid.IntRange(0, 60).Draw(t, "n")) })
	for range rapid.IntRange(1, 150).Draw(t, "steps") {
		old = append(old, version{m, maps.Clone(model)})
		k := key.Draw(t, "key")
		hash := m.hash(k) & mask
		if rapid.IntRange(0, 2).Draw(t, "op") == 0 {
			m = m.remove(hash, k)
			delete(model, k)
		} else {
			v := rapid.Int().Draw(t, "value")
			m = m.set(hash, k, v)
			model[k] = v
		}
		if err := canonical(m.root, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range append(old, version{m, model}) {
		if v.m.Len() != len(v.want) {
			t.Fatalf("version %d: Len = %d, want %d", i, v.m.Len(), len(v.want))
		}
		if diff := cmp.Diff(v.want, maps.Collect(v.m.All())); diff != "" {
			t.Fatalf("version %d (-want +got):\n%s", i, diff)
		}
		for n := range 61 {
			k := "k" + strconv.Itoa(n)
			got, ok := GetHashed(v.m, v.m.hash(k)&mask, []byte(k))
			want, wantOK := v.want[k]
			if got != want || ok != wantOK {
				t.Fatalf("version %d: %q = %d, %v; want %d, %v", i, k, got, ok, want, wantOK)
			}
		}
	}
}

// canonical reports where n breaks the rules of the tree.
func canonical[K comparable, V any](n *node[K, V], shift uint) error {
	if n == nil {
		return nil
	}
	if len(n.entries)+len(n.nodes) == 0 {
		return fmt.Errorf("empty node at shift %d", shift)
	}
	if shift > 0 && len(n.entries) == 1 && len(n.nodes) == 0 {
		return fmt.Errorf("a lone entry at shift %d", shift)
	}
	if n.leafs&n.kids != 0 {
		return fmt.Errorf("a slot is both at shift %d", shift)
	}
	for _, kid := range n.nodes {
		if err := canonical(kid, shift+slotBits); err != nil {
			return err
		}
	}
	return nil
}

func TestMapPublicCallsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.StringN(0, 40, -1), rapid.Int()).Draw(t, "pairs")
		var m Map[string, int]
		for k, v := range want {
			m = m.Set(k, v)
		}
		for k, v := range want {
			if got, ok := m.Get(k); !ok || got != v {
				t.Fatalf("Get(%q) = %d, %v; want %d, true", k, got, ok, v)
			}
			if got, ok := GetBytes(m, []byte(k)); !ok || got != v {
				t.Fatalf("GetBytes(%q) = %d, %v; want %d, true", k, got, ok, v)
			}
		}
		for k := range want {
			m = m.Delete(k)
			if _, ok := m.Get(k); ok {
				t.Fatalf("%q is still there", k)
			}
		}
		if m.Len() != 0 {
			t.Fatalf("Len = %d after all was deleted", m.Len())
		}
	})
}

func TestMapLooksUpWithoutAllocating(t *testing.T) {
	var m Map[string, int]
	p := new(int)
	var q Map[*int, int]
	q = q.Set(p, 1)
	key := []byte("a key that does not fit into a small temporary buffer")
	m = m.Set(string(key), 1)
	s := string(key)
	n := testing.AllocsPerRun(100, func() {
		_, a := GetBytes(m, key)
		_, b := m.Get(s)
		_, c := q.Get(p)
		if !a || !b || !c {
			t.Error("not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

var sizes = []int{10, 1000, 100_000, 1_000_000}

func filled(n int) (Map[string, int], [][]byte) {
	var m Map[string, int]
	keys := make([][]byte, n)
	for i := range n {
		keys[i] = []byte("key-" + strconv.Itoa(i))
		m = m.Set(string(keys[i]), i)
	}
	return m, keys
}

func BenchmarkMap(b *testing.B) {
	for _, n := range sizes {
		m, keys := filled(n)
		b.Run(fmt.Sprintf("get/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := GetBytes(m, keys[i*7919%n]); !ok {
					b.Fatal("missing")
				}
			}
		})
		b.Run(fmt.Sprintf("miss/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := GetBytes(m, []byte("no such key")); ok {
					b.Fatal("found")
				}
			}
		})
		b.Run(fmt.Sprintf("set/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Set(string(keys[i*7919%n]), i)
			}
		})
		b.Run(fmt.Sprintf("delete/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Delete(string(keys[i*7919%n]))
			}
		})
	}
}
