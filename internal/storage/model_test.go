package storage_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/internal/queue"
)

// model is what the simulation knows: the truth that a node is held against.
type model struct {
	mu      sync.Mutex // the journal's committer confirms
	queues  map[string]*modelQueue
	bound   map[string]bool   // to the fanout exchange
	keys    map[string]string // of roles
	batches []*batch          // not confirmed, in the order of the log
	unsure  func(seen *seen)  // resolves the one definition of which nobody knows whether it was stored
	bodies  uint64
	crowd   crowd
	dead    dead
	clock   atomic.Int64 // Unix milliseconds; it never goes back
}

// now is the clock of all lives.
func (m *model) now() time.Time { return time.UnixMilli(m.clock.Load()) }

// expire takes what has expired out of the queues.
func (m *model) expire() {
	for _, q := range m.queues {
		for _, p := range q.places {
			if p.state == ready && m.expired(p) {
				p.state = gone
			}
		}
	}
}

func (m *model) expired(p *place) bool { return p.until != 0 && p.until <= m.clock.Load() }

// modelQueue is one queue: its messages in order, those that are gone too.
type modelQueue struct {
	name     string
	places   []*place
	byID     map[uint64]*place
	ever     map[uint64]*place // also those that are gone
	consumed bool              // ever had a consumer in this life: promises blur its order
}

// place is one message in one queue.
type place struct {
	id         uint64
	image      []byte
	persistent bool
	stored     *batch // that put it; nil: certain
	settled    *batch // that settled it; nil: not settled
	state      placeState
	seq        uint64 // as delivered
	flag       bool   // redelivered, as the next delivery must say
	delivered  bool
	until      int64 // when it expires, 0: never
	tries      queue.Tries
	priority   uint8
	moved      *batch // that made it a dead letter; nil: not rejected
	purged     bool   // or perhaps, when it had expired
}

// rank is the priority that counts.
func (p *place) rank() uint8 { return min(p.priority, 3) }

type placeState int

const (
	ready placeState = iota
	unacked
	gone
)

// batch is what the log takes or leaves as a whole.
type batch struct {
	confirmed bool
	places    []*place
	settles   []*place
	moves     []*place
	tx        bool // its settles stand and fall with its places
	queues    map[*place]*modelQueue
}

func newModel() *model {
	m := &model{queues: map[string]*modelQueue{}, bound: map[string]bool{}, keys: map[string]string{}}
	m.dead = newDead()
	m.clock.Store(1_700_000_000_000)
	return m
}

// begin enters a batch that is about to be appended.
func (m *model) begin() *batch {
	b := &batch{queues: map[*place]*modelQueue{}}
	m.enter(b)
	return b
}

func (m *model) enter(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches = append(m.batches, b)
}

// confirm says that b, and so all before it, is on stable storage.
func (m *model) confirm(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.batches, b)
	for _, c := range m.batches[:i+1] {
		c.confirmed = true
	}
	m.batches = m.batches[i+1:]
}

// confirmAll is what a graceful end means.
func (m *model) confirmAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches {
		b.confirmed = true
	}
	m.batches = nil
}

func (m *model) add(q *modelQueue, p *place, b *batch) {
	at := len(q.places)
	if q.name == prioritized { // behind those of its priority
		for at > 0 && q.places[at-1].rank() < p.rank() {
			at--
		}
	}
	q.places = slices.Insert(q.places, at, p)
	q.byID[p.id], q.ever[p.id] = p, p
	if q.name == mortal {
		m.dead.origin[p.id] = p
	}
	if ttl, ok := queueTTL[q.name]; ok && (p.until == 0 || p.until > m.clock.Load()+ttl) {
		p.until = m.clock.Load() + ttl
	}
	if p.persistent {
		p.stored = b
		b.places = append(b.places, p)
		b.queues[p] = q
	}
}

// queueTTL are the queues with a TTL, in milliseconds.
var queueTTL = map[string]int64{"q4": 300}

func (m *model) settle(p *place, q *modelQueue, b *batch) {
	p.state, p.settled = gone, b
	if p.persistent {
		b.settles = append(b.settles, p)
		b.queues[p] = q
	}
}

// first is the first ready message; nil when there is none.
func (q *modelQueue) first() *place {
	for _, p := range q.places {
		if p.state == ready {
			return p
		}
	}
	return nil
}

func (q *modelQueue) count(s placeState) int {
	n := 0
	for _, p := range q.places {
		if p.state == s {
			n++
		}
	}
	return n
}

// list returns the messages in a state.
func (q *modelQueue) list(s placeState) []*place {
	var all []*place
	for _, p := range q.places {
		if p.state == s {
			all = append(all, p)
		}
	}
	return all
}

// seen is what a node has after a start.
type seen struct {
	queues map[string][]seenMessage
	bound  map[string]bool
	keys   map[string]string
}

type seenMessage struct {
	id          uint64
	image       []byte
	redelivered bool
	tries       queue.Tries
}

// recover holds what a node has after a start against the model, and makes
// the model what the node says where both are right. After a graceful end
// nothing is open.
func (m *model) recover(s *seen, graceful bool) error {
	if m.unsure != nil {
		m.unsure(s)
		m.unsure = nil
	}
	if !maps.Equal(s.bound, m.bound) {
		return fmt.Errorf("bindings are %v, want %v", s.bound, m.bound)
	}
	if !maps.Equal(s.keys, m.keys) {
		return fmt.Errorf("roles' keys are %v, want %v", s.keys, m.keys)
	}
	letters := s.queues[deadLetters]
	delete(s.queues, deadLetters)
	if got, want := slices.Sorted(maps.Keys(s.queues)), slices.Sorted(maps.Keys(m.queues)); !slices.Equal(got, want) {
		return fmt.Errorf("queues are %v, want %v", got, want)
	}
	if graceful {
		m.confirmAll()
	}
	present := map[*place]bool{}
	for name, messages := range s.queues {
		if err := m.queues[name].match(messages, present, graceful, m.expired); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	if err := m.dead.recover(letters, s.queues[mortal], m.queues[mortal], m.expired); err != nil {
		return err
	}
	for _, b := range m.batches {
		if err := m.whole(b, present); err != nil {
			return err
		}
	}
	m.batches = nil
	for name, messages := range s.queues {
		m.queues[name].take(messages)
	}
	return nil
}

// match checks one queue's messages one by one.
func (q *modelQueue) match(messages []seenMessage, present map[*place]bool, graceful bool, expired func(*place) bool) error {
	for _, g := range messages {
		p := q.byID[g.id]
		switch {
		case p == nil:
			return fmt.Errorf("message %d was never put there", g.id)
		case !bytes.Equal(g.image, p.image):
			return fmt.Errorf("message %d is %q, want %q", g.id, g.image, p.image)
		case present[p]:
			return fmt.Errorf("message %d is there twice", g.id)
		case expired(p):
			return fmt.Errorf("message %d has expired and is there", g.id)
		case !p.persistent:
			return fmt.Errorf("message %d is transient and came back", g.id)
		case p.settled != nil && p.settled.confirmed:
			return fmt.Errorf("message %d came back after its settle was durable", g.id)
		case p.moved != nil && p.moved.confirmed:
			return fmt.Errorf("message %d came back after its dead letter was durable", g.id)
		case p.delivered && !g.redelivered:
			return fmt.Errorf("message %d was delivered before and is not marked as redelivered", g.id)
		}
		if err := p.counted(g, graceful); err != nil {
			return err
		}
		present[p] = true
	}
	i, delivered, rank := 0, false, uint8(0)
	for _, p := range slices.Backward(q.places) {
		if q.name == prioritized && p.rank() != rank { // each has a level of its own
			delivered, rank = false, p.rank()
		}
		delivered = delivered || p.delivered
		if !present[p] {
			if p.persistent && !expired(p) && p.moved == nil && p.settled == nil && (p.stored == nil || p.stored.confirmed) {
				return fmt.Errorf("message %d was confirmed and not settled, and is lost", p.id)
			}
			continue
		}
		i++
		g := messages[len(messages)-i]
		if g.id != p.id {
			return fmt.Errorf("message %d is where message %d belongs", g.id, p.id)
		}
		if graceful && g.redelivered && !p.flag && !delivered && !q.consumed {
			return fmt.Errorf("message %d is marked as redelivered and was never delivered, nor any behind it", p.id)
		}
	}
	return nil
}

// whole checks that a batch that was not confirmed is there as a whole or not
// at all.
func (m *model) whole(b *batch, present map[*place]bool) error {
	here := func(p *place) bool { return m.queues[b.queues[p].name] == b.queues[p] } // its queue was not deleted
	in, out := false, false
	for _, p := range b.places {
		switch {
		case !here(p) || m.expired(p):
		case present[p]:
			in = true
		case p.settled == nil && p.moved == nil:
			out = true
		}
	}
	for _, p := range b.settles {
		if b.tx && here(p) && !m.expired(p) {
			if present[p] {
				out = true
			} else if p.stored == nil || p.stored.confirmed {
				in = true
			}
		}
	}
	for _, p := range b.moves {
		if b.tx && here(p) && !m.expired(p) {
			if present[p] {
				out = true
			} else if p.stored == nil || p.stored.confirmed {
				in = true
			}
		}
	}
	if in && out {
		return fmt.Errorf("a batch of %d messages and %d settles (tx: %t) is there in part", len(b.places), len(b.settles), b.tx)
	}
	return nil
}

// purgeExpired is for a purge that took more than what had not expired: what was
// on its way into memory to become a dead letter. Nobody knows which.
func (q *modelQueue) purgeExpired() {
	for _, p := range q.places {
		p.purged = p.purged || p.state == gone && p.settled == nil && p.moved == nil
	}
}

// take makes the queue what is there.
func (q *modelQueue) take(messages []seenMessage) {
	old := q.byID
	q.places, q.byID, q.consumed = nil, map[uint64]*place{}, false
	for _, g := range messages {
		p := old[g.id]
		p.tries = g.tries
		p.stored, p.settled, p.moved, p.state, p.flag = nil, nil, nil, ready, g.redelivered
		q.places = append(q.places, p)
		q.byID[p.id] = p
	}
}
