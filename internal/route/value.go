package route

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/warrenmq/warren/amqp"
)

// A value is a header's value in the form in which a headers exchange compares it. Two are equal
// when class and bytes are: integers of any width are one class and so are the two floats, binary
// and string; 1, 1.0 and "1" differ. Tables and arrays are equal when their encodings are.
type value struct {
	class byte   // The letter of the widest field type of the class.
	fixed uint64 // The value, when its type has a fixed size.
	bytes []byte // The value otherwise. Aliases what it was made of.
}

// void is the class of a field without a value.
const void = 'V'

func valueOf(v amqp.RawValue) value {
	if i, ok := v.Int(); ok {
		return value{class: 'l', fixed: uint64(i)} //nolint:gosec // two's complement
	}
	switch v.Kind {
	case 't':
		return value{class: 't', fixed: uint64(min(v.Data[0], 1))}
	case 'S', 'x':
		return value{class: 'S', bytes: v.Data}
	case 'f':
		f := math.Float32frombits(binary.BigEndian.Uint32(v.Data))
		return value{class: 'd', fixed: math.Float64bits(float64(f))}
	case 'd', 'T':
		return value{class: v.Kind, fixed: binary.BigEndian.Uint64(v.Data)}
	}
	return value{class: v.Kind, bytes: v.Data}
}

func (v *value) equal(w *value) bool {
	return v.class == w.class && v.fixed == w.fixed && bytes.Equal(v.bytes, w.bytes)
}

// An anchor is where the index has the terms that a header may fulfil:
//
//	length of name (1 byte) | name | class | fixed (8 bytes) | the first maxPrefix of bytes
//
// or, for those without a value, the part before class.
const (
	maxPrefix = 128
	maxAnchor = 1 + 255 + 1 + 8 + maxPrefix
)

func appendName(dst, name []byte) []byte {
	return append(append(dst, byte(len(name))), name...) //nolint:gosec // a short string
}

func appendValue(dst []byte, v value) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, v.class), v.fixed)
	return append(dst, v.bytes[:min(len(v.bytes), maxPrefix)]...)
}

// fewFields is how many headers are searched one by one. Beyond, they get a map, so that a message
// with thousands of headers is not searched from one end to the other for each term.
const fewFields = 16

// Fields are the headers of a message, the first of each name.
type fields struct {
	list  []field
	place map[string]int // By name; nil up to fewFields.
	few   [fewFields]field
}

type field struct {
	name  []byte
	value value
}

func (h *fields) read(t amqp.RawTable) {
	h.list = h.few[:0]
	t.Each(func(name []byte, v amqp.RawValue) bool {
		if h.find(name) >= 0 {
			return true
		}
		h.list = append(h.list, field{name: name, value: valueOf(v)})
		if n := len(h.list); h.place != nil {
			h.place[string(name)] = n - 1
		} else if n > fewFields {
			h.place = make(map[string]int, 2*n)
			for i := range h.list {
				h.place[string(h.list[i].name)] = i
			}
		}
		return true
	})
}

// find returns the place of name in the list, and -1 when it has none.
func (h *fields) find(name []byte) int {
	if h.place != nil {
		if i, ok := h.place[string(name)]; ok {
			return i
		}
		return -1
	}
	for i := range h.list {
		if bytes.Equal(h.list[i].name, name) {
			return i
		}
	}
	return -1
}

func (h *fields) fulfil(t *term) bool {
	i := h.find(t.name)
	return i >= 0 && (t.want.class == void || t.want.equal(&h.list[i].value))
}
