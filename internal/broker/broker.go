// Package broker is the core: vhosts with their exchanges, queues and
// bindings, and what publishers and consumers do with them. It knows neither
// sockets nor disks: sessions call it, and it is given the Log it declares.
//
// State and its owners. A Vhost's topology is an immutable snapshot behind an
// atomic pointer; changes build the next one under Vhost.mu, publishing reads
// without a lock. A Queue's messages belong to its queue.State under Queue.mu.
// Lock order: Vhost.mu, then Queue.mu; neither is held while a Waker is called.
package broker

import (
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/queue"
)

// Definitions is where durable topology is recorded before it takes effect.
// Every method returns when the change is on stable storage.
type Definitions interface {
	PutExchange(x meta.Exchange) error
	DeleteExchange(v meta.VhostRef, name string) error
	PutQueue(q meta.Queue) error
	DeleteQueue(v meta.VhostRef, name string) error
	PutBinding(b meta.Binding) error
	DeleteBinding(b meta.Binding) error
}

// Options are what a Broker is made of.
type Options struct {
	Definitions Definitions
	Log         Log
	// NextUID numbers queues for the Log; a number is never used again.
	NextUID func() uint64
	// Backlog takes messages for which there is no room; nil: publishers wait.
	Backlog Backlog
	// MemoryLimit is how many bytes of messages may lie in memory before
	// publishers are made to wait; 0: no limit.
	MemoryLimit int64
	// HotWindow is from how many bytes in memory on ready messages are moved
	// to the Backlog; 0, or more than that: three quarters of MemoryLimit.
	HotWindow int64
	// Failed is told that messages cannot be read that must be there: the
	// process has to end, its next life finds them in the Log.
	Failed func(error)
	// Now is the clock; nil: the system's.
	Now    func() time.Time
	Logger *slog.Logger
}

// env is what a queue needs of its node and vhost.
type env struct {
	log    Log
	memory *Memory
	uids   *uids
	counts *VhostCounts
	timers *timers
	ahead  chan *Queue // that have a run to be read before it is wanted
	failed func(error)
	clock  func() time.Time
	drop   func(*Queue) // deletes a queue that nobody uses
	bury   func(*Queue, []queue.Dead) []follow
}

// now returns the time in Unix milliseconds: what is due until then is due.
func (e *env) now() int64 { return e.clock().UnixMilli() }

// soon is now, rounded up: what lasts for a time lasts at least that long.
func (e *env) soon() int64 { return e.clock().Add(time.Millisecond - 1).UnixMilli() }

// until is when that is over which begins now and lasts ttl milliseconds. What
// lasts for none is over already: rounded up, it would outlive coming back
// within this millisecond.
func (e *env) until(ttl int64) int64 {
	if ttl == 0 {
		return e.now()
	}
	return e.soon() + ttl
}

// Broker holds the vhosts of all clusters.
type Broker struct {
	opts   Options
	memory *Memory
	rules  *rules
	uids   *uids
	env    env // without a vhost's part

	expiring sync.Mutex // one at a time does what is due
	ticks    atomic.Int64

	mu     sync.Mutex // serialises changes of vhosts
	vhosts atomic.Pointer[map[meta.VhostRef]*Vhost]
}

// New returns a broker without vhosts.
func New(o Options) *Broker {
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the server hands in its clock
	}
	b := &Broker{
		opts: o, memory: newMemory(o.MemoryLimit, o.HotWindow), rules: newRules(),
		uids: &uids{m: map[uint64]*Queue{}},
	}
	b.env = env{log: o.Log, memory: b.memory, uids: b.uids, timers: newTimers(), ahead: make(chan *Queue, aheadMost), failed: o.Failed, clock: o.Now}
	b.vhosts.Store(&map[meta.VhostRef]*Vhost{})
	return b
}

// Memory returns the account of message bytes in memory.
func (b *Broker) Memory() *Memory { return b.memory }

// Vhost finds a vhost.
func (b *Broker) Vhost(ref meta.VhostRef) (*Vhost, bool) {
	v, ok := (*b.vhosts.Load())[ref]
	return v, ok
}

// Vhosts returns all vhosts, in no order.
func (b *Broker) Vhosts() []*Vhost {
	all := *b.vhosts.Load()
	list := make([]*Vhost, 0, len(all))
	for _, v := range all {
		list = append(list, v)
	}
	return list
}

// AddVhost opens a vhost, with the predeclared exchanges and without queues;
// clients know it by the name wire. Adding one that is there returns it.
func (b *Broker) AddVhost(v meta.Vhost, wire string) *Vhost {
	b.mu.Lock()
	defer b.mu.Unlock()
	ref := meta.VhostRef{Cluster: v.Cluster, Name: v.Name}
	old := *b.vhosts.Load()
	if v, ok := old[ref]; ok {
		return v
	}
	next := maps.Clone(old)
	next[ref] = b.newVhost(ref, wire)
	next[ref].Follow(v)
	b.vhosts.Store(&next)
	return next[ref]
}

// RemoveVhost takes a vhost away: nobody enters it any more. Its end (Clear)
// and its sessions are the caller's.
func (b *Broker) RemoveVhost(ref meta.VhostRef) (*Vhost, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.vhosts.Load()
	v, ok := old[ref]
	if ok {
		next := maps.Clone(old)
		delete(next, ref)
		b.vhosts.Store(&next)
	}
	return v, ok
}

// Tick lets every queue do what may wait. The server calls it every second.
func (b *Broker) Tick() {
	sample, ticks := int64(0), b.ticks.Add(1)
	if ticks%history.Every == 0 {
		sample = b.env.now()
	}
	for _, v := range b.Vhosts() {
		v.tick(sample)
		if ticks%latencyWindow == 0 {
			v.rotate()
		}
	}
}

// Blocked says why publishers have to wait, as connection.blocked tells it;
// empty when they need not.
func (b *Broker) Blocked() string {
	switch {
	case b.memory.Over():
		return "low on memory"
	case b.opts.Log.Full():
		return "low on disk"
	}
	return ""
}

// Memory counts the bytes of all messages in memory, and of those in the Log.
type Memory struct {
	used     atomic.Int64
	logged   atomic.Int64
	limit    int64
	hot      int64         // from where on messages are moved out
	pressure chan struct{} // holds a token when there is too much
}

func newMemory(limit, hot int64) *Memory {
	if most := limit / 4 * 3; hot == 0 || limit > 0 && hot > most {
		hot = most
	}
	return &Memory{limit: limit, hot: hot, pressure: make(chan struct{}, 1)}
}

// add accounts for a change.
func (m *Memory) add(bytes, logged int64) {
	if logged != 0 {
		m.logged.Add(logged)
	}
	if bytes != 0 && m.used.Add(bytes) > m.hot && bytes > 0 && m.hot > 0 {
		select {
		case m.pressure <- struct{}{}:
		default:
		}
	}
}

// pressed reports whether messages should be moved out of memory.
func (m *Memory) pressed() bool { return m.hot > 0 && m.used.Load() > m.hot }

// relieved returns how many bytes should still be moved.
func (m *Memory) relieved() int64 { return m.used.Load() - m.hot/3*2 }

// Used returns the bytes in memory.
func (m *Memory) Used() int64 { return m.used.Load() }

// Logged returns the bytes that the Log has to keep.
func (m *Memory) Logged() int64 { return m.logged.Load() }

// Limit returns the bytes from which publishers wait; 0: no limit.
func (m *Memory) Limit() int64 { return m.limit }

// Over reports whether publishers have to wait.
func (m *Memory) Over() bool { return m.limit > 0 && m.used.Load() > m.limit }
