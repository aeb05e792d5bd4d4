package session_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// TestContentInPieces: however a client cuts its frames and its writes, the
// message arrives whole.
func TestContentInPieces(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // 320,000 bytes
	for name, c := range map[string]struct{ size, frame, write int }{
		"one byte a write":        {50, 4096, 1},
		"tiny body frames":        {3_000, 1, 1 << 20},
		"uneven body frames":      {50_000, 777, 1000},
		"larger than the window":  {320_000, 131064, 100_000},
		"several windows, uneven": {320_000, 5000, 33_333},
		"empty body":              {0, 4096, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := warrentest.Start(t)
			p := open(t, b, true)
			p.send(t, "C 1: channel.open")
			p.send(t, "C 1: queue.declare Queue=q")
			p.send(t, "C 1: basic.consume Queue=q NoAck=true")
			for range 3 {
				if _, err := p.frame(20 * time.Second); err != nil {
					t.Fatal(err)
				}
			}
			out := amqp.AppendMethod(nil, 1, &amqp.BasicPublish{RoutingKey: "q"})
			props := amqp.Properties{ContentType: "text/plain", Headers: amqp.Table{{Key: "k", Value: int64(7)}}}
			out = props.AppendHeader(out, 1, uint64(c.size))
			for rest := body[:c.size]; len(rest) > 0; rest = rest[min(c.frame, len(rest)):] {
				piece := rest[:min(c.frame, len(rest))]
				out = append(out, amqp.FrameBody, 0, 1)
				out = append(binary.BigEndian.AppendUint32(out, uint32(len(piece))), piece...)
				out = append(out, amqp.FrameEnd)
			}
			for rest := out; len(rest) > 0; rest = rest[min(c.write, len(rest)):] {
				if _, err := p.nc.Write(rest[:min(c.write, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			want := "basic.deliver"
			f, err := p.frame(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if id := amqp.MethodID(binary.BigEndian.Uint32(f.Payload)); id.String() != want {
				t.Fatalf("got %v", id)
			}
			h, err := p.frame(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			head, err := amqp.ParseHeader(h.Payload)
			if err != nil || head.BodySize != uint64(c.size) {
				t.Fatalf("header says %d bytes, %v", head.BodySize, err)
			}
			var got []byte
			frames := 0
			for len(got) < c.size {
				f, err := p.frame(20 * time.Second)
				if err != nil || f.Type != amqp.FrameBody || f.Channel != 1 {
					t.Fatalf("body frame: %v, type %d, channel %d", err, f.Type, f.Channel)
				}
				got = append(got, f.Payload...)
				frames++
			}
			if !bytes.Equal(got, body[:c.size]) {
				t.Error("the body differs")
			}
			if most := 2 + c.size/1024; frames > most {
				t.Errorf("%d body frames for %d bytes: a client's tiny frames are passed on", frames, c.size)
			}
		})
	}
}

// TestMessageSizeLimit: a body over the limit is refused by its channel, and
// its bytes are not kept.
func TestMessageSizeLimit(t *testing.T) {
	t.Parallel()
	b := warrentest.Start(t)
	p := open(t, b, true)
	p.send(t, "C 1: channel.open")
	out := amqp.AppendMethod(nil, 1, &amqp.BasicPublish{RoutingKey: "q"})
	const size = 17 << 20
	out = (&amqp.Properties{}).AppendHeader(out, 1, size)
	out = amqp.AppendBody(out, 1, make([]byte, size), 131072)
	if _, err := p.nc.Write(out); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	p.read(t, &got, &names{}, 'S', 2)
	want := "S 1: channel.open-ok\nS 1: channel.close ReplyCode=406 ReplyText=\"PRECONDITION_FAILED - message size 17825792 " +
		"is larger than configured max size 16777216\" ClassID=60 MethodID=40\n"
	if got.String() != want {
		t.Errorf("got %s", got.String())
	}
}

// TestFanoutInOneRead: a read whose messages go to so many queues that its
// batch is flushed before its end is confirmed all the same, once and in order.
func TestFanoutInOneRead(t *testing.T) {
	t.Parallel()
	const queues, messages = 300, 500 // more than twice what is gathered
	b := warrentest.Start(t)
	p := open(t, b, true)
	p.send(t, "C 1: channel.open")
	var out []byte
	for i := range queues {
		name := fmt.Sprintf("q%d", i)
		out = amqp.AppendMethod(out, 1, &amqp.QueueDeclare{Queue: name, NoWait: true})
		out = amqp.AppendMethod(out, 1, &amqp.QueueBind{Queue: name, Exchange: "amq.fanout", NoWait: true})
	}
	out = amqp.AppendMethod(out, 1, &amqp.ConfirmSelect{NoWait: true})
	for range messages {
		out = amqp.AppendMethod(out, 1, &amqp.BasicPublish{Exchange: "amq.fanout"})
		out = (&amqp.Properties{}).AppendHeader(out, 1, 0)
	}
	if _, err := p.nc.Write(out); err != nil {
		t.Fatal(err)
	}
	if _, err := p.frame(20 * time.Second); err != nil { // channel.open-ok
		t.Fatal(err)
	}
	for confirmed := uint64(0); confirmed < messages; {
		f, err := p.frame(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var ack amqp.BasicAck
		if id, args, _ := amqp.SplitMethod(f.Payload); id != amqp.IDBasicAck || ack.Decode(args) != nil {
			t.Fatalf("got %v", id)
		}
		if ack.DeliveryTag <= confirmed || !ack.Multiple && ack.DeliveryTag != confirmed+1 {
			t.Fatalf("confirm of %d after %d", ack.DeliveryTag, confirmed)
		}
		confirmed = ack.DeliveryTag
	}
	for i := range queues {
		p.send(t, fmt.Sprintf("C 1: queue.declare Queue=q%d Passive=true", i))
		f, err := p.frame(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var ok amqp.QueueDeclareOk
		if _, args, _ := amqp.SplitMethod(f.Payload); ok.Decode(args) != nil || ok.MessageCount != messages {
			t.Fatalf("queue %d has %d messages, want %d", i, ok.MessageCount, messages)
		}
	}
}

// TestContentMemory: channels that had a large message each, and nothing since,
// keep no memory for it.
func TestContentMemory(t *testing.T) { //nolint:paralleltest // it measures the process
	const channels, size = 300, 200_000
	b := warrentest.Start(t)
	p := open(t, b, true)
	alive := func() int {
		var m runtime.MemStats
		for range 3 { // what lies in pools goes with the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	body := make([]byte, 50_000)
	before := 0
	for i := range channels {
		id := uint16(i + 1)
		out := amqp.AppendMethod(nil, id, &amqp.ChannelOpen{})
		out = amqp.AppendMethod(out, id, &amqp.BasicPublish{RoutingKey: "nowhere", Mandatory: true})
		out = (&amqp.Properties{}).AppendHeader(out, id, size)
		if _, err := p.nc.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := p.frame(20 * time.Second); err != nil { // channel.open-ok: the body comes later
			t.Fatal(err)
		}
		for range size / len(body) {
			if _, err := p.nc.Write(amqp.AppendBody(nil, id, body, 131072)); err != nil {
				t.Fatal(err)
			}
		}
		for got := -1; got < size; { // basic.return
			f, err := p.frame(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == amqp.FrameBody {
				got = max(got, 0) + len(f.Payload)
			}
		}
		if i == 10 {
			before = alive()
		}
	}
	if grown := alive() - before; grown > channels*size/4 {
		t.Errorf("%d channels keep %d KiB", channels, grown>>10)
	}
}
