package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// fate is what becomes of the messages that were checked.
type fate int

const (
	keep   fate = iota // all go back to their queues
	some               // every second one is acknowledged
	remove             // all are acknowledged
)

// verify compares what a node has after its start with the ledger. It reads
// every queue to its end, in order, and then leaves messages to their fate.
func verify(l *Ledger, n *node, f fate) error {
	c, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseDeadline(time.Now().Add(time.Second)) }() // a publisher that waits for memory cannot be closed
	var reads []*reading
	for _, q := range loadQueues {
		r, err := read(c, q)
		if err != nil {
			return fmt.Errorf("queue %s: %w", q, err)
		}
		l.check(q, r.got)
		reads = append(reads, r)
	}
	l.settle()
	if problems := l.take(); len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	me := &flow{alone: true}
	for _, r := range reads {
		if err := r.settle(l, me, f); err != nil {
			return err
		}
	}
	return mark(l, c, me)
}

// reading is one queue, read to its end.
type reading struct {
	queue string
	ch    *amqp091.Channel
	got   []received
	tags  []uint64
}

// read takes all messages of a queue and acknowledges none.
func read(c *amqp091.Connection, queue string) (*reading, error) {
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	state, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	r := &reading{queue: queue, ch: ch}
	stuck := time.NewTimer(patience)
	defer stuck.Stop()
	for len(r.got) < state.Messages {
		select {
		case m, ok := <-deliveries:
			if !ok {
				return nil, fmt.Errorf("the channel was closed after %d of %d messages", len(r.got), state.Messages)
			}
			r.got = append(r.got, received{m.Body, m.Redelivered})
			r.tags = append(r.tags, m.DeliveryTag)
			stuck.Reset(patience)
		case <-stuck.C:
			return nil, fmt.Errorf("no message for %v after %d of %d", patience, len(r.got), state.Messages)
		}
	}
	left, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err == nil && (left.Messages != 0 || len(deliveries) != 0) {
		err = fmt.Errorf("it said that it has %d messages, and has more", state.Messages)
	}
	return r, err
}

// settle does with the messages what is to become of them.
func (r *reading) settle(l *Ledger, me *flow, f fate) error {
	for k, m := range r.got {
		if f == keep || f == some && k%2 == 0 {
			continue
		}
		i, _ := parse(m.body)
		l.acking(r.queue, i)
		if err := r.ch.Ack(r.tags[k], false); err != nil {
			return err
		}
		l.acked(me, r.queue, i)
	}
	return r.ch.Close()
}

// mark publishes one message whose confirm proves the acknowledgements.
func mark(l *Ledger, c *amqp091.Connection, me *flow) error {
	ch, err := c.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return err
	}
	i := l.next(pubMark)
	p := l.sending(me, i, true, nil, "crash.mark")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := message(body(i, bodyHeader, rand.New(rand.NewPCG(1, 1))), true)
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "crash.mark", false, false, m)
	if err != nil {
		return err
	}
	if ok, err := confirm.WaitContext(ctx); !ok {
		return errors.Join(errors.New("the message that ends the verification is not confirmed"), err)
	}
	l.confirmed(p)
	return nil
}
