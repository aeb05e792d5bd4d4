// Package storage keeps a node's state in its data directory: it gives the
// broker its Log and Backlog, and the definitions theirs.
//
//	DIR/format                 the version of all this, "warren 1"
//	DIR/node.key, definitions-*.log   see Definitions
//	DIR/journal/               see package journal
//	DIR/backlog/               see package backlog; removed at start
//
// It is the only package that knows both what a queue is and what a segment
// is: a queue is a stream of the journal, named by its UID, a message's
// sequence number its number there.
package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/warrenmq/warren/internal/backlog"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/journal"
	"github.com/warrenmq/warren/internal/vfs"
)

// ErrFormat says that a directory was written by a later version, or by
// something else.
var ErrFormat = errors.New("the data directory has a format that this version does not know")

const (
	formatName = "format"
	formatText = "warren 1\n"
)

// Options are what a Store is made of.
type Options struct {
	FS     vfs.FS
	Dir    string
	Random io.Reader
	Logger *slog.Logger
	// Fenced is told, once, that nothing can be stored any more: the process
	// has to end.
	Fenced func(error)
	// SegmentSize is the journal's, 0 for its default.
	SegmentSize int64
}

// Live is what a Store asks about messages: the broker.
type Live interface {
	Live(uid, seq uint64) bool
	Any(uid, from, to uint64) bool
	Delivered(uid uint64) (upTo []uint64)
}

// Store is an open data directory.
type Store struct {
	opts        Options
	definitions *Definitions
	journal     *journal.Journal
	backlog     *backlog.Store
	histories   map[uint64]*history // what replay found; nil after Attach
	lastUID     uint64              // highest of those
	syncs       syncs

	live   atomic.Pointer[Live]
	logged func() int64
}

// Open opens a data directory that this process has locked, and replays its
// journal.
func Open(o Options) (*Store, *journal.Report, error) {
	if err := checkFormat(o.FS, o.Dir); err != nil {
		return nil, nil, err
	}
	s := &Store{opts: o}
	var err error
	if s.definitions, err = OpenDefinitions(o.FS, o.Dir, o.Random); err != nil {
		return nil, nil, err
	}
	if s.backlog, err = backlog.Open(o.FS, path.Join(o.Dir, "backlog")); err != nil {
		return nil, nil, err
	}
	report, err := s.openJournal()
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	for uid := range s.histories {
		s.lastUID = max(s.lastUID, uid)
	}
	if s.definitions.generation == 0 && s.lastUID > 0 {
		return nil, nil, errors.Join(fmt.Errorf("%w: there are messages in the journal and no file of definitions in %s, so nobody knows "+
			"whose they are; put the file definitions-*.log back", ErrDefinitions, o.Dir), s.Close())
	}
	for _, damage := range report.Damaged {
		o.Logger.Error("the journal is damaged; what is left is served, the damaged file is kept", slog.String("where", damage))
	}
	if report.Torn > 0 {
		o.Logger.Warn("the last run ended while it was writing; what was not confirmed is cut off", slog.Int64("bytes", report.Torn))
	}
	return s, report, nil
}

// openJournal opens the journal and finds what is there of each queue. A second
// time when a digest says what is not so: then there is none left.
func (s *Store) openJournal() (r *journal.Report, err error) {
	o := journal.Options{
		FS: s.opts.FS, Dir: path.Join(s.opts.Dir, "journal"), SegmentSize: s.opts.SegmentSize,
		Live: s.isLive, Any: s.anyLive, Levels: s.levels, LiveBytes: s.liveBytes, Space: s.space, Fenced: s.fenced,
		Synced: s.syncs.add, Brief: brief,
	}
	for range 2 {
		s.histories = map[uint64]*history{}
		if s.journal, r, err = journal.Open(o, replay(s.histories)); err != nil {
			return nil, err
		}
		if err = s.finish(); err == nil {
			return r, nil
		}
		if e := s.journal.Close(); e != nil || !errors.Is(err, journal.ErrCorrupt) {
			return nil, errors.Join(err, e)
		}
	}
	return nil, err
}

// finish ends what replay has collected.
func (s *Store) finish() error {
	for _, h := range s.histories {
		for l := range h.each {
			if err := l.finish(s.journal); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFormat reads or writes the version before anything else is touched.
func checkFormat(fsys vfs.FS, dir string) error {
	name := path.Join(dir, formatName)
	text, err := vfs.Read(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(fsys, dir, name)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if got := string(text); got != formatText {
		return fmt.Errorf("%w: %s says %.40q, this version knows %q; use the version that wrote it",
			ErrFormat, name, strings.TrimSpace(got), strings.TrimSpace(formatText))
	}
	return nil
}

func writeFormat(fsys vfs.FS, dir, name string) error {
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	f, err := fsys.Create(name + ".new")
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	_, err = f.WriteAt([]byte(formatText), 0)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = errors.Join(fsys.Rename(name+".new", name), fsys.SyncDir(dir))
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// LastUID returns the highest number of a queue that replay has found: no
// new queue may get it or one below, or it would get another queue's messages
// when definitions were lost.
func (s *Store) LastUID() uint64 { return s.lastUID }

// Definitions returns the log of the definitions.
func (s *Store) Definitions() *Definitions { return s.definitions }

// Attach ends recovery: from now on l says which messages are still needed,
// logged how many bytes they are.
func (s *Store) Attach(l Live, logged func() int64) {
	s.logged = logged
	s.live.Store(&l)
	s.histories = nil
}

func (s *Store) isLive(r journal.Ref) bool {
	l := s.live.Load()
	return l == nil || (*l).Live(r.Stream, r.Seq)
}

func (s *Store) anyLive(stream, from, to uint64) bool {
	l := s.live.Load()
	return l == nil || (*l).Any(stream, from, to)
}

func (s *Store) levels(stream uint64) []uint64 {
	l := s.live.Load()
	if l == nil {
		return nil
	}
	return (*l).Delivered(stream)
}

func (s *Store) liveBytes() int64 {
	if s.live.Load() == nil {
		return math.MaxInt64 / 4 // nothing goes before recovery has ended
	}
	return s.logged()
}

func (s *Store) space(err error) {
	if err != nil {
		s.opts.Logger.Error("the disk is full: publishers wait until there is space; free some, or let consumers work",
			slog.Any("error", err))
		return
	}
	s.opts.Logger.Info("there is disk space again")
}

func (s *Store) fenced(err error) {
	s.opts.Logger.Error("nothing can be stored any more and nothing is confirmed; the process ends, and its next start recovers "+
		"what was confirmed", slog.Any("error", err))
	if s.opts.Fenced != nil {
		s.opts.Fenced(err)
	}
}

// Append implements broker.Log.
func (s *Store) Append(b broker.Batch, durable func(error)) { s.journal.Append(encode(&b), durable) }

// Gather implements broker.Log.
func (s *Store) Gather(b broker.Batch, durable func(error)) { s.journal.Gather(encode(&b), durable) }

// Push implements broker.Log.
func (s *Store) Push() { s.journal.Push() }

// encode returns what fills a frame of the journal with a batch.
func encode(b *broker.Batch) func(journal.Batch) {
	if len(b.Images) > 1 {
		slices.SortStableFunc(b.Places, func(x, y broker.Place) int { return cmp.Compare(x.Image, y.Image) })
	}
	return func(to journal.Batch) {
		if b.Entered != nil {
			b.Entered.Store(true)
		}
		var few [16]journal.Ref
		refs := few[:0]
		for i := 0; i < len(b.Places); {
			p := &b.Places[i]
			refs = refs[:0]
			for ; i < len(b.Places) && b.Places[i].Image == p.Image && mark(&b.Places[i]) == mark(p); i++ {
				refs = append(refs, journal.Ref{Stream: b.Places[i].Queue, Seq: b.Places[i].Seq})
			}
			to.Put(refs, mark(p), b.Images[p.Image])
		}
		for _, d := range b.Settled {
			to.Settle(d.Queue, d.Seqs)
		}
		for _, t := range b.Tried {
			to.Tally(journal.Ref{Stream: t.Queue, Seq: t.Seq}, uint64(t.Acquired)<<32|uint64(t.Failed))
		}
		for _, d := range b.Delivered {
			to.Level(d.Queue, d.UpTo, d.Exact)
		}
	}
}

// What the journal keeps with a message, its mark: the length of its route
// part, two bits, and above those when it expires.
const (
	markRoute    = 1<<14 - 1
	markSeen     = 1 << 14
	markDead     = 1 << 15
	markDeadline = 16 // bits below it
)

func mark(p *broker.Place) uint64 {
	m := uint64(p.RouteLen)&markRoute | uint64(p.Deadline)<<markDeadline //nolint:gosec // two short strings, a time
	if p.Dead {
		m |= markDead
	}
	if p.Seen {
		m |= markSeen
	}
	return m
}

// Full implements broker.Log.
func (s *Store) Full() bool { return s.journal.Full() }

// Err implements broker.Log.
func (s *Store) Err() error { return s.journal.Err() }

// Close makes everything durable and ends the store.
func (s *Store) Close() error {
	return errors.Join(s.journal.Close(), s.backlog.Close(), s.definitions.Close())
}
