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

// retryAttempts is how often the simulation tries a message again.
const retryAttempts = 3

// tried is what the simulation of retries knows of one message.
type tried struct {
	confirmed bool
	settled   bool // asked for
	returned  int  // how often it came back; a crash may forget the last
}

type retrying struct {
	mu    sync.Mutex // the journal's committer confirms
	all   []tried
	clock atomic.Int64
}

func (x *retrying) now() time.Time { return time.UnixMilli(x.clock.Load()) }

func (x *retrying) open(fs *vfs.Mem, memory int64) (*node, error) {
	n, err := open(fs, 1<<13, memory, x.now)
	if err != nil {
		return nil, err
	}
	args := amqp.Table{
		{Key: "x-retry-attempts", Value: int32(retryAttempts)},
		{Key: "x-retry-delay", Value: int32(100)},
		{Key: "x-retry-max-delay", Value: int32(300)},
	}
	if _, e := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: "work", Durable: true, Arguments: args}); e != nil {
		return nil, e
	}
	return n, nil
}

func (x *retrying) publish(p *broker.Publisher, r *mrand.Rand) error {
	var ids []int
	for range 1 + r.IntN(10) {
		x.mu.Lock()
		ids = append(ids, len(x.all))
		x.all = append(x.all, tried{})
		x.mu.Unlock()
		c := broker.Content{Key: "work", Body: binary.BigEndian.AppendUint64(make([]byte, 0, 100), uint64(ids[len(ids)-1]))}
		c.Body = append(c.Body, make([]byte, r.IntN(90))...)
		c.Properties.DeliveryMode = 2
		m, err := broker.Compose(&c, 1<<17)
		if err != nil {
			return err
		}
		if _, e := p.Publish(&m); e != nil {
			return e
		}
	}
	p.Flush(func(err error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, id := range ids {
			x.all[id].confirmed = x.all[id].confirmed || err == nil
		}
	}, false)
	return nil
}

// work takes messages, settles some of them and gives the others back.
func (x *retrying) work(n *node, r *mrand.Rand) error {
	for range r.IntN(20) {
		q, d, _, ok, err := n.vhost.Get(n.actor, "work", false, nil)
		if err != nil || !ok {
			return nil //nolint:nilerr // the node may have ended
		}
		id, failed := identify(&d)
		if failed != nil {
			return failed
		}
		m := &x.all[id]
		if count := int(d.Tries.Acquired); count > m.returned || count > retryAttempts {
			return fmt.Errorf("message %d was tried %d times, came back %d times", id, count, m.returned)
		}
		m.returned = int(d.Tries.Acquired)
		switch r.IntN(4) {
		case 0:
			m.settled = true
			q.Settle(nil, []uint64{d.Seq})
		case 1:
			m.returned++
			q.Return(nil, []uint64{d.Seq})
		default:
			m.returned++
			q.Fail(nil, []uint64{d.Seq})
		}
	}
	return nil
}

// drain tries everything until it is parked, and holds that against what is
// known.
func (x *retrying) drain(n *node, graceful bool) error {
	for {
		q, d, _, ok, err := n.vhost.Get(n.actor, "work", false, nil)
		if err != nil {
			return err
		}
		if ok {
			q.Fail(nil, []uint64{d.Seq})
			continue
		}
		if q.Waiting() == 0 {
			break
		}
		x.clock.Add(300)
		n.server.Broker().ExpireDue()
	}
	seen := map[uint64]bool{}
	for {
		_, d, _, ok, err := n.vhost.Get(n.actor, "work.parked", false, nil)
		if err != nil && err.Code != amqp.CodeNotFound {
			return err
		}
		if !ok {
			break
		}
		id, failed := identify(&d)
		if failed != nil {
			return failed
		}
		if seen[id] || graceful && x.all[id].settled {
			return fmt.Errorf("message %d is there again: twice %t, settled %t", id, seen[id], x.all[id].settled)
		}
		seen[id] = true
	}
	for id := range x.all {
		if m := &x.all[id]; !seen[uint64(id)] && !m.settled && (m.confirmed || graceful) {
			return fmt.Errorf("message %d, which came back %d times, is lost", id, m.returned)
		}
	}
	return nil
}

func retrySeed(seed uint64) error {
	r := mrand.New(mrand.NewPCG(seed, 5))
	x := &retrying{}
	x.clock.Store(1_700_000_000_000)
	fs, graceful := first().Clone(), true
	for range 1 + r.IntN(5) {
		n, err := x.open(fs, int64(r.IntN(2)*(2000+r.IntN(10000))))
		if err != nil {
			return err
		}
		p := n.vhost.NewPublisher()
		for range r.IntN(60) {
			var err error
			switch r.IntN(3) {
			case 0:
				err = x.publish(p, r)
			case 1:
				x.clock.Add(int64(r.IntN(400)))
				n.server.Broker().ExpireDue()
			case 2:
				err = x.work(n, r)
			}
			if err != nil {
				return err
			}
		}
		if r.IntN(3) == 0 {
			if err := n.close(); err != nil {
				return err
			}
			fs = fs.Clone()
			continue
		}
		graceful = false
		next := fs.Crash(r)
		_ = n.close() // the process of the machine that has crashed
		fs = next
	}
	n, err := x.open(fs, 0)
	if err != nil {
		return err
	}
	defer n.close() //nolint:errcheck // a disk in memory
	return x.drain(n, graceful)
}

// TestRetrySurvives: a message that is tried again is in one place, whenever the
// node ends, and its attempts are counted on.
func TestRetrySurvives(t *testing.T) {
	t.Parallel()
	count := uint64(300)
	if testing.Short() || raceEnabled {
		count = 30
	}
	for seed := uint64(1); seed <= count; seed++ {
		if err := retrySeed(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
