package amqp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRawTableLookup(t *testing.T) {
	raw := RawTable(AppendTable(nil, Table{
		{"inner", Table{{"k", "deep"}}},
		{"k", "first"},
		{"k", "second"},
		{"n", int16(-7)},
		{"b", []byte("bin")},
		{"t", Timestamp(9)},
	})[4:])
	if v, ok := raw.Lookup("k"); !ok || string(v.Bytes()) != "first" || v.Kind != 'S' {
		t.Errorf("Lookup(k) = %v, %v, want the first of the table itself", v, ok)
	}
	if v, ok := raw.Lookup("none"); ok || v.Kind != 0 || v.Value() != nil {
		t.Errorf("Lookup(none) = %v, %v", v, ok)
	}
	n, _ := raw.Lookup("n")
	if i, ok := n.Int(); i != -7 || !ok || n.Bytes() != nil {
		t.Errorf("n = %d, %v, bytes %v", i, ok, n.Bytes())
	}
	if b, _ := raw.Lookup("b"); string(b.Bytes()) != "bin" {
		t.Errorf("b = %q", b.Bytes())
	}
	if ts, _ := raw.Lookup("t"); ts.Value() != Timestamp(9) {
		t.Errorf("t = %v", ts.Value())
	} else if _, ok := ts.Int(); ok {
		t.Error("a timestamp passes for an integer")
	}
	inner, _ := raw.Lookup("inner")
	if diff := cmp.Diff(any(Table{{"k", "deep"}}), inner.Value()); diff != "" {
		t.Errorf("inner (-want +got):\n%s", diff)
	}
}

func TestRawTableEachStops(t *testing.T) {
	raw := RawTable("\x01aV\x01bV\x01cV")
	var seen string
	raw.Each(func(key []byte, _ RawValue) bool {
		seen += string(key)
		return len(seen) < 2
	})
	if seen != "ab" {
		t.Errorf("Each saw %q, want it to stop after b", seen)
	}
}

// A table that was not checked shows the fields before the fault.
func TestRawTableInvalid(t *testing.T) {
	for _, wire := range []string{"\x01aV\x05b", "\x01aV\x01b", "\x01aV\x01b?", "\x01aV\x01bI\x00", "\x01aV\x01bS\xff\xff\xff\xff"} {
		raw, n := RawTable(wire), 0
		raw.Each(func([]byte, RawValue) bool { n++; return true })
		if n != 1 {
			t.Errorf("Each of %q saw %d fields, want 1", wire, n)
		}
		if _, ok := raw.Lookup("b"); ok {
			t.Errorf("Lookup found the broken field of %q", wire)
		}
	}
	for _, v := range []RawValue{
		{Kind: 'I', Data: []byte{1}},
		{Kind: '?', Data: []byte{1}},
		{Kind: 't'},
		{Kind: 'D'},
		{Kind: 'F', Data: []byte("\x05")},
		{Kind: 'A', Data: []byte("?")},
		{Kind: 'F', Data: wireNested(MaxTableDepth + 1)},
	} {
		if got := v.Value(); got != nil {
			t.Errorf("Value of %v = %v, want nil", v, got)
		}
		if _, ok := v.Int(); ok {
			t.Errorf("Int of %v is an integer", v)
		}
	}
}

func TestRawTableAllocates(t *testing.T) {
	raw := RawTable(allTypesWire)
	allocs := testing.AllocsPerRun(100, func() {
		err := raw.Validate()
		v, ok := raw.Lookup("l")
		i, isInt := v.Int()
		if err != nil || !ok || !isInt || i != -5 {
			t.Fatal("wrong answer")
		}
		raw.Each(func([]byte, RawValue) bool { return true })
	})
	if allocs != 0 {
		t.Errorf("Validate, Lookup and Each allocate %v times", allocs)
	}
}
