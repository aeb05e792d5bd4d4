package broker

import "github.com/warrenmq/warren/internal/queue"

// Deliveries are counters of what left for clients, and what became of it: of a
// queue, a channel or several of them.
type Deliveries struct {
	Delivered, DeliveredNow uint64 // to consumers that acknowledge, and that do not
	Got, GotNow, GetEmpty   uint64 // the same by basic.get, and in vain
	Redelivered, Acked      uint64
}

// Add adds the counters of another object.
func (d *Deliveries) Add(o *Deliveries) {
	d.Delivered += o.Delivered
	d.DeliveredNow += o.DeliveredNow
	d.Got += o.Got
	d.GotNow += o.GotNow
	d.GetEmpty += o.GetEmpty
	d.Redelivered += o.Redelivered
	d.Acked += o.Acked
}

// All counts all ways in which messages left for clients.
func (d *Deliveries) All() uint64 { return d.Delivered + d.DeliveredNow + d.Got + d.GotNow }

// Took counts deliveries to a consumer.
func (d *Deliveries) Took(list []queue.Delivery, noAck bool) {
	if noAck {
		d.DeliveredNow += uint64(len(list))
	} else {
		d.Delivered += uint64(len(list))
	}
	for i := range list {
		if list[i].Redelivered {
			d.Redelivered++
		}
	}
}

// Fetched counts a basic.get that found something.
func (d *Deliveries) Fetched(m *queue.Delivery, noAck bool) {
	if noAck {
		d.GotNow++
	} else {
		d.Got++
	}
	if m.Redelivered {
		d.Redelivered++
	}
}
