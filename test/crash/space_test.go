package crash_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// The space test's messages, and what the disk may hold beside live ones:
// twice those, the segments that the journal keeps, uses and has ready, files of
// the backlog, and what the consumer is behind, at most spaceBehind messages,
// three times.
const (
	spaceBody   = 16 << 10
	spaceBehind = 4000
	spaceSlack  = 12 * 64 << 20
)

// TestSpace sends SPACE gigabytes through a queue in which one old message
// stays unacknowledged, while every thousandth message stays in another queue:
// what the disk holds has to stay within a bound.
func TestSpace(t *testing.T) {
	r := newTrial(t)
	n := r.start(launch{data: r.data, log: filepath.Join(r.dir, "log.json")})
	s := &space{t: t, node: n, data: r.data, count: cycles(t, "SPACE", 4, 1) << 30 / spaceBody}
	begun := time.Now()
	s.run()
	t.Logf("%d messages of %d KiB in %v; %d stay; the disk holds %d MiB at most", s.count, spaceBody>>10,
		time.Since(begun).Round(time.Second), s.kept+1, s.peak>>20)
	r.stop(n)
}

type space struct {
	t     *testing.T
	node  *node
	data  string
	count int
	kept  int   // messages that stay
	peak  int64 // bytes on the disk
	taken atomic.Int64
}

func (s *space) run() {
	c, err := s.node.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, q := range []string{"space.flow", "space.few"} {
		if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := errors.Join(ch.Confirm(false), s.publish(ch, "space.flow")); err != nil {
		s.t.Fatal(err)
	}
	if _, ok, err := ch.Get("space.flow", false); err != nil || !ok { // the old one, not acknowledged
		s.t.Fatal(ok, err)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.drain() }()
	for i := range s.count {
		for int64(i)-s.taken.Load()-int64(s.kept) > spaceBehind && len(drained) == 0 {
			time.Sleep(time.Millisecond)
		}
		q := "space.flow"
		if i%1000 == 0 {
			q = "space.few"
			s.kept++
		}
		if err := s.publish(ch, q); err != nil {
			s.t.Fatal(err)
		}
		if i%4096 == 0 {
			s.measure()
		}
	}
	if err := <-drained; err != nil {
		s.t.Fatal(err)
	}
	s.measure()
}

// publish publishes one persistent message; a thousand are on their way at
// most.
func (s *space) publish(ch *amqp091.Channel, queue string) error {
	p, err := ch.PublishWithDeferredConfirmWithContext(s.t.Context(), "", queue, false, false,
		amqp091.Publishing{Body: make([]byte, spaceBody), DeliveryMode: amqp091.Persistent})
	if err == nil && p.DeliveryTag%1000 == 0 && !p.Wait() {
		err = errors.New("not confirmed")
	}
	return err
}

// drain takes what is in space.flow.
func (s *space) drain() error {
	c, err := s.node.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(500, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume("space.flow", "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	want := s.count - (s.count+999)/1000
	for got := 1; got <= want; got++ {
		m, ok := <-deliveries
		if !ok {
			return fmt.Errorf("the consumer ended after %d of %d", got-1, want)
		}
		if got%100 == 0 || got == want {
			if err := m.Ack(true); err != nil {
				return err
			}
			s.taken.Store(int64(got))
		}
	}
	return nil
}

// measure holds what the disk has against what it may have.
func (s *space) measure() {
	var size int64
	err := filepath.WalkDir(s.data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // files come and go
		}
		if i, err := d.Info(); err == nil {
			if st, ok := i.Sys().(*syscall.Stat_t); ok {
				size += st.Blocks * 512 // a file of the backlog has holes
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.peak = max(s.peak, size)
	if most := int64(2*s.kept*spaceBody + spaceSlack); size > most {
		s.t.Fatalf("the disk holds %d MiB with %d messages that stay, more than %d MiB", size>>20, s.kept+1, most>>20)
	}
}
