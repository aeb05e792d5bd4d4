package bench

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// TestLeaveInBody: a consumer that is stopped in the middle of a body still
// understands the answer to its connection.close.
func TestLeaveInBody(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	conn := &conn{net: ours, buf: make([]byte, 4096), frameMax: frameMax, timeout: 10 * time.Second, detach: func() bool { return true }}
	c := &consumer{conn: conn, clock: newClock()}
	body := make([]byte, 1000)
	message := amqp.AppendMethod(nil, channelID, &amqp.BasicDeliver{ConsumerTag: consumerTag, DeliveryTag: 1})
	message = (&amqp.Properties{}).AppendHeader(message, channelID, uint64(len(body)))
	message = amqp.AppendBody(message, channelID, body, frameMax)
	half := len(message) - 500
	done := make(chan error, 1)
	go func() { done <- c.run() }()
	if _, err := theirs.Write(message[:half]); err != nil {
		t.Fatal(err)
	}
	c.stop()
	rest := amqp.AppendMethod(message[half:], 0, &amqp.ConnectionCloseOk{})
	if _, err := theirs.Write(rest); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Read(make([]byte, 256)); err != nil && !os.IsTimeout(err) { // its connection.close
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the consumer ended with %v", err)
	}
}
