package storage_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/journal"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/vfs"
)

// node is one life of a broker on a disk in memory.
type node struct {
	server *server.Server
	store  *storage.Store
	vhost  *broker.Vhost
	actor  *broker.Actor
	report *journal.Report
	ended  atomic.Bool           // nothing can be stored any more
	why    atomic.Pointer[error] // as ended; nil: it has not
}

// open starts a node.
func open(fs *vfs.Mem, segment, memory int64, now func() time.Time) (*node, error) {
	n := &node{}
	failed := func(err error) {
		n.why.CompareAndSwap(nil, &err)
		n.ended.Store(true)
	}
	logger := slog.New(slog.DiscardHandler)
	st, report, err := storage.Open(storage.Options{FS: fs, Dir: "data", Random: rand.Reader, Logger: logger, SegmentSize: segment, Fenced: failed})
	if err != nil {
		return nil, err
	}
	n.report, n.store = report, st
	if n.server, err = server.Open(server.Options{Logger: logger, Storage: st, MemoryLimit: memory, Failed: failed, Now: now}); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	rights, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		return nil, err
	}
	n.actor = &broker.Actor{User: "sim", Rights: rights}
	n.vhost, _ = n.server.Broker().Vhost(n.ref())
	return n, nil
}

func (n *node) ref() meta.VhostRef {
	return meta.VhostRef{Cluster: n.server.Store().DefaultCluster().ID, Name: "/"}
}

func (n *node) close() error { return n.server.Close(context.Background()) }

// first is a disk with a node's definitions and a fanout exchange: what every
// seed begins with, since hashing the first user's password takes long.
var first = sync.OnceValue(func() *vfs.Mem {
	fs := vfs.NewMem()
	n, err := open(fs, 1<<12, 0, newModel().now)
	if err != nil {
		panic(err)
	}
	if err := n.vhost.DeclareExchange(n.actor, broker.ExchangeDeclare{Name: "fan", Type: "fanout", Durable: true}); err != nil {
		panic(err)
	}
	if _, err := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: crowded, Durable: true}); err != nil {
		panic(err)
	}
	if _, err := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: deadLetters, Durable: true}); err != nil {
		panic(err)
	}
	if err := n.close(); err != nil {
		panic(err)
	}
	return fs
})

// look drains every queue of a node and returns what it had.
func (n *node) look() (*seen, error) {
	s := &seen{queues: map[string][]seenMessage{}, bound: map[string]bool{}, keys: map[string]string{}}
	queues := n.vhost.Queues()
	slices.SortFunc(queues, func(x, y *broker.Queue) int { // dead letters are there when the others are empty
		return cmp.Compare(btoi(x.Name == deadLetters), btoi(y.Name == deadLetters))
	})
	for _, q := range queues {
		n.server.Broker().ExpireDue()
		s.queues[q.Name] = nil
		for {
			_, d, _, ok, err := n.vhost.Get(n.actor, q.Name, false, nil)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			id, err2 := identify(&d)
			if err2 != nil {
				return nil, fmt.Errorf("queue %s: %w", q.Name, err2)
			}
			s.queues[q.Name] = append(s.queues[q.Name], seenMessage{id, stored(&d), d.Redelivered, d.Tries})
		}
		if left := q.Ready(); left > 0 {
			return nil, fmt.Errorf("queue %s: %d messages cannot be had", q.Name, left)
		}
	}
	for _, b := range n.vhost.Bindings() {
		if b.Source == "fan" {
			s.bound[b.Destination] = true
		}
	}
	roles, err := n.server.Store().Roles("")
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		if strings.HasPrefix(r.Name, "r") {
			if s.keys[r.Name], err = n.server.Store().RoleKey("", r.Name); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// stored is a delivery's image as it was published.
func stored(d *queue.Delivery) []byte {
	if d.Tries == (queue.Tries{}) {
		return bytes.Clone(d.Image)
	}
	c, err := broker.Open(d)
	if err != nil {
		return nil
	}
	c.Properties.Headers = slices.DeleteFunc(c.Properties.Headers, func(f amqp.Field) bool { return f.Key == "x-delivery-count" })
	if len(c.Properties.Headers) == 0 {
		c.Properties.Flags &^= amqp.FlagHeaders
	}
	m, err := broker.Compose(&c, 1<<17)
	if err != nil {
		return nil
	}
	return append(append(bytes.Clone(m.Route), amqp.FrameEnd), m.Content...)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// identify reads the number of a message out of its body.
func identify(d *queue.Delivery) (uint64, error) {
	c, err := broker.Open(d)
	if err != nil {
		return 0, err
	}
	if len(c.Body) < 8 {
		return 0, fmt.Errorf("a body of %d bytes", len(c.Body))
	}
	return binary.BigEndian.Uint64(c.Body), nil
}
