package session

import (
	"log/slog"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// zero handles a frame on channel 0 of an open connection.
func (c *Conn) zero(f amqp.Frame) error {
	if f.Type != amqp.FrameMethod {
		return c.fail(unexpectedFrame(f))
	}
	id, args, _ := amqp.SplitMethod(f.Payload)
	m, e, err := c.decode(id, args)
	if err != nil {
		return err
	}
	if e != nil && e.Code != amqp.CodeCommandInvalid {
		return c.fail(e)
	}
	c.flush()
	switch m := m.(type) {
	case *amqp.ConnectionClose:
		c.endChannels()
		c.send(0, &amqp.ConnectionCloseOk{})
		c.closing.Store(true)
		return errLinger
	case *amqp.ConnectionCloseOk:
		return nil
	case *amqp.ConnectionUpdateSecret:
		if e := c.updateSecret(string(m.NewSecret)); e != nil {
			return c.fail(e.At(id))
		}
		c.send(0, &amqp.ConnectionUpdateSecretOk{})
		return nil
	}
	return c.fail(amqp.ConnectionErrorf(amqp.CodeChannelError, "unexpected method in connection state running").At(id))
}

// updateSecret takes a new role key on a living connection (RabbitMQ's
// connection.update-secret). A connection that logged in with a password
// keeps it: as with RabbitMQ's own users, there is nothing to renew.
func (c *Conn) updateSecret(secret string) *amqp.Error {
	if c.identity.KeyID == "" {
		return nil
	}
	next, err := c.cfg.Authority.Authenticate(c.identity.Role, secret)
	if err != nil || next.Cluster != c.identity.Cluster || next.Role != c.identity.Role {
		c.log().Warn("new secret refused", slog.String("user", c.identity.Role))
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed, "New secret was refused by one of the backends")
	}
	c.identify(next)
	c.revalidate()
	return nil
}

// revalidate is called when roles or permissions changed: a connection that
// may no longer be served is closed, one that may do less does less.
func (c *Conn) revalidate() {
	c.mu.Lock()
	identity := c.identity
	c.mu.Unlock()
	if at := c.tenure.expires.Load(); at != 0 && time.Now().UnixNano() >= at { //nolint:forbidigo // keys end at a time of the day
		c.Close(amqp.CodeConnectionForced, "credential expired")
		return
	}
	if c.cfg.Authority.Stale(identity) {
		c.Close(amqp.CodeConnectionForced, "the role's key is no longer valid")
		return
	}
	old := c.actor.Load()
	rights := c.cfg.Authority.Rights(identity, c.vhost.Ref().Name)
	switch rights {
	case nil:
		c.Close(amqp.CodeConnectionForced, "the role's permission for this vhost was revoked")
		return
	case old.Rights:
		return
	}
	a := &broker.Actor{User: old.User, Rights: rights, Conn: old.Conn}
	c.actor.Store(a)
	c.mu.Lock()
	channels := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		channels = append(channels, ch)
	}
	c.mu.Unlock()
	for _, ch := range channels {
		for _, k := range ch.unreadable(a, c.vhost) {
			if _, ok := c.detach(ch, k.Tag); ok {
				c.vhost.Cancel(&k.Consumer)
				if k.notify {
					k.sendCancel()
				}
			}
		}
	}
}
