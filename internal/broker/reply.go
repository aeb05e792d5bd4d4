package broker

import (
	"bytes"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/warrenmq/warren/amqp"
)

// ReplyQueue is the pseudo queue of RabbitMQ's direct reply-to: who consumes from it gets the
// answers to its requests from the publisher of the answer itself, through no queue. A request's
// reply-to is ReplyQueue, a dot and the requester's token; that is the routing key of the answer,
// at the default exchange.
const ReplyQueue = "amq.rabbitmq.reply-to"

// replyPrefix begins the routing keys of answers.
const replyPrefix = ReplyQueue + "."

// tokenLen is the length of a token: 16 random bytes. Nobody guesses one.
const tokenLen = 22

// Replier takes answers. Reply is called by who publishes one and must not block; the message is
// valid during the call.
type Replier interface{ Reply(m *Message) }

// replies are the repliers of a vhost by their tokens. A replier of another vhost is not found.
type replies struct {
	mu      sync.RWMutex
	byToken map[string]Replier
}

// AddReplier enters one that awaits answers and returns the reply-to of its requests.
func (v *Vhost) AddReplier(r Replier) (replyTo string) {
	replyTo = ServerName(replyPrefix)
	v.replies.mu.Lock()
	defer v.replies.mu.Unlock()
	if v.replies.byToken == nil {
		v.replies.byToken = map[string]Replier{}
	}
	v.replies.byToken[replyTo] = r
	return replyTo
}

// RemoveReplier says that nobody awaits answers to replyTo any more.
func (v *Vhost) RemoveReplier(replyTo string) {
	v.replies.mu.Lock()
	defer v.replies.mu.Unlock()
	delete(v.replies.byToken, replyTo)
}

// reply gives an answer to who awaits it. An answer that comes too late is one that was delivered,
// as with RabbitMQ since 4.2; false: key is not the key of an answer.
func (v *Vhost) reply(key []byte, m *Message) bool {
	if !bytes.HasPrefix(key, []byte(replyPrefix)) || !isReplyTo(string(key)) {
		return false
	}
	v.replies.mu.RLock()
	r, ok := v.replies.byToken[string(key)]
	v.replies.mu.RUnlock()
	if ok {
		r.Reply(m)
	}
	return true
}

func isReplyTo(name string) bool {
	token, ok := strings.CutPrefix(name, replyPrefix)
	if !ok || len(token) != tokenLen {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(token)
	return err == nil
}

// replyQueue answers a declare of the pseudo queue, or of one requester's; declared is false when
// name is the name of neither.
func (v *Vhost) replyQueue(name string) (q *Queue, declared bool, err *amqp.Error) {
	if !strings.HasPrefix(name, ReplyQueue) || name != ReplyQueue && !strings.HasPrefix(name, replyPrefix) {
		return nil, false, nil
	}
	v.replies.mu.RLock()
	_, alive := v.replies.byToken[name]
	v.replies.mu.RUnlock()
	if name != ReplyQueue && !alive {
		return nil, true, v.notFound(KindQueue, name)
	}
	q = &Queue{Name: name}
	q.consumers.Store(1)
	return q, true, nil
}

// errVolatile refuses to bind the pseudo queue.
func errVolatile() *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodeAccessRefused, "cannot bind or unbind to a volatile (direct reply-to) queue")
}
