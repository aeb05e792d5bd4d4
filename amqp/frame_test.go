package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rawFrame builds a frame byte by byte, as a peer would that does not know this package.
func rawFrame(typ byte, channel uint16, payload []byte, end byte) []byte {
	b := []byte{typ}
	b = binary.BigEndian.AppendUint16(b, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), end)
}

func TestParseFrame(t *testing.T) {
	header := make([]byte, 14)
	for _, want := range []Frame{
		{Type: FrameMethod, Channel: 1, Payload: []byte{0, 20, 0, 10, 0}},
		{Type: FrameMethod, Channel: 0xffff, Payload: []byte{0, 10, 0, 51}},
		{Type: FrameHeader, Channel: 0x0102, Payload: header},
		{Type: FrameBody, Channel: 3, Payload: []byte("body")},
		{Type: FrameBody, Channel: 3, Payload: []byte{}},
		{Type: FrameHeartbeat, Channel: 9, Payload: []byte{}},
	} {
		src := rawFrame(want.Type, want.Channel, want.Payload, FrameEnd)
		whole := len(src)
		src = append(src, "the next frame"...)
		got, n, err := ParseFrame(src, 131072)
		if err != nil || n != whole {
			t.Fatalf("ParseFrame(%v) takes %d bytes, error %v, want %d bytes", want, n, err, whole)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseFrame (-want +got):\n%s", diff)
		}
		if cap(got.Payload) != len(got.Payload) {
			t.Errorf("an append to the payload of %v would overwrite the frame end", want)
		}
		for cut := range whole {
			if f, n, err := ParseFrame(src[:cut], 131072); n != 0 || err != nil || f.Payload != nil {
				t.Fatalf("ParseFrame of %d out of %d bytes = %v, %d, %v, want nothing", cut, whole, f, n, err)
			}
		}
	}
}

// The texts are what RabbitMQ 4.3.6 was seen to answer.
func TestParseFrameError(t *testing.T) {
	long := func(size uint32) []byte { // Seven bytes that announce a payload.
		return binary.BigEndian.AppendUint32([]byte{3, 0, 1}, size)
	}
	declare := []byte{0, 50, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, tt := range []struct {
		name     string
		src      []byte
		maxFrame uint32
		text     string
	}{
		{"too large", rawFrame(3, 1, bytes.Repeat([]byte("x"), 9000), FrameEnd), 8192, "type 3, all octets = <<>>: {frame_too_large,9000,8184}"},
		{"too large, header only", long(0x7fffffff), 131072, "type 3, all octets = <<>>: {frame_too_large,2147483647,131064}"},
		{"too large by one", long(8193), 8192, "type 3, all octets = <<>>: {frame_too_large,8193,8184}"},
		{"largest size there is", long(0xffffffff), 131072, "type 3, all octets = <<>>: {frame_too_large,4294967295,131064}"},
		{"no frame_max", long(8193), 0, "type 3, all octets = <<>>: {frame_too_large,8193,8184}"},
		{"size before type", append([]byte{68}, long(1023272689)[1:]...), 131072, "type 68, all octets = <<>>: {frame_too_large,1023272689,131064}"},
		{"end octet", rawFrame(1, 1, declare, 1), 131072, "type 1, all octets = <<0,50,0,10,0,0,0,0,0,0,0,0>>: {invalid_frame_end_marker,\n                                                     1}"},
		{"end octet, short", rawFrame(1, 1, []byte{0, 90, 0, 10}, 0), 131072, "type 1, all octets = <<0,90,0,10>>: {invalid_frame_end_marker,0}"},
		{"end octet before type", rawFrame(7, 1, []byte("abc"), 0), 131072, `type 7, all octets = <<"abc">>: {invalid_frame_end_marker,0}`},
		{"type", rawFrame(7, 1, []byte("abc"), FrameEnd), 131072, `type 7, all octets = <<"abc">>: unknown_frame`},
		{"type, 16 bytes", rawFrame(0, 0, []byte("0123456789abcdef"), FrameEnd), 131072, `type 0, all octets = <<"0123456789abcdef">>: unknown_frame`},
		{"type, 17 bytes", rawFrame(255, 0, []byte("0123456789abcdefg"), FrameEnd), 131072, `type 255, first 16 octets = <<"0123456789abcdef">>: unknown_frame`},
		{"heartbeat with payload", rawFrame(8, 0, []byte("abc"), FrameEnd), 131072, `type 8, all octets = <<"abc">>: unknown_frame`},
		{"method of 3 bytes", rawFrame(1, 1, []byte{0, 50, 0}, FrameEnd), 131072, "type 1, all octets = <<0,50,0>>: unknown_frame"},
		{"empty method", rawFrame(1, 1, nil, FrameEnd), 131072, "type 1, all octets = <<>>: unknown_frame"},
		{"header of 11 bytes", rawFrame(2, 1, make([]byte, 11), FrameEnd), 131072, "type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, err := ParseFrame(tt.src, tt.maxFrame)
			want := &Error{Scope: ScopeConnection, Code: 501, Text: tt.text}
			var got *Error
			if !errors.As(err, &got) || n != 0 {
				t.Fatalf("ParseFrame takes %d bytes, error %v, want %v", n, err, want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ParseFrame error (-want +got):\n%s", diff)
			}
		})
	}
}

// RabbitMQ takes payloads of the whole frame_max: clients that count wrongly depend on it.
func TestParseFrameTolerance(t *testing.T) {
	for _, size := range []int{8184, 8185, 8192} {
		src := rawFrame(FrameBody, 1, make([]byte, size), FrameEnd)
		if _, n, err := ParseFrame(src, 8192); n != len(src) || err != nil {
			t.Errorf("ParseFrame of a payload of %d bytes = %d, %v, want it taken", size, n, err)
		}
	}
}

func TestErlangBinary(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "<<>>"},
		{"abc", `<<"abc">>`},
		{"\x01\x0a\xff", "<<1,10,255>>"},
		{"a\x7f", "<<97,127>>"},
		{"caf\xe9", "<<99,97,102,233>>"},
		{"say \"\\\"\n\x1b", `<<"say \"\\\"\n\e">>`},
		{strings.Repeat("a", 255), `<<"` + strings.Repeat("a", 255) + `">>`},
		{strings.Repeat("a", 256), `<<"` + strings.Repeat("a", 255) + `"...>>`},
		{strings.Repeat("\x00", 1000), "<<" + strings.Repeat("0,", 254) + "0...>>"},
	} {
		if got := ErlangBinary([]byte(tt.in)); got != tt.want {
			t.Errorf("ErlangBinary(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// A binary that does not fit the 80 columns continues under its first octet.
func TestFrameErrorBreaksLines(t *testing.T) {
	_, _, err := ParseFrame(rawFrame(7, 1, bytes.Repeat([]byte{255}, 20), FrameEnd), 131072)
	want := "FRAME_ERROR - type 7, first 16 octets = <<" + strings.Repeat("255,", 12) + "\n" +
		strings.Repeat(" ", 28) + "255,255,255,255>>: unknown_frame"
	if err == nil || err.Error() != want {
		t.Errorf("ParseFrame error =\n%v\nwant\n%s", err, want)
	}
}
