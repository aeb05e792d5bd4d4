package amqp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// RawTable is the bytes of a table without its length prefix. Check it with [RawTable.Validate]
// before trusting the other methods: of a table that is not valid they see the fields before the
// fault, but they never panic.
type RawTable []byte

// RawValue is one value of a RawTable.
type RawValue struct {
	Kind byte   // The letter of the field type; see [Table].
	Data []byte // The value as on the wire, without a length prefix. Aliases the table.
}

// Validate checks the whole table without allocating: the error wraps [ErrTruncated],
// [ErrFieldType], [ErrTableTooDeep] or [ErrTableTooLarge]. Keys and strings need not be UTF-8.
func (t RawTable) Validate() error {
	if len(t) == 0 {
		return nil
	}
	left := MaxTableEntries
	return t.validate(0, &left)
}

// validate checks a table inside depth others; left is how many entries there may still be.
func (t RawTable) validate(depth int, left *int) error {
	for b := []byte(t); len(b) > 0; {
		key, err := keySize(b)
		if err != nil {
			return err
		}
		if b, err = validateRaw(b[key:], depth+1, left); err != nil {
			return err
		}
	}
	return nil
}

func validateArray(b []byte, depth int, left *int) error {
	for len(b) > 0 {
		var err error
		if b, err = validateRaw(b, depth+1, left); err != nil {
			return err
		}
	}
	return nil
}

// validateRaw checks the value at the start of b and returns what follows. depth is how many
// tables and arrays it is in.
func validateRaw(b []byte, depth int, left *int) (rest []byte, err error) {
	if err := spend(1, depth-1, left); err != nil {
		return nil, err
	}
	v, rest, err := cutValue(b)
	if err != nil {
		return nil, err
	}
	if depth >= MaxTableDepth && (v.Kind == 'F' || v.Kind == 'A') {
		return nil, ErrTableTooDeep
	}
	switch v.Kind {
	case 'F':
		err = RawTable(v.Data).validate(depth, left)
	case 'A':
		err = validateArray(v.Data, depth, left)
	}
	return rest, err
}

// keySize returns how many bytes the key at the start of b takes, its length octet included.
func keySize(b []byte) (int, error) {
	n := 1 + int(b[0])
	if n > len(b) {
		return 0, fmt.Errorf("table key: %w", ErrTruncated)
	}
	return n, nil
}

// cutValue returns the value at the start of b, not looking into tables and arrays, and what
// follows it.
func cutValue(b []byte) (v RawValue, rest []byte, err error) {
	if len(b) == 0 {
		return RawValue{}, nil, fmt.Errorf("table value: %w", ErrTruncated)
	}
	kind, b := b[0], b[1:]
	size, ok := kindSize(kind)
	if !ok {
		return RawValue{}, nil, fmt.Errorf("%w: %q", ErrFieldType, kind)
	}
	if size == prefixed {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return RawValue{}, nil, fmt.Errorf("table value of type %q: %w", kind, ErrTruncated)
		}
		size, b = int(binary.BigEndian.Uint32(b)), b[4:]
	}
	if len(b) < size {
		return RawValue{}, nil, fmt.Errorf("table value of type %q: %w", kind, ErrTruncated)
	}
	return RawValue{Kind: kind, Data: b[:size:size]}, b[size:], nil
}

// cutField returns the field at the start of b and what follows it; ok is false at the end of the
// table and at a fault.
func cutField(b []byte) (key []byte, v RawValue, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, RawValue{}, nil, false
	}
	n, err := keySize(b)
	if err != nil {
		return nil, RawValue{}, nil, false
	}
	v, rest, err = cutValue(b[n:])
	return b[1:n:n], v, rest, err == nil
}

// Lookup returns the first field of the table itself, not of tables inside it, that has this key.
// It does not allocate.
func (t RawTable) Lookup(key string) (RawValue, bool) {
	for b := []byte(t); ; {
		k, v, rest, ok := cutField(b)
		if !ok || string(k) == key {
			return v, ok
		}
		b = rest
	}
}

// Each calls f for the fields of the table in order until f returns false. Key and value alias the
// table.
func (t RawTable) Each(f func(key []byte, v RawValue) bool) {
	for b := []byte(t); ; {
		k, v, rest, ok := cutField(b)
		if !ok || !f(k, v) {
			return
		}
		b = rest
	}
}

// table decodes a valid table.
func (t RawTable) table() Table {
	n := 0
	for b, ok := []byte(t), true; ok; n++ {
		_, _, b, ok = cutField(b)
	}
	if n--; n == 0 {
		return nil
	}
	fields := make(Table, 0, n)
	for b := []byte(t); ; {
		k, v, rest, ok := cutField(b)
		if !ok {
			return fields
		}
		fields = append(fields, Field{Key: string(k), Value: v.decode()})
		b = rest
	}
}

// decodeArray decodes the elements of a valid array.
func decodeArray(b []byte) []any {
	elems := []any{}
	for len(b) > 0 {
		v, rest, err := cutValue(b)
		if err != nil {
			break
		}
		elems = append(elems, v.decode())
		b = rest
	}
	return elems
}

// Value returns the value as a [Table] holds it: a copy. It is nil for void, for data that does
// not fit the kind, and for a table or an array that is not valid.
func (v RawValue) Value() any {
	switch v.Kind {
	case 'F', 'A':
		left := MaxTableEntries
		if v.validateNested(&left) != nil {
			return nil
		}
	}
	return v.decode()
}

func (v RawValue) validateNested(left *int) error {
	if v.Kind == 'F' {
		return RawTable(v.Data).validate(0, left)
	}
	return validateArray(v.Data, 0, left)
}

// decode is Value for a value whose tables and arrays are known to be valid.
func (v RawValue) decode() any {
	switch v.Kind {
	case 'S':
		return string(v.Data)
	case 'x':
		return bytes.Clone(v.Data)
	case 'F':
		return RawTable(v.Data).table()
	case 'A':
		return decodeArray(v.Data)
	}
	if size, ok := kindSize(v.Kind); !ok || size != len(v.Data) {
		return nil
	}
	be := binary.BigEndian
	switch v.Kind {
	case 't':
		return v.Data[0] != 0
	case 'f':
		return math.Float32frombits(be.Uint32(v.Data))
	case 'd':
		return math.Float64frombits(be.Uint64(v.Data))
	case 'D':
		return Decimal{Scale: v.Data[0], Value: int32(be.Uint32(v.Data[1:]))} //nolint:gosec // Two's complement.
	case 'T':
		return Timestamp(be.Uint64(v.Data))
	}
	return v.decodeInt()
}

// decodeInt returns an integer in the Go type of its width, nil for void.
func (v RawValue) decodeInt() any {
	i, _ := v.Int()
	switch v.Kind {
	case 'b':
		return int8(i) //nolint:gosec // Int has read one byte; likewise below.
	case 'B':
		return uint8(i) //nolint:gosec // See above.
	case 's':
		return int16(i) //nolint:gosec // See above.
	case 'u':
		return uint16(i) //nolint:gosec // See above.
	case 'I':
		return int32(i) //nolint:gosec // See above.
	case 'i':
		return uint32(i) //nolint:gosec // See above.
	case 'l', 'L':
		return i
	}
	return nil
}

// Int returns the value of an integer of any width; ok is false for every other type. A timestamp
// is no integer.
func (v RawValue) Int() (i int64, ok bool) {
	if size, known := kindSize(v.Kind); !known || size != len(v.Data) {
		return 0, false
	}
	be := binary.BigEndian
	switch v.Kind {
	case 'b':
		return int64(int8(v.Data[0])), true //nolint:gosec // Two's complement; likewise below.
	case 'B':
		return int64(v.Data[0]), true
	case 's':
		return int64(int16(be.Uint16(v.Data))), true //nolint:gosec // See above.
	case 'u':
		return int64(be.Uint16(v.Data)), true
	case 'I':
		return int64(int32(be.Uint32(v.Data))), true //nolint:gosec // See above.
	case 'i':
		return int64(be.Uint32(v.Data)), true
	case 'l', 'L':
		return int64(be.Uint64(v.Data)), true //nolint:gosec // See above.
	}
	return 0, false
}

// Bytes returns the bytes of a string or a binary, nil for every other type. They alias the table.
func (v RawValue) Bytes() []byte {
	if v.Kind == 'S' || v.Kind == 'x' {
		return v.Data
	}
	return nil
}
