package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Visitor gets what a journal holds when it is opened, in the order of the
// log. A place may be put more than once, and settled before it is put. Slices
// are valid during the call.
type Visitor interface {
	Put(places []Ref, mark uint64, body Body)
	Settle(stream uint64, seqs []uint64)
	Level(stream, value uint64, exact bool)
	Tally(place Ref, value uint64)
	// Span is Put for messages of which a digest was read.
	Span(s Span)
}

// Body is a message as replay shows it.
type Body struct {
	Bytes []byte // nil: it was not read, the digest of its segment was
	Size  uint32
	Brief uint64 // what Options.Brief said of it, when it was not read
	At    Position
}

// Report says what was found when a journal was opened.
type Report struct {
	Segments int
	Frames   int
	Bytes    int64
	// Torn is how many bytes behind the end of the log were begun and not
	// finished when the process or the machine stopped.
	Torn int64
	// Damaged lists what was on stable storage and cannot be read any more.
	Damaged []string
	// Files are the segments, oldest first.
	Files []SegmentReport
}

// SegmentReport says what was found in one segment.
type SegmentReport struct {
	Name   string
	Size   int64 // of the file
	End    int64 // of what is the log's
	Frames int
	Prev   int64 // where the segment before ends, as the header says
	Holes  []Hole
}

// Hole is a damaged part of a segment: its header, or between good frames.
type Hole struct{ Offset, Size int64 }

// damaged notes a damaged part of a segment.
func (r *Report) damaged(f *found, offset, size int64) {
	f.bad = true
	what := fmt.Sprintf("segment %016x: %d bytes at offset %d", f.id, size, offset)
	if f.gap && offset == 0 {
		what = fmt.Sprintf("segment %016x: its file is missing", f.id-uint64(f.prev.step))
	} else if offset == 0 {
		what = fmt.Sprintf("segment %016x: its header", f.id)
	}
	r.Damaged = append(r.Damaged, what)
	file := &r.Files[len(r.Files)-1]
	file.Holes = append(file.Holes, Hole{offset, size})
}

// Open opens the journal in a directory, replays it to v, and begins to
// commit. Damage does not keep the rest from being served: it is in the
// report, and the damaged files are kept.
func Open(o Options, v Visitor) (*Journal, *Report, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.KeepSegments == 0 {
		o.KeepSegments = DefaultKeepSegments
	}
	if o.SpaceInterval == 0 {
		o.SpaceInterval = DefaultSpaceInterval
	}
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	if o.Lag == 0 {
		o.Lag = DefaultLag
	}
	j := &Journal{opts: o, next: 1, fresh: freshID, done: make(chan struct{}), stop: make(chan struct{}), sealed: make(chan struct{}, 1)}
	j.linger = time.AfterFunc(time.Hour, j.lingered)
	j.linger.Stop()
	j.lag = time.AfterFunc(time.Hour, j.lagged)
	j.lag.Stop()
	j.more.L, j.room.L, j.used.L, j.ready.L = &j.mu, &j.mu, &j.files, &j.files
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return nil, nil, fmt.Errorf("journal directory: %w", err)
	}
	r := &Report{}
	if err := j.replay(v, r); err != nil {
		return nil, nil, err
	}
	go j.run()
	j.maker.Go(j.make)
	if o.Brief != nil {
		j.sealed <- struct{}{}
		j.maker.Go(j.keepDigests)
	}
	return j, r, nil
}

// found is one segment file at start.
type found struct {
	*segment

	loaded   chan error // told once digest or data is there
	digest   *digest
	stored   bool   // digest was beside it
	data     []byte // while it is scanned
	filled   int64  // behind it data is zero
	prev     before // end is unknownEnd when the header is damaged
	end      int64  // of its frames; lastEnd, unknownEnd
	headless bool
	gap      bool // the segment before it is not there
}

// missing reports that the segment before f is not last.
func (f *found) missing(last *found) bool {
	return f.prev.step > 0 && f.id-uint64(f.prev.step) != last.id
}

// The end of a segment's frames when the segment behind it does not say it.
const (
	lastEnd    = -1 // there is none behind it
	unknownEnd = -2 // its header is damaged
)

// replay reads the segments and hands their entries to v.
func (j *Journal) replay(v Visitor, r *Report) error {
	ids, free, digests, err := j.list()
	if err != nil {
		return err
	}
	for _, id := range digests {
		if _, ok := slices.BinarySearch(ids, id); !ok { // its segment is gone
			if err := j.opts.FS.Remove(j.name(id, "idx")); err != nil {
				return err
			}
		}
	}
	for _, id := range free {
		name, add := j.name(id, "free"), j.addFree
		if _, ok := slices.BinarySearch(ids, id); ok { // a rename that a crash cut in two: it would be free twice
			add = j.opts.FS.Remove
		}
		if err := add(name); err != nil {
			return err
		}
	}
	all, err := j.headers(ids, j.giveBack)
	if err != nil {
		return err
	}
	sure, err := j.scanAll(all, v, r)
	if err != nil {
		return err
	}
	if n := len(all); n > 0 {
		if err := settleEnd(all[n-1], sure); err != nil {
			return err
		}
	}
	return j.opts.FS.SyncDir(j.opts.Dir)
}

// headers reads the headers of all segments. Of files that are named as a
// segment and were not begun it tells unbegun.
func (j *Journal) headers(ids []uint64, unbegun func(id uint64) error) (all []*found, err error) {
	for i, id := range ids {
		f, err := j.read(id, i == len(ids)-1)
		if err != nil {
			return nil, err
		}
		if f == nil { // renamed to be the next, and not begun
			if err := unbegun(id); err != nil {
				return nil, err
			}
			continue
		}
		f.end = lastEnd
		if n := len(all); n > 0 {
			last := all[n-1]
			if f.gap = f.missing(last); f.gap {
				f.prev.end = unknownEnd
			}
			last.end = f.prev.end
		}
		all = append(all, f)
	}
	return all, nil
}

// list returns the ids of the segments, ascending, those of free files, and
// which segments there are digests of.
func (j *Journal) list() (ids, free, digests []uint64, err error) {
	names, err := j.opts.FS.List(j.opts.Dir)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("journal directory: %w", err)
	}
	for _, name := range names {
		text, ending, _ := strings.Cut(name, ".")
		id, err := strconv.ParseUint(text, 16, 64)
		if err != nil || len(text) != 16 {
			continue
		}
		if id >= freshID {
			j.fresh = max(j.fresh, id+1)
		} else {
			j.next = max(j.next, id+1)
		}
		switch ending {
		case "wal":
			ids = append(ids, id)
		case "free":
			free = append(free, id)
		case "idx":
			digests = append(digests, id)
		}
	}
	return ids, free, digests, nil
}

// addFree notes a file that can be used again, or removes it: one that was
// being made when the process ended.
func (j *Journal) addFree(name string) error {
	f, err := j.opts.FS.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if size != j.opts.SegmentSize || len(j.free) >= maxFree {
		return j.opts.FS.Remove(name)
	}
	j.free = append(j.free, name)
	return nil
}

// read reads the header of a segment file; nil when the segment was not begun.
// The header is on stable storage before anything else is: one that is bad is
// damage when another segment or a frame of this one follows.
func (j *Journal) read(id uint64, last bool) (*found, error) {
	file, err := j.opts.FS.Open(j.name(id, "wal"))
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	header := make([]byte, headerSize)
	if _, err := file.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read segment %016x: %w", id, err), file.Close())
	}
	prev, ok, err := checkHeader(header, id)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &found{segment: &segment{id: id, file: file, size: size}, loaded: make(chan error, 1), prev: prev}
	if ok {
		return f, nil
	}
	f.prev, f.headless = before{end: unknownEnd}, true
	if last {
		if err := f.fill(); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if f.resume(0, size, true) < 0 {
			return nil, file.Close()
		}
	}
	return f, nil
}

// giveBack makes a file free that is named as a segment and is none.
func (j *Journal) giveBack(id uint64) error {
	name := j.name(id, "free")
	if err := j.opts.FS.Rename(j.name(id, "wal"), name); err != nil {
		return err
	}
	return j.addFree(name)
}

// settleEnd makes the end of the last segment durable: what was replayed is
// served, so it must be there tomorrow. What no frame says was synced is
// written again, since after a sync that failed the system may show us pages
// that it will never write.
func settleEnd(f *found, sure int64) error {
	data := f.data[sure:f.off]
	f.data = nil
	if _, err := f.file.WriteAt(data, sure); err != nil {
		return fmt.Errorf("write segment %016x again: %w", f.id, err)
	}
	return f.file.Sync()
}

// scan hands the entries of a segment that is loaded to v. The segment behind
// it says where its frames end, or f.end is lastEnd or unknownEnd and that has
// to be found out. It returns how much of the segment its frames say was synced.
func (j *Journal) scan(f *found, v Visitor, r *Report) (sure int64) {
	r.Segments++
	r.Files = append(r.Files, SegmentReport{Name: j.name(f.id, "wal"), Size: f.size, Prev: f.prev.end})
	end := f.end
	limit := int64(len(f.data))
	if end >= 0 && end < limit {
		limit = end
	}
	if f.headless || f.gap {
		r.damaged(f, 0, headerSize)
	}
	var e entries
	noting := &noting{Visitor: v, s: f.segment}
	at := int64(headerSize)
	for at < limit {
		body, synced, n := frameAt(f.data[at:limit], f.id)
		if n > 0 && e.visit(body, f.at(at), noting) {
			sure = max(sure, synced)
			r.Frames++
			r.Files[len(r.Files)-1].Frames++
			r.Bytes += int64(n)
			at += int64(n)
			continue
		}
		next := f.resume(at, limit, end >= 0)
		if next < 0 {
			break
		}
		r.damaged(f, at, next-at)
		at = next
	}
	if end >= 0 && at < limit {
		r.damaged(f, at, limit-at)
		at = limit
	}
	if end == lastEnd {
		r.Torn = f.torn(at)
	}
	r.Files[len(r.Files)-1].End = at
	j.enterSegment(f, at)
	return sure
}

// resume says where to go on behind a bad frame at offset at, when that was on
// stable storage: in a segment that was full it was, else a good frame behind
// says so. It returns -1 when it was not: the log ends at offset at.
func (f *found) resume(at, limit int64, full bool) int64 {
	if !full {
		if limit = min(limit, f.assured(at)); limit <= at {
			return -1
		}
	}
	next := int64(-1)
	f.frames(at+1, limit, func(from, _, _ int64) bool {
		next = from
		return false
	})
	if next < 0 && !full {
		return limit // nothing of it can be read
	}
	return next
}

// assured is how much of the segment the frames from offset at on say was
// synced.
func (f *found) assured(at int64) (synced int64) {
	f.frames(at, int64(len(f.data)), func(_, _, s int64) bool {
		synced = max(synced, s)
		return true
	})
	return synced
}

// torn says how much was written behind the end of the log: up to the last
// frame of this segment's that can be made out.
func (f *found) torn(end int64) int64 {
	last := end
	f.frames(end, int64(len(f.data)), func(_, to, _ int64) bool {
		last = to
		return true
	})
	return last - end
}

// frames looks for good frames from one offset to another, wherever they
// begin, until visit says that it has enough.
func (f *found) frames(from, limit int64, visit func(from, to, synced int64) bool) {
	var mark [4]byte
	binary.LittleEndian.PutUint32(mark[:], frameMagic)
	for from < min(limit, f.filled) {
		i := bytes.Index(f.data[from:min(limit, f.filled)], mark[:])
		if i < 0 {
			return
		}
		from += int64(i)
		_, synced, n := frameAt(f.data[from:limit], f.id)
		if n == 0 {
			from++
			continue
		}
		if !visit(from, from+int64(n), synced) {
			return
		}
		from += int64(n)
	}
}
