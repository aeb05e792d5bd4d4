package broker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/route"
)

// Queue is the shell around one queue.State: the lock, the log, the wake-ups.
type Queue struct {
	Name                           string
	depth                          depth  // beside the name, where lists look
	UID                            uint64 // names the queue in the Log
	Durable, AutoDelete, Exclusive bool
	// Quorum queues keep every message, and count deliveries.
	Quorum bool

	arguments atomic.Pointer[amqp.Table]

	owner  uint64 // connection of an exclusive queue
	env    *env
	policy atomic.Pointer[policy.Effective] // what policies say

	hot       atomic.Int64 // bytes in memory
	consumers atomic.Int32
	lease     atomic.Int64 // milliseconds for which it may be unused, 0: for ever
	used      atomic.Int64 // when it was, Unix milliseconds; kept when there is a lease
	timer     timer
	retries   atomic.Pointer[Queue] // where messages wait to be delivered again; nil: none ever did
	dedup     *dedup                // what it has seen; nil: it does not remember
	keeps     *keeping              // not nil: it keeps what waits, and is no queue of clients
	refuses   atomic.Bool           // publishes for which there is no room
	latency   atomic.Pointer[queueLatency]

	mu        sync.Mutex // guards what follows
	state     queue.State
	fx        queue.Effects
	settings  Settings
	armed     int64     // when the timers wake it
	exclusive *Consumer // the consumer that has the queue to itself
	served    bool      // ever had a consumer
	closed    bool
	broken    bool          // messages could not be read: the process ends
	ahead     chan struct{} // closed when consumers have caught up; nil: nobody waits
	logged    int64         // of state, bytes as counted in memory
	stats     queueCounts

	// A settle must not come before its put in the log: while batches that
	// are in state are on their way there, settles gather.
	unlogged []uint64  // the first number of each such batch, in each lane
	entered  sync.Cond // a batch is in the log, or the queue is closed
	deferred []uint64
	// leaving are settled by a batch that is not in the log yet, each with that
	// batch's Entered or nil: if it never gets there, they must.
	leaving map[uint64]*atomic.Bool
	// postponed dead letters wait for the timers.
	postponed []queue.Dead

	level level
	lanes []level // of a queue with priorities: x-max-priority
}

// QueueDeclare asks for a queue (queue.declare, §1.7.2.1).
type QueueDeclare struct {
	Name                                    string
	Passive, Durable, Exclusive, AutoDelete bool
	Arguments                               amqp.Table

	generated bool // the name is
}

// DeclareQueue makes sure that a queue exists and returns it.
func (v *Vhost) DeclareQueue(a *Actor, d QueueDeclare) (*Queue, *amqp.Error) {
	d.Name = cleanName(d.Name)
	if q, ok, err := v.replyQueue(d.Name); ok {
		return q, err
	}
	if d.Passive {
		return v.queuePassive(a, d.Name)
	}
	named := d.Name != ""
	if !named {
		d.Name, d.generated = ServerName("amq.gen-"), true
	}
	d.Durable = d.Durable && !d.Exclusive // an exclusive queue dies with its connection
	if err := v.Check(a, auth.Configure, KindQueue, d.Name); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settled(d.Name)
	if v.closed {
		return nil, v.gone()
	}
	v.counts.QueuesDeclared.Add(1)
	q, ok := v.Queue(d.Name)
	if t := v.usualType(&d); t != "" && (!ok || q.Type() == t) {
		d.Arguments = append(slices.Clone(d.Arguments), amqp.Field{Key: "x-queue-type", Value: t})
	}
	if ok {
		return q, v.equalQueue(a, q, &d)
	}
	if named && strings.HasPrefix(d.Name, "amq.") {
		return nil, amqp.ChannelErrorf(amqp.CodeAccessRefused, "queue name '%s' contains reserved prefix 'amq.*'", d.Name)
	}
	if err := v.checkDeadLetters(a, &d); err != nil {
		return nil, err
	}
	if err := v.checkQueue(&d); err != nil {
		return nil, err
	}
	return v.addQueue(a, &d)
}

// usualType is the type that the vhost has for a queue that names none; empty:
// it has none for this one (RabbitMQ: default_queue_type).
func (v *Vhost) usualType(d *QueueDeclare) string {
	t := v.usual.Load()
	if _, ok := d.Arguments.Get("x-queue-type"); ok || t == nil || *t == "classic" || *t == "undefined" || !d.Durable || d.generated {
		return ""
	}
	return *t
}

// checkDeadLetters checks a new queue's dead letter exchange: the right to read
// from the queue and to write to the exchange, which need not be there.
func (v *Vhost) checkDeadLetters(a *Actor, d *QueueDeclare) *amqp.Error {
	const arg = "x-dead-letter-exchange"
	dlx, ok := d.Arguments.Get(arg)
	if !ok {
		return nil
	}
	name, ok := dlx.(string)
	if !ok {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid type '%s' for arg '%s' in %s",
			amqp.TypeName(dlx), arg, v.resource(KindQueue, d.Name))
	}
	if err := v.checkBind(a, auth.Read, KindQueue, d.Name); err != nil {
		return err
	}
	return v.checkBind(a, auth.Write, KindExchange, name)
}

// checkQueue checks a new queue's arguments.
func (v *Vhost) checkQueue(d *QueueDeclare) *amqp.Error {
	if err := v.checkTypeName(d); err != nil {
		return err
	}
	for _, f := range inOrder(d.Arguments) {
		if k, ok := v.rules.queue[f.Key]; ok && !slices.Contains(foreign[queueType(d.Arguments)], f.Key) {
			if reason := k.check(f.Value, d.Arguments); reason != "" {
				return v.invalidArgument(d.Name, f.Key, reason)
			}
		}
	}
	if err := v.checkForeign(d); err != nil {
		return err
	}
	if err := v.checkQueueType(d); err != nil {
		return err
	}
	if _, ok := d.Arguments.Get("x-retry-attempts"); ok && len(d.Name)+len(parkedSuffix) > route.MaxKey {
		return v.invalidArgument(d.Name, "x-retry-attempts", fmt.Sprintf(`"the name is too long for that of a queue to park in, %d bytes at most"`,
			route.MaxKey-len(parkedSuffix)))
	}
	return v.checkArguments(v.rules.queue, d.Name, inOrder(d.Arguments))
}

// addQueue records and enters a new queue; v.mu is held, and is not while a
// durable one is recorded.
func (v *Vhost) addQueue(a *Actor, d *QueueDeclare) (*Queue, *amqp.Error) {
	if most := v.maxQueues.Load(); most >= 0 && int64(v.top.Load().queues.Len()+v.recording.adds) >= most {
		return nil, amqp.ChannelErrorf(amqp.CodePreconditionFailed, "cannot declare queue '%s': queue limit in vhost '%s' (%d) is reached",
			d.Name, v.wire, most)
	}
	q := v.newQueue(d.Name, v.opts.NextUID(), d.Arguments)
	q.Durable, q.AutoDelete, q.Exclusive = d.Durable, d.AutoDelete, d.Exclusive
	if dedups(d.Arguments) {
		q.dedup = v.newDedup(d.Arguments, v.opts.NextUID(), d.Durable)
	}
	if d.Exclusive {
		q.owner = a.Conn
	}
	for _, f := range d.Arguments {
		if _, ok := v.rules.queue[f.Key]; !ok {
			v.note(KindQueue, d.Name, f.Key)
		}
	}
	if q.Durable {
		v.recording.adds++
		err := v.write(q.Name, func() error { return v.opts.Definitions.PutQueue(v.queueDefinition(q, 0)) })
		v.recording.adds--
		if err != nil {
			return nil, err
		}
		if v.closed {
			return nil, v.gone()
		}
		v.uids.set(q)
		if q.dedup != nil {
			v.uids.set(q.dedup.keys)
		}
	}
	q.configure(v.effective(q.object()))
	q.mu.Lock()
	q.unlock() // it may expire
	v.change(func(t *topology) { t.queues = t.queues.Set(q.Name, q) })
	v.counts.QueuesCreated.Add(1)
	return q, nil
}

// queueDefinition is what is stored of a durable queue; waiting is the number
// of what waits to be delivered again, 0: nothing ever did.
func (v *Vhost) queueDefinition(q *Queue, waiting uint64) meta.Queue {
	return meta.Queue{
		Vhost: v.ref, Name: q.Name, UID: q.UID, Waiting: waiting, Keys: q.dedup.uid(), Paused: q.Paused(), Durable: true, AutoDelete: q.AutoDelete,
		Arguments: q.Arguments(),
	}
}

func (v *Vhost) newQueue(name string, uid uint64, arguments amqp.Table) *Queue {
	q := &Queue{
		Name: name, UID: uid, env: &v.env, armed: never, Quorum: queueType(arguments) == "quorum",
	}
	q.arguments.Store(&arguments)
	q.entered.L = &q.mu
	if q.Quorum {
		q.prioritize(quorumPriorities - 1)
	} else if n, _, ok := arguments.Int("x-max-priority"); ok && n > 0 {
		q.prioritize(uint8(n)) //nolint:gosec // it was checked
	}
	return q
}

// RestoreQueue enters a queue that the definitions already hold, with what is
// left of its messages and of those that wait to be delivered again.
func (v *Vhost) RestoreQueue(m meta.Queue, r, waiting, keys Restored) {
	q := v.newQueue(m.Name, m.UID, m.Arguments)
	q.Durable, q.AutoDelete = true, m.AutoDelete
	v.mu.Lock()
	q.configure(v.effective(q.object()))
	v.mu.Unlock()
	q.state.Pause(m.Paused, &q.fx)
	v.restoreMessages(q, r)
	if q.dedup = v.newDedup(m.Arguments, m.Keys, true); q.dedup != nil {
		q.dedup.restore(v, keys)
	}
	if m.Waiting != 0 {
		w := v.newRetries(q, m.Waiting)
		v.restoreMessages(w, waiting)
		q.retries.Store(w)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.change(func(t *topology) { t.queues = t.queues.Set(q.Name, q) })
}

// restoreMessages gives a durable queue what is left of its messages.
func (v *Vhost) restoreMessages(q *Queue, r Restored) {
	q.mu.Lock()
	q.state.Restore(r.Runs, r.Ends)
	q.state.RestoreTries(r.Tries)
	q.restoreLevels(r.Delivered, r.Ends)
	q.unlock()
	v.uids.set(q)
}

func (v *Vhost) queuePassive(a *Actor, name string) (*Queue, *amqp.Error) {
	if !a.can(auth.Configure, name) && !a.can(auth.Write, name) && !a.can(auth.Read, name) {
		return nil, v.Check(a, auth.Configure, KindQueue, name)
	}
	q, err := v.usable(a, name)
	if err == nil {
		q.touch()
	}
	return q, err
}

// usable finds a queue that a may touch: it exists and is not another
// connection's exclusive one.
func (v *Vhost) usable(a *Actor, name string) (*Queue, *amqp.Error) {
	q, ok := v.Queue(cleanName(name))
	if !ok {
		return nil, v.notFound(KindQueue, name)
	}
	if err := v.checkOwner(a, q); err != nil {
		return nil, err
	}
	return q, nil
}

func (v *Vhost) checkOwner(a *Actor, q *Queue) *amqp.Error {
	if q.Exclusive && q.owner != a.Conn {
		return v.locked(q.Name)
	}
	return nil
}

func (v *Vhost) locked(name string) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodeResourceLocked, "cannot obtain exclusive access to locked %s. It could be originally "+
		"declared on another connection or the exclusive property value does not match that of the original declaration.",
		v.resource(KindQueue, name))
}

// equalQueue compares a declare with the queue that is there.
func (v *Vhost) equalQueue(a *Actor, q *Queue, d *QueueDeclare) *amqp.Error {
	if err := v.checkOwner(a, q); err != nil {
		return err
	}
	if q.Exclusive != d.Exclusive {
		return v.locked(q.Name)
	}
	unequal := func(arg string, got, have bool) *amqp.Error {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "inequivalent arg '%s' for %s: received '%t' but current is '%t'",
			arg, v.resource(KindQueue, q.Name), got, have)
	}
	if v.lenient.Load() && (q.Durable != d.Durable || q.AutoDelete != d.AutoDelete) {
		v.logLenient(KindQueue, q.Name, q.Durable, q.AutoDelete)
		d.Durable, d.AutoDelete = q.Durable, q.AutoDelete
	}
	if q.Durable != d.Durable {
		return unequal("durable", d.Durable, q.Durable)
	}
	if q.AutoDelete != d.AutoDelete {
		return unequal("auto_delete", d.AutoDelete, q.AutoDelete)
	}
	for _, key := range v.rules.compared[queueType(q.Arguments())] {
		if err := v.equalArgument(KindQueue, q.Name, key, d.Arguments, q.Arguments()); err != nil {
			return err
		}
	}
	q.touch()
	return nil
}

// DeleteQueue removes a queue with its messages, bindings and consumers, and
// returns how many messages were ready (queue.delete, §1.7.2.9). Deleting what
// is not there is no error.
func (v *Vhost) DeleteQueue(a *Actor, name string, ifUnused, ifEmpty bool) (int, *amqp.Error) {
	name = cleanName(name)
	if err := v.Check(a, auth.Configure, KindQueue, name); err != nil {
		return 0, err
	}
	v.mu.Lock()
	v.settled(name)
	q, ok := v.Queue(name)
	if !ok {
		v.mu.Unlock()
		return 0, nil
	}
	err := v.checkOwner(a, q)
	if err == nil {
		err = v.checkDelete(q, ifUnused, ifEmpty)
	}
	if err == nil {
		err = v.removeQueue(q)
	}
	v.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return q.close(), nil
}

func (v *Vhost) checkDelete(q *Queue, ifUnused, ifEmpty bool) *amqp.Error {
	q.lockTimely(q.finish)
	defer q.unlock()
	if ifUnused && q.state.Consumers() > 0 {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s in use", v.resource(KindQueue, q.Name))
	}
	if ifEmpty && q.state.Ready()+q.Waiting() > 0 {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s not empty", v.resource(KindQueue, q.Name))
	}
	return nil
}

// Purge removes the ready messages of a queue and returns their number
// (queue.purge, §1.7.2.7).
func (v *Vhost) Purge(a *Actor, name string) (int, *amqp.Error) {
	if err := v.Check(a, auth.Read, KindQueue, cleanName(name)); err != nil {
		return 0, err
	}
	q, err := v.usable(a, name)
	if err != nil {
		return 0, err
	}
	q.lockTimely(q.finish)
	n := q.state.Purge(&q.fx)
	q.unlock()
	return n, nil
}

// unlock ends a step and does what follows from it.
func (q *Queue) unlock() { q.finish(q.release()) }

// release ends a step: it accounts for memory, tells the log what is gone for
// good, and wakes consumers, the latter two after releasing q.mu.
func (q *Queue) release() after {
	var few [8]*queue.Consumer
	a, wake := q.end(few[:0])
	for _, c := range wake {
		if owner, ok := c.Owner.(*Consumer); ok {
			owner.waker.Wake(owner)
		}
	}
	return a
}

// end is release that leaves it to the caller to wake consumers: it appends
// them to wake.
func (q *Queue) end(wake []*queue.Consumer) (after, []*queue.Consumer) {
	q.account()
	q.arm()
	wake = append(wake, q.fx.Wake...)
	freed := slices.Clone(q.fx.Freed)
	a := after{load: q.fx.Load, dead: q.fx.Dead, overdue: q.fx.Overdue}
	q.leave(a.dead)
	if q.fx.Behind {
		q.askAhead()
	}
	if len(q.fx.Fetch) > 0 {
		a.fetch = slices.Clone(q.fx.Fetch)
	}
	var batch Batch
	if q.Durable {
		batch = q.toLog()
	}
	q.fx.Reset()
	q.mu.Unlock()
	if batch.Settled != nil || batch.Delivered != nil || batch.Tried != nil {
		q.env.log.Append(batch, q.told(batch.Delivered))
	}
	q.free(freed)
	return a, wake
}

// account tells the node what the queue takes.
func (q *Queue) account() {
	bytes, logged := q.state.HotBytes(), q.state.PersistentBytes()
	if before := q.hot.Swap(bytes); before != bytes || q.logged != logged {
		q.env.memory.add(bytes-before, logged-q.logged)
		q.logged = logged
	}
	ready := q.state.Ready()
	q.depth.set(ready, q.state.Unacked())
	if ready <= lowReady || q.closed {
		q.caughtUp()
	}
}

// toLog returns what the log has to be told of a step.
func (q *Queue) toLog() (b Batch) {
	if len(q.fx.Settled) > 0 {
		b.Settled = q.settled(q.fx.Settled)
	}
	for _, t := range q.fx.Tried {
		b.Tried = append(b.Tried, Tried{q.UID, t})
	}
	if q.state.PersistentBytes() > 0 || len(q.fx.Settled) > 0 {
		b.Delivered = q.tellFurther()
	}
	return b
}

// free lets go of messages outside of memory.
func (q *Queue) free(where []any) {
	for _, w := range where {
		if c, ok := w.(Cold); ok {
			c.Free()
		}
	}
}

// publish takes the messages of a run in and returns the sequence number of
// the first; ok is false when the queue was deleted, whose messages go with it.
// It sets the messages' deadlines, and leaves those in the run that it did not
// refuse. When some of them are logged, appended must follow, and then finish.
// The consumers that are to be woken are appended to wake.
func (q *Queue) publish(r *run, logged bool, wake *[]*queue.Consumer) (first uint64, then after, ok bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return 0, after{}, false
	}
	first = q.state.Next()
	if logged && q.lanes == nil {
		q.unlogged = append(q.unlogged, first)
	}
	now := int64(0)
	if r.timed || q.settings.MessageTTL != nil {
		now = q.env.soon()
	}
	if q.keeps != nil {
		q.keepApart(r.messages)
	}
	q.state.Publish(r.messages, now, &q.fx)
	if len(q.fx.Refused) > 0 {
		r.refuse(q.fx.Refused)
	}
	if q.lanes != nil {
		r.number(q.fx.Seqs)
		if logged {
			q.unlogged = append(q.unlogged, r.firsts...)
		}
	}
	for i, t := range r.tries {
		if t != (queue.Tries{}) {
			q.state.Carry(r.seq(i, first), t)
		}
	}
	q.stats.Published += uint64(len(r.messages))
	then, *wake = q.end(*wake)
	return first, then, true
}

// close ends a deleted queue: its messages are dropped and its consumers
// told. It returns how many messages were ready.
func (q *Queue) close() int {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return 0
	}
	q.closed = true
	if q.keeps == nil {
		q.env.counts.leave(&q.stats.QueueStats)
	}
	n := q.state.Ready()
	all := append([]*queue.Consumer(nil), q.state.All()...)
	cold := q.state.Discard()
	q.fx, q.deferred = queue.Effects{}, nil // the definition's end says it all to the log
	q.consumers.Store(0)
	q.entered.Broadcast()
	q.unlock()
	q.free(cold)
	q.env.uids.remove(q.UID)
	q.env.timers.remove(q)
	if w := q.retries.Load(); w != nil {
		w.close()
	}
	q.dedup.close()
	for _, c := range all {
		if owner, ok := c.Owner.(*Consumer); ok {
			owner.waker.Cancelled(owner)
		}
	}
	return n
}

// tick lets the queue do what may wait; sample is the time in Unix
// milliseconds when it is to be sampled, or 0.
func (q *Queue) tick(sample int64) {
	q.mu.Lock()
	q.state.Tick(&q.fx)
	if sample != 0 {
		q.stats.history.Add(sample, q.sample())
	}
	if q.keeps != nil && q.state.Ready() == 0 {
		q.keeps.apart = nil
	}
	q.unlock()
}

// Type returns the queue's type: classic or quorum.
func (q *Queue) Type() string { return queueType(q.Arguments()) }

// Gone reports whether the queue was deleted.
func (q *Queue) Gone() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Ready returns the number of ready messages.
func (q *Queue) Ready() int { return int(q.depth.ready.Load()) }

// Consumers returns the number of consumers.
func (q *Queue) Consumers() int { return int(q.consumers.Load()) }
