package session_test

import (
	"net"
	"net/url"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// deaf is a client that does not read: it has sent what fills its socket.
func deaf(t *testing.T, b *warrentest.Broker, how string) (p *peer, name string) {
	t.Helper()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Listen())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).SetReadBuffer(4096)
	p = greet(t, nc, true)
	other := open(t, b, true)
	other.exchange(t, &amqp.ChannelOpen{})
	other.exchange(t, &amqp.QueueDeclare{Queue: "q"})
	var burst []byte
	for range 16 {
		burst = amqp.AppendMethod(burst, 1, &amqp.BasicPublish{RoutingKey: "q"})
		burst = (&amqp.Properties{}).AppendHeader(burst, 1, 1<<20)
		burst = amqp.AppendBody(burst, 1, make([]byte, 1<<20), 131072)
	}
	if _, err := other.nc.Write(burst); err != nil {
		t.Fatal(err)
	}
	other.exchange(t, &amqp.QueueDeclare{Queue: "q"})
	hello := amqp.AppendMethod(nil, 1, &amqp.ChannelOpen{})
	if how == "consume" {
		hello = amqp.AppendMethod(hello, 1, &amqp.BasicConsume{Queue: "q"})
	} else {
		for range 16 {
			hello = amqp.AppendMethod(hello, 1, &amqp.BasicGet{Queue: "q"})
		}
	}
	if _, err := nc.Write(hello); err != nil {
		t.Fatal(err)
	}
	for { // until the rest of what it gets waits
		time.Sleep(20 * time.Millisecond)
		if m, ok := decoded(t, other, &amqp.QueueDeclare{Queue: "q", Passive: true}).(*amqp.QueueDeclareOk); ok && m.MessageCount < 16 {
			break
		}
	}
	return p, nc.LocalAddr().String() + " -> " + nc.RemoteAddr().String()
}

// decoded is the answer to a method on channel 1.
func decoded(t *testing.T, p *peer, m amqp.Method) amqp.Method {
	t.Helper()
	if _, err := p.nc.Write(amqp.AppendMethod(nil, 1, m)); err != nil {
		t.Fatal(err)
	}
	f, err := p.frame(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := amqp.DecodeMethod(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDeafClientEnds: a client that reads nothing does not keep its connection when the operator
// ends it, when it ends it itself, or when it sends no more.
func TestDeafClientEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how string
		end func(b *warrentest.Broker, p *peer, name string)
	}{
		"operator": {"consume", func(b *warrentest.Broker, _ *peer, name string) {
			b.Manage("DELETE", "/api/connections/"+url.PathEscape(name), "")
		}},
		"operator, of one that asks": {"get", func(b *warrentest.Broker, _ *peer, name string) {
			b.Manage("DELETE", "/api/connections/"+url.PathEscape(name), "")
		}},
		"the client": {"consume", func(_ *warrentest.Broker, p *peer, _ string) {
			_, _ = p.nc.Write(amqp.AppendMethod(nil, 0, &amqp.ConnectionClose{ReplyCode: 200}))
		}},
		"half of the socket": {"consume", func(_ *warrentest.Broker, p *peer, _ string) { _ = p.nc.(*net.TCPConn).CloseWrite() }},
		"an error": {"consume", func(_ *warrentest.Broker, p *peer, _ string) {
			_, _ = p.nc.Write(amqp.AppendMethod(nil, 0, &amqp.ChannelOpen{}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := warrentest.Start(t)
			p, name := deaf(t, b, c.how)
			c.end(b, p, name)
			for end := time.Now().Add(25 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if status, _ := b.Manage("GET", "/api/connections/"+url.PathEscape(name), ""); status == 404 {
					return
				}
				if time.Now().After(end) {
					t.Fatal("the connection is still there")
				}
			}
		})
	}
}

// TestExclusiveQueuesForgotten: a connection that declares a queue for each request does not keep
// what is gone.
func TestExclusiveQueuesForgotten(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	_, ch := x.channel(t)
	if _, err := ch.QueueDeclare("kept", false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDelete(q.Name, false, false, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.node.Registry().Living()[0].ExclusiveQueues(); n > 16 {
		t.Errorf("it knows %d queues", n)
	}
	if _, err := ch.QueueDeclarePassive("kept", false, false, true, false, nil); err != nil {
		t.Error(err)
	}
}

// TestGetsWithoutReading: a client that asks for many messages at once and takes none has no more
// of them wait in memory than the outbox may hold, and one.
func TestGetsWithoutReading(t *testing.T) {
	t.Parallel()
	const messages, size = 48, 1 << 20
	x := newTenant(t, both)
	_, ch := x.channel(t)
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for range messages {
		if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	p := x.greet(t)
	burst := amqp.AppendMethod(nil, 1, &amqp.ChannelOpen{})
	for range messages {
		burst = amqp.AppendMethod(burst, 1, &amqp.BasicGet{Queue: "q", NoAck: true})
	}
	if _, err := p.nc.Write(burst); err != nil {
		t.Fatal(err)
	}
	conn := x.node.Registry().Living()[1]
	for range 50 {
		if n := conn.OutboxBytes(); n > 3<<20 {
			t.Fatalf("%d bytes wait", n)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for got := 0; got < messages; {
		f, err := p.frame(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == amqp.FrameHeader {
			got++
		}
	}
}

// greet goes through the handshake.
func (x *tenant) greet(t *testing.T) *peer {
	t.Helper()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", x.address)
	if err != nil {
		t.Fatal(err)
	}
	return greetAs(t, nc, true, "worker", x.key, x.wire())
}

// TestCommitWithRefusedLetter: a dead letter for which its queue has no room is lost, as with
// RabbitMQ, and the transaction that rejected its original is not.
func TestCommitWithRefusedLetter(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	_, ch := x.channel(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := ch.QueueDeclare("full", true, false, false, false, amqp091.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	must(err)
	_, err = ch.QueueDeclare("q", true, false, false, false, amqp091.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "full"})
	must(err)
	for _, key := range []string{"full", "q"} {
		must(ch.PublishWithContext(t.Context(), "", key, false, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte(key)}))
	}
	d, ok, err := ch.Get("q", false)
	if must(err); !ok {
		t.Fatal("nothing is there")
	}
	must(ch.Tx())
	must(d.Nack(false, false))
	must(ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte("next")}))
	must(ch.TxCommit())
	for key, want := range map[string]string{"full": "full", "q": "next"} {
		if d, ok, err := ch.Get(key, true); err != nil || !ok || string(d.Body) != want {
			t.Errorf("%s has %q, %v, %v", key, d.Body, ok, err)
		}
	}
}

// TestUnfinishedContents: what the channels of a connection have begun to send is bounded; what is
// too much is refused on its channel, the rest goes on.
func TestUnfinishedContents(t *testing.T) {
	t.Parallel()
	const size, most, channels = 1 << 20, 128, 132
	x := newTenant(t, both)
	_, look := x.channel(t)
	if _, err := look.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	p := x.greet(t)
	begin := make([]byte, 0, channels*(size+100))
	var end []byte
	for ch := uint16(1); ch <= channels; ch++ {
		begin = amqp.AppendMethod(begin, ch, &amqp.ChannelOpen{})
		begin = amqp.AppendMethod(begin, ch, &amqp.BasicPublish{RoutingKey: "q"})
		begin = (&amqp.Properties{}).AppendHeader(begin, ch, size)
		begin = amqp.AppendBody(begin, ch, make([]byte, size-1), 131072)
		end = amqp.AppendBody(end, ch, []byte("e"), 131072)
	}
	if _, err := p.nc.Write(append(begin, end...)); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range channels {
		refused += p.closed(t, amqp.IDChannelOpenOk)
	}
	for range channels - most {
		refused += p.closed(t, amqp.IDChannelClose)
	}
	if refused != channels-most {
		t.Errorf("%d channels are closed, want %d", refused, channels-most)
	}
	again := begin[:0]
	for ch := uint16(1); ch <= most; ch++ { // there is room again
		again = amqp.AppendMethod(again, ch, &amqp.BasicPublish{RoutingKey: "q"})
		again = (&amqp.Properties{}).AppendHeader(again, ch, 2000)
		again = amqp.AppendBody(again, ch, make([]byte, 1000), 131072)
		again = amqp.AppendBody(again, ch, make([]byte, 1000), 131072)
	}
	again = amqp.AppendMethod(again, 1, &amqp.QueueDeclare{Queue: "q", Passive: true})
	if _, err := p.nc.Write(again); err != nil {
		t.Fatal(err)
	}
	if p.closed(t, amqp.IDQueueDeclareOk) != 0 {
		t.Error("a channel is closed")
	}
	if q, err := look.QueueDeclarePassive("q", false, false, false, false, nil); err != nil || q.Messages != 2*most {
		t.Errorf("%d messages, %v, want %d", q.Messages, err, 2*most)
	}
}

// closed takes an answer, which is channel.close (1) or the method.
func (p *peer) closed(t *testing.T, id amqp.MethodID) int {
	t.Helper()
	f, err := p.frame(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	m, err := amqp.DecodeMethod(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID() == amqp.IDChannelClose {
		return 1
	}
	if m.ID() != id {
		t.Fatalf("got %s", m.ID())
	}
	return 0
}
