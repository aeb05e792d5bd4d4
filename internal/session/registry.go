package session

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
)

// beat is the unit of the Registry's time: half of the shortest heartbeat.
const beat = 500 * time.Millisecond

// writerBeats is after how long without a write a connection's writer goes.
const writerBeats = 2

// Registry knows the living connections of a node: it ends those whose peer
// is silent, those whose role was revoked, and all of them at shutdown.
type Registry struct {
	clock   atomic.Int64 // beats since the start
	started time.Time
	churn   Churn
	desks   sync.Pool // *desk, each with a buffer of writeHigh bytes and some
	panes   panes
	graces  atomic.Int32 // connections whose threads wait for what is behind a basic.consume

	starts [2]atomic.Pointer[[]byte] // connection.start, without and with EXTERNAL

	mu     sync.Mutex
	conns  map[uint64]*Conn
	ready  int // of conns, those that are through their handshake
	usages usages
	past   ChannelStats // of connections that are gone
	octets Traffic      // of these
	next   uint64
	closed bool
	empty  chan struct{} // closed when closed and conns is empty
}

// NewRegistry returns a registry without connections.
func NewRegistry() *Registry {
	return &Registry{
		started: time.Now(), //nolint:forbidigo // only what passes since then is told
		conns:   map[uint64]*Conn{}, usages: usages{}, empty: make(chan struct{}),
	}
}

// desk returns a desk that nobody uses.
func (r *Registry) desk() *desk {
	if d, ok := r.desks.Get().(*desk); ok {
		return d
	}
	return &desk{buf: make([]byte, 0, writeHigh+writeHigh/4)}
}

// leave takes back what a writer is done with.
func (r *Registry) leave(d desk) {
	if cap(d.buf) >= writeHigh && cap(d.buf) <= 4*writeHigh {
		d.buf, d.taken = d.buf[:0], d.taken[:0]
		r.desks.Put(&d)
	}
}

// now is the time in beats, coarse and cheap.
func (r *Registry) now() int64 { return r.clock.Load() }

// add enters a connection; false: the node is shutting down.
func (r *Registry) add(c *Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.next++
	c.id = r.next
	c.received.Store(r.now())
	c.sent.Store(r.now())
	r.conns[c.id] = c
	return true
}

func (r *Registry) remove(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c.id)
	r.dismiss(c)
	if c.info.ready {
		r.ready--
		t := c.stats.traffic()
		r.past.Add(&c.stats.past) // all of its channels are gone
		r.octets.Add(&t)
		r.churn.ConnectionsClosed.Add(1)
	}
	if r.closed && len(r.conns) == 0 {
		close(r.empty)
	}
}

// living returns the connections that are through their handshake.
func (r *Registry) living() []*Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Conn, 0, r.ready)
	for _, c := range r.conns {
		if c.info.ready {
			list = append(list, c)
		}
	}
	return list
}

// list returns the connections that are through their handshake, by age.
func (r *Registry) list() []*Conn {
	list := r.living()
	slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return list
}

// Run keeps the Registry's time and the heartbeats until ctx ends.
func (r *Registry) Run(ctx context.Context) {
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			now, moment := r.clock.Add(1), time.Now() //nolint:forbidigo // keys end at a time of the day
			sample := now%(history.Every*int64(time.Second/beat)) == 0
			for _, c := range r.living() {
				c.beat(now)
				c.expire(moment)
				if sample {
					c.sample(moment.UnixMilli())
				}
			}
		}
	}
}

// beat sends a heartbeat when nothing was sent for half the interval, and
// ends a connection that was silent for three intervals (§4.2.7; RabbitMQ
// waits for two to three).
func (c *Conn) beat(now int64) {
	if now-c.sent.Load() >= writerBeats {
		c.out.dismiss()
	}
	interval := c.heartbeat.Load() // in seconds: twice that in beats
	if interval == 0 {
		return
	}
	if now-c.received.Load() >= 6*interval {
		c.log().Warn("missed heartbeats from the client")
		c.cut()
		return
	}
	if now-c.sent.Load() >= interval {
		c.sent.Store(now)
		if !c.out.put(amqp.AppendHeartbeat) {
			c.speak()
		}
	}
}

// Role names a role of a cluster; an empty name means all of them.
type Role struct{ Cluster, Name string }

// Revalidate checks the connections of roles again.
func (r *Registry) Revalidate(roles map[Role]bool) {
	for _, c := range r.living() {
		id := c.info.identity
		if roles[Role{id.Cluster, id.Role}] || roles[Role{id.Cluster, ""}] {
			if id.KeyID != "" {
				c.tenure.watch.Store(-1)
			}
			c.revalidate()
		}
	}
}

// CloseVhost ends the connections of a vhost that was deleted.
func (r *Registry) CloseVhost(v *broker.Vhost) {
	for _, c := range r.list() {
		if c.vhost == v {
			c.Close(amqp.CodeConnectionForced, "vhost '"+c.vhost.Wire()+"' was deleted")
		}
	}
}

// Shutdown refuses new connections, tells the present ones why, and waits for
// them to go until ctx ends; then it cuts them off.
func (r *Registry) Shutdown(ctx context.Context, reason string) {
	r.mu.Lock()
	already := r.closed
	r.closed = true
	if !already && len(r.conns) == 0 {
		close(r.empty)
	}
	all := make([]*Conn, 0, len(r.conns))
	for _, c := range r.conns {
		all = append(all, c)
	}
	r.mu.Unlock()
	for _, c := range r.list() {
		c.Close(amqp.CodeConnectionForced, reason)
	}
	select {
	case <-r.empty:
		return
	case <-ctx.Done():
	}
	for _, c := range all {
		c.cut()
	}
	<-r.empty
}
