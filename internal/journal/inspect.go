package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/warrenmq/warren/internal/vfs"
)

// Inspect replays the journal in a directory to v without changing anything.
// Nobody may have it open.
func Inspect(fsys vfs.FS, dir string, v Visitor) (*Report, error) {
	j := &Journal{opts: Options{FS: fsys, Dir: dir}}
	r := &Report{}
	ids, _, _, err := j.list()
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := j.headers(ids, func(uint64) error { return nil })
	if err == nil {
		_, err = j.scanAll(all, v, r)
	}
	for _, s := range j.segments {
		err = errors.Join(err, s.file.Close())
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Repair makes the segments sound that a report says are damaged, so that
// the next start has nothing to complain of and serves all that can be read.
// The damaged files are kept, under the names that it returns.
func Repair(fsys vfs.FS, dir string, r *Report) (aside []string, err error) {
	var prev before
	last := uint64(0)
	for i := range r.Files {
		f := &r.Files[i]
		id, err := f.id()
		if err != nil {
			return aside, err
		}
		if last > 0 {
			prev.step = stepFrom(last, id)
		}
		if len(f.Holes) > 0 {
			name, err := repair(fsys, dir, f, id, prev)
			if err != nil {
				return aside, fmt.Errorf("repair %s: %w", f.Name, err)
			}
			aside = append(aside, name)
		}
		last, prev.end = id, f.End
	}
	return aside, nil
}

// id is the segment's, from its name.
func (f *SegmentReport) id() (id uint64, err error) {
	_, err = fmt.Sscanf(f.Name[strings.LastIndexByte(f.Name, '/')+1:], "%016x.wal", &id)
	return id, err
}

// repair copies a segment, and then puts one in its place that has frames
// with nothing in them where the holes are.
func repair(fsys vfs.FS, dir string, f *SegmentReport, id uint64, prev before) (aside string, err error) {
	b, err := vfs.Read(fsys, f.Name)
	if err != nil {
		return "", err
	}
	stem := strings.TrimSuffix(f.Name, ".wal")
	aside = vfs.Unused(fsys, stem+".damaged")
	if err := vfs.Write(fsys, aside, b); err != nil {
		return "", err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return "", err
	}
	if err := fsys.Remove(stem + ".idx"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, h := range f.Holes {
		if h.Offset == 0 {
			copy(b, appendHeader(nil, id, prev))
			continue
		}
		hole := b[h.Offset : h.Offset+h.Size]
		if len(hole) <= frameHeader {
			return "", fmt.Errorf("%w: a hole of %d bytes", ErrCorrupt, len(hole))
		}
		for i := range hole {
			hole[i] = kindEnd
		}
		seal(hole, id, h.Offset)
	}
	if err := vfs.Write(fsys, stem+".new", b); err != nil {
		return "", err
	}
	return aside, errors.Join(fsys.Rename(stem+".new", f.Name), fsys.SyncDir(dir))
}
