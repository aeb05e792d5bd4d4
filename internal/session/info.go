package session

import (
	"crypto/tls"
	"net"
	"slices"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/meta"
)

// Info is what can be seen of a connection.
type Info struct {
	Name             string // "peer -> local"
	UserName         string // the client's connection_name
	User, Cluster    string
	Vhost            meta.VhostRef
	Peer, Local      net.Addr
	ConnectedAt      time.Time
	ClientProperties amqp.Table
	FrameMax         uint32
	ChannelMax       uint16
	Heartbeat        int // seconds
	Channels         []ChannelInfo
	TLS              bool
	Mechanism        string // of SASL
	Blocked          bool   // publishes wait for room
	Number           uint64 // of the connection; names the owner of exclusive queues
	Traffic          Traffic
	// Stats are the counters of all its channels, those that are closed
	// included.
	Stats   ChannelStats
	History []history.Sample[Traffic]

	identity meta.Identity
	ready    bool // through the handshake; guarded by Registry.mu
}

// ChannelInfo is what can be seen of a channel.
type ChannelInfo struct {
	Number             uint16
	Consumers, Unacked int
	Prefetch, Global   int
	Confirm, Tx        bool
	Unconfirmed        uint64
	// What the present transaction holds: publishes and acknowledgements.
	Uncommitted, AcksUncommitted int

	Stats   ChannelStats
	History []history.Sample[ChannelStats]
}

// describe fills in what the handshake has settled.
func (c *Conn) describe() {
	i := &c.info
	i.Name, i.identity = c.name, c.identity
	i.User, i.Cluster, i.Vhost = c.identity.Role, c.identity.Cluster, c.vhost.Ref()
	i.Peer, i.Local = c.nc.RemoteAddr(), c.nc.LocalAddr()
	_, i.TLS = c.nc.(interface{ ConnectionState() tls.ConnectionState })
	i.ConnectedAt = time.Now() //nolint:forbidigo // shown to people, nothing hangs on it
	i.FrameMax, i.ChannelMax, i.Heartbeat = c.frameMax, c.channelMax, int(c.heartbeat.Load())
}

// Info describes the connection.
func (c *Conn) Info() Info {
	i := c.info
	i.Number, i.Blocked = c.id, c.stats.blocked.Load()
	c.mu.Lock()
	channels := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		channels = append(channels, ch)
	}
	i.Stats, i.History = c.stats.past, c.stats.history.Samples()
	c.mu.Unlock()
	slices.SortFunc(channels, func(a, b *channel) int { return int(a.id) - int(b.id) })
	for _, ch := range channels {
		w := ch.info()
		i.Stats.Add(&w.Stats)
		i.Channels = append(i.Channels, w)
	}
	i.Traffic = c.stats.traffic()
	return i
}

// Connections describes the living connections, oldest first.
func (r *Registry) Connections() []Info {
	list := r.list()
	infos := make([]Info, 0, len(list))
	for _, c := range list {
		infos = append(infos, c.Info())
	}
	return infos
}

// Numbered describes the connection with this number; false: there is none.
func (r *Registry) Numbered(n uint64) (Info, bool) {
	r.mu.Lock()
	c, ok := r.conns[n]
	ok = ok && c.info.ready
	r.mu.Unlock()
	if !ok {
		return Info{}, false
	}
	return c.Info(), true
}

// Living returns the connections, oldest first, for those who look at few of
// them closely.
func (r *Registry) Living() []*Conn { return r.list() }

// Count returns how many connections there are.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Name is "peer -> local".
func (c *Conn) Name() string { return c.name }

// Owner says whose connection it is: the cluster and the role in it; and the
// vhost.
func (c *Conn) Owner() (cluster, role string, vhost meta.VhostRef) {
	return c.info.Cluster, c.info.User, c.info.Vhost
}

// Traffic is what went over the connection.
func (c *Conn) Traffic() Traffic { return c.stats.traffic() }

// ChannelCount returns how many channels are open.
func (c *Conn) ChannelCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.channels)
}

// Force ends the connection as an operator does (CONNECTION_FORCED).
func (c *Conn) Force(reason string) { c.Close(amqp.CodeConnectionForced, reason) }
