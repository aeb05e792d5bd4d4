package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
)

// A queue or an exchange may drop messages that it has seen before, for as long
// as it remembers (x-message-deduplication). What it has seen is a key a
// message; those of persistent messages are part of the batch of the message,
// in a queue that nobody sees and where they expire, so that message and key
// are durable together. A duplicate is confirmed, once its original is durable.

// Arguments of a queue or exchange, and headers of a message.
const (
	argDedup       = "x-message-deduplication"
	argDedupTTL    = "x-cache-ttl"
	argDedupSize   = "x-cache-size"
	argDedupHeader = "x-deduplication-header" // also the header's own name
	headerPublish  = "x-publisher-id"
	headerSequence = "x-publisher-sequence"
)

// Defaults and limits of deduplication.
const (
	dedupTTL     = 300_000 // milliseconds
	dedupSize    = 100_000 // keys
	maxDedupSize = 10_000_000
)

// dedupKey stands for a message's identity.
type dedupKey [16]byte

// dedup is what a queue or exchange has seen.
type dedup struct {
	header string
	ttl    int64 // milliseconds
	most   int
	keys   *Queue // keeps what must survive

	mu    sync.Mutex // guards what follows
	seen  map[dedupKey]sighting
	order []remembered // in the order in which they are forgotten, from head on
	head  int
}

type sighting struct {
	until int64
	// by is who is about to bring the message to the log; nil: it is there.
	by *Publisher
}

type remembered struct {
	key   dedupKey
	until int64
}

// noted is a key that is new in the present batch, or that was not: then its
// original is to be durable before the batch is.
type noted struct {
	d          *dedup
	key        dedupKey
	ticket     uint64
	persistent bool
	pending    bool // of one that was not: its original was not in the log yet
	exchange   bool // d is an exchange's
}

// dedups reports whether arguments ask for it.
func dedups(args amqp.Table) bool {
	v, _ := args.Get(argDedup)
	on, _ := v.(bool)
	return on
}

// newDedup returns what a queue or exchange declared with args remembers with;
// nil: nothing.
func (v *Vhost) newDedup(args amqp.Table, uid uint64, durable bool) *dedup {
	if !dedups(args) {
		return nil
	}
	d := &dedup{header: argDedupHeader, ttl: dedupTTL, most: dedupSize, seen: map[dedupKey]sighting{}}
	if n, _, ok := args.Int(argDedupTTL); ok {
		d.ttl = n
	}
	if n, _, ok := args.Int(argDedupSize); ok {
		d.most = int(n)
	}
	if h, ok := args.Get(argDedupHeader); ok {
		d.header, _ = h.(string)
	}
	d.keys = v.newQueue("", uid, nil)
	d.keys.keeps, d.keys.Durable = &keeping{}, durable
	most := int64(d.most)
	d.keys.state.Configure(queue.Settings{MaxMessages: &most})
	return d
}

// uid is the number of the kept keys, 0 without any.
func (d *dedup) uid() uint64 {
	if d == nil {
		return 0
	}
	return d.keys.UID
}

// restore takes over what an earlier life has seen. What cannot be read is not
// remembered: the log says so when it is damaged.
func (d *dedup) restore(v *Vhost, r Restored) {
	for _, run := range r.Runs {
		c, ok := run.Where.(Cold)
		if !ok {
			continue
		}
		kept, err := c.Read()
		if err != nil {
			continue
		}
		for i := range kept {
			k := &kept[i]
			if b := k.Slab.Bytes(k.Off, k.Size); len(b) == dedupImage {
				d.remember(dedupKey(b[3:]), k.Deadline, nil)
			}
		}
	}
	v.restoreMessages(d.keys, r)
}

// dedupImage is the size of a kept key: an empty route, the octet behind it, the
// key.
const dedupImage = 3 + len(dedupKey{})

func (d *dedup) remember(key dedupKey, until int64, by *Publisher) {
	d.seen[key] = sighting{until, by}
	d.order = append(d.order, remembered{key, until})
}

// has reports whether a key was seen before, and whether its message is still
// to come to the log; if not, it is seen now, by p.
func (d *dedup) has(key dedupKey, now int64, p *Publisher) (seen, pending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.head < len(d.order) && (d.order[d.head].until <= now || len(d.seen) > d.most) {
		if o := &d.order[d.head]; d.seen[o.key].until == o.until {
			delete(d.seen, o.key)
		}
		d.head++
	}
	if d.head > len(d.order)/2 && d.head > 64 {
		d.order, d.head = append([]remembered(nil), d.order[d.head:]...), 0
	}
	if s, ok := d.seen[key]; ok && s.until > now {
		return true, s.by != nil
	}
	d.remember(key, now+d.ttl, p)
	return false, false
}

// entered says that the message is in the log; forget that it was refused.
func (d *dedup) entered(key dedupKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.seen[key]; ok {
		s.by = nil
		d.seen[key] = s
	}
}

func (d *dedup) forget(key dedupKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
}

// state reports whether a key is known, and whether somebody is about to bring
// its message to the log.
func (d *dedup) state(key dedupKey) (known, pending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.seen[key]
	return ok, s.by != nil
}

func (d *dedup) close() {
	if d != nil {
		d.keys.close()
	}
}

// key returns a message's identity: the header, else who published it and the
// publisher's sequence number, else its message id; false: it has none.
func (d *dedup) key(m *Message) (dedupKey, bool) {
	if v, ok := m.Headers.Lookup(d.header); ok {
		return keyOf('h', v.Kind, v.Data), true
	}
	if id, ok := m.Headers.Lookup(headerPublish); ok {
		if seq, ok := m.Headers.Lookup(headerSequence); ok {
			if n, ok := seq.Int(); ok {
				return keyOf('p', id.Kind, binary.BigEndian.AppendUint64(append([]byte(nil), id.Data...), uint64(n))), true //nolint:gosec // two's complement
			}
		}
	}
	f, _, err := amqp.ParseFrame(m.Content, 1<<31)
	if err != nil {
		return dedupKey{}, false
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return dedupKey{}, false
	}
	view, err := amqp.ScanProperties(h.Flags, h.Properties)
	if err != nil || len(view.MessageID) == 0 {
		return dedupKey{}, false
	}
	return keyOf('m', 0, view.MessageID), true
}

func keyOf(source, kind byte, data []byte) dedupKey {
	sum := sha256.Sum256(append([]byte{source, kind}, data...))
	return dedupKey(sum[:16])
}

// duplicate reports whether d has seen a message before, and notes it as part
// of the batch. Messages that were here before are none.
func (p *Publisher) duplicate(d *dedup, m *Message, durable, exchange bool) bool {
	if m.dead || p.freed != nil {
		return false
	}
	key, ok := d.key(m)
	if !ok {
		return false
	}
	n := noted{d: d, key: key, ticket: m.Ticket, persistent: durable && m.Persistent, exchange: exchange}
	seen, pending := d.has(key, p.vhost.env.now(), p)
	if n.pending = pending; seen {
		p.originals = append(p.originals, n)
	} else {
		p.noted = append(p.noted, n)
	}
	return seen
}

// unnote takes back that a message was seen which went nowhere; before is how
// many were noted before it.
func (p *Publisher) unnote(before int) {
	for i := before; i < len(p.noted); i++ {
		p.noted[i].d.forget(p.noted[i].key)
	}
	p.noted = p.noted[:before]
}

// forget takes back that messages were seen which a queue refused, by their
// tickets, so that they may come again; 0 stands for any. Other queues that took
// them have seen them.
func (p *Publisher) forget(q *Queue, tickets []uint64) {
	for _, t := range tickets {
		for i := range p.noted {
			if n := &p.noted[i]; n.d != nil && (n.ticket == t || t == 0) && (n.exchange || n.d == q.dedup) {
				n.d.forget(n.key)
				n.d = nil
			}
		}
	}
}

// keepKeys enters the keys of the batch that must survive into their queues.
func (p *Publisher) keepKeys() {
	for i := range p.noted {
		n := &p.noted[i]
		if n.d == nil || !n.persistent {
			continue
		}
		image := append(make([]byte, 0, dedupImage), 0, 0, amqp.FrameEnd)
		image = append(image, n.key[:]...)
		p.put(n.d.keys, &queue.Message{
			Slab: slab.Adopt(image), Size: uint32(dedupImage), RouteLen: 2, Persistent: true, Deadline: p.vhost.env.now() + n.d.ttl,
		}, queue.Tries{})
	}
}

// keysEntered says that the batch is in the log.
func (p *Publisher) keysEntered() {
	for i := range p.noted {
		if n := &p.noted[i]; n.d != nil {
			n.d.entered(n.key)
		}
	}
	clear(p.noted)
	p.noted = p.noted[:0]
}

// flushDuplicates appends the batch to the log when it has duplicates: durable
// runs when their originals are durable too.
func (p *Publisher) flushDuplicates(durable func(error), logged bool) bool {
	if logged {
		p.log.Append(p.batch, nil)
	}
	p.entered()
	p.awaitOriginals()
	p.log.Append(Batch{}, durable)
	return true
}

// awaitOriginals returns when what the batch has duplicates of is in the log.
// Nothing of the batch's own is on its way any more: nobody waits for it. Where
// a queue has refused the original meanwhile, the duplicate is refused too.
func (p *Publisher) awaitOriginals() {
	var refused []uint64
	for i := range p.originals {
		n := &p.originals[i]
		known, pending := n.d.state(n.key)
		for ; pending; known, pending = n.d.state(n.key) {
			time.Sleep(50 * time.Microsecond) //nolint:forbidigo // another connection's batch is on its way
		}
		if n.pending && !known {
			refused = append(refused, n.ticket)
		}
	}
	if len(refused) > 0 && p.Refused != nil {
		p.Refused(refused)
	}
	clear(p.originals)
	p.originals = p.originals[:0]
}

// dropSeen takes out of p.queues those that have seen the message before.
func (p *Publisher) dropSeen(m *Message) {
	n := 0
	for _, q := range p.queues {
		if q.dedup == nil || !p.duplicate(q.dedup, m, q.Durable, false) {
			p.queues[n] = q
			n++
		}
	}
	p.queues = p.queues[:n]
	p.sticky = false
}

// checkDedup checks one of the arguments.
func checkDedup(key string) func(any, amqp.Table) string {
	return func(v any, all amqp.Table) string {
		reason := ""
		switch key {
		case argDedup:
			return checkBool(v, all)
		case argDedupTTL:
			reason = checkNumber(v, 1, maxMillis)
		case argDedupSize:
			reason = checkNumber(v, 1, maxDedupSize)
		case argDedupHeader:
			reason = checkText(v)
		}
		if reason == "" && !dedups(all) {
			return "deduplication_not_enabled"
		}
		return reason
	}
}

// dedupArguments are the arguments by name.
func dedupArguments() map[string]argument {
	all := map[string]argument{}
	for _, key := range []string{argDedup, argDedupTTL, argDedupSize, argDedupHeader} {
		all[key] = argument{checkDedup(key), always}
	}
	return all
}
