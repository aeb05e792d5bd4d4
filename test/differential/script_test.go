package differential_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// op is one step of a script.
type op struct {
	conn    int    // 0 or 1
	channel uint16 // 1 or 2
	do      any    // an amqp.Method, or one of the types below
}

// publish is basic.publish with its content.
type publish struct {
	amqp.BasicPublish
	props amqp.Properties
	body  string
}

// settle acknowledges one of the channel's outstanding deliveries.
type settle struct {
	pick     int // which, modulo their number
	multiple bool
	how      string // ack, nack, reject
	requeue  bool
	unknown  bool // a tag that was never given
}

// pause lets time pass.
type pause time.Duration

// hangUp closes the connection as a client does.
type hangUp struct{}

// manage is a request to the HTTP API.
type manage struct{ method, path, body string }

func (o op) String() string {
	at := fmt.Sprintf("%d/%d ", o.conn, o.channel)
	switch d := o.do.(type) {
	case amqp.Method:
		return at + d.ID().String() + describe(d)
	case publish:
		return fmt.Sprintf("%sbasic.publish%s | %q%s", at, describe(&d.BasicPublish), d.body, describe(&d.props))
	case settle:
		return fmt.Sprintf("%s%s pick=%d multiple=%t requeue=%t unknown=%t", at, d.how, d.pick, d.multiple, d.requeue, d.unknown)
	case pause:
		return "pause " + time.Duration(d).String()
	case hangUp:
		return fmt.Sprintf("%d hang up", o.conn)
	case manage:
		return fmt.Sprintf("HTTP %s %s %s", d.method, d.path, d.body)
	}
	return fmt.Sprintf("%T", o.do)
}

// script is what is played: the steps, and the names that it may leave behind.
type script struct {
	seed      uint64
	prefix    string
	ops       []op
	queues    []string
	exchanges []string
}

func (s *script) String() string {
	var b strings.Builder
	for i, o := range s.ops {
		fmt.Fprintf(&b, "%3d %s\n", i, o)
	}
	return b.String()
}

// answers are what a client waits for after a method; none: it is asynchronous.
func answers(m amqp.Method) []amqp.MethodID {
	switch m := m.(type) {
	case *amqp.ExchangeDeclare:
		return unless(m.NoWait, amqp.IDExchangeDeclareOk)
	case *amqp.ExchangeDelete:
		return unless(m.NoWait, amqp.IDExchangeDeleteOk)
	case *amqp.ExchangeBind:
		return unless(m.NoWait, amqp.IDExchangeBindOk)
	case *amqp.ExchangeUnbind:
		return unless(m.NoWait, amqp.IDExchangeUnbindOk)
	case *amqp.QueueDeclare:
		return unless(m.NoWait, amqp.IDQueueDeclareOk)
	case *amqp.QueueDelete:
		return unless(m.NoWait, amqp.IDQueueDeleteOk)
	case *amqp.QueueBind:
		return unless(m.NoWait, amqp.IDQueueBindOk)
	case *amqp.QueuePurge:
		return unless(m.NoWait, amqp.IDQueuePurgeOk)
	case *amqp.BasicConsume:
		return unless(m.NoWait, amqp.IDBasicConsumeOk)
	case *amqp.BasicCancel:
		return unless(m.NoWait, amqp.IDBasicCancelOk)
	case *amqp.ConfirmSelect:
		return unless(m.NoWait, amqp.IDConfirmSelectOk)
	case *amqp.BasicGet:
		return []amqp.MethodID{amqp.IDBasicGetOk, amqp.IDBasicGetEmpty}
	}
	return map[amqp.MethodID][]amqp.MethodID{
		amqp.IDQueueUnbind: {amqp.IDQueueUnbindOk}, amqp.IDBasicQos: {amqp.IDBasicQosOk}, amqp.IDBasicRecover: {amqp.IDBasicRecoverOk},
		amqp.IDTxSelect: {amqp.IDTxSelectOk}, amqp.IDTxCommit: {amqp.IDTxCommitOk}, amqp.IDTxRollback: {amqp.IDTxRollbackOk},
		amqp.IDChannelClose: {amqp.IDChannelCloseOk}, amqp.IDChannelOpen: {amqp.IDChannelOpenOk}, amqp.IDChannelFlow: {amqp.IDChannelFlowOk},
	}[m.ID()]
}

func unless(noWait bool, id amqp.MethodID) []amqp.MethodID {
	if noWait {
		return nil
	}
	return []amqp.MethodID{id}
}
