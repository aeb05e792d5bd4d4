package journal

// extent is what a segment holds of one stream, so that it can be told
// without reading it that nothing of it is live.
type extent struct {
	puts     bool
	min, max uint64 // of the numbers that were put, or tallied
	leveled  bool
}

// add joins two contents.
func (c extent) add(d extent) extent {
	switch {
	case !d.puts:
	case !c.puts:
		c.puts, c.min, c.max = true, d.min, d.max
	default:
		c.min, c.max = min(c.min, d.min), max(c.max, d.max)
	}
	c.leveled = c.leveled || d.leveled
	return c
}

// note is what a frame that waits for the committer adds to a segment.
type note struct {
	frame  int // index into pending.frames
	stream uint64
	count  uint32 // of puts
	extent
}

// notesBack is how far back a note of the same stream is looked for: a fanout
// to a few queues names them again and again.
const notesBack = 4

// note notes a place of the frame that is being made.
func (p *pending) note(r Ref, puts uint32) {
	frame, c := len(p.frames), extent{puts: true, min: r.Seq, max: r.Seq}
	for i := len(p.notes) - 1; i >= max(0, len(p.notes)-notesBack) && p.notes[i].frame == frame; i-- {
		if n := &p.notes[i]; n.stream == r.Stream {
			n.extent, n.count = n.add(c), n.count+puts
			return
		}
	}
	p.notes = append(p.notes, note{frame, r.Stream, puts, c})
}

// enter notes what is written to s.
func (s *segment) enter(stream uint64, c extent) {
	e := s.of(stream)
	*e = e.add(c)
}

// of returns the extent of a stream in s.
func (s *segment) of(stream uint64) *extent {
	e := s.streams[stream]
	if e == nil {
		if s.streams == nil {
			s.streams = map[uint64]*extent{}
		}
		e = &extent{}
		s.streams[stream] = e
	}
	return e
}

// noting enters what replay finds in a segment.
type noting struct {
	Visitor

	s      *segment
	stream uint64 // of the last put
	extent *extent
}

// Put implements Visitor.
func (n *noting) Put(places []Ref, mark uint64, body Body) {
	for _, r := range places {
		if n.extent == nil || n.stream != r.Stream { // most messages are of the queue of the one before
			n.stream, n.extent = r.Stream, n.s.of(r.Stream)
		}
		*n.extent = n.extent.add(extent{puts: true, min: r.Seq, max: r.Seq})
	}
	n.Visitor.Put(places, mark, body)
}

// Span implements Visitor.
func (n *noting) Span(s Span) {
	n.s.enter(s.Stream, extent{puts: true, min: s.First, max: s.end() - 1})
	n.Visitor.Span(s)
}

// Tally implements Visitor.
func (n *noting) Tally(r Ref, value uint64) {
	n.s.enter(r.Stream, extent{puts: true, min: r.Seq, max: r.Seq})
	n.Visitor.Tally(r, value)
}

// Level implements Visitor.
func (n *noting) Level(stream, value uint64, exact bool) {
	n.s.enter(stream, extent{leveled: true})
	n.Visitor.Level(stream, value, exact)
}
