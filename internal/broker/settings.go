package broker

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/policy"
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
	// DeliveryLimit is how often the delivery of a message may fail; less than
	// 0: as often as it does.
	DeliveryLimit *int64
	Retry         Retry
	// ConsumerTimeout is how long a consumer may hold a message.
	ConsumerTimeout *int64
	// SingleActive says that one consumer at a time is served.
	SingleActive bool
}

// quorumDeliveries is the delivery limit of a quorum queue that names none, as
// with RabbitMQ.
const quorumDeliveries = 20

// readSettings reads a queue's arguments, which were checked, with what
// policies add to them.
func readSettings(args amqp.Table) (s Settings) {
	number := func(key string) *int64 {
		if n, _, ok := args.Int(key); ok {
			return &n
		}
		return nil
	}
	text := func(key string) *string {
		v, _ := args.Get(key)
		if v, ok := v.(string); ok {
			return &v
		}
		return nil
	}
	s = Settings{
		MessageTTL: number("x-message-ttl"), Expires: number("x-expires"), MaxLength: number("x-max-length"),
		MaxBytes: number("x-max-length-bytes"), DeadLetterExchange: text("x-dead-letter-exchange"),
		DeadLetterKey: text("x-dead-letter-routing-key"), DeliveryLimit: number("x-delivery-limit"),
		ConsumerTimeout: number(argConsumerTimeout),
	}
	s.Retry = readRetry(args)
	if v, ok := args.Get("x-single-active-consumer"); ok {
		s.SingleActive, _ = v.(bool)
	}
	if o := text("x-overflow"); o != nil {
		s.Overflow = *o
	}
	return s
}

// state is the part that the state machine acts on.
func (s Settings) state(quorum bool) queue.Settings {
	set := queue.Settings{
		MaxMessages: s.MaxLength, MaxBytes: s.MaxBytes, TTL: s.MessageTTL,
		Refuse:     s.Overflow == "reject-publish" || s.Overflow == "reject-publish-dlx",
		RefusedDie: s.Overflow == "reject-publish-dlx", DeadLetters: s.DeadLetterExchange != nil,
		Counts: quorum || s.DeliveryLimit != nil, DeliveryLimit: quorumDeliveries,
		Single: s.SingleActive, Preempt: quorum, ReturnsFirst: quorum,
	}
	if s.DeliveryLimit != nil {
		set.DeliveryLimit = *s.DeliveryLimit
	} else if !quorum {
		set.DeliveryLimit = -1
	}
	if s.Retry.on() {
		s.Retry.state(&set)
	}
	if s.ConsumerTimeout != nil {
		set.ConsumerTimeout = *s.ConsumerTimeout
	}
	return set
}

// configure takes what policies say and makes the queue work by it and by its
// arguments; q.mu is held, or nobody knows the queue yet.
func (q *Queue) configure(e *policy.Effective) {
	q.policy.Store(e)
	q.settings = readSettings(e.Arguments(q.Arguments()))
	lease := int64(0)
	if t := q.settings.Expires; t != nil {
		lease = *t
	}
	q.lease.Store(lease)
	q.touch()
	set := q.settings.state(q.Quorum)
	q.refuses.Store(set.Refuse)
	q.state.Configure(set)
}

// Settings returns what is in effect: arguments and policies.
func (q *Queue) Settings() Settings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings
}
