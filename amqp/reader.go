package amqp

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// reader takes values off the front of a byte slice. After the first failure every read returns a
// zero value, so that only finish has to be asked.
type reader struct {
	b   []byte
	err error
}

// take returns the next n bytes, or nil when there are fewer; n is at least 1.
func (r *reader) take(n int) []byte {
	if uint(n) > uint(len(r.b)) {
		r.fail(ErrTruncated)
		return nil
	}
	head := r.b[:n:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// finish returns the first error, or ErrTrailing when something is left.
func (r *reader) finish() error {
	if r.err == nil && len(r.b) > 0 {
		return fmt.Errorf("%w: %d", ErrTrailing, len(r.b))
	}
	return r.err
}

func (r *reader) octet() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) short() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) long() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) longlong() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// shortBytes reads a shortstr without looking at its bytes. An empty one is empty, not nil.
func (r *reader) shortBytes() []byte {
	if len(r.b) == 0 {
		r.fail(ErrTruncated)
		return nil
	}
	if b := r.take(1 + int(r.b[0])); b != nil {
		return b[1:]
	}
	return nil
}

// shortstr reads a shortstr of a method, which must be UTF-8.
func (r *reader) shortstr() string {
	b := r.shortBytes()
	if !utf8.Valid(b) {
		r.fail(ErrUTF8)
		return ""
	}
	return string(b)
}

// longstr reads a longstr. The result aliases the input; an empty one is empty, not nil.
func (r *reader) longstr() []byte {
	n := r.long()
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)) {
		r.fail(ErrTruncated)
		return nil
	}
	head := r.b[:n:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) table() Table {
	b := r.longstr()
	if r.err != nil {
		return nil
	}
	t, err := DecodeTable(b)
	if err != nil {
		r.fail(err)
	}
	return t
}
