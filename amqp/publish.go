package amqp

import (
	"fmt"
	"unicode/utf8"
)

// Publish is a basic.publish read in place; every slice aliases the arguments. Decode a
// [BasicPublish] where speed does not matter.
type Publish struct {
	// Route is the exchange and the routing key as they came, each a shortstr with its length
	// octet: the start of a message's wire image.
	Route      []byte
	Exchange   []byte
	RoutingKey []byte
	Mandatory  bool
	Immediate  bool
}

// ParsePublish reads the arguments of a basic.publish (spec section 1.8.3.7) without the ids. It
// is as strict as [BasicPublish.Decode]: the error wraps [ErrTruncated], [ErrTrailing] or
// [ErrUTF8].
//
//	+--------+----------+-------------+------------------------+
//	| ticket | exchange | routing key | mandatory | immediate  |
//	+--------+----------+-------------+------------------------+
//	 short     shortstr   shortstr      bit 0       bit 1
//	          |<------ Route ------->|
func ParsePublish(args []byte) (Publish, error) {
	const ticket = 2
	key := ticket // Where the routing key's length octet is.
	if len(args) > key {
		key += 1 + int(args[ticket])
	}
	end := key
	if len(args) > key {
		end += 1 + int(args[key])
	}
	if len(args) != end+1 || end == key {
		return Publish{}, publishLength(len(args), end+1)
	}
	p := Publish{
		Route:      args[ticket:end:end],
		Exchange:   args[ticket+1 : key : key],
		RoutingKey: args[key+1 : end : end],
		Mandatory:  args[end]&1 != 0,
		Immediate:  args[end]&2 != 0,
	}
	if !utf8.Valid(p.Exchange) || !utf8.Valid(p.RoutingKey) {
		return Publish{}, fmt.Errorf("%v: %w", IDBasicPublish, ErrUTF8)
	}
	return p, nil
}

func publishLength(have, want int) error {
	if have > want {
		return fmt.Errorf("%v: %w", IDBasicPublish, ErrTrailing)
	}
	return fmt.Errorf("%v: %w", IDBasicPublish, ErrTruncated)
}
