package amqp

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var allProperties = Properties{
	Flags: 0xfffc, ContentType: "text/plain", ContentEncoding: "gzip", Headers: Table{{"k", "v"}},
	DeliveryMode: 2, Priority: 5, CorrelationID: "cid", ReplyTo: "rt", Expiration: "60000", MessageID: "mid",
	Timestamp: 1 << 40, Type: "typ", UserID: "guest", AppID: "app", ClusterID: "clu",
}

const allPropertiesWire = "\x0atext/plain\x04gzip\x00\x00\x00\x08\x01kS\x00\x00\x00\x01v\x02\x05\x03cid\x02rt\x0560000\x03mid" +
	"\x00\x00\x01\x00\x00\x00\x00\x00\x03typ\x05guest\x03app\x03clu"

func TestPropertiesAll(t *testing.T) {
	var got Properties
	if err := got.Decode(0xfffc, []byte(allPropertiesWire)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allProperties, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	f := frames(t, got.AppendHeader(nil, 9, 1<<33), 8192)
	want := "\x00\x3c\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\xff\xfc" + allPropertiesWire
	if len(f) != 1 || f[0].Type != FrameHeader || f[0].Channel != 9 || string(f[0].Payload) != want {
		t.Errorf("AppendHeader = %v, want %q", f, want)
	}
	h, err := ParseHeader(f[0].Payload)
	wantHeader := Header{Class: 60, BodySize: 1 << 33, Flags: 0xfffc, Properties: []byte(allPropertiesWire)}
	if diff := cmp.Diff(wantHeader, h); err != nil || diff != "" {
		t.Errorf("ParseHeader: %v (-want +got):\n%s", err, diff)
	}
}

func TestScanProperties(t *testing.T) {
	got, err := ScanProperties(0xfffc, []byte(allPropertiesWire))
	want := PropertyView{
		Flags: 0xfffc, Headers: RawTable("\x01kS\x00\x00\x00\x01v"), DeliveryMode: 2, Priority: 5,
		CorrelationID: []byte("cid"), ReplyTo: []byte("rt"), Expiration: []byte("60000"),
		MessageID: []byte("mid"), Timestamp: 1 << 40, UserID: []byte("guest"),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ScanProperties: %v (-want +got):\n%s", err, diff)
	}
	if got, err := ScanProperties(0, nil); err != nil || !cmp.Equal(PropertyView{}, got) {
		t.Errorf("ScanProperties of nothing = %v, %v", got, err)
	}
}

// Each flag alone finds its own property at the start of the list.
func TestPropertyFlags(t *testing.T) {
	values := map[uint16]string{FlagHeaders: "\x00\x00\x00\x03\x01kV", FlagDeliveryMode: "\x02", FlagPriority: "\x09", FlagTimestamp: "\x00\x00\x00\x00\x00\x00\x00\x01"}
	for bit := 2; bit < 16; bit++ {
		flag := uint16(1) << bit
		wire, ok := values[flag]
		if !ok {
			wire = "\x03abc"
		}
		var p Properties
		if err := p.Decode(flag, []byte(wire)); err != nil || p.present() != flag || !p.Has(flag) || p.Has(^flag) {
			t.Errorf("flag %#04x: %v, %+v", flag, err, p)
		}
		p.Flags = 0 // The value alone says that it is there.
		out := p.AppendHeader(nil, 1, 0)
		h, err := ParseHeader(out[7 : len(out)-1])
		if err != nil || h.Flags != flag || string(h.Properties) != wire {
			t.Errorf("flag %#04x: AppendHeader wrote %#04x %q", flag, h.Flags, h.Properties)
		}
		if _, err := ScanProperties(flag, []byte(wire)); err != nil {
			t.Errorf("flag %#04x: ScanProperties: %v", flag, err)
		}
	}
}

// A property that is there with a zero value stays there.
func TestPropertiesKeepZero(t *testing.T) {
	const wire = "\x00\x00\x00\x00\x00\x00"
	flags := uint16(FlagHeaders | FlagDeliveryMode | FlagReplyTo)
	var p Properties
	if err := p.Decode(flags, []byte(wire)); err != nil {
		t.Fatal(err)
	}
	out := p.AppendHeader(nil, 1, 0)
	h, err := ParseHeader(out[7 : len(out)-1])
	if err != nil || h.Flags != flags || string(h.Properties) != wire {
		t.Errorf("AppendHeader = %#04x %q, %v, want %#04x %q", h.Flags, h.Properties, err, flags, wire)
	}
}

func TestPropertiesError(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags uint16
		raw   string
		want  error
	}{
		{"continuation flag", 1, "\x00\x00", ErrPropertyFlags},
		{"flag without meaning", 2, "", ErrPropertyFlags},
		{"truncated", FlagContentType, "\x20ab", ErrTruncated},
		{"absent", FlagDeliveryMode, "", ErrTruncated},
		{"timestamp cut", FlagTimestamp, "\x00\x00\x00\x00\x00\x00\x00", ErrTruncated},
		{"headers cut", FlagHeaders, "\x00\x00\x00\x05\x01k", ErrTruncated},
		{"headers' length cut", FlagHeaders, "\x00\x00\x00", ErrTruncated},
		{"trailing", FlagPriority, "\x01\x02", ErrTrailing},
		{"trailing without flags", 0, "\x00", ErrTrailing},
		{"field type", FlagHeaders, "\x00\x00\x00\x04\x01k?x", ErrFieldType},
		{"deep headers", FlagHeaders, string(appendLongString(nil, wireNested(MaxTableDepth+1))), ErrTableTooDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ScanProperties(tt.flags, []byte(tt.raw)); !errors.Is(err, tt.want) || !cmp.Equal(PropertyView{}, got) {
				t.Errorf("ScanProperties = %v, %v, want %v", got, err, tt.want)
			}
			if err := new(Properties).Decode(tt.flags, []byte(tt.raw)); !errors.Is(err, tt.want) {
				t.Errorf("Decode = %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := ParseHeader(make([]byte, 13)); !errors.Is(err, ErrTruncated) {
		t.Errorf("ParseHeader of 13 bytes: %v, want ErrTruncated", err)
	}
}

func TestPropertiesRoundTrip(t *testing.T) {
	str := rapid.StringN(0, 20, 255)
	rapid.Check(t, func(t *rapid.T) {
		p := Properties{
			Flags:       rapid.Uint16().Draw(t, "flags") & 0xfffc,
			ContentType: str.Draw(t, "content-type"), ContentEncoding: str.Draw(t, "content-encoding"),
			Headers: drawTable(t, 3), DeliveryMode: rapid.Uint8().Draw(t, "mode"), Priority: rapid.Uint8().Draw(t, "priority"),
			CorrelationID: str.Draw(t, "correlation-id"), ReplyTo: str.Draw(t, "reply-to"), Expiration: str.Draw(t, "expiration"),
			MessageID: str.Draw(t, "message-id"), Timestamp: rapid.Uint64().Draw(t, "timestamp"), Type: str.Draw(t, "type"),
			UserID: str.Draw(t, "user-id"), AppID: str.Draw(t, "app-id"), ClusterID: str.Draw(t, "cluster-id"),
		}
		out := p.AppendHeader(nil, 1, 5)
		h, err := ParseHeader(out[7 : len(out)-1])
		if err != nil {
			t.Fatal(err)
		}
		var got Properties
		if err := got.Decode(h.Flags, h.Properties); err != nil {
			t.Fatal(err)
		}
		want := p
		want.Flags = p.present()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
		view, err := ScanProperties(h.Flags, h.Properties)
		if err != nil {
			t.Fatal(err)
		}
		if string(view.UserID) != p.UserID || string(view.Expiration) != p.Expiration || view.Timestamp != p.Timestamp || view.Priority != p.Priority {
			t.Fatalf("ScanProperties = %+v, want what is in %+v", view, p)
		}
	})
}
