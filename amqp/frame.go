package amqp

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

// The frame types.
const (
	FrameMethod    = 1
	FrameHeader    = 2
	FrameBody      = 3
	FrameHeartbeat = 8
)

const (
	// FrameEnd is the octet that ends every frame.
	FrameEnd = 0xCE
	// FrameOverhead is how many bytes a frame has besides its payload: seven before, one after.
	FrameOverhead = 8
	// FrameMinSize is the smallest frame size that RabbitMQ negotiates, in bytes. (The
	// specification's is 4096.)
	FrameMinSize = 8192

	frameHeaderSize = FrameOverhead - 1
	minMethodSize   = 4  // Class and method id.
	minHeaderSize   = 12 // Class, weight and body size; the property flags are not looked for.
)

// Frame is one frame (spec section 4.2.3):
//
//	0      1         3             7                  size+7      size+8
//	+------+---------+-------------+  +------------+  +-----------+
//	| type | channel |    size     |  |  payload   |  | frame-end |
//	+------+---------+-------------+  +------------+  +-----------+
//	 octet   short       long           size octets     octet 0xCE
type Frame struct {
	Type    byte // One of the Frame constants.
	Channel uint16
	Payload []byte // Aliases the input.
}

// ParseFrame reads the frame at the start of src. n is how many bytes it takes: 0, without an
// error, when src does not hold all of it yet. maxFrame is the negotiated frame_max in bytes; less
// than FrameMinSize counts as FrameMinSize.
//
// Like RabbitMQ it takes a payload of up to maxFrame bytes, FrameOverhead more than the negotiation
// allows; a longer one is refused as soon as its size is known. The error is an *[Error] of
// connection scope, 501 with RabbitMQ's text: a frame too large, a wrong end octet, an unknown
// type, or a payload that its type cannot have.
func ParseFrame(src []byte, maxFrame uint32) (f Frame, n int, err error) {
	if len(src) < frameHeaderSize {
		return Frame{}, 0, nil
	}
	typ, size := src[0], binary.BigEndian.Uint32(src[3:])
	if size > max(maxFrame, FrameMinSize) {
		return Frame{}, 0, frameTooLarge(typ, size, maxFrame)
	}
	if uint64(len(src)) < uint64(size)+FrameOverhead {
		return Frame{}, 0, nil
	}
	end := frameHeaderSize + int(size)
	payload := src[frameHeaderSize:end:end]
	if src[end] != FrameEnd {
		return Frame{}, 0, frameError(typ, payload, "invalid_frame_end_marker", uint64(src[end]))
	}
	if !plausible(typ, payload) {
		return Frame{}, 0, frameError(typ, payload, "unknown_frame")
	}
	return Frame{Type: typ, Channel: binary.BigEndian.Uint16(src[1:]), Payload: payload}, end + 1, nil
}

// plausible reports whether a frame of this type can have this payload.
func plausible(typ byte, payload []byte) bool {
	switch typ {
	case FrameMethod:
		return len(payload) >= minMethodSize
	case FrameHeader:
		return len(payload) >= minHeaderSize
	case FrameBody:
		return true
	case FrameHeartbeat:
		return len(payload) == 0
	}
	return false
}

func frameTooLarge(typ byte, size, maxFrame uint32) error {
	allowed := max(maxFrame, FrameMinSize) - FrameOverhead
	return frameError(typ, nil, "frame_too_large", uint64(size), uint64(allowed))
}

// frameError renders what RabbitMQ says about a bad frame: "type 7, all octets = <<"abc">>: reason"
// where reason is an atom or, with numbers, a tuple {reason,number…}, laid out as Erlang's ~p does
// on a line of 80 columns.
func frameError(typ byte, payload []byte, reason string, numbers ...uint64) *Error {
	snippet := " octets = "
	if len(payload) > 16 {
		payload, snippet = payload[:16], ", first 16"+snippet
	} else {
		snippet = ", all" + snippet
	}
	text := append(strconv.AppendUint([]byte("type "), uint64(typ), 10), snippet...)
	text = append(appendErlangBinary(text, payload, len(text)+1), ": "...)
	text = appendErlangTuple(text, reason, numbers)
	return &Error{Scope: ScopeConnection, Code: CodeFrameError, Text: string(text)}
}

// appendErlangTuple appends {tag,number…} to text, or the tag alone without numbers. A tuple that
// does not fit the line gets one element a line.
func appendErlangTuple(text []byte, tag string, numbers []uint64) []byte {
	if len(numbers) == 0 {
		return append(text, tag...)
	}
	elems := []string{tag}
	for _, x := range numbers {
		elems = append(elems, strconv.FormatUint(x, 10))
	}
	tuple := "{" + strings.Join(elems, ",") + "}"
	if col := len(text) - bytes.LastIndexByte(text, '\n'); len(tuple) >= erlangLine-col {
		tuple = "{" + strings.Join(elems, ",\n"+strings.Repeat(" ", col)) + "}"
	}
	return append(text, tuple...)
}
