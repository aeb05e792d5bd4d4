package journal

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// freshID is from where on files that were never a segment are numbered.
const freshID = 1 << 63

// Full reports that there is no space for another segment: who can should
// stop to append. It ends by itself.
func (j *Journal) Full() bool { return j.full.Load() }

// takeFree returns a file for the next segment, waiting until there is one;
// j.files is held.
func (j *Journal) takeFree() (string, error) {
	for len(j.free) == 0 {
		if j.ending != nil {
			return "", j.ending
		}
		j.ready.Wait()
	}
	n := len(j.free) - 1
	name := j.free[n]
	j.free = j.free[:n]
	j.used.Signal()
	return name, nil
}

// end lets nobody wait for a file any more.
func (j *Journal) end(err error) {
	j.files.Lock()
	if j.ending == nil {
		j.ending = err
	}
	j.used.Broadcast()
	j.ready.Broadcast()
	j.files.Unlock()
}

// keepFree is how many files are kept ready, so that a new segment costs a
// rename, and so that consumers can still settle when the disk is full: one is
// for the sweeper, whose copies may fill the segment that is written to.
const keepFree = 2

// coarseSync is from how many bytes a sync on it pays to reserve the space of segments
// and not to write it in advance: that is as much again to write, and quicker to
// sync.
const coarseSync = 1 << 20

// make keeps files ready.
func (j *Journal) make() {
	for {
		j.files.Lock()
		for len(j.free) >= keepFree && j.ending == nil {
			if j.full.Load() { // the sweeper has found one
				j.spaceAgain()
			}
			j.used.Wait()
		}
		name := j.name(j.fresh, "free")
		j.fresh++
		ended, reserve := j.ending != nil, j.coarse
		j.files.Unlock()
		if ended {
			return
		}
		f, err := j.create(name, j.opts.SegmentSize, reserve)
		if err == nil {
			err = errors.Join(f.Close(), j.opts.FS.SyncDir(j.opts.Dir))
		}
		if err != nil {
			if !j.waitForSpace(name, err) {
				return
			}
			continue
		}
		j.files.Lock()
		j.free = append(j.free, name)
		if j.full.Load() {
			j.spaceAgain()
		}
		j.ready.Broadcast()
		j.files.Unlock()
	}
}

func (j *Journal) spaceAgain() {
	j.full.Store(false)
	if j.opts.Space != nil {
		j.opts.Space(nil)
	}
}

// waitForSpace is called when the file name could not be made. False: no
// more will be.
func (j *Journal) waitForSpace(name string, err error) bool {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		j.end(fmt.Errorf("make a segment: %w", err))
		return false
	}
	_ = j.opts.FS.Remove(name)
	if !j.full.Swap(true) {
		if j.opts.Space != nil {
			j.opts.Space(err)
		}
	}
	j.sweep()
	select {
	case <-time.After(j.opts.SpaceInterval):
		return true
	case <-j.stop:
		j.end(err)
		return false
	}
}

// create writes a file in advance, so that what is written later overwrites:
// quicker to sync than what makes a file longer, or what is written first where
// space was only reserved.
func (j *Journal) create(name string, size int64, reserve bool) (vfs.File, error) {
	f, err := j.opts.FS.Create(name)
	if err != nil {
		return nil, err
	}
	if r, ok := f.(vfs.Reserver); ok && reserve {
		if err = r.Reserve(size); err == nil {
			err = f.Sync()
		}
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.ENOTSUP) {
			return nil, errors.Join(err, f.Close())
		}
	}
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
