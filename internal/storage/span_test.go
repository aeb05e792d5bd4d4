package storage_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// backlogged is a node with deep queues, and what must be in them.
type backlogged struct {
	*node

	r    *rand.Rand
	next uint64
	want map[string][]sized
}

// sized is a message by its number and the length of its body, and how often it
// came back where that is counted.
type sized struct {
	id   uint64
	size int
	back uint32
}

// counted is the queue where it is.
const counted = "deep"

// publish sends n messages to a queue, in one batch.
func (b *backlogged) publish(pub *broker.Publisher, queue string, n int) error {
	for range n {
		b.next++
		body := append(binary.BigEndian.AppendUint64(nil, b.next), make([]byte, b.r.IntN(200))...)
		c := broker.Content{Key: queue, Body: body, Properties: amqp.Properties{DeliveryMode: 2}}
		if b.r.IntN(150) == 0 {
			c.Properties.Expiration = "100000000"
		}
		m, err := broker.Compose(&c, 1<<17)
		if err != nil {
			return err
		}
		if _, failed := pub.Publish(&m); failed != nil {
			return failed
		}
		b.want[queue] = append(b.want[queue], sized{id: b.next, size: len(body)})
	}
	done := make(chan error, 1)
	pub.Flush(func(err error) { done <- err }, b.r.IntN(2) == 0)
	return <-done
}

// settle takes the first messages of a queue, settles all but some of them and
// puts those back.
func (b *backlogged) settle(name string, n, but int) error {
	q, _ := b.vhost.Queue(name)
	var gone, back []uint64
	var kept []sized
	n = min(n, len(b.want[name]))
	for i := range n {
		_, d, _, ok, err := b.vhost.Get(b.actor, name, false, nil)
		if err != nil || !ok {
			return fmt.Errorf("queue %s, message %d: %t, %w", name, i, ok, asError(err))
		}
		if but > 0 && b.r.IntN(but) == 0 {
			m := b.want[name][i]
			m.back++
			back, kept = append(back, d.Seq), append(kept, m)
		} else {
			gone = append(gone, d.Seq)
		}
	}
	if b.r.IntN(2) == 0 {
		slices.Reverse(gone)
	}
	q.Settle(nil, gone)
	q.Return(nil, back)
	b.want[name] = append(kept, b.want[name][n:]...)
	return nil
}

// check holds the queues against what must be there, and settles nothing.
func (b *backlogged) check() error {
	for name, want := range b.want {
		q, _ := b.vhost.Queue(name)
		bytes := int64(0)
		for _, m := range want {
			bytes += int64(m.size)
		}
		if s := q.Sample(); s.Ready != len(want) || s.Bytes != bytes {
			return fmt.Errorf("queue %s: %d messages of %d bytes, want %d of %d", name, s.Ready, s.Bytes, len(want), bytes)
		}
		var seqs []uint64
		for i, m := range want {
			_, d, _, ok, err := b.vhost.Get(b.actor, name, false, nil)
			if err != nil || !ok {
				return fmt.Errorf("queue %s, message %d of %d: %t, %w", name, i, len(want), ok, asError(err))
			}
			if id, err := identify(&d); err != nil || id != m.id {
				return fmt.Errorf("queue %s, message %d is %d, want %d, %w", name, i, id, m.id, err)
			}
			if name == counted && d.Tries.Acquired != m.back {
				return fmt.Errorf("queue %s, message %d came back %d times, want %d", name, m.id, d.Tries.Acquired, m.back)
			}
			want[i].back++
			seqs = append(seqs, d.Seq)
		}
		q.Return(nil, seqs)
	}
	return nil
}

// TestDeepQueues lets queues live through several lives whose starts read digests.
func TestDeepQueues(t *testing.T) {
	t.Parallel()
	count := uint64(40)
	if raceEnabled {
		count /= 5
	}
	if s := os.Getenv("COUNT"); s != "" {
		count, _ = strconv.ParseUint(s, 10, 64)
	}
	for seed := range count {
		if err := deepQueues(seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func deepQueues(seed uint64) (err error) {
	r := rand.New(rand.NewPCG(seed, 5))
	fs, clock := first().Clone(), newModel()
	b := &backlogged{r: r, want: map[string][]sized{}}
	segment := int64(20<<10 + r.IntN(60<<10))
	for range 3 {
		if b.node, err = open(fs, segment, int64(30<<10+r.IntN(200<<10)), clock.now); err != nil {
			return err
		}
		if len(b.report.Damaged) > 0 {
			return fmt.Errorf("damaged: %q", b.report.Damaged)
		}
		if err = b.live(); err != nil {
			return fmt.Errorf("%w (ended: %t)", err, b.ended.Load())
		}
		next := fs.Clone()
		if r.IntN(2) == 0 {
			next = fs.Crash(r)
		}
		_ = b.close()
		fs = next
	}
	if b.node, err = open(fs, segment, 1<<20, clock.now); err != nil {
		return err
	}
	err = b.check()
	return errors.Join(err, b.close())
}

// live is one life.
func (b *backlogged) live() error {
	if err := b.check(); err != nil {
		return err
	}
	pubs := []*broker.Publisher{b.vhost.NewPublisher(), b.vhost.NewPublisher()}
	names := []string{counted, "other", "third"}
	for _, name := range names {
		d := broker.QueueDeclare{Name: name, Durable: true}
		if name == counted {
			d.Arguments = amqp.Table{{Key: "x-delivery-limit", Value: int32(1000)}}
		}
		if _, failed := b.vhost.DeclareQueue(b.actor, d); failed != nil {
			return failed
		}
	}
	for range 30 {
		name := names[b.r.IntN(3)*b.r.IntN(2)] // mostly the first
		if err := b.publish(pubs[b.r.IntN(2)], name, 1+b.r.IntN(60)); err != nil {
			return err
		}
		if b.r.IntN(5) == 0 {
			if err := b.settle(name, b.r.IntN(150), b.r.IntN(2)*(2+b.r.IntN(60))); err != nil {
				return err
			}
		}
	}
	done := make(chan error, 1)
	b.store.Append(broker.Batch{}, func(err error) { done <- err }) // what was settled is durable too
	return <-done
}
