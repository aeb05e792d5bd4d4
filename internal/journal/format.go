package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

const (
	magic       = "WARRENJ\n"
	version     = 1
	headerSize  = 32
	frameMagic  = 0x6657524e // "NRWf", little endian
	frameHeader = 16
	kindPut     = 1
	kindSettle  = 2
	kindLevel   = 3
	kindEnd     = 4
	kindTally   = 5
	// MaxFrame bounds a batch, so that a damaged length cannot make replay
	// read without end.
	MaxFrame = 1 << 30
)

// Ref is one place: a number in a stream.
type Ref struct{ Stream, Seq uint64 }

// Position is where a body lies: an offset in bytes in a segment.
type Position struct {
	Segment uint64
	Off     uint32
}

// checksum is of a frame's synced field and entries, in segment id.
func checksum(id uint64, b []byte) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], id)
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(seed[:], table), table, b)
}

// before says what lies before a segment: how far the id of the segment before
// it is from its own (0: there was none), and where that one's frames end.
type before struct {
	step uint16
	end  int64 // or lastEnd, unknownEnd
}

// stepShift is where step begins in the header's field; an offset is below.
const stepShift = 48

// stepFrom is the step from one segment to the next.
func stepFrom(id, next uint64) uint16 {
	if next-id > math.MaxUint16 {
		return 0
	}
	return uint16(next - id) //nolint:gosec // just checked
}

// appendHeader encodes a segment's header.
func appendHeader(dst []byte, id uint64, prev before) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.LittleEndian.AppendUint64(dst, id)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(prev.end)|uint64(prev.step)<<stepShift) //nolint:gosec // an offset
	return binary.LittleEndian.AppendUint32(dst, checksum(id, dst[start:]))
}

// checkHeader reads the header of segment id; ok is false when b does not
// begin with it. One of a later version is an error; one that is of this
// version but for flipped bits in that field is not.
func checkHeader(b []byte, id uint64) (prev before, ok bool, err error) {
	if len(b) < headerSize || string(b[:8]) != magic {
		return before{}, false, nil
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > version {
		mended := slices.Clone(b[:28])
		binary.LittleEndian.PutUint32(mended[8:], version)
		if binary.LittleEndian.Uint32(b[28:]) != checksum(id, mended) {
			err = fmt.Errorf("%w: version %d", ErrVersion, v)
		}
		return before{}, false, err
	}
	ok = binary.LittleEndian.Uint64(b[12:]) == id && binary.LittleEndian.Uint32(b[28:]) == checksum(id, b[:28])
	field := binary.LittleEndian.Uint64(b[20:])
	return before{uint16(field >> stepShift), int64(field & (1<<stepShift - 1))}, ok, nil
}

// seal fills in the header of the frame b.
func seal(b []byte, id uint64, synced int64) {
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeader)) //nolint:gosec // at most MaxFrame
	binary.LittleEndian.PutUint32(b[12:], uint32(synced))            //nolint:gosec // within a segment
	binary.LittleEndian.PutUint32(b[8:], checksum(id, b[12:]))
}

// frameAt reads the frame at the start of b; n is its length, 0 when there is
// no good frame.
func frameAt(b []byte, id uint64) (body []byte, synced int64, n int) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != frameMagic {
		return nil, 0, 0
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size == 0 || size > MaxFrame || uint64(len(b)) < frameHeader+uint64(size) {
		return nil, 0, 0
	}
	n = frameHeader + int(size)
	if binary.LittleEndian.Uint32(b[8:]) != checksum(id, b[12:n]) {
		return nil, 0, 0
	}
	return b[frameHeader:n], int64(binary.LittleEndian.Uint32(b[12:])), n
}

// appendPut encodes a put.
func appendPut(dst []byte, places []Ref, mark uint64, body []byte) []byte {
	dst = append(dst, kindPut)
	dst = binary.AppendUvarint(dst, uint64(len(places)))
	for _, p := range places {
		dst = binary.AppendUvarint(dst, p.Stream)
		dst = binary.AppendUvarint(dst, p.Seq)
	}
	dst = binary.AppendUvarint(dst, mark)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// appendSettle encodes a settle; seqs may be in any order.
func appendSettle(dst []byte, stream uint64, seqs []uint64) []byte {
	dst = append(dst, kindSettle)
	dst = binary.AppendUvarint(dst, stream)
	dst = binary.AppendUvarint(dst, uint64(len(seqs)))
	last := uint64(0)
	for _, seq := range seqs {
		dst = binary.AppendUvarint(dst, seq-last) // wraps when it goes down, and back when read
		last = seq
	}
	return dst
}

// appendEnd encodes that the log was closed.
func appendEnd(dst []byte) []byte { return append(dst, kindEnd) }

// appendLevel encodes a level.
func appendLevel(dst []byte, stream, value uint64, exact bool) []byte {
	dst = append(dst, kindLevel)
	dst = binary.AppendUvarint(dst, stream)
	dst = binary.AppendUvarint(dst, value)
	if exact {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendTally encodes a tally.
func appendTally(dst []byte, r Ref, value uint64) []byte {
	dst = append(dst, kindTally)
	dst = binary.AppendUvarint(dst, r.Stream)
	dst = binary.AppendUvarint(dst, r.Seq)
	return binary.AppendUvarint(dst, value)
}

// entries is a reader of a frame's entries.
type entries struct {
	b      []byte
	bad    bool
	digest bool     // they are a digest's
	last   uint32   // where the body before ended, in a digest
	at     Position // of the frame's entries
	size   int      // of them
	places []Ref
	seqs   []uint64
}

func (e *entries) number() uint64 {
	v, n := binary.Uvarint(e.b)
	if n <= 0 {
		e.bad, e.b = true, nil
		return 0
	}
	e.b = e.b[n:]
	return v
}

// count reads how many items follow, each at least min bytes long.
func (e *entries) count(least int) int {
	n := e.number()
	if n > uint64(len(e.b)/least) { //nolint:gosec // a length
		e.bad, e.b = true, nil
		return 0
	}
	return int(n) //nolint:gosec // at most what is left
}

// visit hands the entries of the frame at at to v; false: they are not well
// formed.
func (e *entries) visit(b []byte, at Position, v Visitor) bool {
	e.b, e.bad, e.size, e.at = b, false, len(b), Position{at.Segment, at.Off + frameHeader}
	for len(e.b) > 0 && !e.bad {
		kind := e.b[0]
		e.b = e.b[1:]
		switch kind {
		case kindPut:
			e.put(v)
		case kindSettle:
			e.settle(v)
		case kindLevel:
			e.level(v)
		case kindEnd:
		case kindBrief, kindSpan:
			if !e.digest {
				return false
			}
			if kind == kindSpan {
				e.span(v)
			} else {
				e.brief(v)
			}
		case kindTally:
			e.tally(v)
		default:
			return false
		}
	}
	return !e.bad
}

func (e *entries) put(v Visitor) {
	mark := e.head()
	n := e.count(1)
	if e.bad {
		return
	}
	body := Body{
		Bytes: e.b[:n], Size: uint32(n), At: Position{e.at.Segment, e.at.Off + uint32(e.size-len(e.b))}, //nolint:gosec // within a frame
	}
	e.b = e.b[n:]
	v.Put(e.places, mark, body)
}

// head reads the places of a put, and its mark.
func (e *entries) head() (mark uint64) {
	e.places = e.places[:0]
	for range e.count(2) {
		e.places = append(e.places, Ref{e.number(), e.number()})
	}
	return e.number()
}

// brief reads a put of a digest.
func (e *entries) brief(v Visitor) {
	mark, size, off, brief := e.head(), e.number(), e.number(), e.number()
	if e.bad {
		return
	}
	body := Body{Size: uint32(size), Brief: brief, At: Position{e.at.Segment, e.last + uint32(off)}} //nolint:gosec // as they were written
	e.last = body.At.Off + body.Size
	v.Put(e.places, mark, body)
}

func (e *entries) level(v Visitor) {
	stream, value := e.number(), e.number()
	if exact := e.number(); !e.bad {
		v.Level(stream, value, exact == 1)
	}
}

func (e *entries) tally(v Visitor) {
	r := Ref{e.number(), e.number()}
	if value := e.number(); !e.bad {
		v.Tally(r, value)
	}
}

func (e *entries) settle(v Visitor) {
	stream := e.number()
	e.seqs = e.seqs[:0]
	last := uint64(0)
	for range e.count(1) {
		last += e.number()
		e.seqs = append(e.seqs, last)
	}
	if !e.bad {
		v.Settle(stream, e.seqs)
	}
}
