// Package route decides which destinations a message goes to. An exchange's bindings are an
// immutable [Table]: Bind and Unbind return another one that shares almost everything with the
// old one, so that publishers go on reading theirs without a lock while it is replaced.
//
// Everything here is a pure function of its arguments. The order of the destinations depends on
// the order of the binds and unbinds alone.
//
// An exchange type is a file with a type that is an exchange, and a case in [New] and [Check].
package route

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/pmap"
)

// MaxKey is the length of the longest routing or binding key in bytes: that of a short string
// (AMQP 0-9-1, section 4.2.5.3).
const MaxKey = 255

// Message is what an exchange looks at. A Table neither changes nor keeps its parts.
type Message struct {
	Key     []byte        // The routing key. One that is longer than MaxKey matches no topic.
	Headers amqp.RawTable // The headers property; nil when the message has none.
	Content []byte        // The content header frame, with or without what follows it.
	Chance  uint64        // A random number, for the types that choose by chance; see ByChance.
}

// Binding says that messages with Key go to Dest; what Key and Args mean is up to the exchange
// type. Two bindings are the same when Key, Args (in any order) and Dest are.
type Binding[D comparable] struct {
	Key  string
	Args amqp.Table
	Dest D
	// Name names Dest in a way that a restart does not change, for the types that choose.
	Name string
}

// Table maps messages to destinations of type D. It is immutable and may be used by any number
// of goroutines. Make one with [New]; the zero Table has no type and must not be used.
type Table[D comparable] struct {
	bound    pmap.Map[identity[D], struct{}]
	exchange exchange[D]
}

// ByChance reports whether exchanges of type kind look at Message.Chance.
func ByChance(kind string) bool { return kind == Random || kind == LocalRandom }

// An exchange is the part of a Table that differs between the exchange types. It is immutable
// too. Table has seen to it that add is called with new bindings only, and remove only with one
// that was added.
type exchange[D comparable] interface {
	add(id identity[D]) exchange[D]
	remove(id identity[D]) exchange[D]
	match(m Message, dst []D) []D
}

// RecentHistory is the type of a fanout exchange whose new bindings get its last messages.
const RecentHistory = "x-recent-history"

// New returns an empty table for an exchange of type kind that is declared with args, and false
// when there is no such type.
func New[D comparable](kind string, args amqp.Table) (Table[D], bool) {
	var t Table[D]
	switch Inner(kind, args) {
	case "direct":
		t.exchange = &direct[D]{}
	case "fanout", RecentHistory:
		t.exchange = &fanout[D]{}
	case "topic":
		t.exchange = newTopic[D]()
	case "headers":
		t.exchange = &headers[D]{}
	case ConsistentHash, ModulusHash, Random, LocalRandom:
		t.exchange = newChooser[D](Inner(kind, args), args)
	default:
		return Table[D]{}, false
	}
	return t, true
}

// Check says whether an exchange of type kind takes a binding with this key and these arguments.
// The error is an [*amqp.Error], PRECONDITION_FAILED for the channel, with the text that RabbitMQ
// has for it. Bind does not check.
func Check(kind, key string, args amqp.Table) error {
	if len(key) > MaxKey {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"binding key has %d bytes, at most %d are allowed", len(key), MaxKey)
	}
	switch kind {
	case "topic":
		return checkTopic(key)
	case "headers":
		return checkHeaders(args)
	case ConsistentHash:
		return checkWeight(key)
	case LocalRandom:
		if key != "" {
			return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "Non empty binding '%s' key not permitted", key)
		}
	}
	return nil
}

// CheckArguments says whether an exchange of type kind can be declared with args. The error is an
// [*amqp.Error] as that of Check.
func CheckArguments(kind string, args amqp.Table) error {
	switch kind {
	case ConsistentHash:
		return checkHash(args)
	case RecentHistory:
		_, err := HistoryLength(args)
		return err
	case Delayed:
		return checkDelayed(args)
	}
	return nil
}

// Len returns the number of bindings.
func (t Table[D]) Len() int { return t.bound.Len() }

// Bind returns a table with b: the receiver if it has the same binding.
func (t Table[D]) Bind(b Binding[D]) Table[D] {
	id := identify(b)
	if _, ok := t.bound.Get(id); ok {
		return t
	}
	return Table[D]{bound: t.bound.Set(id, struct{}{}), exchange: t.exchange.add(id)}
}

// Unbind returns a table without b: the receiver if it has no such binding.
func (t Table[D]) Unbind(b Binding[D]) Table[D] {
	id := identify(b)
	if _, ok := t.bound.Get(id); !ok {
		return t
	}
	return Table[D]{bound: t.bound.Delete(id), exchange: t.exchange.remove(id)}
}

// Match appends to dst the destinations that m goes to. One may be appended twice, when two of
// its bindings match. Nothing is allocated but what dst lacks in
// capacity and, by a headers exchange, one block for the message's headers.
func (t Table[D]) Match(m Message, dst []D) []D { return t.exchange.match(m, dst) }

// An identity is a binding as a map key.
type identity[D comparable] struct {
	key  string
	args string // The encoded arguments, sorted by key; empty when there are none.
	dest D
	name string
}

func identify[D comparable](b Binding[D]) identity[D] {
	id := identity[D]{key: b.Key, dest: b.Dest, name: b.Name}
	if len(b.Args) > 0 {
		sorted := slices.Clone(b.Args)
		slices.SortStableFunc(sorted, func(x, y amqp.Field) int { return strings.Compare(x.Key, y.Key) })
		id.args = string(amqp.AppendTable(nil, sorted))
	}
	return id
}

// Knows reports whether exchanges of type kind act on an argument of theirs.
func Knows(kind, argument string) bool {
	switch kind {
	case Delayed:
		return argument == argDelayedType
	case ConsistentHash:
		return argument == argHashHeader || argument == argHashProperty
	case RecentHistory:
		return argument == argHistoryLength
	}
	return false
}
