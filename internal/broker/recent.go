package broker

import (
	"slices"
	"sync"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
)

// recent keeps copies of the last messages that something happened to: at most so many, and so many
// bytes, which count as memory of the node. All versions of an exchange share it.
type recent struct {
	messages, bytes int
	memory          *Memory

	mu    sync.Mutex // guards what follows
	total uint64     // that were ever added
	kept  []keptImage
	size  int
	over  bool // the exchange is gone: nothing is kept any more
}

// keptImage is one message: its route and frames, as in Message.
type keptImage struct {
	image      []byte // route, then content
	route      int
	persistent bool
}

// add keeps a copy of a message. One that alone has too many bytes is counted and not kept.
func (r *recent) add(m *Message) {
	n := len(m.Route) + len(m.Content)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	if r.over || n > r.bytes {
		return
	}
	before := r.size
	for len(r.kept) > 0 && (len(r.kept) >= r.messages || r.size+n > r.bytes) {
		r.size -= len(r.kept[0].image)
		r.kept[0] = keptImage{}
		r.kept = r.kept[1:]
	}
	image := append(append(make([]byte, 0, n), m.Route...), m.Content...)
	r.kept = append(r.kept, keptImage{image: image, route: len(m.Route), persistent: m.Persistent})
	r.size += n
	r.memory.add(int64(r.size-before), 0)
}

// list returns the kept messages, oldest first, and how many were ever added. They do not change.
func (r *recent) list() (kept []keptImage, total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept), r.total
}

// close forgets everything, for good.
func (r *recent) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory.add(int64(-r.size), 0)
	r.kept, r.size, r.over = nil, 0, true
}

// message makes a kept message one to publish.
func (k *keptImage) message() Message {
	route := k.image[:k.route]
	n := int(route[0])
	m := Message{
		Route: route, Exchange: route[1 : 1+n], Key: route[2+n:], Content: k.image[k.route:], Persistent: k.persistent,
	}
	f, _, _ := amqp.ParseFrame(m.Content, 1<<31) // it was read before
	if h, err := amqp.ParseHeader(f.Payload); err == nil {
		view, _ := amqp.ScanProperties(h.Flags, h.Properties)
		m.Headers = view.Headers
		if ttl, err := ParseExpiration(string(view.Expiration)); view.Expiration != nil && err == nil {
			m.Expires, m.TTL = true, ttl
		}
	}
	return m
}

// content takes a kept message apart.
func (k *keptImage) content() (Content, error) {
	image := slices.Concat(k.image[:k.route], []byte{amqp.FrameEnd}, k.image[k.route:])
	sl := slab.Adopt(image)
	return Open(&queue.Delivery{Image: sl.Bytes(0, uint32(len(image))), RouteLen: k.route}) //nolint:gosec // bounded by what is kept
}

// Bounds of what an exchange keeps.
const (
	maxHistoryBytes    = 4 << 20
	unroutableMessages = 10
	unroutableBytes    = 16 << 10
)

// Unroutable returns how many messages this exchange could not route to any queue since it was
// declared or the node started, and the last of them that are small enough to be kept, oldest
// first.
func (x *Exchange) Unroutable() (total uint64, last []Content) {
	kept, total := x.lost.list()
	for i := range kept {
		if c, err := kept[i].content(); err == nil {
			last = append(last, c)
		}
	}
	return total, last
}

// replay gives what a recent history exchange has kept to what was bound to it.
func (v *Vhost) replay(kept []keptImage, to Destination) {
	if len(kept) == 0 {
		return
	}
	p := v.NewPublisher()
	for i := range kept {
		m := kept[i].message()
		m.Ticket = uint64(i + 1)
		p.publishTo(to, &m)
	}
	p.Flush(nil, false)
}

// publishTo enters a message into a queue, or into those that an exchange routes it to.
func (p *Publisher) publishTo(to Destination, m *Message) {
	top := p.vhost.top.Load()
	p.begin()
	if to.queue != nil {
		p.queues = append(p.queues, to.queue)
	} else if x, ok := top.exchanges.Get(to.exchange); ok {
		p.through(top, x, m)
		p.dedup()
	}
	p.enter(m)
}
