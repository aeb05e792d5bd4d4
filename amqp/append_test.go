package amqp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frames splits what an append function wrote.
func frames(t *testing.T, b []byte, maxFrame uint32) (all []Frame) {
	t.Helper()
	for len(b) > 0 {
		f, n, err := ParseFrame(b, maxFrame)
		if err != nil || n == 0 {
			t.Fatalf("ParseFrame(%q) = %d, %v", b, n, err)
		}
		all, b = append(all, f), b[n:]
	}
	return all
}

func TestAppendFrames(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"method", AppendMethod([]byte("x"), 258, &ChannelClose{ReplyCode: 404, ReplyText: "no"}), "x\x01\x01\x02\x00\x00\x00\x0d\x00\x14\x00\x28\x01\x94\x02no\x00\x00\x00\x00\xce"},
		{"ack", AppendAck(nil, 1, 5, true), "\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x05\x01\xce"},
		{"nack", AppendNack([]byte("x"), 1, 5, false, true), "x\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x00\x05\x02\xce"},
		{"heartbeat", AppendHeartbeat([]byte("x")), "x\x08\x00\x00\x00\x00\x00\x00\xce"},
		{"body", AppendBody([]byte("x"), 2, []byte("abc"), 0), "x\x03\x00\x02\x00\x00\x00\x03abc\xce"},
		{"empty body", AppendBody([]byte("x"), 2, nil, 8192), "x"},
	} {
		if diff := cmp.Diff(tt.want, string(tt.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if ack, want := AppendAck(nil, 7, 1<<63, false), AppendMethod(nil, 7, &BasicAck{DeliveryTag: 1 << 63}); !bytes.Equal(ack, want) {
		t.Errorf("AppendAck = %q, want %q", ack, want)
	}
	if nack, want := AppendNack(nil, 7, 9, true, true), AppendMethod(nil, 7, &BasicNack{9, true, true}); !bytes.Equal(nack, want) {
		t.Errorf("AppendNack = %q, want %q", nack, want)
	}
}

func TestAppendBodySplits(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 2000)
	for _, tt := range []struct {
		maxFrame uint32
		size     int
		frames   int
	}{
		{8192, 8184, 1},
		{8192, 8185, 2},
		{8192, 20000, 3},
		{0, 20000, 3},
		{8200, 8192 * 2, 2},
		{131072, 20000, 1},
		{1<<32 - 1, 20000, 1},
	} {
		all := frames(t, AppendBody(nil, 1, body[:tt.size], tt.maxFrame), tt.maxFrame)
		var got []byte
		for _, f := range all {
			if f.Type != FrameBody || f.Channel != 1 || len(f.Payload)+FrameOverhead > int(max(tt.maxFrame, FrameMinSize)) {
				t.Errorf("frame of type %d, channel %d, %d bytes", f.Type, f.Channel, len(f.Payload))
			}
			got = append(got, f.Payload...)
		}
		if len(all) != tt.frames || !bytes.Equal(got, body[:tt.size]) {
			t.Errorf("body of %d bytes, frame_max %d: %d frames, %d bytes, want %d frames", tt.size, tt.maxFrame, len(all), len(got), tt.frames)
		}
	}
}
