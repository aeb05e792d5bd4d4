package broker

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
)

// Actor is on whose behalf something is done.
type Actor struct {
	User   string
	Rights *auth.Rights // nil: none
	// Conn is the connection, which owns the exclusive queues it declares;
	// 0 for the management API, which owns none.
	Conn uint64
}

// can reports whether a may do op on the named resource.
func (a *Actor) can(op auth.Op, name string) bool {
	if name == "" {
		name = "amq.default"
	}
	return a.Rights != nil && a.Rights.Can(op, name)
}

// Check refuses what a may not do, with RabbitMQ's text.
func (v *Vhost) Check(a *Actor, op auth.Op, kind Kind, name string) *amqp.Error {
	if a.can(op, name) {
		return nil
	}
	if name == "" {
		name = "amq.default"
	}
	return amqp.ChannelErrorf(amqp.CodeAccessRefused, "%s access to %s refused for user '%s'",
		op, v.resource(kind, name), a.User)
}

// CheckTopic refuses a routing key that a may not publish with, or bind by, at
// a topic exchange.
func (v *Vhost) CheckTopic(a *Actor, op auth.Op, exchange, key string) *amqp.Error {
	if !a.Rights.Narrowed() {
		return nil
	}
	if x, ok := v.Exchange(exchange); !ok || x.Type != "topic" || a.Rights.CanTopic(op, exchange, key) {
		return nil
	}
	return amqp.ChannelErrorf(amqp.CodeAccessRefused, "%s access to topic '%s' in %s refused for user '%s'",
		op, key, v.resource(KindExchange, exchange), a.User)
}

// checkBind is the right to connect something: op on it, or, in a cluster's
// vhost, to configure it. There a role is granted to produce or to consume,
// and binding belongs to both (ADR 0006).
func (v *Vhost) checkBind(a *Actor, op auth.Op, kind Kind, name string) *amqp.Error {
	if v.named() && a.can(auth.Configure, name) {
		return nil
	}
	return v.Check(a, op, kind, name)
}

// Kind is a kind of resource, as error texts name it.
type Kind string

// The kinds of resource.
const (
	KindExchange Kind = "exchange"
	KindQueue    Kind = "queue"
)

// resource names a resource as RabbitMQ's error texts do.
func (v *Vhost) resource(kind Kind, name string) string {
	return string(kind) + " '" + name + "' in vhost '" + v.wire + "'"
}

func (v *Vhost) notFound(kind Kind, name string) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodeNotFound, "no %s", v.resource(kind, name))
}
