package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/warrenmq/warren/amqp"
)

var kinds = []string{"direct", "fanout", "topic", "headers"}

func newTable(tb testing.TB, kind string) Table[int] {
	tb.Helper()
	table, ok := New[int](kind, nil)
	if !ok {
		tb.Fatalf("New(%q): no such type", kind)
	}
	return table
}

// message returns a message as it comes off the wire.
func message(key string, headers amqp.Table) Message {
	m := Message{Key: []byte(key)}
	if headers != nil {
		m.Headers = amqp.RawTable(amqp.AppendTable(nil, headers)[4:])
	}
	return m
}

// matched returns the destinations of m without duplicates, sorted.
func matched(table Table[int], m Message) []int {
	got := table.Match(m, nil)
	slices.Sort(got)
	return slices.Compact(got)
}

func TestNewUnknownType(t *testing.T) {
	for _, kind := range []string{"", "Direct", "x-nope", "nope"} {
		if _, ok := New[int](kind, nil); ok {
			t.Errorf("New(%q) knows the type", kind)
		}
	}
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("k", MaxKey)
	xmatch := func(v any) amqp.Table { return amqp.Table{{Key: "x-match", Value: v}} }
	tests := []struct {
		kind, key string
		args      amqp.Table
		want      string // "" for no error.
	}{
		{kind: "direct", key: "a.#.b.#.c.#"},
		{kind: "direct", key: long},
		{kind: "direct", key: long + "k", want: "binding key has 256 bytes, at most 255 are allowed"},
		{kind: "fanout", args: xmatch("zzz")},
		{kind: "topic", key: ""},
		{kind: "topic", key: "#.a.#"},
		{kind: "topic", key: "##.#a.#.a#.#"},
		{kind: "topic", key: "#.#.#", want: "Topic binding key '#.#.#' uses 3 '#' wildcards, at most 2 are allowed"},
		{
			kind: "topic", key: "#.a.#.b.#.c.#",
			want: "Topic binding key '#.a.#.b.#.c.#' uses 4 '#' wildcards, at most 2 are allowed",
		},
		{kind: "headers", key: "#.#.#"},
		{kind: "headers", args: xmatch("all")},
		{kind: "headers", args: xmatch("any")},
		{kind: "headers", args: xmatch("all-with-x")},
		{kind: "headers", args: xmatch("any-with-x")},
		{
			kind: "headers", args: xmatch("zzz"),
			want: `Invalid x-match field value <<"zzz">>; expected all, any, all-with-x, or any-with-x`,
		},
		{
			kind: "headers", args: xmatch(int8(1)),
			want: "Invalid x-match field type byte (value 1); expected longstr",
		},
		{
			kind: "headers", args: xmatch([]byte("all")),
			want: `Invalid x-match field type binary (value <<"all">>); expected longstr`,
		},
		{
			kind: "headers", args: xmatch(nil),
			want: "Invalid x-match field type void (value undefined); expected longstr",
		},
		{kind: "headers", args: make(amqp.Table, maxArgs)},
		{
			kind: "headers", args: make(amqp.Table, maxArgs+1),
			want: "headers binding has 1025 arguments, at most 1024 are allowed",
		},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s/%.20s/%d", test.kind, test.key, len(test.args)), func(t *testing.T) {
			err := Check(test.kind, test.key, test.args)
			if test.want == "" {
				if err != nil {
					t.Fatalf("got %v, want no error", err)
				}
				return
			}
			e, ok := errors.AsType[*amqp.Error](err)
			if !ok {
				t.Fatalf("got %#v, want an *amqp.Error", err)
			}
			want := &amqp.Error{Scope: amqp.ScopeChannel, Code: amqp.CodePreconditionFailed, Text: test.want}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestIdentity shows for every type what makes two bindings the same.
func TestIdentity(t *testing.T) {
	a, b := amqp.Field{Key: "a", Value: "1"}, amqp.Field{Key: "b", Value: int32(2)}
	base := Binding[int]{Key: "k", Args: amqp.Table{a, b}, Dest: 1}
	same := map[string]Binding[int]{
		"itself":            base,
		"arguments swapped": {Key: "k", Args: amqp.Table{b, a}, Dest: 1},
	}
	other := map[string]Binding[int]{
		"other key":            {Key: "l", Args: base.Args, Dest: 1},
		"other destination":    {Key: "k", Args: base.Args, Dest: 2},
		"no arguments":         {Key: "k", Dest: 1},
		"other argument":       {Key: "k", Args: amqp.Table{a}, Dest: 1},
		"other argument value": {Key: "k", Args: amqp.Table{a, {Key: "b", Value: int32(3)}}, Dest: 1},
		"other argument type":  {Key: "k", Args: amqp.Table{a, {Key: "b", Value: int64(2)}}, Dest: 1},
	}
	for _, kind := range kinds {
		one := newTable(t, kind).Bind(base)
		for name, binding := range same {
			if one.Bind(binding) != one {
				t.Errorf("%s: %s: Bind made another table", kind, name)
			}
			if got := one.Unbind(binding); got.Len() != 0 {
				t.Errorf("%s: %s: Unbind left %d bindings", kind, name, got.Len())
			}
		}
		for name, binding := range other {
			if one.Unbind(binding) != one {
				t.Errorf("%s: %s: Unbind made another table", kind, name)
			}
			if got := one.Bind(binding); got.Len() != 2 {
				t.Errorf("%s: %s: Bind gave %d bindings, want 2", kind, name, got.Len())
			}
		}
	}
	if base.Args[0].Key != "a" || same["arguments swapped"].Args[0].Key != "b" {
		t.Error("the caller's arguments were sorted")
	}
}

// TestBoundTwice binds a destination twice so that one message matches both.
func TestBoundTwice(t *testing.T) {
	m := message("k", amqp.Table{{Key: "h", Value: "v"}})
	first := Binding[int]{Key: "k", Dest: 1}
	second := Binding[int]{Key: "k", Args: amqp.Table{{Key: "h", Value: "v"}}, Dest: 1}
	for _, kind := range kinds {
		both := newTable(t, kind).Bind(first).Bind(second)
		for _, table := range []Table[int]{both, both.Unbind(first), both.Unbind(second)} {
			if diff := cmp.Diff([]int{1}, matched(table, m)); diff != "" {
				t.Errorf("%s with %d bindings (-want +got):\n%s", kind, table.Len(), diff)
			}
		}
		if got := matched(both.Unbind(first).Unbind(second), m); len(got) != 0 {
			t.Errorf("%s without bindings: %v", kind, got)
		}
	}
}

func TestMatchAppends(t *testing.T) {
	m := message("k", nil)
	for _, kind := range kinds {
		table := newTable(t, kind)
		if got := table.Match(m, []int{9}); !slices.Equal(got, []int{9}) {
			t.Errorf("%s, empty: %v, want [9]", kind, got)
		}
		if got := table.Bind(Binding[int]{Key: "k", Dest: 1}).Match(m, []int{9}); !slices.Equal(got, []int{9, 1}) {
			t.Errorf("%s: %v, want [9 1]", kind, got)
		}
	}
}

// TestMatchDoesNotAllocate has messages that take every path: few and many destinations, topic
// patterns before and behind a #, headers of all kinds.
func TestMatchDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("long", 20)
	m := message("a.b."+long, amqp.Table{
		{Key: "n", Value: int32(1)},
		{Key: long, Value: long},
		{Key: "f", Value: 1.5},
		{Key: "t", Value: true},
	})
	for _, kind := range kinds {
		table := newTable(t, kind)
		for i, key := range []string{"a.b." + long, "a.*." + long, "#", "#.b.#", "#." + long, "*.#"} {
			for d := range 40 {
				table = table.Bind(Binding[int]{Key: key, Dest: 100*i + d})
			}
		}
		for i, arg := range []amqp.Field{
			{Key: "n", Value: int64(1)},
			{Key: long, Value: long},
			{Key: long},
			{Key: "f", Value: float32(1.5)},
			{Key: "t", Value: true},
		} {
			table = table.Bind(Binding[int]{Args: amqp.Table{arg, {Key: "x-match", Value: "any"}}, Dest: 1000 + i})
		}
		dst := table.Match(m, nil)
		if len(dst) < 40 {
			t.Errorf("%s: only %d destinations", kind, len(dst))
		}
		most := 0.0
		if kind == "headers" {
			most = 1 // the message's headers, taken apart once
		}
		if n := testing.AllocsPerRun(100, func() { dst = table.Match(m, dst[:0]) }); n > most {
			t.Errorf("%s: %v allocations, want %v", kind, n, most)
		}
	}
}

// naive is a table that tries all bindings one by one.
type naive struct {
	kind     string
	bindings []Binding[int]
}

func sameBinding(a, b Binding[int]) bool {
	byKey := cmpopts.SortSlices(func(x, y amqp.Field) bool { return x.Key < y.Key })
	return a.Key == b.Key && a.Dest == b.Dest && cmp.Equal(a.Args, b.Args, byKey, cmpopts.EquateEmpty())
}

func (n naive) index(b Binding[int]) int {
	return slices.IndexFunc(n.bindings, func(x Binding[int]) bool { return sameBinding(x, b) })
}

func (n naive) bind(b Binding[int]) naive {
	if n.index(b) >= 0 {
		return n
	}
	return naive{n.kind, append(slices.Clone(n.bindings), b)}
}

func (n naive) unbind(b Binding[int]) naive {
	if i := n.index(b); i >= 0 {
		return naive{n.kind, slices.Delete(slices.Clone(n.bindings), i, i+1)}
	}
	return n
}

func (n naive) match(key string, headers amqp.Table) []int {
	var dst []int
	for _, b := range n.bindings {
		var ok bool
		switch n.kind {
		case "direct":
			ok = b.Key == key
		case "fanout":
			ok = true
		case "topic":
			ok = naiveTopic(b.Key, key)
		case "headers":
			ok = naiveHeaders(b.Args, headers)
		}
		if ok {
			dst = append(dst, b.Dest)
		}
	}
	slices.Sort(dst)
	return slices.Compact(dst)
}

func genKey() *rapid.Generator[string] {
	word := rapid.SampledFrom([]string{"a", "b", "", "*", "#", "c"})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, "words"), ".")
	})
}

func genTable() *rapid.Generator[amqp.Table] {
	key := rapid.SampledFrom([]string{"a", "b", "c", "x-a", "x-b", "x-match"})
	value := rapid.SampledFrom([]any{
		nil, true, false, "", "1", []byte("1"), int8(1), uint8(1), int16(-1), uint16(1), int32(1), uint32(1),
		int64(1), int64(-1), float32(1), float64(1), 0.5, amqp.Timestamp(1),
		amqp.Decimal{Scale: 1, Value: 10},
		[]any{int8(1)},
		[]any{int16(1)},
		amqp.Table{{Key: "a", Value: "1"}},
		amqp.Table{},
		strings.Repeat("p", maxPrefix) + "q",
		strings.Repeat("p", maxPrefix) + "r",
	})
	mode := rapid.SampledFrom([]any{"all", "any", "all-with-x", "any-with-x"})
	return rapid.Custom(func(t *rapid.T) amqp.Table {
		var table amqp.Table
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			f := amqp.Field{Key: key.Draw(t, "key")}
			if f.Key == "x-match" {
				f.Value = mode.Draw(t, "mode")
			} else {
				f.Value = value.Draw(t, "value")
			}
			table = append(table, f)
		}
		return table
	})
}

// TestModel drives a table of every type and a naive one with the same calls, and looks at every
// version again at the end.
func TestModel(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkModel(t, kind) })
		})
	}
}

func checkModel(t *rapid.T, kind string) {
	type version struct {
		table Table[int]
		model naive
	}
	table, _ := New[int](kind, nil)
	twin, _ := New[int](kind, nil) // Hashes with another seed.
	versions := []version{{table, naive{kind: kind}}}
	binding := rapid.Custom(func(t *rapid.T) Binding[int] {
		return Binding[int]{
			Key:  genKey().Draw(t, "key"),
			Args: genTable().Draw(t, "args"),
			Dest: rapid.IntRange(0, 15).Draw(t, "dest"),
		}
	})
	pool := rapid.SliceOfN(binding, 1, 30).Draw(t, "bindings")
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		b := rapid.SampledFrom(pool).Draw(t, "binding")
		model := versions[len(versions)-1].model
		if rapid.IntRange(0, 2).Draw(t, "op") == 0 {
			table, twin, model = table.Unbind(b), twin.Unbind(b), model.unbind(b)
		} else {
			table, twin, model = table.Bind(b), twin.Bind(b), model.bind(b)
		}
		versions = append(versions, version{table, model})
	}
	key, headers := genKey().Draw(t, "routing key"), genTable().Draw(t, "headers")
	m := message(key, headers)
	for i, v := range versions {
		if v.table.Len() != len(v.model.bindings) {
			t.Fatalf("version %d: Len = %d, want %d", i, v.table.Len(), len(v.model.bindings))
		}
		want := v.model.match(key, headers)
		if diff := cmp.Diff(want, matched(v.table, m), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("version %d, %q %v, bindings %v (-want +got):\n%s", i, key, headers, v.model.bindings, diff)
		}
		if raw := v.table.Match(m, nil); kind != "topic" && kind != "headers" && len(raw) != len(want) {
			t.Fatalf("version %d: %v has duplicates", i, raw)
		}
	}
	if got, want := twin.Match(m, nil), table.Match(m, nil); !slices.Equal(got, want) {
		t.Fatalf("the order depends on the seed: %v and %v", got, want)
	}
	for _, b := range pool {
		table = table.Unbind(b)
	}
	if got := table.Match(m, nil); len(got) != 0 || table.Len() != 0 {
		t.Fatalf("after the last Unbind: %v, Len %d", got, table.Len())
	}
}
