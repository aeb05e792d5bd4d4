package route

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/warrenmq/warren/amqp"
)

// The exchange types that choose one of their destinations for each message.
const (
	// ConsistentHash chooses by a hash of the routing key, a header or a property; the binding key
	// is a weight. A destination that comes or goes moves only its own share of the keys, and the
	// choice depends on nothing but the bindings there are: it is the same after a restart.
	ConsistentHash = "x-consistent-hash"
	// ModulusHash chooses by a hash of the routing key modulo the number of destinations.
	ModulusHash = "x-modulus-hash"
	// Random chooses by chance.
	Random = "x-random"
	// LocalRandom chooses by chance a queue of the node that the publisher is connected to.
	LocalRandom = "x-local-random"
)

// MaxChoices is how many bindings an exchange may have that chooses: each message costs a look at
// every one of them when it is chosen by weight.
const MaxChoices = 4096

// Chooses reports whether exchanges of type kind send a message to one destination at most, whatever
// further keys (CC, BCC) it has.
func Chooses(kind string) bool {
	switch kind {
	case ConsistentHash, ModulusHash, Random, LocalRandom:
		return true
	}
	return false
}

// A choice is one destination to choose from.
type choice[D comparable] struct {
	id     identity[D]
	hash   uint64
	weight float64
}

// chooser is what the choosing types share: the choices in an order that depends on the bindings
// alone.
type chooser[D comparable] struct {
	how     func(c *chooser[D], m Message) int // index into choices
	on      hashOn
	choices []choice[D]
	even    bool // all weights are the same
}

func newChooser[D comparable](kind string, args amqp.Table) *chooser[D] {
	c := &chooser[D]{even: true}
	switch kind {
	case ConsistentHash:
		c.how, c.on = (*chooser[D]).byWeight, newHashOn(args)
	case ModulusHash:
		c.how = (*chooser[D]).byModulus
	default:
		c.how = (*chooser[D]).byChance
	}
	return c
}

func (c *chooser[D]) add(id identity[D]) exchange[D] {
	next := *c
	weight := 1.0
	if c.on.weighted {
		if n, err := strconv.Atoi(id.key); err == nil {
			weight = float64(n)
		}
	}
	added := choice[D]{id: id, hash: hashText(hashText(hashSeed, id.name), id.args), weight: weight}
	at, _ := slices.BinarySearchFunc(c.choices, added, compareChoices[D])
	next.choices = slices.Insert(slices.Clip(c.choices), at, added)
	next.even = c.even && (len(c.choices) == 0 || c.choices[0].weight == weight)
	return &next
}

func (c *chooser[D]) remove(id identity[D]) exchange[D] {
	next := *c
	next.choices = slices.DeleteFunc(slices.Clone(c.choices), func(a choice[D]) bool { return a.id == id })
	next.even = !slices.ContainsFunc(next.choices, func(a choice[D]) bool { return a.weight != next.choices[0].weight })
	return &next
}

func compareChoices[D comparable](a, b choice[D]) int {
	return cmp.Or(cmp.Compare(a.id.name, b.id.name), cmp.Compare(a.id.key, b.id.key), cmp.Compare(a.id.args, b.id.args))
}

func (c *chooser[D]) match(m Message, dst []D) []D {
	switch len(c.choices) {
	case 0:
		return dst
	case 1:
		return append(dst, c.choices[0].id.dest)
	}
	return append(dst, c.choices[c.how(c, m)].id.dest)
}

func (c *chooser[D]) byChance(m Message) int {
	return int(m.Chance % uint64(len(c.choices))) //nolint:gosec // less than the length
}

func (c *chooser[D]) byModulus(m Message) int {
	h := mix(hashBytes(hashSeed, m.Key))
	return int(h % uint64(len(c.choices))) //nolint:gosec // less than the length
}

// byWeight is weighted rendezvous hashing: every choice draws a number from the message's hash and
// its own, and the highest wins. One that comes or goes changes nothing between the others.
func (c *chooser[D]) byWeight(m Message) int {
	key := c.on.hash(m)
	best := 0
	if c.even {
		highest := uint64(0)
		for i := range c.choices {
			if h := mix(key ^ c.choices[i].hash); h >= highest {
				best, highest = i, h
			}
		}
		return best
	}
	lowest := math.Inf(1)
	for i := range c.choices {
		const unit = 1 << 53
		u := (float64(mix(key^c.choices[i].hash)>>11) + 0.5) / unit
		if score := -math.Log(u) / c.choices[i].weight; score < lowest {
			best, lowest = i, score
		}
	}
	return best
}

// hashOn is what of a message a consistent hash exchange looks at.
type hashOn struct {
	weighted         bool
	header, property string // at most one; neither: the routing key
}

// The arguments of a consistent hash exchange.
const (
	argHashHeader   = "hash-header"
	argHashProperty = "hash-property"
)

func newHashOn(args amqp.Table) hashOn {
	on := hashOn{weighted: true}
	if v, ok := args.Get(argHashHeader); ok {
		on.header, _ = v.(string)
	}
	if v, ok := args.Get(argHashProperty); ok {
		on.property, _ = v.(string)
	}
	return on
}

// hash is the same for all messages that lack the header or property.
func (o *hashOn) hash(m Message) uint64 {
	switch {
	case o.header != "":
		raw, ok := m.Headers.Lookup(o.header)
		if !ok {
			return 0
		}
		v := valueOf(raw)
		return mix(hashBytes(hashSeed^uint64(v.class)^mix(v.fixed), v.bytes))
	case o.property != "":
		return o.hashProperty(m.Content)
	}
	return mix(hashBytes(hashSeed, m.Key))
}

func (o *hashOn) hashProperty(content []byte) uint64 {
	f, n, err := amqp.ParseFrame(content, math.MaxUint32)
	if err != nil || n == 0 {
		return 0
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return 0
	}
	p, err := amqp.ScanProperties(h.Flags, h.Properties)
	if err != nil {
		return 0
	}
	switch {
	case o.property == "correlation_id" && p.Flags&amqp.FlagCorrelationID != 0:
		return mix(hashBytes(hashSeed, p.CorrelationID))
	case o.property == "message_id" && p.Flags&amqp.FlagMessageID != 0:
		return mix(hashBytes(hashSeed, p.MessageID))
	case o.property == "timestamp" && p.Flags&amqp.FlagTimestamp != 0:
		return mix(hashSeed ^ p.Timestamp)
	}
	return 0
}

// checkHash is [CheckArguments] for x-consistent-hash.
func checkHash(args amqp.Table) error {
	header, byHeader := args.Get(argHashHeader)
	property, byProperty := args.Get(argHashProperty)
	if byHeader && byProperty {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "hash-header and hash-property are mutually exclusive")
	}
	if _, ok := header.(string); byHeader && !ok {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "hash-header must be a longstr, not a %s", amqp.TypeName(header))
	}
	switch property {
	case nil, "correlation_id", "message_id", "timestamp":
		if property != nil || !byProperty {
			return nil
		}
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "Unsupported property: %v", property)
}

// maxWeight is the largest weight of a binding to a consistent hash exchange, as in RabbitMQ.
const maxWeight = 10_000

func checkWeight(key string) error {
	n, err := strconv.Atoi(key)
	switch {
	case err != nil:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "The binding key must be an integer: %s", amqp.ErlangBinary([]byte(key)))
	case n < 1:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "The binding key must be greater than 0")
	case n > maxWeight:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "The binding key must not exceed %d", maxWeight)
	}
	return nil
}

// The hash is FNV-1a with a finisher. It is part of what a restart must not change.
const (
	hashSeed  = 14695981039346656037
	hashPrime = 1099511628211
)

func hashBytes(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * hashPrime
	}
	return h
}

// hashText ends a text with what no other text continues with.
func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return (h ^ 0x1ff) * hashPrime
}

// mix spreads every bit of h over all of them.
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}
