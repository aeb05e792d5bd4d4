package storage_test

import (
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/vfs"
)

// delays is what the simulation of an exchange that delays messages knows.
type delays struct {
	mu    sync.Mutex // the journal's committer confirms
	all   []delayedMessage
	clock atomic.Int64
}

type delayedMessage struct {
	due       int64
	confirmed bool
	taken     bool // settled, or cancelled: it may be gone, and is when that was waited for
	gone      bool // for good
}

func (d *delays) now() time.Time { return time.UnixMilli(d.clock.Load()) }

func delayedNode(t *testing.T, fs *vfs.Mem, d *delays, memory int64) (*node, error) {
	t.Helper()
	n, err := open(fs, 1<<13, memory, d.now)
	if err != nil {
		return nil, err
	}
	if e := n.vhost.DeclareExchange(n.actor, broker.ExchangeDeclare{
		Name: "late", Type: "x-delayed-message", Durable: true, Arguments: amqp.Table{{Key: "x-delayed-type", Value: "fanout"}},
	}); e != nil {
		return nil, e
	}
	if _, e := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: "out", Durable: true}); e != nil {
		return nil, e
	}
	if e := n.vhost.Bind(n.actor, broker.Binding{Source: "late", Destination: "out", DestinationKind: broker.KindQueue}); e != nil {
		return nil, e
	}
	return n, nil
}

// publish sends a few messages with delays and notes when they are confirmed.
func (d *delays) publish(n *node, p *broker.Publisher, r *mrand.Rand) error {
	var ids []int
	for range 1 + r.IntN(20) {
		delay := int64(1) << r.IntN(16)
		delay += r.Int64N(delay)
		d.mu.Lock()
		ids = append(ids, len(d.all))
		d.all = append(d.all, delayedMessage{due: d.clock.Load() + delay})
		d.mu.Unlock()
		c := broker.Content{Exchange: "late", Body: binary.BigEndian.AppendUint64(make([]byte, 0, 200), uint64(ids[len(ids)-1]))}
		c.Body = append(c.Body, make([]byte, r.IntN(150))...)
		c.Properties = amqp.Properties{DeliveryMode: 2, Headers: amqp.Table{{Key: "x-delay", Value: delay}}}
		m, err := broker.Compose(&c, 1<<17)
		if err != nil {
			return err
		}
		if routed, e := p.Publish(&m); e != nil || routed != 1 {
			return fmt.Errorf("a delayed message goes to %d places: %w", routed, e)
		}
	}
	p.Flush(func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, id := range ids {
			d.all[id].confirmed = d.all[id].confirmed || err == nil
		}
	}, r.IntN(2) == 0)
	return nil
}

// take settles some of what has come.
func (d *delays) take(n *node, r *mrand.Rand) error {
	for range r.IntN(30) {
		q, m, _, ok, err := n.vhost.Get(n.actor, "out", false, nil)
		if err != nil || !ok {
			return nil //nolint:nilerr // the node may have ended
		}
		id, failed := identify(&m)
		if failed != nil {
			return failed
		}
		if now := d.clock.Load(); d.all[id].due > now {
			return fmt.Errorf("message %d came at %d and is due at %d", id, now, d.all[id].due)
		}
		d.mu.Lock()
		d.all[id].taken = true
		d.mu.Unlock()
		q.Settle(nil, []uint64{m.Seq})
	}
	return nil
}

// cancel cancels one that waits; when that is answered it is gone for good.
func (d *delays) cancel(n *node, r *mrand.Rand) error {
	list, _, err := n.vhost.ListPending(n.actor, "late", 0, 1+r.IntN(20), 1<<20)
	if err != nil || len(list) == 0 {
		return nil //nolint:nilerr // the node may have ended
	}
	m := list[r.IntN(len(list))]
	id := binary.BigEndian.Uint64(m.Body)
	if m.Due < d.all[id].due {
		return fmt.Errorf("message %d is to come at %d and is due at %d", id, m.Due, d.all[id].due)
	}
	d.mu.Lock()
	d.all[id].taken = true
	d.mu.Unlock()
	if ok, err := n.vhost.CancelPending(n.actor, "late", m.ID); ok && err == nil {
		d.all[id].gone = true
	}
	return nil
}

// recover holds what is there after a start against what is known.
func (d *delays) recover(n *node, graceful bool) error {
	n.server.Broker().ExpireDue()
	place := map[uint64]string{}
	for from := uint64(0); ; {
		list, next, err := n.vhost.ListPending(n.actor, "late", from, 100, 1<<20)
		if err != nil {
			return err
		}
		for i := range list {
			id := binary.BigEndian.Uint64(list[i].Body)
			if place[id] != "" {
				return fmt.Errorf("message %d waits twice", id)
			}
			if place[id] = "waits"; list[i].Due <= d.clock.Load() {
				return fmt.Errorf("message %d was due at %d and waits", id, list[i].Due)
			}
		}
		if from = next; next == 0 {
			break
		}
	}
	for {
		_, m, _, ok, err := n.vhost.Get(n.actor, "out", false, nil)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		id, failed := identify(&m)
		if failed != nil {
			return failed
		}
		if place[id] != "" || d.all[id].due > d.clock.Load() {
			return fmt.Errorf("message %d has come at %d, is due at %d and %s too", id, d.clock.Load(), d.all[id].due, place[id])
		}
		place[id] = "has come"
	}
	for id := range d.all {
		m := &d.all[id]
		where := place[uint64(id)]
		switch {
		case where == "" && !m.taken && !m.gone && (m.confirmed || graceful):
			return fmt.Errorf("message %d, due at %d, is lost", id, m.due)
		case where != "" && (m.gone || graceful && m.taken):
			return fmt.Errorf("message %d %s and was gone", id, where)
		}
		*m = delayedMessage{due: m.due, confirmed: where != "", gone: where == ""}
	}
	return nil
}

// delaySeed lets lives of a node end in crashes while messages wait.
func delaySeed(t *testing.T, seed uint64) error {
	t.Helper()
	r := mrand.New(mrand.NewPCG(seed, 3))
	d := &delays{}
	d.clock.Store(1_700_000_000_000)
	fs, graceful := first().Clone(), true
	for life := range 3 + r.IntN(4) {
		n, err := delayedNode(t, fs, d, int64(r.IntN(2)*(2000+r.IntN(20000))))
		if err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if err := d.recover(n, graceful); err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if err := n.close(); err != nil { // what it held unacknowledged is back
			return err
		}
		if n, err = delayedNode(t, fs, d, int64(r.IntN(2)*(2000+r.IntN(20000)))); err != nil {
			return err
		}
		p := n.vhost.NewPublisher()
		for range r.IntN(60) {
			var err error
			switch r.IntN(6) {
			case 0, 1, 2:
				err = d.publish(n, p, r)
			case 3:
				d.clock.Add(int64(r.IntN(3000)))
				n.server.Broker().ExpireDue()
			case 4:
				err = d.take(n, r)
			case 5:
				err = d.cancel(n, r)
			}
			if err != nil {
				return fmt.Errorf("life %d: %w", life, err)
			}
		}
		if graceful = r.IntN(3) == 0; graceful {
			if err := n.close(); err != nil {
				return err
			}
			fs = fs.Clone()
			continue
		}
		next := fs.Crash(r)
		_ = n.close() // the process of the machine that has crashed
		fs = next
		d.clock.Add(int64(r.IntN(2) * r.IntN(60000)))
	}
	return nil
}

// TestDelayedSurvives: what an exchange delays is there after any end of the
// node, once, and comes when its time has come.
func TestDelayedSurvives(t *testing.T) {
	t.Parallel()
	count := uint64(150)
	if testing.Short() || raceEnabled {
		count = 20
	}
	for seed := uint64(1); seed <= count; seed++ {
		if err := delaySeed(t, seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
