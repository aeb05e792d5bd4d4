package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// loader reads segments ahead of who replays them, in their order.
type loader struct {
	j    *Journal
	all  []*found
	next atomic.Int64
	// room has one for each segment that may be loaded and not yet replayed.
	room    chan struct{}
	stop    chan struct{}
	workers sync.WaitGroup
	buffers chan []byte
}

// loadAhead begins to load; close must follow. Digests are small and made by
// all processors; of whole segments there is one ahead.
func (j *Journal) loadAhead(all []*found) *loader {
	workers := 1
	if j.opts.Brief != nil {
		workers = runtime.GOMAXPROCS(0)
	}
	l := &loader{j: j, all: all, room: make(chan struct{}, workers+1), stop: make(chan struct{}), buffers: make(chan []byte, 2)}
	for range workers {
		l.workers.Go(l.run)
	}
	return l
}

func (l *loader) run() {
	for {
		select {
		case l.room <- struct{}{}: // before one is taken, so that whoever has the first can go on
		case <-l.stop:
			return
		}
		i := l.next.Add(1) - 1
		if i >= int64(len(l.all)) {
			return
		}
		f := l.all[i]
		f.loaded <- l.load(f)
	}
}

// load makes the digest of a segment or reads all of it.
func (l *loader) load(f *found) (err error) {
	if l.j.opts.Brief != nil && f.end >= 0 && f.end <= f.size && !f.headless && !f.gap {
		if f.digest, err = l.j.readDigest(f.id, f.end); err != nil {
			return err
		}
		if f.digest != nil {
			f.stored = true
			return nil
		}
		if f.digest, err = makeDigest(f.segment, f.end, l.j.opts.Brief); err != nil || f.digest != nil {
			return err
		}
	}
	return l.whole(f)
}

// whole reads what may be the log's of a segment.
func (l *loader) whole(f *found) error {
	if f.end == lastEnd {
		return f.fill()
	}
	size := f.size
	if f.end >= 0 {
		size = min(size, f.end) // nothing behind it is the log's
	}
	var buf []byte
	select {
	case buf = <-l.buffers:
	default:
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, f.size)
	}
	f.data, f.filled = buf[:size], size
	if _, err := f.file.ReadAt(f.data, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read segment %016x: %w", f.id, err)
	}
	return nil
}

// fillStep is how much of the last segment is read at once.
const fillStep = 256 << 10

// fill reads all of the last segment, most of which may never have been written: memory is not taken for what is
// zero.
func (f *found) fill() error {
	f.data = make([]byte, f.size)
	var nothing, scratch [fillStep]byte
	written := true // what lies before
	for at := int64(0); at < f.size; at += fillStep {
		to := f.data[at:min(at+fillStep, f.size)]
		b := to
		if !written {
			b = scratch[:len(to)]
		}
		if _, err := f.file.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment %016x: %w", f.id, err)
		}
		was := written
		if written = !bytes.Equal(b, nothing[:len(b)]); written {
			f.filled = at + int64(len(to))
			if !was {
				copy(to, b)
			}
		}
	}
	return nil
}

// done says that a segment is replayed.
func (l *loader) done(f *found) {
	f.digest = nil
	if f.data != nil && f.end != lastEnd { // of the last it is wanted still
		select {
		case l.buffers <- f.data:
		default:
		}
		f.data = nil
	}
	<-l.room
}

func (l *loader) close() {
	close(l.stop)
	l.workers.Wait()
}

// scanAll replays the segments. It returns how much of the last its frames say
// was synced; its data is kept.
func (j *Journal) scanAll(all []*found, v Visitor, r *Report) (sure int64, err error) {
	l := j.loadAhead(all)
	defer l.close()
	for _, f := range all {
		if err := <-f.loaded; err != nil {
			return 0, err
		}
		if f.digest == nil || !j.replayDigest(f, v, r) {
			if f.data == nil {
				if err := l.whole(f); err != nil {
					return 0, err
				}
			}
			sure = j.scan(f, v, r)
		}
		l.done(f)
	}
	return sure, nil
}

// replayDigest hands the entries of a segment to v; false: they are not well
// formed. What has come till then comes again then, which changes nothing.
func (j *Journal) replayDigest(f *found, v Visitor, r *Report) bool {
	e := entries{digest: true}
	if !e.visit(f.digest.entries, Position{Segment: f.id}, &noting{Visitor: v, s: f.segment}) {
		return false
	}
	if f.digested = f.stored; f.stored {
		f.unsure = newUnsure(f.digest.stretches, f.end)
	}
	r.Segments++
	r.Frames += f.digest.frames
	r.Bytes += f.end - headerSize
	r.Files = append(r.Files, SegmentReport{
		Name: j.name(f.id, "wal"), Size: f.size, Prev: f.prev.end, End: f.end, Frames: f.digest.frames,
	})
	j.enterSegment(f, f.end)
	return true
}

// enterSegment makes a segment that is replayed up to end part of the log.
func (j *Journal) enterSegment(f *found, end int64) {
	f.off, f.synced = end, end
	j.segments = append(j.segments, f.segment)
	j.total.Add(f.size)
}
