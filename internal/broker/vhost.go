package broker

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/pmap"
)

// Vhost is one isolated set of exchanges, queues and bindings.
type Vhost struct {
	ref    meta.VhostRef
	wire   string // the name that clients use
	opts   *Options
	memory *Memory
	rules  *rules
	uids   *uids
	env    env

	undertakers sync.Pool // of *Publisher, for dead letters

	top atomic.Pointer[topology] // what publishing reads
	// policies are what new objects and changed policies are matched with.
	policies atomic.Pointer[policies]
	replies  replies // direct reply-to
	// maxQueues is how many queues there may be; negative: no limit.
	maxQueues atomic.Int64
	// lenient says that durable and auto-delete of what is there win over a
	// declare.
	lenient atomic.Bool
	// usual is the type of new durable queues that name none.
	usual  atomic.Pointer[string]
	counts *VhostCounts

	mu        sync.Mutex // serialises changes of the topology, guards bindings
	bindings  bindings
	closed    bool
	noted     map[string]bool // unknown arguments that were logged
	recording recording
}

// topology is an immutable snapshot.
type topology struct {
	exchanges pmap.Map[string, *Exchange]
	queues    pmap.Map[string, *Queue]
}

// predeclared are the exchanges of a new vhost (RabbitMQ; §3.1.3).
func predeclared() []Exchange {
	list := []Exchange{
		{Name: "", Type: "direct"},
		{Name: "amq.direct", Type: "direct"},
		{Name: "amq.fanout", Type: "fanout"},
		{Name: "amq.topic", Type: "topic"},
		{Name: "amq.headers", Type: "headers"},
		{Name: "amq.match", Type: "headers"},
		{Name: "amq.rabbitmq.trace", Type: "topic", Internal: true},
	}
	for i := range list {
		list[i].Durable = true
	}
	return list
}

func (b *Broker) newVhost(ref meta.VhostRef, wire string) *Vhost {
	v := &Vhost{
		ref: ref, wire: wire, opts: &b.opts, memory: b.memory, rules: b.rules, uids: b.uids,
		noted: map[string]bool{}, env: b.env, counts: &VhostCounts{},
	}
	v.recording.over.L = &v.mu
	v.env.counts = v.counts
	v.env.drop, v.env.bury = v.DropQueue, v.bury
	v.policies.Store(&policies{})
	v.maxQueues.Store(meta.Unlimited)
	top := &topology{}
	for _, x := range predeclared() {
		x.open(b.memory)
		top.exchanges = top.exchanges.Set(x.Name, &x)
	}
	v.top.Store(top)
	return v
}

// Ref returns which vhost of which cluster this is.
func (v *Vhost) Ref() meta.VhostRef { return v.ref }

// Wire returns the name that clients use for the vhost.
func (v *Vhost) Wire() string { return v.wire }

// named reports whether the vhost is in a named cluster.
func (v *Vhost) named() bool { return v.wire != v.ref.Name }

// Follow takes over what the definitions say about the vhost now.
func (v *Vhost) Follow(m meta.Vhost) {
	v.maxQueues.Store(m.Limits.Get(meta.LimitQueues))
	v.lenient.Store(m.LenientRedeclare)
	usual := strings.TrimSuffix(strings.TrimPrefix(m.DefaultQueueType, "rabbit_"), "_queue")
	v.usual.Store(&usual)
}

// Exchange finds an exchange.
func (v *Vhost) Exchange(name string) (*Exchange, bool) { return v.top.Load().exchanges.Get(name) }

// Queue finds a queue.
func (v *Vhost) Queue(name string) (*Queue, bool) { return v.top.Load().queues.Get(name) }

// Exchanges returns all exchanges, in no order.
func (v *Vhost) Exchanges() []*Exchange {
	var list []*Exchange
	for _, x := range v.top.Load().exchanges.All() {
		list = append(list, x)
	}
	return list
}

// Queues returns all queues, in no order.
func (v *Vhost) Queues() []*Queue {
	m := v.top.Load().queues
	list := make([]*Queue, 0, m.Len())
	for _, q := range m.All() {
		list = append(list, q)
	}
	return list
}

// stores returns all that keep messages: the queues, and what waits in
// exchanges.
func (v *Vhost) stores() []*Queue {
	list := v.Queues()
	for _, q := range slices.Clip(list) {
		if w := q.retries.Load(); w != nil {
			list = append(list, w)
		}
		if q.dedup != nil {
			list = append(list, q.dedup.keys)
		}
	}
	for _, x := range v.top.Load().exchanges.All() {
		if x.delayed != nil {
			list = append(list, x.delayed)
		}
		if x.dedup != nil {
			list = append(list, x.dedup.keys)
		}
	}
	return list
}

// change builds the next snapshot from the present one; v.mu is held.
func (v *Vhost) change(f func(t *topology)) {
	next := *v.top.Load()
	f(&next)
	v.top.Store(&next)
}

// Clear ends the queues and consumers of a vhost that was removed.
func (v *Vhost) Clear() {
	v.mu.Lock()
	queues, exchanges := v.Queues(), v.Exchanges()
	v.closed = true
	v.bindings = bindings{}
	v.top.Store(&topology{})
	v.mu.Unlock()
	for _, q := range queues {
		q.close()
	}
	for _, x := range exchanges {
		x.close()
	}
}

// gone is the answer to changes in a vhost that was removed.
func (v *Vhost) gone() *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodeConnectionForced, "vhost '%s' was deleted", v.wire)
}

// logLenient says that a redeclare with other properties was let through.
func (v *Vhost) logLenient(kind Kind, name string, durable, autoDelete bool) {
	v.opts.Logger.Info("redeclared with other properties; the existing ones stay",
		slog.String("vhost", v.wire), slog.String("kind", string(kind)), slog.String("name", name),
		slog.Bool("durable", durable), slog.Bool("auto_delete", autoDelete))
}

// note logs once a vhost and kind that an argument is kept though nobody
// honours it; v.mu is held.
func (v *Vhost) note(kind Kind, name, arg string) {
	if v.noted[arg] || len(v.noted) >= 1000 {
		return
	}
	v.noted[arg] = true
	v.opts.Logger.Info("unknown argument kept and not acted on", slog.String("vhost", v.wire),
		slog.String("kind", string(kind)), slog.String("name", name), slog.String("argument", arg))
}

// stored turns a failure to record a definition into an answer.
func (v *Vhost) stored(err error) *amqp.Error {
	if err == nil {
		return nil
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s", err.Error())
}

// cleanName strips what RabbitMQ strips from names: CR and LF.
func cleanName(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(s)
}

// ServerName makes a name such as RabbitMQ gives: prefix, then 22 characters.
func ServerName(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}
