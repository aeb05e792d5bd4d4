package journal

import (
	"errors"
	"time"
)

// digestRest is how many times as long as it takes to make a digest nobody
// makes another: it is work for a start that may never come.
const digestRest = 4

// keepDigests writes the digests of segments that are full and have stayed,
// until the journal ends.
func (j *Journal) keepDigests() {
	for {
		select {
		case <-j.stop:
			return
		case <-j.sealed:
		}
		for s := j.undigested(); s != nil; s = j.undigested() {
			begun := time.Now() //nolint:forbidigo // to say how long it took
			j.keepDigest(s)
			select {
			case <-j.stop:
				return
			case <-time.After(digestRest * time.Since(begun)):
			}
		}
	}
}

// undigested returns a segment that is likely to stay and has no digest.
func (j *Journal) undigested() *segment {
	j.files.Lock()
	defer j.files.Unlock()
	if j.full.Load() || j.opts.Live != nil && j.tooMuch() {
		return nil
	}
	for _, s := range j.segments[:max(0, len(j.segments)-1-j.opts.KeepSegments)] {
		if !s.digested && !s.bad {
			return s
		}
	}
	return nil
}

// keepDigest writes the digest of a segment beside it, if it can. The segment
// may go meanwhile, so it is read as a stranger would.
func (j *Journal) keepDigest(s *segment) {
	written := false
	if d, err := j.digestOf(s); err == nil && d != nil {
		name := j.name(s.id, "idx")
		f, err := j.opts.FS.Create(name)
		if err == nil {
			_, err = f.WriteAt(d.encode(s.id, s.off), 0)
			if err = errors.Join(err, f.Close()); err != nil {
				_ = j.opts.FS.Remove(name) // one that is not whole is as good as none
			}
			written = err == nil
		}
	}
	j.files.Lock()
	defer j.files.Unlock()
	s.digested = true // or it cannot be
	if s.retired && written {
		_ = j.opts.FS.Remove(j.name(s.id, "idx"))
	}
}

func (j *Journal) digestOf(s *segment) (*digest, error) {
	f, err := j.opts.FS.Open(j.name(s.id, "wal"))
	if err != nil {
		return nil, err
	}
	d, err := makeDigest(&segment{id: s.id, file: f}, s.off, j.opts.Brief)
	return d, errors.Join(err, f.Close())
}
