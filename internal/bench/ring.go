package bench

import (
	"encoding/binary"

	"github.com/warrenmq/warren/amqp"
)

// writeSize is how many bytes of publishes go into one write.
const writeSize = 64 << 10

// ring is a run of encoded publishes that a producer writes over and over, as much of it at a time
// as may go.
type ring struct {
	bytes  []byte
	ends   []int // where the messages end
	bodies []int // where their bodies begin, behind the frame header
	write  int   // messages of one write
	next   int   // message to write next
}

// newRing encodes publishes to the keys in turn.
func newRing(o *Options, exchange string, keys []string, frameMax uint32) *ring {
	body := make([]byte, o.Size)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	props := amqp.Properties{DeliveryMode: 1}
	if o.persistent() {
		props.DeliveryMode = 2
	}
	r := &ring{}
	add := func(key string) {
		r.bytes = amqp.AppendMethod(r.bytes, channelID, &amqp.BasicPublish{Exchange: exchange, RoutingKey: key})
		r.bytes = props.AppendHeader(r.bytes, channelID, uint64(len(body)))
		r.bodies = append(r.bodies, len(r.bytes)+frameHead)
		r.bytes = amqp.AppendBody(r.bytes, channelID, body, frameMax)
		r.ends = append(r.ends, len(r.bytes))
	}
	add(keys[0])
	r.write = max(1, writeSize/r.ends[0])
	for n := len(keys) * max(1, r.write/len(keys)); len(r.ends) < n; {
		add(keys[len(r.ends)%len(keys)])
	}
	return r
}

// room is how many messages may be taken at once.
func (r *ring) room() int { return min(r.write, len(r.ends)-r.next) }

// take returns the next n messages; n is at most room.
func (r *ring) take(n int) []byte {
	start := 0
	if r.next > 0 {
		start = r.ends[r.next-1]
	}
	b := r.bytes[start:r.ends[r.next+n-1]]
	r.next = (r.next + n) % len(r.ends)
	return b
}

// stamp writes a time into the body of the i-th message that take will return.
func (r *ring) stamp(i int, due int64) {
	binary.BigEndian.PutUint64(r.bytes[r.bodies[r.next+i]:], uint64(due)) //nolint:gosec // read back as it was
}
