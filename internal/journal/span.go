package journal

import (
	"encoding/binary"
	"math"
)

// Span is a number of messages of one stream that lie together: each put by
// itself, one after another, with no other put between.
type Span struct {
	Stream uint64
	First  uint64 // the number of the first; they are all from there on
	Count  int    // at most MaxSpan
	Bytes  int64  // of their bodies
	Brief  uint64 // the sum of what Options.Brief says of them
	At     Stretch
}

const (
	// MaxSpan is how many messages a Span has at most.
	MaxSpan = 1024
	// leastSpan is how many it is worth to have one for.
	leastSpan = 8
	// maxReach is how long the frames of a span are together, but for those of
	// one frame, which may take maxAlone.
	maxReach = 1 << 20
	maxAlone = 4 << 20
)

// takes reports whether a message in the frame from one offset to another goes
// on with s.
func (s *Span) takes(r Ref, from, to uint32) bool {
	reach := uint32(maxReach)
	if from == s.At.From {
		reach = maxAlone
	}
	return s.Count > 0 && s.Count < MaxSpan && r.Stream == s.Stream && r.Seq == s.end() && to-s.At.From <= reach
}

// end is the number behind the last.
func (s *Span) end() uint64 { return s.First + uint64(s.Count) } //nolint:gosec // at most MaxSpan

// worth reports whether to have a span for what s has: enough messages, that are
// most of what has to be read for them.
func (s *Span) worth() bool {
	return s.Count >= leastSpan && int64(s.At.To-s.At.From) <= 2*s.Bytes+spanSize
}

// appendSpan encodes a span of a digest.
func appendSpan(b []byte, s *Span) []byte {
	b = binary.AppendUvarint(append(b, kindSpan), s.Stream)
	b = binary.AppendUvarint(b, s.First)
	b = binary.AppendUvarint(b, uint64(s.Count)) //nolint:gosec // at most MaxSpan
	b = binary.AppendUvarint(b, uint64(s.At.From))
	b = binary.AppendUvarint(b, uint64(s.At.To-s.At.From))
	b = binary.AppendUvarint(b, uint64(s.Bytes)) //nolint:gosec // a size
	return binary.AppendUvarint(b, s.Brief)
}

// span reads one.
func (e *entries) span(v Visitor) {
	s := Span{Stream: e.number(), First: e.number(), Count: int(min(e.number(), MaxSpan+1))}
	from, length := e.number(), e.number()
	s.Bytes, s.Brief = int64(e.number()), e.number()                  //nolint:gosec // as it was written
	s.At = Stretch{e.at.Segment, uint32(from), uint32(from + length)} //nolint:gosec // checked below
	if s.Count == 0 || s.Count > MaxSpan || s.Bytes < 0 || from > math.MaxUint32 || length > math.MaxUint32-from {
		e.bad, e.b = true, nil
		return
	}
	if !e.bad {
		v.Span(s)
	}
}
