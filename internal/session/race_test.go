package session_test

import (
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// TestOthersInterfere: while a client consumes and cancels, others delete its
// queue and an operator closes its connection, which ends with 320 only.
func TestOthersInterfere(t *testing.T) {
	t.Parallel()
	b := warrentest.Start(t)
	address := b.Listen()
	for round := range 20 {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		p, other := greet(t, nc, true), open(t, b, true)
		name := nc.LocalAddr().String() + " -> " + nc.RemoteAddr().String()
		_, _ = other.nc.Write(amqp.AppendMethod(nil, 1, &amqp.ChannelOpen{}))
		var wg sync.WaitGroup
		wg.Go(func() { consumeAndCancel(p) })
		wg.Go(func() {
			for range 50 {
				b := amqp.AppendMethod(nil, 1, &amqp.QueueDeclare{Queue: "q", NoWait: true})
				_, _ = other.nc.Write(amqp.AppendMethod(b, 1, &amqp.QueueDelete{Queue: "q", NoWait: true}))
			}
		})
		wg.Go(func() {
			time.Sleep(time.Duration(round) * 200 * time.Microsecond)
			if status, answer := b.Manage("DELETE", "/api/connections/"+url.PathEscape(name), ""); status != 204 {
				t.Errorf("close %s: %d %s", name, status, answer)
			}
		})
		if code := closeCode(t, p); code != amqp.CodeConnectionForced {
			t.Errorf("closed with %d", code)
		}
		wg.Wait()
		_ = other.nc.Close()
	}
}

// consumeAndCancel goes on until the connection is gone.
func consumeAndCancel(p *peer) {
	for channel := uint16(1); channel < 100; channel++ {
		b := amqp.AppendMethod(nil, channel, &amqp.ChannelOpen{})
		b = amqp.AppendMethod(b, channel, &amqp.QueueDeclare{Queue: "q"})
		for i := range 3 {
			b = amqp.AppendMethod(b, channel, &amqp.BasicConsume{Queue: "q", ConsumerTag: strconv.Itoa(i)})
		}
		if _, err := p.nc.Write(b); err != nil {
			return
		}
	}
}

// closeCode reads up to connection.close and answers it.
func closeCode(t *testing.T, p *peer) uint16 {
	t.Helper()
	for {
		f, err := p.frame(20 * time.Second)
		if err != nil {
			t.Error(err)
			return 0
		}
		if f.Type != amqp.FrameMethod {
			continue
		}
		m, err := amqp.DecodeMethod(f.Payload)
		if err != nil {
			t.Error(err)
			return 0
		}
		if m, ok := m.(*amqp.ConnectionClose); ok {
			_, _ = p.nc.Write(amqp.AppendMethod(nil, 0, &amqp.ConnectionCloseOk{}))
			_ = p.nc.Close()
			return m.ReplyCode
		}
	}
}
