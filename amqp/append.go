package amqp

import (
	"encoding/binary"
	"fmt"
)

const maxShortString = 255

// ShortString returns s if it fits a shortstr and an error that wraps [ErrShortString] if it is
// longer than 255 bytes. Encoders cut longer strings: check what a user wrote first.
func ShortString(s string) (string, error) {
	if len(s) > maxShortString {
		return "", fmt.Errorf("%w: %d bytes", ErrShortString, len(s))
	}
	return s, nil
}

// AppendMethod appends the whole frame of a method.
func AppendMethod(dst []byte, channel uint16, m Method) []byte {
	dst, start := beginFrame(dst, FrameMethod, channel)
	return endFrame(m.Append(dst), start)
}

// AppendAck appends the frame of a basic.ack.
func AppendAck(dst []byte, channel uint16, tag uint64, multiple bool) []byte {
	return appendSettle(dst, channel, IDBasicAck, tag, bit(multiple, 0))
}

// AppendNack appends the frame of a basic.nack.
func AppendNack(dst []byte, channel uint16, tag uint64, multiple, requeue bool) []byte {
	return appendSettle(dst, channel, IDBasicNack, tag, bit(multiple, 0)|bit(requeue, 1))
}

func appendSettle(dst []byte, channel uint16, id MethodID, tag uint64, bits byte) []byte {
	dst, start := beginFrame(dst, FrameMethod, channel)
	dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	dst = binary.BigEndian.AppendUint64(dst, tag)
	return endFrame(append(dst, bits), start)
}

// AppendHeartbeat appends a heartbeat frame.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, FrameHeartbeat, 0, 0, 0, 0, 0, 0, FrameEnd)
}

// AppendBody appends a body as frames of at most maxFrame bytes each, overhead included; less than
// FrameMinSize counts as FrameMinSize. An empty body has no frame.
func AppendBody(dst []byte, channel uint16, body []byte, maxFrame uint32) []byte {
	limit := int(min(max(maxFrame, FrameMinSize), 1<<30)) - FrameOverhead
	for len(body) > 0 {
		n := min(len(body), limit)
		var start int
		dst, start = beginFrame(dst, FrameBody, channel)
		dst = endFrame(append(dst, body[:n]...), start)
		body = body[n:]
	}
	return dst
}

// beginFrame appends a frame header without its size. start is where the payload begins.
func beginFrame(dst []byte, typ byte, channel uint16) (frame []byte, start int) {
	dst = append(dst, typ, byte(channel>>8), byte(channel), 0, 0, 0, 0)
	return dst, len(dst)
}

// endFrame ends the frame whose payload begins at start.
func endFrame(dst []byte, start int) []byte {
	patchLength(dst, start)
	return append(dst, FrameEnd)
}

// patchLength writes the length of dst[start:] into the four bytes before start.
func patchLength(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start)) //nolint:gosec // What fits 4 GiB of memory fits.
}

func appendShortString(dst []byte, s string) []byte {
	s = cutString(s, maxShortString)
	return append(append(dst, byte(len(s))), s...)
}

func appendLongString[T string | []byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s))) //nolint:gosec // As for patchLength.
	return append(dst, s...)
}

// bit returns 1<<n if b is true, else 0.
func bit(b bool, n uint) byte {
	if b {
		return 1 << n
	}
	return 0
}
