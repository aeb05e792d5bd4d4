package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
)

func naiveHeaders(args, headers amqp.Table) bool {
	mode := "all"
	if s, ok := args.Get("x-match"); ok {
		mode, _ = s.(string)
	}
	anyOf, withX := strings.HasPrefix(mode, "any"), strings.HasSuffix(mode, "x")
	for _, arg := range args {
		if arg.Key == "x-match" || strings.HasPrefix(arg.Key, "x-") && !withX {
			continue
		}
		v, ok := headers.Get(arg.Key)
		if ok = ok && (arg.Value == nil || cmp.Equal(widest(arg.Value), widest(v))); ok == anyOf {
			return anyOf
		}
	}
	return !anyOf
}

// widest returns integers as int64, floats as float64 and binaries as strings.
func widest(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case []byte:
		return string(v)
	}
	return v
}

// args makes a table of keys and values in turn.
func args(kv ...any) amqp.Table {
	table := amqp.Table{}
	for i := 0; i < len(kv); i += 2 {
		table = append(table, amqp.Field{Key: kv[i].(string), Value: kv[i+1]})
	}
	return table
}

func TestHeaders(t *testing.T) {
	long := strings.Repeat("v", maxPrefix)
	var many amqp.Table
	for i := range 3 * fewFields {
		many = append(many, amqp.Field{Key: fmt.Sprint("h", i), Value: int32(i)})
	}
	tests := []struct {
		name      string
		args      amqp.Table
		yes, nots []amqp.Table
	}{
		{
			"all is the default", args("a", "1", "b", "2"),
			[]amqp.Table{args("a", "1", "b", "2"), args("c", "3", "b", "2", "a", "1")},
			[]amqp.Table{nil, args(), args("a", "1"), args("a", "1", "b", "3"), args("A", "1", "B", "2")},
		},
		{
			"all", args("x-match", "all", "a", "1", "b", "2"),
			[]amqp.Table{args("a", "1", "b", "2")},
			[]amqp.Table{nil, args("b", "2"), args("x-match", "all")},
		},
		{
			"any", args("x-match", "any", "a", "1", "b", "2"),
			[]amqp.Table{args("a", "1"), args("b", "2"), args("a", "2", "b", "2"), args("a", "1", "b", "2")},
			[]amqp.Table{nil, args(), args("a", "2"), args("c", "1"), args("x-match", "any")},
		},
		{"all of nothing", args("x-match", "all"), []amqp.Table{nil, args(), args("a", "1")}, nil},
		{"no arguments", nil, []amqp.Table{nil, args(), args("a", "1")}, nil},
		{"any of nothing", args("x-match", "any"), nil, []amqp.Table{nil, args(), args("a", "1"), args("x-match", "any")}},
		{
			"all leaves x- out", args("a", "1", "x-b", "2"),
			[]amqp.Table{args("a", "1"), args("a", "1", "x-b", "3")},
			[]amqp.Table{args("x-b", "2")},
		},
		{
			"any leaves x- out", args("x-match", "any", "a", "1", "x-b", "2"),
			[]amqp.Table{args("a", "1")},
			[]amqp.Table{args("x-b", "2")},
		},
		{"any of x- only", args("x-match", "any", "x-b", "2"), nil, []amqp.Table{nil, args("x-b", "2")}},
		{
			"all-with-x", args("x-match", "all-with-x", "a", "1", "x-b", "2"),
			[]amqp.Table{args("a", "1", "x-b", "2")},
			[]amqp.Table{args("a", "1"), args("x-b", "2"), args("a", "1", "x-b", "3")},
		},
		{
			"any-with-x", args("x-match", "any-with-x", "a", "1", "x-b", "2"),
			[]amqp.Table{args("a", "1"), args("x-b", "2")},
			[]amqp.Table{nil, args("x-match", "any-with-x"), args("x-b", "3")},
		},
		{
			"void asks for presence", args("a", nil),
			[]amqp.Table{args("a", nil), args("a", "1"), args("a", int32(0)), args("a", args())},
			[]amqp.Table{nil, args("b", nil)},
		},
		{"a value does not equal void", args("a", ""), []amqp.Table{args("a", "")}, []amqp.Table{args("a", nil)}},
		{
			"integers of any width", args("n", int32(7)),
			[]amqp.Table{
				args("n", int8(7)), args("n", uint8(7)), args("n", int16(7)), args("n", uint16(7)),
				args("n", int32(7)), args("n", uint32(7)), args("n", int64(7)),
			},
			[]amqp.Table{
				args("n", int32(8)), args("n", "7"), args("n", 7.0), args("n", amqp.Timestamp(7)),
				args("n", true), args("n", amqp.Decimal{Value: 7}), args("n", nil),
			},
		},
		{"negative integers", args("n", int8(-1)), []amqp.Table{args("n", int64(-1))}, []amqp.Table{args("n", uint8(255))}},
		{"1 is not true", args("n", int8(1)), nil, []amqp.Table{args("n", true)}},
		{"string and binary", args("s", "v"), []amqp.Table{args("s", []byte("v"))}, []amqp.Table{args("s", "V")}},
		{"floats", args("f", float32(0.5)), []amqp.Table{args("f", 0.5)}, []amqp.Table{args("f", 0.25), args("f", "0.5")}},
		{"booleans", args("t", true), []amqp.Table{args("t", true)}, []amqp.Table{args("t", false), args("t", "true")}},
		{
			"tables", args("t", args("a", int8(1))),
			[]amqp.Table{args("t", args("a", int8(1)))},
			[]amqp.Table{args("t", args("a", int8(2))), args("t", args()), args("t", []any{int8(1)})},
		},
		{
			"long values", args("s", long+"a"),
			[]amqp.Table{args("s", long+"a")},
			[]amqp.Table{args("s", long+"b"), args("s", long)},
		},
		{"the first of a name counts", args("a", "1"), []amqp.Table{args("a", "1", "a", "2")}, []amqp.Table{args("a", "2", "a", "1")}},
		{
			"many headers", args("h0", int32(0), "h40", int32(40)),
			[]amqp.Table{many, append(slices.Clip(many), args("h40", int32(0))...)},
			[]amqp.Table{many[:40], append(args("h40", int32(0)), many...)},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := Check("headers", "", test.args); err != nil {
				t.Fatal(err)
			}
			table := newTable(t, "headers").Bind(Binding[int]{Args: test.args, Dest: 1})
			for _, headers := range test.yes {
				if len(matched(table, message("", headers))) != 1 {
					t.Errorf("%v does not match", headers)
				}
			}
			for _, headers := range test.nots {
				if len(matched(table, message("", headers))) != 0 {
					t.Errorf("%v matches", headers)
				}
			}
		})
	}
}

// TestHeadersDoNotCrowd binds patterns that share an argument and looks whether the index keeps
// them apart by the other one.
func TestHeadersDoNotCrowd(t *testing.T) {
	table := newTable(t, "headers")
	for i := range 100 {
		table = table.Bind(Binding[int]{Args: args("id", int32(i), "format", "pdf"), Dest: 1})
	}
	x, ok := table.exchange.(*headers[int])
	if !ok {
		t.Fatalf("exchange is a %T", table.exchange)
	}
	for anchor, s := range x.slots.All() {
		if s.len > 2 {
			t.Errorf("%d bindings under %q", s.len, anchor)
		}
	}
}

// FuzzHeaders matches headers that nobody has checked; it must not panic, and find by index what
// is found by trying.
func FuzzHeaders(f *testing.F) {
	for _, h := range []amqp.Table{
		args("a", "1"), args("a", nil, "b", true), args("a", 0.5, "n", int8(7)), args("b", args("x", []any{"y"})),
	} {
		f.Add(amqp.AppendTable(nil, h)[4:])
	}
	patterns := []amqp.Table{
		nil, args("a", nil), args("a", "1"), args("b", true), args("n", int32(7), "a", 0.5),
		args("x-match", "any", "a", "1", "b", nil), args("x-match", "any"),
	}
	table := newTable(f, "headers")
	for i, p := range patterns {
		table = table.Bind(Binding[int]{Args: p, Dest: i})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := matched(table, Message{Headers: raw})
		headers, err := amqp.DecodeTable(raw)
		if err != nil {
			return
		}
		want := []int{}
		for i, p := range patterns {
			if naiveHeaders(p, headers) {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", headers, diff)
		}
	})
}

func BenchmarkHeaders(b *testing.B) {
	m := message("", args("format", "pdf", "id", int32(0), "type", "report", "user", "guest", "v", int64(1)))
	for _, n := range []int{1, 1000, 100_000} {
		all, some := newTable(b, "headers"), newTable(b, "headers")
		for i := range n {
			all = all.Bind(Binding[int]{Args: args("format", "pdf", "id", int32(i)), Dest: i})
			some = some.Bind(Binding[int]{Args: args("x-match", "any", "format", "doc", "id", int32(i)), Dest: i})
		}
		benchmarkMatch(b, fmt.Sprintf("all/%d", n), all, m)
		benchmarkMatch(b, fmt.Sprintf("any/%d", n), some, m)
	}
}
