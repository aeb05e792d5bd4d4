package amqp_test

import (
	"errors"
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// A reader parses frames in place and keeps what is not whole yet for the next read.
func ExampleParseFrame() {
	window := amqp.AppendHeartbeat(nil)
	window = amqp.AppendAck(window, 1, 42, false)
	window = append(window, "\x01\x00\x01"...) // The next frame has not come in yet.
	for {
		f, n, err := amqp.ParseFrame(window, 131072)
		if err != nil || n == 0 {
			break
		}
		fmt.Println("type", f.Type, "channel", f.Channel, "payload", len(f.Payload))
		window = window[n:]
	}
	fmt.Println("left", len(window))
	// Output:
	// type 8 channel 0 payload 0
	// type 1 channel 1 payload 13
	// left 3
}

// The error of a bad frame carries the reply text that RabbitMQ would send.
func ExampleParseFrame_error() {
	_, _, err := amqp.ParseFrame([]byte("\x07\x00\x01\x00\x00\x00\x03abc\xce"), 131072)
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		fmt.Println(e.Code, e.ReplyText())
	}
	// Output: 501 FRAME_ERROR - type 7, all octets = <<"abc">>: unknown_frame
}

func ExampleDecodeMethod() {
	frame := amqp.AppendMethod(nil, 1, &amqp.QueueDeclare{
		Queue:     "orders",
		Durable:   true,
		Arguments: amqp.Table{{Key: "x-max-length", Value: int32(1000)}},
	})
	f, _, err := amqp.ParseFrame(frame, 131072)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := amqp.DecodeMethod(f.Payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	if declare, ok := m.(*amqp.QueueDeclare); ok {
		limit, wire, _ := declare.Arguments.Int("x-max-length")
		fmt.Println(m.ID(), declare.Queue, declare.Durable, limit, wire)
	}
	// Output: queue.declare orders true 1000 signedint
}

// Lookup finds a header without decoding the others.
func ExampleRawTable_Lookup() {
	p := amqp.Properties{DeliveryMode: 2, Headers: amqp.Table{
		{Key: "tenant", Value: "acme"},
		{Key: "x-delay", Value: int64(5000)},
	}}
	frame := p.AppendHeader(nil, 1, 0)
	f, _, err := amqp.ParseFrame(frame, 131072)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := amqp.ScanProperties(h.Flags, h.Properties)
	if err != nil {
		fmt.Println(err)
		return
	}
	delay, _ := view.Headers.Lookup("x-delay")
	ms, _ := delay.Int()
	fmt.Println(view.DeliveryMode, ms)
	// Output: 2 5000
}

func ExampleError() {
	err := amqp.ChannelErrorf(amqp.CodeNotFound, "no queue '%s' in vhost '/'", "orders").At(amqp.IDQueueDeclare)
	fmt.Println(err.Scope, err.Code, err.ReplyText(), err.Class, err.Method)
	// Output: channel 404 NOT_FOUND - no queue 'orders' in vhost '/' 50 10
}
