package amqp

import (
	"encoding/binary"
	"fmt"
)

// MethodID is the class id in the upper 16 bits and the method id in the lower.
type MethodID uint32

// Class returns the class id, such as 60 for basic.
func (id MethodID) Class() uint16 { return uint16(id >> 16) }

// Method returns the method id inside the class.
func (id MethodID) Method() uint16 { return uint16(id & 0xffff) }

// String returns "queue.declare", or the two numbers as "50.99" for a method nobody knows.
func (id MethodID) String() string {
	if name := id.name(); name != "" {
		return name
	}
	return fmt.Sprintf("%d.%d", id.Class(), id.Method())
}

// Known reports whether the id is one of the ID constants.
func (id MethodID) Known() bool { return id.name() != "" }

// Method is one of the generated method structs, such as *[QueueDeclare]. Fields that the
// specification reserves are skipped when decoding and written as zero.
type Method interface {
	// ID returns the method's class and method id.
	ID() MethodID
	// Decode sets the method from its arguments, which do not contain the ids. A shortstr must be
	// UTF-8, a longstr aliases args, a table is a copy. The error wraps ErrTruncated, ErrTrailing,
	// ErrUTF8 or one of those of DecodeTable; it leaves the method in no particular state.
	Decode(args []byte) error
	// Append appends class id, method id and arguments. A string longer than the 255 bytes of a
	// shortstr is cut between characters (see ShortString); tables are written by AppendTable.
	Append(dst []byte) []byte
}

// SplitMethod splits the payload of a method frame into the id and the arguments, which alias it.
// The error wraps [ErrTruncated].
func SplitMethod(payload []byte) (id MethodID, args []byte, err error) {
	if len(payload) < minMethodSize {
		return 0, nil, fmt.Errorf("method ids: %w", ErrTruncated)
	}
	return MethodID(binary.BigEndian.Uint32(payload)), payload[minMethodSize:], nil
}

// DecodeMethod decodes the payload of a method frame. The error wraps [ErrUnknownMethod] or what
// [Method] says of Decode.
func DecodeMethod(payload []byte) (Method, error) {
	id, args, err := SplitMethod(payload)
	if err != nil {
		return nil, err
	}
	return DecodeArguments(id, args)
}

// DecodeArguments is [DecodeMethod] for a payload that was split.
func DecodeArguments(id MethodID, args []byte) (Method, error) {
	m := newMethod(id)
	if m == nil {
		return nil, fmt.Errorf("%w %v", ErrUnknownMethod, id)
	}
	if err := m.Decode(args); err != nil {
		return nil, fmt.Errorf("%v: %w", id, err)
	}
	return m, nil
}
