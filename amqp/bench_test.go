package amqp

import (
	"bytes"
	"testing"
)

func BenchmarkParseFrame(b *testing.B) {
	var src []byte
	for range 64 {
		src = append(src, rawFrame(FrameBody, 1, make([]byte, 64), FrameEnd)...)
	}
	b.ReportAllocs()
	b.SetBytes(64 + FrameOverhead)
	rest := src
	for b.Loop() {
		_, n, err := ParseFrame(rest, 131072)
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
		if rest = rest[n:]; len(rest) == 0 {
			rest = src
		}
	}
}

func BenchmarkParsePublish(b *testing.B) {
	args := (&BasicPublish{Exchange: "events", RoutingKey: "order.created.eu", Mandatory: true}).Append(nil)[4:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePublish(args); err != nil {
			b.Fatal(err)
		}
	}
}

// headers is a realistic header table.
var headers = Table{
	{"x-delay", int32(5000)},
	{"trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"},
	{"tenant", "acme"},
	{"retry", false},
	{"route", []any{"a", "b"}},
}

func BenchmarkScanProperties(b *testing.B) {
	for _, bb := range []struct {
		name string
		p    Properties
	}{
		{"none", Properties{}},
		{"persistent", Properties{DeliveryMode: 2}},
		{"usual", Properties{ContentType: "application/json", DeliveryMode: 2, MessageID: "0190d3a0-1f6e", Timestamp: 1 << 31}},
		{"headers", Properties{DeliveryMode: 2, Headers: headers}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			out := bb.p.AppendHeader(nil, 1, 0)
			h, err := ParseHeader(out[7 : len(out)-1])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ScanProperties(h.Flags, h.Properties); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeTable(b *testing.B) {
	src := AppendTable(nil, headers)[4:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeTable(src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRawTableLookup(b *testing.B) {
	raw := RawTable(AppendTable(nil, headers)[4:])
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := raw.Lookup("retry"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkAppendAck(b *testing.B) {
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendAck(dst[:0], 1, 123456, true)
	}
	if !bytes.Equal(dst, AppendAck(nil, 1, 123456, true)) {
		b.Fatal("wrong frame")
	}
}

// The hot path must not allocate: the benchmarks show it, this test holds it.
func TestHotPathAllocates(t *testing.T) {
	frame := AppendMethod(nil, 1, &BasicPublish{Exchange: "e", RoutingKey: "k"})
	p := Properties{DeliveryMode: 2, Headers: headers, Expiration: "60000"}
	header := p.AppendHeader(nil, 1, 5)
	dst := make([]byte, 0, 16384)
	body := make([]byte, 5000)
	allocs := testing.AllocsPerRun(100, func() {
		f, _, err := ParseFrame(frame, 8192)
		if err != nil {
			t.Fatal(err)
		}
		id, args, err := SplitMethod(f.Payload)
		if err != nil || id != IDBasicPublish {
			t.Fatal(id, err)
		}
		if _, err := ParsePublish(args); err != nil {
			t.Fatal(err)
		}
		h, err := ParseHeader(header[7 : len(header)-1])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ScanProperties(h.Flags, h.Properties); err != nil {
			t.Fatal(err)
		}
		dst = AppendBody(AppendHeartbeat(AppendNack(AppendAck(dst[:0], 1, 2, true), 1, 2, true, false)), 1, body, 8192)
	})
	if allocs != 0 {
		t.Errorf("the hot path allocates %v times a message", allocs)
	}
}
