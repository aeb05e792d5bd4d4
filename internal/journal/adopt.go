package journal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A queue's messages that leave memory can stay where they lie, in the log, if
// they lie together. A segment that was written to lately knows where: of each
// stream spans of whole frames, in each of which there is every number from
// the first to the last.
const (
	spanSize     = 64 << 10 // spans are joined up to this
	spanSegments = 8        // how many segments know
	maxSpans     = 8192     // of a segment: one with more does not know
	maxStretches = 32       // of messages that stay
)

// span is what some frames have of a stream.
type span struct {
	min, max uint64
	from, to uint32
}

// Stretch is a part of a segment that holds whole frames.
type Stretch struct {
	Segment  uint64
	From, To uint32
}

// place notes that the frame from one offset to another holds the numbers
// from one to another of a stream; Journal.files is held.
func (s *segment) place(stream uint64, p span) {
	if s.mixed {
		return
	}
	list := s.spans[stream]
	if n := len(list); n > 0 {
		if last := &list[n-1]; last.to == p.from && last.max+1 == p.min && p.to-last.from <= spanSize {
			last.to, last.max = p.to, p.max
			return
		}
	}
	if s.count++; s.count > maxSpans {
		s.mixed, s.spans = true, nil
		return
	}
	if s.spans == nil {
		s.spans = map[uint64][]span{}
	}
	s.spans[stream] = append(list, p)
}

// placeAll enters what frames of p hold that were written to s; base is where in s
// the first byte of p's buffer would be.
func (j *Journal) placeAll(s *segment, p *pending, notes []note, base int64) {
	j.files.Lock()
	defer j.files.Unlock()
	for i := range notes {
		n := &notes[i]
		if n.count == 0 || uint64(n.count) != n.max-n.min+1 {
			continue
		}
		from := 0
		if n.frame > 0 {
			from = p.frames[n.frame-1]
		}
		s.place(n.stream, span{n.min, n.max, uint32(base + int64(from)), uint32(base + int64(p.frames[n.frame]))}) //nolint:gosec // within a segment
	}
}

// Adopt calls enter with where messages of a stream lie in the log, if they lie
// so that most of what has to be read for them is theirs: bytes says how large
// they are. From then on Live is asked about them before they go. Enter must not
// append: on a full disk that waits for the sweeper, which waits for enter.
// False: they do not, or not yet.
func (j *Journal) Adopt(stream uint64, seqs []uint64, bytes int64, enter func([]Stretch)) bool {
	j.adopting.RLock()
	defer j.adopting.RUnlock()
	at := j.find(stream, seqs, bytes)
	if at == nil {
		return false
	}
	enter(at)
	return true
}

// Behind returns the number behind those of a stream that were written last, if they
// lie together; 0: that is not known.
func (j *Journal) Behind(stream uint64) uint64 {
	j.files.Lock()
	defer j.files.Unlock()
	for _, s := range slices.Backward(j.segments[max(0, len(j.segments)-spanSegments):]) {
		if list := s.spans[stream]; len(list) > 0 {
			return list[len(list)-1].max + 1
		}
	}
	return 0
}

// find looks for all of some ascending numbers of a stream.
func (j *Journal) find(stream uint64, seqs []uint64, bytes int64) (at []Stretch) {
	places := j.placesOf(stream, seqs[0], seqs[len(seqs)-1])
	size := int64(0)
	for len(seqs) > 0 {
		for len(places) > 0 && places[0].max < seqs[0] {
			places = places[1:]
		}
		if len(places) == 0 || places[0].min > seqs[0] {
			return nil
		}
		p := places[0]
		for len(seqs) > 0 && seqs[0] <= p.max {
			seqs = seqs[1:]
		}
		size += int64(p.to - p.from)
		if n := len(at); n > 0 && at[n-1].Segment == p.segment && at[n-1].To == p.from {
			at[n-1].To = p.to
		} else {
			at = append(at, Stretch{p.segment, p.from, p.to})
		}
	}
	if len(at) > maxStretches || size > 2*bytes+spanSize {
		return nil
	}
	return at
}

// spanIn is a span of a segment.
type spanIn struct {
	span

	segment uint64
}

// placesOf returns the spans of a stream that have numbers from one to another,
// by their first.
func (j *Journal) placesOf(stream, first, last uint64) (places []spanIn) {
	j.files.Lock()
	for _, s := range slices.Backward(j.segments) {
		if s.going {
			break // it and those before it
		}
		for _, p := range s.spans[stream] {
			if p.max >= first && p.min <= last {
				places = append(places, spanIn{p, s.id})
			}
		}
	}
	j.files.Unlock()
	slices.SortStableFunc(places, func(x, y spanIn) int { return cmp.Compare(x.min, y.min) })
	return places
}

// leave lets nothing be adopted any more that lies in s.
func (j *Journal) leave(s *segment) {
	j.adopting.Lock()
	j.files.Lock()
	s.going = true
	j.files.Unlock()
	j.adopting.Unlock()
}

// Frames reads a stretch and hands its entries to v; a body lies in the bytes that
// it returns, At.Off less From from their begin.
func (j *Journal) Frames(at Stretch, v Visitor) ([]byte, error) {
	var b []byte
	err := j.with(at.Segment, func(s *segment) error {
		b = make([]byte, at.To-at.From)
		if _, err := s.file.ReadAt(b, int64(at.From)); err != nil {
			return fmt.Errorf("read segment %016x: %w", s.id, err)
		}
		var e entries
		for off := int64(at.From); off < int64(at.To); {
			body, _, n := frameAt(b[off-int64(at.From):], s.id)
			if n == 0 || !e.visit(body, s.at(off), v) {
				return fmt.Errorf("%w: segment %016x at offset %d", ErrCorrupt, s.id, off)
			}
			off += int64(n)
		}
		return nil
	})
	return b, err
}

// with calls read with a segment that stays meanwhile.
func (j *Journal) with(id uint64, read func(*segment) error) error {
	j.files.Lock()
	i, ok := slices.BinarySearchFunc(j.segments, id, func(s *segment, id uint64) int { return cmp.Compare(s.id, id) })
	if !ok {
		j.files.Unlock()
		return fmt.Errorf("%w: segment %016x is not there", ErrCorrupt, id)
	}
	s := j.segments[i]
	s.reading.RLock()
	defer s.reading.RUnlock()
	j.files.Unlock()
	if s.gone {
		return fmt.Errorf("%w: segment %016x is not there", ErrCorrupt, id)
	}
	err := read(s)
	if errors.Is(err, ErrCorrupt) {
		err = errors.Join(err, j.Distrust()) // so that the next start finds all that is damaged
	}
	return err
}
