package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// What the parser waits for.
const (
	expectMethod = iota
	expectHeader
	expectBody
)

const (
	consumerTag = "b" // of every consumer here; the shorter, the less it costs

	frameHead = amqp.FrameOverhead - 1 // bytes before a frame's payload
	stampSize = 8                      // bytes of the time in a message's body
)

// parser counts deliveries in a stream of frames. It copies and allocates nothing and may be given
// the stream in any pieces:
//
//	basic.deliver          header                 body…
//	1 ch size ids tag… CE  2 ch size … left … CE  3 ch size bytes CE
//
// Bodies are skipped as they come; of everything else a frame must be whole.
type parser struct {
	maxFrame uint32
	stamp    func(due uint64)                          // is given the start of each body, unless nil
	method   func(id amqp.MethodID, args []byte) error // is given every method but basic.deliver

	messages int64  // whole messages so far
	tag      uint64 // of the last basic.deliver
	expect   int
	left     uint64 // bytes of the message that are still to come
	stamped  bool   // the message's stamp was taken
	inBody   bool   // a body frame has begun and its end octet not come
	skip     int    // bytes of that frame that are still to come

	last shape // of the message being read
	like shape // of the last whole message, if its body was one frame
}

// shape is what the deliveries of a queue mostly have in common.
type shape struct {
	method, header, body uint32 // sizes of the payloads
}

// parse takes what it can of b and returns how many bytes that was.
func (p *parser) parse(b []byte) (n int, err error) {
	for i := 0; ; {
		if p.inBody {
			if i, err = p.body(b, i); err != nil || p.inBody {
				return i, err
			}
		}
		i = p.alike(b, i)
		k, err := p.next(b[i:])
		if i += k; err != nil || k == 0 {
			return i, err
		}
	}
}

// next takes a whole frame, or the head of a body frame, off the front of b; it returns 0 when it
// is not all there.
func (p *parser) next(b []byte) (n int, err error) {
	if len(b) < amqp.FrameOverhead {
		return 0, nil
	}
	size := binary.BigEndian.Uint32(b[3:])
	if size > p.maxFrame {
		return 0, fmt.Errorf("a frame of %d bytes is larger than the %d agreed upon", size, p.maxFrame)
	}
	if b[0] == amqp.FrameBody {
		if p.stamp != nil && !p.stamped && len(b) < frameHead+stampSize {
			return 0, nil
		}
		return frameHead, p.beginBody(b[frameHead:], size)
	}
	end := frameHead + int(size)
	if end >= len(b) {
		return 0, nil
	}
	if b[end] != amqp.FrameEnd {
		return 0, errFrameEnd(b[end])
	}
	return end + 1, p.frame(b[0], b[frameHead:end])
}

// alike counts whole messages of the same shape as the last one and returns where they end: the same
// checks as one frame after the other makes, in a quarter of the time.
func (p *parser) alike(b []byte, i int) int {
	like := p.like
	if like.body == 0 || p.expect != expectMethod {
		return i
	}
	const tagAt = frameHead + 4 + 1 + len(consumerTag)
	header := int(like.method) + amqp.FrameOverhead // where it begins
	body := header + int(like.header) + amqp.FrameOverhead
	size := body + int(like.body) + amqp.FrameOverhead
	method, content := uint64(like.method)<<32|uint64(amqp.IDBasicDeliver), uint64(like.header)<<32|amqp.ClassBasic<<16
	for len(b)-i >= size {
		m := b[i : i+size : i+size]
		if m[0] != amqp.FrameMethod || binary.BigEndian.Uint64(m[3:]) != method || int(m[11]) != len(consumerTag) ||
			binary.BigEndian.Uint64(m[tagAt:]) != p.tag+1 || m[header-1] != amqp.FrameEnd ||
			m[header] != amqp.FrameHeader || binary.BigEndian.Uint64(m[header+3:]) != content ||
			binary.BigEndian.Uint64(m[header+11:]) != uint64(like.body) || m[body-1] != amqp.FrameEnd ||
			m[body] != amqp.FrameBody || binary.BigEndian.Uint32(m[body+3:]) != like.body || m[size-1] != amqp.FrameEnd {
			break
		}
		if p.stamp != nil {
			p.stamp(binary.BigEndian.Uint64(m[body+frameHead:]))
		}
		p.tag++
		p.messages++
		i += size
	}
	return i
}

// frame handles a whole frame that is no body.
func (p *parser) frame(typ byte, payload []byte) error {
	switch typ {
	case amqp.FrameMethod:
		if p.expect != expectMethod || len(payload) < 4 {
			return fmt.Errorf("%w: a method inside a message", errUnexpected)
		}
		id := amqp.MethodID(binary.BigEndian.Uint32(payload))
		if id != amqp.IDBasicDeliver {
			return p.method(id, payload[4:])
		}
		p.last.method = uint32(len(payload)) //nolint:gosec // at most maxFrame
		return p.deliver(payload[4:])
	case amqp.FrameHeader:
		if p.expect != expectHeader || len(payload) < 12 {
			return fmt.Errorf("%w: a content header", errUnexpected)
		}
		p.left = binary.BigEndian.Uint64(payload[4:])
		p.last.header, p.last.body = uint32(len(payload)), 0 //nolint:gosec // at most maxFrame
		if p.expect = expectBody; p.left == 0 {
			p.whole()
		}
		return nil
	case amqp.FrameHeartbeat:
		return nil
	}
	return fmt.Errorf("%w: of type %d", errUnexpected, typ)
}

// deliver takes the tag out of a basic.deliver. Every broker numbers a channel's deliveries one by
// one, and acknowledging depends on it, so it is checked.
func (p *parser) deliver(args []byte) error {
	at := 1
	if len(args) > 0 {
		at += int(args[0]) // the consumer tag
	}
	if len(args) < at+8 {
		return amqp.ErrTruncated
	}
	tag := binary.BigEndian.Uint64(args[at:])
	if tag != p.tag+1 {
		return fmt.Errorf("delivery tag %d follows %d: the broker skips numbers", tag, p.tag)
	}
	p.tag, p.expect = tag, expectHeader
	return nil
}

// beginBody begins a body frame of size bytes.
func (p *parser) beginBody(b []byte, size uint32) error {
	if p.expect != expectBody || uint64(size) > p.left {
		return fmt.Errorf("%w: %d bytes of body where %d are missing", errUnexpected, size, p.left)
	}
	if p.stamp != nil && !p.stamped {
		if size < stampSize {
			return fmt.Errorf("a message without the time in it is on the queue: body frame of %d bytes", size)
		}
		p.stamped = true
		p.stamp(binary.BigEndian.Uint64(b))
	}
	if p.left == uint64(size) && p.last.body == 0 {
		p.last.body = size
		p.like = p.last
	}
	p.last.body = max(p.last.body, 1) // what follows is not the first frame of it
	p.left -= uint64(size)
	p.inBody, p.skip = true, int(size)
	return nil
}

// body skips what is there of the body frame that has begun and returns where it got to.
func (p *parser) body(b []byte, i int) (int, error) {
	n := min(p.skip, len(b)-i)
	i += n
	if p.skip -= n; p.skip > 0 || i == len(b) {
		return i, nil
	}
	if b[i] != amqp.FrameEnd {
		return i, errFrameEnd(b[i])
	}
	if p.inBody = false; p.left == 0 {
		p.whole()
	}
	return i + 1, nil
}

// whole ends a message.
func (p *parser) whole() {
	p.messages++
	p.expect, p.stamped = expectMethod, false
}

func errFrameEnd(b byte) error {
	return fmt.Errorf("a frame ends in %#x and not in %#x: the broker and this client have lost each other", b, amqp.FrameEnd)
}
