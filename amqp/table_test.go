package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// allTypes has a field of every type; allTypesWire is how it looks on the wire.
var (
	allTypes = Table{
		{"t", true},
		{"t", false},
		{"b", int8(-2)},
		{"B", uint8(254)},
		{"s", int16(-3)},
		{"u", uint16(65533)},
		{"I", int32(-4)},
		{"i", uint32(math.MaxUint32 - 3)},
		{"l", int64(-5)},
		{"f", float32(1)},
		{"d", float64(1)},
		{"D", Decimal{Scale: 2, Value: -314}},
		{"S", "hi"},
		{"x", []byte{0, 1}},
		{"A", []any{true, int32(1)}},
		{"T", Timestamp(7)},
		{"F", Table{{"k", "v"}}},
		{"V", nil},
	}
	allTypesWire = strings.Join([]string{
		"\x01tt\x01", "\x01tt\x00", "\x01bb\xfe", "\x01BB\xfe", "\x01ss\xff\xfd", "\x01uu\xff\xfd",
		"\x01II\xff\xff\xff\xfc", "\x01ii\xff\xff\xff\xfc", "\x01ll\xff\xff\xff\xff\xff\xff\xff\xfb",
		"\x01ff\x3f\x80\x00\x00", "\x01dd\x3f\xf0\x00\x00\x00\x00\x00\x00",
		"\x01DD\x02\xff\xff\xfe\xc6", "\x01SS\x00\x00\x00\x02hi", "\x01xx\x00\x00\x00\x02\x00\x01",
		"\x01AA\x00\x00\x00\x07t\x01I\x00\x00\x00\x01", "\x01TT\x00\x00\x00\x00\x00\x00\x00\x07",
		"\x01FF\x00\x00\x00\x08\x01kS\x00\x00\x00\x01v", "\x01VV",
	}, "")
)

func TestTableAllTypes(t *testing.T) {
	got, err := DecodeTable([]byte(allTypesWire))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allTypes, got); diff != "" {
		t.Errorf("DecodeTable (-want +got):\n%s", diff)
	}
	wire := AppendTable([]byte("x"), allTypes)
	want := "x" + string(binary.BigEndian.AppendUint32(nil, uint32(len(allTypesWire)))) + allTypesWire
	if diff := cmp.Diff(want, string(wire)); diff != "" {
		t.Errorf("AppendTable (-want +got):\n%s", diff)
	}
	if err := allTypes.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
}

// Kind L is a signed 64-bit integer as l is, not the unsigned one that others read into it.
func TestTableKindL(t *testing.T) {
	got, err := DecodeTable([]byte("\x01aL\xff\xff\xff\xff\xff\xff\xff\xff"))
	if diff := cmp.Diff(Table{{"a", int64(-1)}}, got); err != nil || diff != "" {
		t.Errorf("DecodeTable: %v (-want +got):\n%s", err, diff)
	}
}

func TestTableDecodeError(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       error
	}{
		{"key cut", "\x05ab", ErrTruncated},
		{"no value", "\x01a", ErrTruncated},
		{"value cut", "\x01aI\x00\x00\x00", ErrTruncated},
		{"length cut", "\x01aS\x00\x00\x00", ErrTruncated},
		{"string cut", "\x01aS\x00\x00\x00\x02x", ErrTruncated},
		{"hostile length", "\x01aS\xff\xff\xff\xffx", ErrTruncated},
		{"hostile array", "\x01aA\x7f\xff\xff\xff", ErrTruncated},
		{"table cut inside", "\x01aF\x00\x00\x00\x02\x01b\x01cV", ErrTruncated},
		{"array cut inside", "\x01aA\x00\x00\x00\x01I", ErrTruncated},
		{"unknown type", "\x01aZabc", ErrFieldType},
		{"unknown type inside", "\x01aA\x00\x00\x00\x01?", ErrFieldType},
		{"zero type", "\x01a\x00", ErrFieldType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeTable([]byte(tt.wire))
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("DecodeTable = %v, %v, want error %v", got, err, tt.want)
			}
			if err := RawTable(tt.wire).Validate(); !errors.Is(err, tt.want) {
				t.Errorf("Validate = %v, want %v", err, tt.want)
			}
		})
	}
}

// nested returns a table with this many levels, alternating tables and arrays when mixed.
func nested(levels int, mixed bool) Table {
	var v any = Table{}
	for i := 2; i <= levels; i++ {
		if mixed && i%2 == 0 && i < levels {
			v = []any{v}
			continue
		}
		v = Table{{"k", v}}
	}
	return v.(Table)
}

// wireNested is nested on the wire, built without the encoder.
func wireNested(levels int) []byte {
	b := []byte{}
	for range levels - 1 {
		inner := b
		b = binary.BigEndian.AppendUint32([]byte("\x01kF"), uint32(len(inner)))
		b = append(b, inner...)
	}
	return b
}

func TestTableDepth(t *testing.T) {
	for _, tt := range []struct {
		levels int
		want   error
	}{
		{1, nil},
		{MaxTableDepth, nil},
		{MaxTableDepth + 1, ErrTableTooDeep},
		{MaxTableDepth + 1, ErrTableTooDeep},
	} {
		wire := wireNested(tt.levels)
		if _, err := DecodeTable(wire); !errors.Is(err, tt.want) {
			t.Errorf("DecodeTable of %d levels: %v, want %v", tt.levels, err, tt.want)
		}
		for _, mixed := range []bool{false, true} {
			table := nested(tt.levels, mixed)
			if err := table.Validate(); !errors.Is(err, tt.want) {
				t.Errorf("Table.Validate of %d levels: %v, want %v", tt.levels, err, tt.want)
			}
			out := AppendTable(nil, table)[4:]
			if err := RawTable(out).Validate(); err != nil {
				t.Errorf("AppendTable of %d levels wrote what Validate refuses: %v", tt.levels, err)
			}
			if !mixed && tt.want == nil && !bytes.Equal(out, wire) {
				t.Errorf("AppendTable of %d levels differs from the wire", tt.levels)
			}
		}
	}
}

func TestTableEntries(t *testing.T) {
	voids := func(n int) string { return strings.Repeat("V", n) }
	array := func(elems string) string {
		return "A" + string(binary.BigEndian.AppendUint32(nil, uint32(len(elems)))) + elems
	}
	for _, tt := range []struct {
		name, wire string
		want       error
	}{
		{"fields", strings.Repeat("\x00V", MaxTableEntries), nil},
		{"a field more", strings.Repeat("\x00V", MaxTableEntries+1), ErrTableTooLarge},
		{"elements", "\x01a" + array(voids(MaxTableEntries-1)), nil},
		{"an element more", "\x01a" + array(voids(MaxTableEntries)), ErrTableTooLarge},
		{"levels together", "\x01a" + array(array(voids(40000))+array(voids(40000))), ErrTableTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, err := DecodeTable([]byte(tt.wire))
			if !errors.Is(err, tt.want) {
				t.Fatalf("DecodeTable: %v, want %v", err, tt.want)
			}
			if err := table.Validate(); err != nil {
				t.Errorf("Table.Validate: %v", err)
			}
			if err == nil && string(AppendTable(nil, table)[4:]) != tt.wire {
				t.Error("AppendTable wrote another table")
			}
		})
	}
	tooMany := Table{{"a", make([]any, MaxTableEntries)}}
	if err := tooMany.Validate(); !errors.Is(err, ErrTableTooLarge) {
		t.Errorf("Table.Validate of too many elements: %v, want ErrTableTooLarge", err)
	}
	if err := RawTable(AppendTable(nil, tooMany)[4:]).Validate(); err != nil {
		t.Errorf("AppendTable of too many elements wrote what Validate refuses: %v", err)
	}
}

// A table that holds itself must not hang the encoder.
func TestTableCycle(t *testing.T) {
	loop := []any{nil, nil}
	loop[0], loop[1] = loop, loop
	table := Table{{"a", loop}}
	if err := table.Validate(); !errors.Is(err, ErrTableTooDeep) {
		t.Errorf("Validate = %v, want ErrTableTooDeep", err)
	}
	if err := RawTable(AppendTable(nil, table)[4:]).Validate(); err != nil {
		t.Errorf("AppendTable wrote what Validate refuses: %v", err)
	}
}

// What a decoder spends is bound by what it is given, whatever lengths that claims.
func TestDecodeTableMemory(t *testing.T) {
	var frame []byte // The worst that fits a frame: arrays of empty arrays.
	for len(frame) < 131072-8 {
		frame = append(frame, "\x00A\x00\x00\x00\x00"...)
	}
	for _, tt := range []struct {
		name  string
		wire  []byte
		limit uint64
		want  error
	}{
		{"voids", bytes.Repeat([]byte("\x00V"), MaxTableEntries), 40 * MaxTableEntries, nil},
		{"empty arrays", frame, 100 * uint64(len(frame)) / 6, nil},
		{"hostile length", []byte("\x01aS\x7f\xff\xff\xff"), 1024, ErrTruncated},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeTable(tt.wire)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: DecodeTable: %v, want %v", tt.name, err, tt.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > tt.limit {
			t.Errorf("%s: DecodeTable of %d bytes allocated %d, limit %d", tt.name, len(tt.wire), used, tt.limit)
		}
	}
}

func TestAppendTableRepairs(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for _, tt := range []struct {
		name     string
		in, want Table
		err      error
	}{
		{"int", Table{{"a", 1}}, Table{{"a", int64(1)}}, nil},
		{"unknown type", Table{{"a", uint64(1)}}, Table{{"a", nil}}, ErrFieldType},
		{"map", Table{{"a", map[string]any{}}}, Table{{"a", nil}}, ErrFieldType},
		{"long key", Table{{long, true}}, Table{{long[:254], true}}, ErrShortString},
		{"inside an array", Table{{"a", []any{struct{}{}}}}, Table{{"a", []any{nil}}}, ErrFieldType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.in.Validate(); !errors.Is(err, tt.err) {
				t.Errorf("Validate = %v, want %v", err, tt.err)
			}
			got, err := DecodeTable(AppendTable(nil, tt.in)[4:])
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("AppendTable: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTableGet(t *testing.T) {
	table := Table{{"a", int32(1)}, {"b", "x"}, {"a", int32(2)}, {"v", nil}}
	if v, ok := table.Get("a"); v != int32(1) || !ok {
		t.Errorf("Get of a duplicate = %v, %v, want the first", v, ok)
	}
	if v, ok := table.Get("v"); v != nil || !ok {
		t.Errorf("Get of a void = %v, %v, want nil, true", v, ok)
	}
	if v, ok := table.Get("none"); v != nil || ok {
		t.Errorf("Get of nothing = %v, %v", v, ok)
	}
}

func TestTableInt(t *testing.T) {
	for _, tt := range []struct {
		in   any
		v    int64
		wire string
		ok   bool
	}{
		{int8(-1), -1, "byte", true},
		{uint8(255), 255, "unsignedbyte", true},
		{int16(-1), -1, "short", true},
		{uint16(65535), 65535, "unsignedshort", true},
		{int32(-1), -1, "signedint", true},
		{uint32(1 << 31), 1 << 31, "unsignedint", true},
		{int64(math.MinInt64), math.MinInt64, "long", true},
		{-1, -1, "long", true},
		{"5", 0, "longstr", false},
		{true, 0, "bool", false},
		{float32(1), 0, "float", false},
		{float64(1), 0, "double", false},
		{Decimal{}, 0, "decimal", false},
		{[]byte("5"), 0, "binary", false},
		{[]any{}, 0, "array", false},
		{Timestamp(5), 0, "timestamp", false},
		{Table{}, 0, "table", false},
		{nil, 0, "void", false},
		{uint64(5), 0, "unknown", false},
	} {
		v, wire, ok := Table{{"k", tt.in}}.Int("k")
		if v != tt.v || wire != tt.wire || ok != tt.ok {
			t.Errorf("Int of %T %v = %d, %s, %v, want %d, %s, %v", tt.in, tt.in, v, wire, ok, tt.v, tt.wire, tt.ok)
		}
	}
	if v, wire, ok := (Table{}).Int("k"); v != 0 || wire != "" || ok {
		t.Errorf("Int of nothing = %d, %q, %v", v, wire, ok)
	}
}

// drawTable draws a table of at most this depth.
func drawTable(t *rapid.T, depth int) Table {
	n := rapid.IntRange(0, 4).Draw(t, "fields")
	var table Table
	for range n {
		key := rapid.StringN(0, 8, 255).Draw(t, "key")
		table = append(table, Field{key, drawValue(t, depth)})
	}
	return table
}

func drawValue(t *rapid.T, depth int) any {
	scalars := []*rapid.Generator[any]{
		rapid.Just(any(nil)), rapid.Bool().AsAny(), rapid.Int8().AsAny(), rapid.Uint8().AsAny(),
		rapid.Int16().AsAny(), rapid.Uint16().AsAny(), rapid.Int32().AsAny(), rapid.Uint32().AsAny(),
		rapid.Int64().AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Custom(func(t *rapid.T) any { return Timestamp(rapid.Uint64().Draw(t, "seconds")) }),
		rapid.Custom(func(t *rapid.T) any {
			return Decimal{rapid.Uint8().Draw(t, "scale"), rapid.Int32().Draw(t, "value")}
		}),
	}
	kind := rapid.IntRange(0, len(scalars)+1).Draw(t, "kind")
	switch {
	case kind < len(scalars):
		return scalars[kind].Draw(t, "value")
	case depth <= 1:
		return nil
	case kind == len(scalars):
		return drawTable(t, depth-1)
	}
	elems := []any{}
	for range rapid.IntRange(0, 4).Draw(t, "elements") {
		elems = append(elems, drawValue(t, depth-1))
	}
	return elems
}

func TestTableRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawTable(t, 5)
		wire := AppendTable(nil, table)
		if n := binary.BigEndian.Uint32(wire); int(n) != len(wire)-4 {
			t.Fatalf("length prefix %d of %d bytes", n, len(wire)-4)
		}
		got, err := DecodeTable(wire[4:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(table, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
		checkRaw(t, RawTable(wire[4:]), table)
	})
}

// checkRaw compares a raw table with what it decodes to.
func checkRaw(t interface {
	Helper()
	Fatalf(format string, a ...any)
}, raw RawTable, table Table,
) {
	t.Helper()
	var each Table
	raw.Each(func(key []byte, v RawValue) bool {
		each = append(each, Field{string(key), v.Value()})
		return true
	})
	if diff := cmp.Diff(table, each); diff != "" {
		t.Fatalf("Each (-want +got):\n%s", diff)
	}
	for _, f := range table {
		want, _ := table.Get(f.Key)
		v, ok := raw.Lookup(f.Key)
		if !ok || !cmp.Equal(want, v.Value()) {
			t.Fatalf("Lookup(%q) = %v, %v, want %v", f.Key, v, ok, want)
		}
		i, _, isInt := table.Int(f.Key)
		if j, ok := v.Int(); i != j || ok != isInt {
			t.Fatalf("RawValue.Int of %q = %d, %v, want %d, %v", f.Key, j, ok, i, isInt)
		}
	}
}
