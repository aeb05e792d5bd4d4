package storage_test

import (
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// The dead letters of queue mortal go to queue deadLetters, where the
// simulation lets them lie: each message is in one of both, whenever the
// machine stops.
const (
	prioritized = "q2"
	mortal      = "q3"
	deadLetters = "dead"
	// deliveries is how often the delivery of a message of mortal may fail.
	deliveries = int64(2)
)

// queueArguments are those that the simulation declares a queue with.
func queueArguments(name string) amqp.Table {
	var args amqp.Table
	if ttl, ok := queueTTL[name]; ok {
		args = append(args, amqp.Field{Key: "x-message-ttl", Value: ttl})
	}
	if name == prioritized {
		args = append(args, amqp.Field{Key: "x-max-priority", Value: int32(3)})
	}
	if name == mortal {
		args = append(args, amqp.Field{Key: "x-dead-letter-exchange", Value: ""},
			amqp.Field{Key: "x-dead-letter-routing-key", Value: deadLetters}, amqp.Field{Key: "x-delivery-limit", Value: deliveries})
	}
	return args
}

// dead is what the model knows of dead letters.
type dead struct {
	origin map[uint64]*place // all that was ever put into the mortal queue, by id
	seen   map[uint64]bool   // what was there at a start, and must be again
	ever   map[uint64]bool   // what was there at any start
}

func newDead() dead {
	return dead{origin: map[uint64]*place{}, seen: map[uint64]bool{}, ever: map[uint64]bool{}}
}

// bury notes that messages were rejected in a batch.
func (m *model) bury(p *place, q *modelQueue, b *batch) {
	if q.name != mortal {
		m.settle(p, q, b)
		return
	}
	p.state, p.moved = gone, b
	if p.persistent {
		b.moves = append(b.moves, p)
		b.queues[p] = q
	}
}

// forget says that the mortal queue was purged or deleted, which is durable
// before its dead letters may be.
func (d *dead) forget() { clear(d.seen) }

// back notes that a delivery came back: with the last that it may have the
// message is a dead letter.
func (m *model) back(p *place, q *modelQueue, failed bool) {
	p.state, p.flag = ready, true
	if q.name != mortal {
		return
	}
	p.tries.Acquired++
	if failed {
		p.tries.Failed++
	}
	if failed && int64(p.tries.Failed) > deliveries {
		m.bury(p, q, m.begin())
	}
}

// counted holds what is counted of a message against what was: a crash may
// take the last of it, a graceful end nothing.
func (p *place) counted(g seenMessage, graceful bool) error {
	if g.tries.Acquired > p.tries.Acquired || g.tries.Failed > p.tries.Failed || graceful && g.tries != p.tries {
		return fmt.Errorf("message %d was tried %+v, want %+v", g.id, g.tries, p.tries)
	}
	return nil
}

// recover holds the dead letters against the messages of the mortal queue.
func (d *dead) recover(letters, alive []seenMessage, q *modelQueue, expired func(*place) bool) error {
	here, there := map[uint64]bool{}, map[uint64]bool{}
	for _, g := range alive {
		here[g.id] = true
	}
	for _, g := range letters {
		p := d.origin[g.id]
		switch {
		case p == nil || !p.persistent:
			return fmt.Errorf("dead letter %d was never put there as a persistent message", g.id)
		case there[g.id]:
			return fmt.Errorf("dead letter %d is there twice", g.id)
		case here[g.id]:
			return fmt.Errorf("message %d is dead and alive", g.id)
		case p.moved == nil && !expired(p) && !d.ever[g.id]:
			return fmt.Errorf("dead letter %d was neither rejected nor has it expired", g.id)
		case p.settled != nil && p.settled.confirmed && !d.ever[g.id]:
			return fmt.Errorf("dead letter %d came back after its settle was durable", g.id)
		}
		there[g.id], d.ever[g.id] = true, true
	}
	for id := range d.seen {
		if !there[id] {
			return fmt.Errorf("dead letter %d is lost", id)
		}
	}
	if q != nil {
		for _, p := range q.places {
			if p.persistent && !p.purged && p.settled == nil && (p.stored == nil || p.stored.confirmed) && !here[p.id] && !there[p.id] {
				return fmt.Errorf("message %d was confirmed and is neither dead nor alive", p.id)
			}
		}
	}
	d.seen = there
	return nil
}
