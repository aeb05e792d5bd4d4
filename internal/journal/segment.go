package journal

import (
	"fmt"
	"path"
	"sync"

	"github.com/warrenmq/warren/internal/vfs"
)

// segmentFor returns the segment that a frame of size bytes goes to, beginning
// a new one when it does not fit.
func (j *Journal) segmentFor(size int64) (*segment, error) {
	j.files.Lock()
	defer j.files.Unlock()
	var prev before
	if n := len(j.segments); n > 0 {
		s := j.segments[n-1]
		if j.begun && s.off+size <= s.size {
			return s, nil
		}
		if err := s.sync(); err != nil { // what is before a segment is synced before it begins
			return nil, err
		}
		prev = before{stepFrom(s.id, j.next), s.off}
		j.coarse = int64(s.syncs)*coarseSync < s.off
	}
	j.begun = true
	return j.begin(max(j.opts.SegmentSize, headerSize+size), prev)
}

func (j *Journal) name(id uint64, ending string) string {
	return path.Join(j.opts.Dir, fmt.Sprintf("%016x.%s", id, ending))
}

// begin makes the next segment, out of a used file when there is one; j.files
// is held.
func (j *Journal) begin(size int64, prev before) (*segment, error) {
	s := &segment{id: j.next, size: size}
	name := j.name(s.id, "wal")
	j.next++
	var err error
	if size == j.opts.SegmentSize {
		var used string
		if used, err = j.takeFree(); err != nil {
			return nil, err
		}
		if err = j.opts.FS.Rename(used, name); err == nil {
			s.file, err = j.opts.FS.Open(name)
		}
	} else {
		s.file, err = j.create(name, size, false)
	}
	if err != nil {
		return nil, err
	}
	if err := j.opts.FS.SyncDir(j.opts.Dir); err != nil {
		return nil, err
	}
	if err := s.write(appendHeader(nil, s.id, prev)); err != nil {
		return nil, err
	}
	if err := s.sync(); err != nil { // so that frames behind a bad header are damage
		return nil, err
	}
	j.segments = append(j.segments, s)
	if n := len(j.segments) - spanSegments; n > 0 {
		j.segments[n-1].spans = nil
	}
	j.total.Add(s.size)
	select {
	case j.sealed <- struct{}{}:
	default:
	}
	return s, nil
}

// segment is one file of the journal.
type segment struct {
	id      uint64
	file    vfs.File
	size    int64
	off     int64 // where the next frame goes
	synced  int64
	started int64 // what is before is synced, or was begun to be
	syncs   int   // since it began
	bad     bool  // damaged: kept when it is retired

	// streams says what there is in the segment; the committer's as long as
	// it is the last.
	streams map[uint64]*extent

	spans map[uint64][]span // guarded by Journal.files
	count int               // of them
	mixed bool              // there were too many
	going bool              // nothing in it is adopted any more

	digested bool    // a digest lies beside it, or cannot; guarded by Journal.files
	retired  bool    // guarded by Journal.files
	unsure   *unsure // nil: all of it was looked at

	reading sync.RWMutex
	gone    bool // retired; guarded by reading
}

// at is the position of an offset in s.
func (s *segment) at(off int64) Position { return Position{s.id, uint32(off)} } //nolint:gosec // a segment is less than 4 GiB

// Read returns bytes of a body that replay has shown, as long as its segment
// is not retired.
func (j *Journal) Read(at Position, size uint32) (b []byte, err error) {
	err = j.with(at.Segment, func(s *segment) error {
		b, err = s.read(at.Off, size)
		return err
	})
	return b, err
}

func (s *segment) write(b []byte) error {
	if _, err := s.file.WriteAt(b, s.off); err != nil {
		return fmt.Errorf("write segment %016x: %w", s.id, err)
	}
	s.off += int64(len(b))
	return nil
}

// lag is how much of s is not synced; s may be nil.
func (s *segment) lag() int64 {
	if s == nil {
		return 0
	}
	return s.off - s.synced
}

// start has the disk begin to store what was not synced.
func (s *segment) start() {
	if f, ok := s.file.(vfs.Starter); ok {
		from := max(s.synced, s.started)
		f.Start(from, s.off-from)
		s.started = s.off
	}
}

func (s *segment) sync() error {
	if s.synced == s.off {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.synced = s.off
	s.syncs++
	return nil
}
