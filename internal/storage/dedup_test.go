package storage_test

import (
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/vfs"
)

// dedupSeed publishes each message until it is confirmed, over crashes, and now
// and then once more: it must be there once.
func dedupSeed(seed uint64) error {
	r := mrand.New(mrand.NewPCG(seed, 7))
	var clock atomic.Int64
	clock.Store(1_700_000_000_000)
	now := func() time.Time { return time.UnixMilli(clock.Load()) }
	fs := first().Clone()
	confirmed := make([]atomic.Bool, 200)
	next := 0
	on := amqp.Table{{Key: "x-message-deduplication", Value: true}, {Key: "x-cache-ttl", Value: int64(10_000_000)}}
	for life := range 2 + r.IntN(5) {
		n, err := open(fs, 1<<13, int64(r.IntN(2)*(2000+r.IntN(10000))), now)
		if err != nil {
			return err
		}
		if _, e := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: "once", Durable: true, Arguments: on}); e != nil {
			return e
		}
		if e := n.vhost.DeclareExchange(n.actor, broker.ExchangeDeclare{Name: "once", Type: "fanout", Durable: true, Arguments: on}); e != nil {
			return e
		}
		if _, e := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: "plain", Durable: true}); e != nil {
			return e
		}
		if e := n.vhost.Bind(n.actor, broker.Binding{Source: "once", Destination: "plain", DestinationKind: broker.KindQueue}); e != nil {
			return e
		}
		pubs := []*broker.Publisher{n.vhost.NewPublisher(), n.vhost.NewPublisher()}
		for range r.IntN(40) {
			clock.Add(int64(r.IntN(100)))
			p := pubs[r.IntN(2)]
			var ids []int
			for range 1 + r.IntN(5) {
				id := next
				if next < len(confirmed)-1 && r.IntN(3) > 0 {
					next++
				} else {
					id = r.IntN(next + 1)
				}
				ids = append(ids, id)
				for _, to := range [][2]string{{"", "once"}, {"once", ""}} {
					c := broker.Content{Exchange: to[0], Key: to[1], Body: binary.BigEndian.AppendUint64(nil, uint64(id))}
					c.Properties = amqp.Properties{DeliveryMode: 2, MessageID: strconv.Itoa(id)}
					m, err := broker.Compose(&c, 1<<17)
					if err != nil {
						return err
					}
					if routed, e := p.Publish(&m); e != nil || routed == 0 {
						return fmt.Errorf("message %d goes to %d places: %w", id, routed, e)
					}
				}
			}
			p.Flush(func(err error) {
				for _, id := range ids {
					if err == nil {
						confirmed[id].Store(true)
					}
				}
			}, r.IntN(2) == 0)
		}
		if r.IntN(3) == 0 {
			if err := n.close(); err != nil {
				return err
			}
			fs = fs.Clone()
		} else {
			crashed := fs.Crash(r)
			_ = n.close() // the process of the machine that has crashed
			fs = crashed
		}
		if err := dedupCheck(fs.Clone(), now, confirmed); err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
	}
	return nil
}

// dedupCheck opens a copy of the disk: what was confirmed is there once.
func dedupCheck(fs *vfs.Mem, now func() time.Time, confirmed []atomic.Bool) error {
	n, err := open(fs, 1<<13, 0, now)
	if err != nil {
		return err
	}
	defer n.close() //nolint:errcheck // a disk in memory
	for _, name := range []string{"once", "plain"} {
		seen := map[uint64]bool{}
		for {
			_, d, _, ok, err := n.vhost.Get(n.actor, name, false, nil)
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
			if seen[id] {
				return fmt.Errorf("message %d is in %s twice", id, name)
			}
			seen[id] = true
		}
		for id := range confirmed {
			if confirmed[id].Load() && !seen[uint64(id)] {
				return fmt.Errorf("message %d was confirmed and is not in %s", id, name)
			}
		}
	}
	return nil
}

// TestDedupSurvives: a message that is published again, whatever happened
// meanwhile, is there once.
func TestDedupSurvives(t *testing.T) {
	t.Parallel()
	count := uint64(200)
	if testing.Short() || raceEnabled {
		count = 20
	}
	for seed := uint64(1); seed <= count; seed++ {
		if err := dedupSeed(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
