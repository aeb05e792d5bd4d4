package amqp

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	// MaxTableDepth is how deep tables and arrays may nest; the outermost table counts as 1.
	MaxTableDepth = 2048
	// MaxTableEntries is how many fields and array elements a table may hold, those of the tables
	// and arrays inside it included.
	MaxTableEntries = 65536
)

// Table is a field table (spec section 4.2.5.5, with the field types of RabbitMQ). Fields keep
// their order, and duplicates of a key are kept.
//
// A value has one of these types; the letter is its kind on the wire:
//
//	t bool       i uint32           S string
//	b int8       l int64            x []byte
//	B uint8      f float32          A []any
//	s int16      d float64          T Timestamp
//	u uint16     D Decimal          F Table
//	I int32                         V nil
//
// Kind L is read as l, an int is written as l.
type Table []Field

// Field is one entry of a table. A key has at most 255 bytes; it need not be UTF-8.
type Field struct {
	Key   string
	Value any
}

// Decimal is the number Value / 10^Scale.
type Decimal struct {
	Scale uint8
	Value int32
}

// Timestamp is a time in seconds since 1970-01-01 UTC.
type Timestamp uint64

// Get returns the value of the first field with this key.
func (t Table) Get(key string) (v any, ok bool) {
	for i := range t {
		if t[i].Key == key {
			return t[i].Value, true
		}
	}
	return nil, false
}

// Int returns the integer of the first field with this key, whatever its width. The name of the
// field's type (see [TypeName]) is in wire also when that is no integer, "" when there is no field.
func (t Table) Int(key string) (v int64, wire string, ok bool) {
	value, found := t.Get(key)
	if !found {
		return 0, "", false
	}
	v, ok = intOf(value)
	return v, TypeName(value), ok
}

// Validate checks that [AppendTable] can write the table as it is: the error wraps
// [ErrShortString] for a key, [ErrFieldType] for a value, [ErrTableTooDeep] or
// [ErrTableTooLarge].
func (t Table) Validate() error {
	left := MaxTableEntries
	return validateValue(t, 0, &left)
}

// validateValue checks a value inside depth tables and arrays; left is how many entries there may
// still be.
func validateValue(v any, depth int, left *int) error {
	switch v := v.(type) {
	case Table:
		return validateFields(v, depth, left)
	case []any:
		if err := spend(len(v), depth, left); err != nil {
			return err
		}
		for _, e := range v {
			if err := validateValue(e, depth+1, left); err != nil {
				return err
			}
		}
	default:
		if kindOf(v) == 0 {
			return fmt.Errorf("%w: Go type %T", ErrFieldType, v)
		}
	}
	return nil
}

func validateFields(t Table, depth int, left *int) error {
	if err := spend(len(t), depth, left); err != nil {
		return err
	}
	for _, f := range t {
		if _, err := ShortString(f.Key); err != nil {
			return fmt.Errorf("key %.40q: %w", f.Key, err)
		}
		if err := validateValue(f.Value, depth+1, left); err != nil {
			return err
		}
	}
	return nil
}

// spend takes n entries of a table or array inside depth others out of the budget.
func spend(n, depth int, left *int) error {
	if depth >= MaxTableDepth {
		return ErrTableTooDeep
	}
	if *left -= n; *left < 0 {
		return ErrTableTooLarge
	}
	return nil
}

// DecodeTable decodes a table without its length prefix. The result shares no memory with src; an
// empty one is nil. The error wraps [ErrTruncated], [ErrFieldType], [ErrTableTooDeep] or
// [ErrTableTooLarge].
func DecodeTable(src []byte) (Table, error) {
	if err := RawTable(src).Validate(); err != nil {
		return nil, err
	}
	return RawTable(src).table(), nil
}

// AppendTable appends a table with its length prefix. What has no place on the wire is replaced,
// never written wrong: a value of another type, or one nested deeper than [MaxTableDepth], becomes
// void, a long key is cut, fields beyond [MaxTableEntries] are left out. [Table.Validate] tells
// beforehand.
func AppendTable(dst []byte, t Table) []byte {
	w := tableWriter{left: MaxTableEntries}
	return w.appendTable(dst, t, 1)
}

// tableWriter holds the entries that may still be written.
type tableWriter struct{ left int }

func (w *tableWriter) appendTable(dst []byte, t Table, depth int) []byte {
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	for _, f := range t {
		if w.left--; w.left < 0 {
			break
		}
		dst = w.appendValue(appendShortString(dst, f.Key), f.Value, depth)
	}
	patchLength(dst, start)
	return dst
}

func (w *tableWriter) appendArray(dst []byte, a []any, depth int) []byte {
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	for _, e := range a {
		if w.left--; w.left < 0 {
			break
		}
		dst = w.appendValue(dst, e, depth)
	}
	patchLength(dst, start)
	return dst
}

// appendValue appends the kind and the value of a field in a table at this depth.
func (w *tableWriter) appendValue(dst []byte, v any, depth int) []byte {
	kind := kindOf(v)
	if kind == 0 || depth >= MaxTableDepth && (kind == 'F' || kind == 'A') {
		kind, v = 'V', nil
	}
	dst = append(dst, kind)
	switch v := v.(type) {
	case string:
		return appendLongString(dst, v)
	case []byte:
		return appendLongString(dst, v)
	case Table:
		return w.appendTable(dst, v, depth+1)
	case []any:
		return w.appendArray(dst, v, depth+1)
	}
	return appendFixed(dst, v)
}

// appendFixed appends a value of fixed size.
func appendFixed(dst []byte, v any) []byte {
	be := binary.BigEndian
	switch v := v.(type) {
	case bool:
		return append(dst, bit(v, 0))
	case float32:
		return be.AppendUint32(dst, math.Float32bits(v))
	case float64:
		return be.AppendUint64(dst, math.Float64bits(v))
	case Decimal:
		return be.AppendUint32(append(dst, v.Scale), uint32(v.Value)) //nolint:gosec // Two's complement.
	case Timestamp:
		return be.AppendUint64(dst, uint64(v))
	}
	return appendInt(dst, v)
}

// appendInt appends an integer in its own width, or nothing for void.
func appendInt(dst []byte, v any) []byte {
	i, _ := intOf(v)
	u := uint64(i) //nolint:gosec // Two's complement, as is every narrowing below.
	switch v.(type) {
	case int8, uint8:
		return append(dst, byte(u)) //nolint:gosec // See above.
	case int16, uint16:
		return binary.BigEndian.AppendUint16(dst, uint16(u)) //nolint:gosec // See above.
	case int32, uint32:
		return binary.BigEndian.AppendUint32(dst, uint32(u)) //nolint:gosec // See above.
	case int, int64:
		return binary.BigEndian.AppendUint64(dst, u)
	}
	return dst
}

// intOf returns the value of an integer of any width.
func intOf(v any) (i int64, ok bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}
