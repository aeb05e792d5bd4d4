package storage_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/internal/broker"
)

// crowd works on one queue from several goroutines at once, while the rest of
// the simulation goes on and when the machine stops.
type crowd struct {
	mu   sync.Mutex
	all  []crowdMessage // by id
	stop atomic.Bool
	work sync.WaitGroup
}

// crowdMessage is what is known of one message.
type crowdMessage struct {
	confirmed bool
	settled   bool // asked for
	gone      bool // for good: a start did not have it
}

// crowded is the crowd's queue.
const crowded = "crowded"

// start lets two publishers and two consumers at the queue.
func (c *crowd) start(n *node) {
	c.stop.Store(false)
	for range 2 {
		c.work.Go(func() { c.publish(n) })
		c.work.Go(func() { c.consume(n) })
	}
}

func (c *crowd) end() {
	c.stop.Store(true)
	c.work.Wait()
}

func (c *crowd) publish(n *node) {
	p := n.vhost.NewPublisher()
	for range 60 {
		if c.stop.Load() {
			return
		}
		var ids []int
		for range 3 {
			c.mu.Lock()
			id := len(c.all)
			c.all = append(c.all, crowdMessage{})
			c.mu.Unlock()
			ids = append(ids, id)
			content := broker.Content{Key: crowded, Body: binary.BigEndian.AppendUint64(make([]byte, 0, 64), uint64(id))}
			content.Body = append(content.Body, make([]byte, id%50)...)
			content.Properties.DeliveryMode = 2
			m, err := broker.Compose(&content, 1<<17)
			if err != nil {
				panic(err)
			}
			if routed, err := p.Publish(&m); err != nil || routed != 1 {
				panic(fmt.Sprint("publish to the crowd's queue: ", routed, err))
			}
		}
		p.Flush(func(err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, id := range ids {
				c.all[id].confirmed = c.all[id].confirmed || err == nil
			}
		}, true)
	}
}

func (c *crowd) consume(n *node) {
	for i := range 300 {
		if c.stop.Load() {
			return
		}
		q, d, _, ok, err := n.vhost.Get(n.actor, crowded, false, nil)
		if err != nil {
			panic(err)
		}
		if !ok || i%7 == 0 { // some stay unacknowledged
			continue
		}
		id, failed := identify(&d)
		if failed != nil {
			panic(failed)
		}
		c.mu.Lock()
		c.all[id].settled = true
		c.mu.Unlock()
		q.Settle(nil, []uint64{d.Seq})
	}
}

// recover holds what is there after a start against what is known.
func (c *crowd) recover(messages []seenMessage, graceful bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	present := map[uint64]bool{}
	for _, m := range messages {
		switch {
		case m.id >= uint64(len(c.all)):
			return fmt.Errorf("message %d was never published", m.id)
		case present[m.id]:
			return fmt.Errorf("message %d is there twice", m.id)
		case c.all[m.id].gone:
			return fmt.Errorf("message %d is back, and an earlier start did not have it", m.id)
		case graceful && c.all[m.id].settled:
			return fmt.Errorf("message %d was settled before a graceful end", m.id)
		}
		present[m.id] = true
	}
	for id := range c.all {
		m := &c.all[id]
		if !present[uint64(id)] && !m.gone && !m.settled && (m.confirmed || graceful) {
			return fmt.Errorf("message %d was not settled, confirmed: %t, and is lost", id, m.confirmed)
		}
		*m = crowdMessage{confirmed: present[uint64(id)], gone: !present[uint64(id)]}
	}
	return nil
}
