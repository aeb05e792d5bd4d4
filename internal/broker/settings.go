package broker

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// Settings are what arguments and policies say about a queue. What is nil or
// empty is not said. Times are milliseconds.
type Settings struct {
	MessageTTL, Expires *int64
	MaxLength, MaxBytes *int64
	Overflow            string // drop-head, reject-publish or reject-publish-dlx
	DeadLetterExchange  *string
	DeadLetterKey       *string
}

// ArgumentSettings reads a queue's arguments, which were checked.
func ArgumentSettings(args amqp.Table) Settings { return readSettings("x-", args) }

// PolicySettings reads a policy's definition: the same keys without "x-". What
// concerns no queue, or has another type, is passed over.
func PolicySettings(definition amqp.Table) Settings { return readSettings("", definition) }

func readSettings(prefix string, t amqp.Table) (s Settings) {
	number := func(key string) *int64 {
		if n, _, ok := t.Int(prefix + key); ok {
			return &n
		}
		return nil
	}
	text := func(key string) *string {
		v, _ := t.Get(prefix + key)
		if v, ok := v.(string); ok {
			return &v
		}
		return nil
	}
	s = Settings{
		MessageTTL: number("message-ttl"), Expires: number("expires"), MaxLength: number("max-length"),
		MaxBytes: number("max-length-bytes"), DeadLetterExchange: text("dead-letter-exchange"),
		DeadLetterKey: text("dead-letter-routing-key"),
	}
	if o := text("overflow"); o != nil {
		s.Overflow = *o
	}
	return s
}

// Over returns what counts when both s and lower say something: of limits the
// lower one, of everything else that of s. It is how a queue's arguments stand
// over its policy, and an operator's policy over a user's.
func (s Settings) Over(lower Settings) Settings {
	s.MessageTTL = least(s.MessageTTL, lower.MessageTTL)
	s.Expires = least(s.Expires, lower.Expires)
	s.MaxLength = least(s.MaxLength, lower.MaxLength)
	s.MaxBytes = least(s.MaxBytes, lower.MaxBytes)
	if s.Overflow == "" {
		s.Overflow = lower.Overflow
	}
	if s.DeadLetterExchange == nil {
		s.DeadLetterExchange = lower.DeadLetterExchange
	}
	if s.DeadLetterKey == nil {
		s.DeadLetterKey = lower.DeadLetterKey
	}
	return s
}

func least(a, b *int64) *int64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

// state is the part that the state machine acts on.
func (s Settings) state() queue.Settings {
	return queue.Settings{
		MaxMessages: s.MaxLength, MaxBytes: s.MaxBytes, TTL: s.MessageTTL, DeadLetters: s.DeadLetterExchange != nil,
	}
}

// Configure makes a policy (or a user's policy under an operator's:
// operator.Over(user)) take effect on a queue while it serves, beside its
// arguments; Settings{} is no policy. Messages that are there keep the time at
// which they expire; those that are too many for a new limit go.
func (q *Queue) Configure(policy Settings) {
	q.mu.Lock()
	q.configure(ArgumentSettings(q.Arguments).Over(policy))
	q.unlock()
}

// configure sets what q does; q.mu is held.
func (q *Queue) configure(s Settings) {
	q.settings = s
	lease := int64(0)
	if s.Expires != nil {
		lease = *s.Expires
	}
	q.lease.Store(lease)
	q.touch()
	q.state.Configure(s.state())
}

// Settings returns what is in effect: arguments and policies.
func (q *Queue) Settings() Settings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings
}
