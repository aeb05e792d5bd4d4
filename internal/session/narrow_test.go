package session

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestNarrowClient: a client whose frames are smaller than what a dead letter
// has gathered gets it in frames of that size.
func TestNarrowClient(t *testing.T) {
	t.Parallel()
	const frameMax = 8192
	var deaths []any
	for range 40 {
		deaths = append(deaths, amqp.Table{{Key: "queue", Value: strings.Repeat("q", 255)}, {Key: "reason", Value: "rejected"}})
	}
	p := amqp.Properties{Headers: amqp.Table{{Key: "x-death", Value: deaths}}, Flags: amqp.FlagHeaders}
	body := strings.Repeat("b", 20_000)
	frames := amqp.AppendBody(p.AppendHeader(nil, 0, uint64(len(body))), 0, []byte(body), 131072)
	var o output
	o.appendContent(frames, 3, frameMax)
	for name, b := range map[string][]byte{"copied": appendContent(nil, frames, 3, frameMax), "borrowed": o.buf} {
		got := 0
		for len(b) > 0 {
			f, n, err := amqp.ParseFrame(b, frameMax)
			if err != nil || f.Channel != 3 {
				t.Fatalf("%s: a frame of %d bytes: %v", name, binary.BigEndian.Uint32(b[3:]), err)
			}
			if f.Type == amqp.FrameBody {
				got += len(f.Payload)
			}
			b = b[n:]
		}
		if got != len(body) {
			t.Errorf("%s: %d bytes of the body", name, got)
		}
	}
}
