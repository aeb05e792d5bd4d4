package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/warrenmq/warren/internal/journal"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/vfs"
)

// Inspection is what is in a data directory.
type Inspection struct {
	Format      string
	Definitions DefinitionsReport
	Journal     *journal.Report
	// Queues are by the number that names a queue in the journal.
	Queues  map[uint64]QueueReport
	Backlog struct {
		Files int
		Bytes int64
	}

	fs  vfs.FS
	dir string
}

// DefinitionsReport says what was found of the definitions.
type DefinitionsReport struct {
	Key     bool   // there is one, and it is whole
	File    string // the present generation; empty: none
	Bytes   int64
	Records [][]byte // those that can be read
	// Err says why not all of them can be read.
	Err error
}

// QueueReport is what the journal has of one queue.
type QueueReport struct {
	Messages  int
	Bytes     int64
	Delivered uint64 // messages below may have been delivered
	Next      uint64 // the next message's number; with priorities both are sums
	// Redelivered is how many messages may have been delivered before.
	Redelivered int
}

// Damaged reports whether anything cannot be read that was stored.
func (i *Inspection) Damaged() bool { return i.Definitions.Err != nil || len(i.Journal.Damaged) > 0 }

// Inspect reads a data directory of which nobody has made use, and changes
// nothing in it.
func Inspect(fsys vfs.FS, dir string) (*Inspection, error) {
	i := &Inspection{fs: fsys, dir: dir, Queues: map[uint64]QueueReport{}}
	text, err := vfs.Read(fsys, path.Join(dir, formatName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data directory: it has no file %s", dir, formatName)
	}
	if err != nil {
		return nil, err
	}
	if i.Format = strings.TrimSpace(string(text)); string(text) != formatText {
		return nil, fmt.Errorf("%w: it says %.40q", ErrFormat, i.Format)
	}
	if err := i.definitions(); err != nil {
		return nil, err
	}
	histories := map[uint64]*history{}
	if i.Journal, err = journal.Inspect(fsys, path.Join(dir, "journal"), replay(histories)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	for uid, h := range histories {
		if i.Queues[uid], err = h.report(); err != nil {
			return nil, err
		}
	}
	if i.Definitions.File == "" && len(histories) > 0 && i.Definitions.Err == nil {
		i.Definitions.Err = fmt.Errorf("%w: there are none, and there are messages in the journal", ErrDefinitions)
	}
	return i, i.backlog()
}

// inLane are the bits of a sequence number that count within its lane.
const inLane = 1<<queue.LaneShift - 1

func (h *history) report() (r QueueReport, err error) {
	for l := range h.each {
		if err := l.finish(nil); err != nil { // which has no spans: digests are not read
			return r, err
		}
		r.Delivered += l.level & inLane
		r.Next += l.next & inLane
		for _, e := range l.entries {
			r.Messages++
			r.Bytes += int64(e.size)
			if e.seq < l.level {
				r.Redelivered++
			}
		}
	}
	return r, nil
}

// definitions reads what can be read of the definitions.
func (i *Inspection) definitions() error {
	d := &Definitions{fs: i.fs, dir: i.dir}
	if err := d.list(); err != nil {
		return err
	}
	r := &i.Definitions
	err := d.openKey()
	r.Key = err == nil
	if d.generation == 0 {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // a node that never ran
		}
		r.Err = err
		return nil
	}
	r.File = d.name(d.generation)
	b, readErr := vfs.Read(i.fs, r.File)
	if readErr != nil {
		return readErr
	}
	r.Bytes = int64(len(b))
	if err == nil {
		err = d.replay(func(record []byte) error {
			r.Records = append(r.Records, bytes.Clone(record))
			return nil
		})
	}
	r.Err = err
	return nil
}

func (i *Inspection) backlog() error {
	dir := path.Join(i.dir, "backlog")
	names, err := i.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		f, err := i.fs.Open(path.Join(dir, name))
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		i.Backlog.Files++
		i.Backlog.Bytes += size
	}
	return err
}

// Repair makes a damaged directory one that a node starts from with all that
// can be read. What is damaged is kept under other names, which it returns
// and writes into a file of the directory, beside what was wrong.
func (i *Inspection) Repair(random io.Reader) (aside []string, err error) {
	if !i.Damaged() {
		return nil, nil
	}
	var text strings.Builder
	if i.Definitions.Err != nil {
		name, err := i.repairDefinitions(random)
		if err != nil {
			return nil, err
		}
		aside = append(aside, name)
		_, _ = fmt.Fprintf(&text, "%v\n", i.Definitions.Err)
	}
	segments, err := journal.Repair(i.fs, path.Join(i.dir, "journal"), i.Journal)
	aside = append(aside, segments...)
	for _, damage := range i.Journal.Damaged {
		_, _ = fmt.Fprintln(&text, damage)
	}
	for _, name := range aside {
		_, _ = fmt.Fprintf(&text, "kept: %s\n", name)
	}
	report := vfs.Unused(i.fs, path.Join(i.dir, "repair.txt"))
	return append(aside, report), errors.Join(err, vfs.Write(i.fs, report, []byte(text.String())), i.fs.SyncDir(i.dir))
}

// repairDefinitions begins a new generation with the records before the
// damage. The damaged one is copied first.
func (i *Inspection) repairDefinitions(random io.Reader) (aside string, err error) {
	r := &i.Definitions
	d := &Definitions{fs: i.fs, dir: i.dir, random: random}
	if err := d.list(); err != nil {
		return "", err
	}
	if err := d.openKey(); err != nil {
		return "", fmt.Errorf("the definitions cannot be repaired: %w", err)
	}
	if len(r.Records) == 0 {
		return "", fmt.Errorf("the definitions cannot be repaired, since not even their first record can be read; restore %s and "+
			"%s from a copy: %w", r.File, keyName, r.Err)
	}
	b, err := vfs.Read(i.fs, r.File)
	if err != nil {
		return "", err
	}
	aside = vfs.Unused(i.fs, r.File+".damaged")
	if err = errors.Join(vfs.Write(i.fs, aside, b), i.fs.SyncDir(i.dir)); err != nil {
		return "", err
	}
	if err = d.Snapshot(bytes.Join(r.Records, []byte("\n"))); err != nil {
		return "", err
	}
	return aside, d.Close()
}
