package session

import (
	"time"

	"github.com/warrenmq/warren/internal/broker"
)

// Held is a delivery that a client has not settled.
type Held struct {
	Connection, User string
	Channel          uint16
	Consumer         string // its tag; empty: of basic.get
	Tag              uint64 // of the delivery
	Since            time.Time
}

// Unacked lists deliveries of a queue of a vhost that clients have not settled, most at
// most. What a transaction has settled and not committed is not among them.
func (r *Registry) Unacked(v *broker.Vhost, q *broker.Queue, most int) []Held {
	var list []Held
	for _, c := range r.list() {
		if c.vhost != v { // what others hold is not looked through: it may be much, and keeps their channels
			continue
		}
		c.mu.Lock()
		channels := make([]*channel, 0, len(c.channels))
		for _, ch := range c.channels {
			channels = append(channels, ch)
		}
		c.mu.Unlock()
		for _, ch := range channels {
			if list = c.heldOf(ch, q, list, most); len(list) >= most {
				return list
			}
		}
	}
	return list
}

// heldOf appends what of a queue is with a channel's client, up to most in all.
func (c *Conn) heldOf(ch *channel, q *broker.Queue, list []Held, most int) []Held {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.unacked.each(func(tag uint64, d *outstanding) bool {
		if d.src.queue != q {
			return true
		}
		h := Held{Connection: c.name, User: c.info.User, Channel: ch.id, Tag: tag, Since: c.cfg.Registry.at(d.at)}
		if d.src.consumer != nil {
			h.Consumer = d.src.consumer.Tag
		}
		list = append(list, h)
		return len(list) < most
	})
	return list
}
