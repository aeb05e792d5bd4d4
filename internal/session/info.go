package session

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/warrenmq/warren/amqp"
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
	Published        uint64
	Delivered        uint64

	identity meta.Identity
	ready    bool // through the handshake; guarded by Registry.mu
}

// ChannelInfo is what can be seen of a channel.
type ChannelInfo struct {
	Number             uint16
	Consumers, Unacked int
	Prefetch, Global   int
	Confirm, Tx        bool
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
	c.mu.Lock()
	channels := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		channels = append(channels, ch)
	}
	c.mu.Unlock()
	for _, ch := range channels {
		ch.mu.Lock()
		i.Channels = append(i.Channels, ChannelInfo{
			Number: ch.id, Consumers: len(ch.consumers), Unacked: ch.unacked.live, Global: ch.global,
		})
		ch.mu.Unlock()
	}
	i.Published, i.Delivered = c.publishes.Load(), c.delivered.Load()
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

// CloseNamed ends the connection with this name; false: there is none.
func (r *Registry) CloseNamed(name, reason string) bool {
	for _, c := range r.list() {
		if c.name == name {
			c.Close(amqp.CodeConnectionForced, reason)
			return true
		}
	}
	return false
}
