package pmap

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestListAcrossLevels(t *testing.T) {
	const n = blockLen*blockLen*2 + 5
	var versions []List[int]
	var l List[int]
	for i := range n {
		versions = append(versions, l)
		l = l.Push(i)
	}
	for i := range n {
		if l.At(i) != i {
			t.Fatalf("At(%d) = %d", i, l.At(i))
		}
	}
	for i, v := range versions {
		if v.Len() != i || i > 0 && v.At(i-1) != i-1 {
			t.Fatalf("version %d has changed: Len %d", i, v.Len())
		}
	}
	for i := n - 1; i >= 0; i-- {
		l = l.Pop()
		if l.Len() != i || i > 0 && (l.At(0) != 0 || l.At(i-1) != i-1) {
			t.Fatalf("after popping %d: Len %d", i, l.Len())
		}
	}
	if l != (List[int]{}) {
		t.Errorf("popped to the end: %+v, want the zero list", l)
	}
}

func TestListIndexOutOfRangePanics(t *testing.T) {
	l := List[int]{}.Push(1)
	tests := map[string]func(){
		"At(-1)":         func() { l.At(-1) },
		"At(Len)":        func() { l.At(1) },
		"Set(Len)":       func() { l.Set(1, 0) },
		"Run of empty":   func() { List[int]{}.Run(0) },
		"Pop from empty": func() { List[int]{}.Pop() },
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			call()
		})
	}
}

func TestListModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			l    List[int]
			want []int
		}
		var l List[int]
		var model []int
		var old []version
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			old = append(old, version{l, slices.Clone(model)})
			times := rapid.IntRange(1, 40).Draw(t, "times")
			switch op := rapid.IntRange(0, 2).Draw(t, "op"); {
			case op == 0:
				for i := range times {
					l, model = l.Push(i), append(model, i)
				}
			case op == 1 && len(model) > 0:
				i := rapid.IntRange(0, len(model)-1).Draw(t, "at")
				l, model[i] = l.Set(i, -i), -i
			case op == 2:
				for range min(times, len(model)) {
					l, model = l.Pop(), model[:len(model)-1]
				}
			}
		}
		for i, v := range append(old, version{l, model}) {
			if diff := cmp.Diff(v.want, slices.Collect(v.l.All()), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("version %d (-want +got):\n%s", i, diff)
			}
		}
	})
}
