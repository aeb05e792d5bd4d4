package session

import (
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// tenure is what a connection holds of its vhost's and role's share, and how
// long it may.
type tenure struct {
	role    *usage
	expires atomic.Int64 // Unix time in nanoseconds at which its key ends, 0: no end
	// watch is how often the identity is still to be looked at again: once
	// after the handshake, for what has changed meanwhile, and without end (-1)
	// when a key's role has changed, since its overlap ends without a change.
	watch atomic.Int32
}

// usage counts what the connections of one role or vhost take.
type usage struct {
	connections int64 // guarded by Registry.mu
	channels    atomic.Int64
}

// holder names a role, or with an empty role a vhost.
type holder struct{ cluster, vhost, role string }

// usages are the usage of the holders that have any; guarded by Registry.mu.
type usages map[holder]*usage

// enter counts a connection of h.
func (u usages) enter(h holder) *usage {
	of := u[h]
	if of == nil {
		of = &usage{}
		u[h] = of
	}
	of.connections++
	return of
}

// full reports whether h has as many connections as it may, n; -1: any number.
func (u usages) full(h holder, n int64) bool {
	if of := u[h]; of != nil {
		return n >= 0 && of.connections >= n
	}
	return n == 0
}

func (u usages) leave(h holder) {
	if of := u[h]; of != nil {
		if of.connections--; of.connections <= 0 {
			delete(u, h)
		}
	}
}

// admit lets a connection that may enter v do so, as far as limits allow
// (RabbitMQ's vhost and user limits): it runs enter and marks it as through its
// handshake.
func (r *Registry) admit(c *Conn, v *broker.Vhost, enter func()) *amqp.Error {
	ofVhost, ofRole := c.cfg.Authority.Limits(c.identity, v.Ref().Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	vhost, role := holder{cluster: v.Ref().Cluster, vhost: v.Ref().Name}, holder{cluster: c.identity.Cluster, role: c.identity.Role}
	if n := ofVhost.Get(meta.LimitConnections); r.usages.full(vhost, n) {
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed, "access to vhost '%s' refused for user '%s': connection limit (%d) is reached",
			v.Wire(), c.identity.Role, n)
	}
	if n := ofRole.Get(meta.LimitConnections); r.usages.full(role, n) {
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed, "connection refused for user '%s': user connection limit (%d) is reached",
			c.identity.Role, n)
	}
	r.usages.enter(vhost)
	c.tenure.role = r.usages.enter(role)
	c.tenure.watch.Store(1)
	enter()
	c.info.ready = true
	r.ready++
	r.churn.ConnectionsOpened.Add(1)
	return nil
}

// dismiss takes a connection out of the usage; r.mu is held.
func (r *Registry) dismiss(c *Conn) {
	if !c.info.ready {
		return
	}
	ref := c.vhost.Ref()
	r.usages.leave(holder{cluster: ref.Cluster, vhost: ref.Name})
	r.usages.leave(holder{cluster: c.identity.Cluster, role: c.identity.Role})
}

// admitChannel counts a channel that is to be opened.
func (c *Conn) admitChannel() *amqp.Error {
	_, ofRole := c.cfg.Authority.Limits(c.identity, c.vhost.Ref().Name)
	opened := c.tenure.role.channels.Add(1)
	if n := ofRole.Get(meta.LimitChannels); n >= 0 && opened > n {
		c.tenure.role.channels.Add(-1)
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed,
			"number of channels opened for user '%s' has reached the maximum allowed user limit of %d", c.identity.Role, n)
	}
	return nil
}

// expire ends a connection whose key has ended.
func (c *Conn) expire(now time.Time) {
	at, watch := c.tenure.expires.Load(), c.tenure.watch.Load()
	if watch > 0 {
		c.tenure.watch.CompareAndSwap(watch, watch-1)
	}
	if watch != 0 || at != 0 && now.UnixNano() >= at {
		c.revalidate()
	}
}

// identify takes who has logged in, and until when.
func (c *Conn) identify(id meta.Identity) {
	c.mu.Lock()
	c.identity = id
	c.mu.Unlock()
	at := int64(0)
	if !id.Expires.IsZero() {
		at = id.Expires.UnixNano()
	}
	c.tenure.expires.Store(at)
}
