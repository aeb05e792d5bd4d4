package queue

import "encoding/binary"

// size is how large messages are: their images, and the bodies alone, which is
// what limits count.
type size struct{ bytes, body int64 }

func (z *size) add(s *slot) {
	z.bytes += int64(s.size)
	z.body += s.body()
}

func (z *size) sub(s *slot) {
	z.bytes -= int64(s.size)
	z.body -= s.body()
}

func (z *size) less(o size) {
	z.bytes -= o.bytes
	z.body -= o.body
}

func (z *size) more(o size) {
	z.bytes += o.bytes
	z.body += o.body
}

// Where things are in an image behind its route part: the method frame's end,
// then the content header's frame.
const (
	headerAt   = 1
	bodySizeAt = headerAt + 7 + 4
)

// BodySize returns how long the body of a message is, as its content header
// says; all of an image that has none is body.
func BodySize(image []byte, routeLen int) uint32 {
	whole := uint32(len(image)) //nolint:gosec // as it came
	if len(image) < routeLen+bodySizeAt+8 || image[routeLen+headerAt] != 2 {
		return whole
	}
	n := binary.BigEndian.Uint64(image[routeLen+bodySizeAt:])
	return uint32(min(n, uint64(whole))) //nolint:gosec // not more than whole
}
