package session

import (
	"bytes"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestMixedConfirms: of a batch that a queue took in part, each publish is
// answered once.
func TestMixedConfirms(t *testing.T) {
	t.Parallel()
	b := confirmBatch{nacks: []uint64{ticket(1, 15), ticket(1, 12), ticket(2, 13), ticket(1, 12), ticket(1, 16), ticket(1, 9)}}
	got := b.appendMixed(nil, confirmTag{channel: 1, from: 10, upTo: 18})
	want := amqp.AppendAck(nil, 1, 11, false)
	want = amqp.AppendNack(want, 1, 12, false, true)
	want = amqp.AppendAck(want, 1, 14, true)
	want = amqp.AppendNack(want, 1, 15, false, true)
	want = amqp.AppendNack(want, 1, 16, false, true)
	want = amqp.AppendAck(want, 1, 18, true)
	if !bytes.Equal(got, want) {
		t.Errorf("got %x\nwant %x", got, want)
	}
	got = b.appendMixed(nil, confirmTag{channel: 2, from: 12, upTo: 13})
	if want := amqp.AppendNack(nil, 2, 13, false, true); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestConfirms: few publishes are confirmed one by one, many at once.
func TestConfirms(t *testing.T) {
	t.Parallel()
	var want []byte
	for tag := uint64(11); tag <= 10+singly; tag++ {
		want = amqp.AppendAck(want, 1, tag, false)
	}
	few := confirmTag{channel: 1, from: 10, upTo: 10 + singly}
	if got := few.appendAcks(nil); !bytes.Equal(got, want) {
		t.Errorf("few: got %x\nwant %x", got, want)
	}
	many := confirmTag{channel: 1, from: 10, upTo: 11 + singly}
	if got, want := many.appendAcks(nil), amqp.AppendAck(nil, 1, 11+singly, true); !bytes.Equal(got, want) {
		t.Errorf("many: got %x\nwant %x", got, want)
	}
}
