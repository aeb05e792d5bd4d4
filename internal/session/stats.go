package session

import (
	"sync/atomic"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
)

// ChannelStats are counters of messages, of a channel since it was opened or
// of several.
type ChannelStats struct {
	Published, Confirmed uint64
	Returned, Dropped    uint64 // unroutable: mandatory, and not
	broker.Deliveries
}

// Add adds the counters of another channel.
func (s *ChannelStats) Add(o *ChannelStats) {
	s.Published += o.Published
	s.Confirmed += o.Confirmed
	s.Returned += o.Returned
	s.Dropped += o.Dropped
	s.Deliveries.Add(&o.Deliveries)
}

// channelDone is what a channel counts under its lock.
type channelDone struct {
	ChannelStats
	history history.Ring[ChannelStats]
}

// channelMode is what a channel was switched to.
type channelMode struct {
	Confirm, Tx bool
	uncommitted uncommitted
}

// uncommitted is what the present transaction holds.
type uncommitted struct{ messages, acks int }

// published is what is counted of publishes, once a batch.
type published struct {
	messages, confirmed, returned, dropped atomic.Uint64
	tags                                   atomic.Uint64 // the last tag of confirms that was flushed
}

// settled counts confirms of either kind.
func (p *published) settled(from, upTo uint64) { p.confirmed.Add(upTo - from) }

// stats returns the channel's counters.
func (ch *channel) stats() ChannelStats {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.statsLocked()
}

// statsLocked is stats with ch.mu held.
func (ch *channel) statsLocked() ChannelStats {
	s := ch.did.ChannelStats
	p := &ch.published
	s.Published, s.Confirmed = p.messages.Load(), p.confirmed.Load()
	s.Returned, s.Dropped = p.returned.Load(), p.dropped.Load()
	return s
}

// info describes the channel.
func (ch *channel) info() ChannelInfo {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	i := ChannelInfo{
		Number: ch.id, Consumers: len(ch.consumers), Unacked: ch.unacked.live, Global: ch.global, Prefetch: ch.prefetch,
		Confirm: ch.mode.Confirm, Tx: ch.mode.Tx, Uncommitted: ch.mode.uncommitted.messages,
		AcksUncommitted: ch.mode.uncommitted.acks, Stats: ch.statsLocked(), History: ch.did.history.Samples(),
	}
	if tags := ch.published.tags.Load(); tags > i.Stats.Confirmed {
		i.Unconfirmed = tags - i.Stats.Confirmed
	}
	return i
}

// Traffic is what went over a connection.
type Traffic struct{ Received, Sent, Reads, Writes uint64 }

// Add adds the traffic of another connection.
func (t *Traffic) Add(o *Traffic) {
	t.Received += o.Received
	t.Sent += o.Sent
	t.Reads += o.Reads
	t.Writes += o.Writes
}

// connCounts are a connection's counters.
type connCounts struct {
	in, out, reads, writes atomic.Uint64
	blocked                atomic.Bool

	of        *channel // whose publishes are counted; the reader's
	publishes uint64   // of it in the present batch

	past    ChannelStats          // of channels that are closed; guarded by Conn.mu
	history history.Ring[Traffic] // guarded by Conn.mu
}

func (s *connCounts) received(n int) {
	s.in.Add(uint64(n)) //nolint:gosec // not negative
	s.reads.Add(1)
}

func (s *connCounts) sent(n int) {
	if n > 0 {
		s.out.Add(uint64(n))
		s.writes.Add(1)
	}
}

func (s *connCounts) traffic() Traffic {
	return Traffic{Received: s.in.Load(), Sent: s.out.Load(), Reads: s.reads.Load(), Writes: s.writes.Load()}
}

// sample keeps what the counters are at a time in Unix milliseconds.
func (c *Conn) sample(at int64) {
	c.mu.Lock()
	c.stats.history.Add(at, c.stats.traffic())
	channels := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		channels = append(channels, ch)
	}
	c.mu.Unlock()
	for _, ch := range channels {
		ch.mu.Lock()
		ch.did.history.Add(at, ch.statsLocked())
		ch.mu.Unlock()
	}
}

// countPublish counts a publish, to be entered at the end of the batch.
func (c *Conn) countPublish(ch *channel) { c.countPublishes(ch, 1) }

func (c *Conn) countPublishes(ch *channel, n int) {
	c.published += uint64(n) //nolint:gosec // not negative
	if c.stats.of != ch {
		c.tallyPublishes()
		c.stats.of = ch
	}
	c.stats.publishes += uint64(n) //nolint:gosec // not negative
}

// tallyPublishes enters what was counted into the channel's counters.
func (c *Conn) tallyPublishes() {
	if s := &c.stats; s.of != nil {
		s.of.published.messages.Add(s.publishes)
		s.of, s.publishes = nil, 0
	}
}

// countUnroutable counts a publish that went nowhere.
func (c *Conn) countUnroutable(ch *channel, mandatory bool) {
	if mandatory {
		ch.published.returned.Add(1)
		c.vhost.Counts().Returned.Add(1)
	} else {
		ch.published.dropped.Add(1)
	}
}

// Churn counts what came and went at a node.
type Churn struct {
	ConnectionsOpened, ConnectionsClosed atomic.Uint64
	ChannelsOpened, ChannelsClosed       atomic.Uint64
	Logins, LoginsRefused                atomic.Uint64
}

// Churn returns the counters of what came and went.
func (r *Registry) Churn() *Churn { return &r.churn }

// Totals adds up all connections, those that are gone included.
func (r *Registry) Totals() (ChannelStats, Traffic) {
	r.mu.Lock()
	stats, octets := r.past, r.octets
	r.mu.Unlock()
	for _, c := range r.list() {
		i := c.Info()
		stats.Add(&i.Stats)
		octets.Add(&i.Traffic)
	}
	return stats, octets
}
