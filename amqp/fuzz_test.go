package amqp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseFrame(f *testing.F) {
	f.Add(rawFrame(FrameMethod, 1, []byte{0, 20, 0, 10, 0}, FrameEnd), uint32(131072))
	f.Add(rawFrame(FrameBody, 1, make([]byte, 8193), FrameEnd), uint32(8192))
	f.Add(rawFrame(7, 1, []byte("abc"), FrameEnd), uint32(0))
	f.Add(rawFrame(FrameHeartbeat, 0, nil, 0), uint32(131072))
	f.Fuzz(func(t *testing.T, src []byte, maxFrame uint32) {
		frame, n, err := ParseFrame(src, maxFrame)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Scope != ScopeConnection || e.Code != CodeFrameError || len(e.ReplyText()) > 255 {
				t.Fatalf("ParseFrame error %#v", err)
			}
			return
		}
		if n == 0 {
			return
		}
		if again := rawFrame(frame.Type, frame.Channel, frame.Payload, FrameEnd); !bytes.Equal(again, src[:n]) {
			t.Fatalf("frame %q became %q", src[:n], again)
		}
	})
}

func FuzzMethod(f *testing.F) {
	for _, m := range methodWires {
		f.Add([]byte(m.wire))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := DecodeMethod(payload)
		if err != nil {
			id, args, _ := SplitMethod(payload) // Zero values will do.
			if e := DecodeError(id, args, err); len(e.ReplyText()) > 255 || e.Scope != ScopeConnection {
				t.Fatalf("DecodeError = %#v", e)
			}
			return
		}
		wire := m.Append(nil)
		again, err := DecodeMethod(wire)
		if err != nil {
			t.Fatalf("%v does not take what it wrote: %v", m.ID(), err)
		}
		if twice := again.Append(nil); !bytes.Equal(wire, twice) {
			t.Fatalf("%v wrote %q, then %q", m.ID(), wire, twice)
		}
	})
}

func FuzzParsePublish(f *testing.F) {
	f.Add([]byte("\x00\x00\x02ex\x03key\x01"))
	f.Fuzz(func(t *testing.T, args []byte) {
		p, err := ParsePublish(args)
		var m BasicPublish
		slow := m.Decode(args)
		if (err == nil) != (slow == nil) {
			t.Fatalf("ParsePublish: %v, BasicPublish.Decode: %v", err, slow)
		}
		if err != nil {
			return
		}
		got := BasicPublish{string(p.Exchange), string(p.RoutingKey), p.Mandatory, p.Immediate}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatalf("ParsePublish (-slow +fast):\n%s", diff)
		}
		if route := args[2 : len(args)-1]; !bytes.Equal(route, p.Route) {
			t.Fatalf("Route = %q, want %q", p.Route, route)
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(allTypesWire))
	f.Add(wireNested(MaxTableDepth + 1))
	f.Add([]byte("\x01aS\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		raw := RawTable(src)
		fields := 0
		raw.Each(func(key []byte, v RawValue) bool {
			fields++
			_, found := raw.Lookup(string(key))
			_ = v.Value()
			return found
		})
		table, err := DecodeTable(src)
		if invalid := raw.Validate(); (err == nil) != (invalid == nil) {
			t.Fatalf("DecodeTable: %v, Validate: %v", err, invalid)
		}
		if err != nil {
			return
		}
		if len(table) != fields {
			t.Fatalf("DecodeTable has %d fields, Each %d", len(table), fields)
		}
		if err := table.Validate(); err != nil {
			t.Fatalf("a decoded table is not valid: %v", err)
		}
		wire := AppendTable(nil, table)
		again, err := DecodeTable(wire[4:])
		if err != nil || len(wire) != len(src)+4 {
			t.Fatalf("%q became %q: %v", src, wire, err)
		}
		if twice := AppendTable(nil, again); !bytes.Equal(wire, twice) {
			t.Fatalf("wrote %q, then %q", wire, twice)
		}
	})
}

func FuzzProperties(f *testing.F) {
	f.Add(uint16(0xfffc), []byte(allPropertiesWire))
	f.Add(uint16(FlagHeaders|FlagDeliveryMode), []byte("\x00\x00\x00\x03\x01kV\x02"))
	f.Fuzz(func(t *testing.T, flags uint16, raw []byte) {
		view, err := ScanProperties(flags, raw)
		var p Properties
		if slow := p.Decode(flags, raw); (err == nil) != (slow == nil) {
			t.Fatalf("ScanProperties: %v, Decode: %v", err, slow)
		}
		if err != nil {
			return
		}
		out := p.AppendHeader(nil, 1, 0)
		h, err := ParseHeader(out[7 : len(out)-1])
		if err != nil || h.Flags != flags || len(h.Properties) != len(raw) {
			t.Fatalf("AppendHeader of %#04x %q = %#04x %q, %v", flags, raw, h.Flags, h.Properties, err)
		}
		got := []any{view.DeliveryMode, view.Priority, string(view.CorrelationID), string(view.ReplyTo), string(view.Expiration), string(view.MessageID), view.Timestamp, string(view.UserID)}
		want := []any{p.DeliveryMode, p.Priority, p.CorrelationID, p.ReplyTo, p.Expiration, p.MessageID, p.Timestamp, p.UserID}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("ScanProperties (-slow +fast):\n%s", diff)
		}
	})
}
