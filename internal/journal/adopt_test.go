package journal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// put appends one batch and waits for it.
func put(t *testing.T, j *Journal, fill func(Batch)) {
	t.Helper()
	done := make(chan error, 1)
	j.Append(fill, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// numbers are those from one to another, both included.
func numbers(from, to uint64) (seqs []uint64) {
	for seq := from; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// TestAdopt: what lies together is found, as far as it is written, and read
// back; what does not is not.
func TestAdopt(t *testing.T) {
	t.Parallel()
	j, _, err := Open(Options{FS: vfs.NewMem(), Dir: "d", SegmentSize: 1 << 20, SpaceInterval: time.Millisecond}, newContent())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	for from := uint64(1); from <= 91; from += 10 {
		put(t, j, func(b Batch) {
			for _, seq := range numbers(from, from+9) {
				b.Put([]Ref{{1, seq}, {2, 1000 + seq}}, 7, fmt.Appendf(nil, "%0100d", seq))
			}
		})
	}
	put(t, j, func(b Batch) { // one is not there, so it is not known which
		b.Put([]Ref{{3, 1}}, 7, make([]byte, 10))
		b.Put([]Ref{{3, 3}}, 7, make([]byte, 10))
	})
	for seq := range uint64(20) { // among much that is others'
		put(t, j, func(b Batch) {
			b.Put([]Ref{{4, 1 + seq}}, 7, make([]byte, 10))
			b.Put([]Ref{{5, 1 + seq}}, 7, make([]byte, 20_000))
		})
	}
	for stream, want := range map[uint64]uint64{1: 101, 2: 1101, 3: 0, 4: 21, 6: 0} {
		if got := j.Behind(stream); got != want {
			t.Errorf("stream %d: %d is behind what was written, want %d", stream, got, want)
		}
	}
	adopt := func(stream uint64, seqs []uint64, bytes int64) (at []Stretch, ok bool) {
		ok = j.Adopt(stream, seqs, bytes, func(found []Stretch) { at = found })
		return at, ok
	}
	for _, stream := range []uint64{1, 2} {
		first := (stream - 1) * 1000
		at, ok := adopt(stream, numbers(first+15, first+42), 2800)
		if !ok || len(at) != 1 {
			t.Fatalf("stream %d: not adopted, or in %d parts", stream, len(at))
		}
		c := newContent()
		if _, err := j.Frames(at[0], c); err != nil {
			t.Fatal(err)
		}
		for seq := uint64(15); seq <= 42; seq++ {
			if want := fmt.Sprintf("7 %0100d", seq); c.put[Ref{stream, first + seq}] != want {
				t.Errorf("message %d is %q", seq, c.put[Ref{stream, first + seq}])
			}
		}
	}
	if at, ok := adopt(1, []uint64{3, 5, 97}, 300); !ok || len(at) > 2 {
		t.Errorf("not adopted with gaps, or in %d parts", len(at))
	}
	for what, seqs := range map[string][]uint64{"behind the end": numbers(95, 101), "before the begin": {0, 1}} {
		if _, ok := adopt(1, seqs, 1<<20); ok {
			t.Errorf("adopted %s", what)
		}
	}
	if _, ok := adopt(3, []uint64{1, 2, 3}, 1<<20); ok {
		t.Error("adopted a message that was never put")
	}
	if _, ok := adopt(4, numbers(1, 20), 200); ok {
		t.Error("adopted little among much")
	}
	if _, ok := adopt(5, numbers(1, 20), 400_000); !ok {
		t.Error("not adopted what is nearly all")
	}
}

// TestAdoptNotGoing: nothing is adopted in a segment that the sweeper has begun
// with, since it may have asked already whether it is live.
func TestAdoptNotGoing(t *testing.T) {
	t.Parallel()
	var j *Journal
	asked, adopted := 0, 0
	o := Options{FS: vfs.NewMem(), Dir: "d", SegmentSize: 2000, KeepSegments: 1, SpaceInterval: time.Millisecond}
	o.LiveBytes = func() int64 { return 0 }
	o.Levels = func(uint64) []uint64 { return nil }
	o.Live = func(r Ref) bool {
		asked++
		if j.Adopt(r.Stream, []uint64{r.Seq}, 1<<20, func([]Stretch) {}) {
			adopted++
		}
		return false
	}
	var err error
	if j, _, err = Open(o, newContent()); err != nil {
		t.Fatal(err)
	}
	putAll(t, j, 1, 100)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if asked == 0 || adopted > 0 {
		t.Errorf("%d of %d were adopted where they were about to go", adopted, asked)
	}
}

// TestFramesDamaged: a bad frame is never handed out, and makes the next start
// read everything.
func TestFramesDamaged(t *testing.T) {
	t.Parallel()
	fs, o := digested(t, 60, alone)
	o.Brief = nil // no more are written
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	var at Stretch
	putAll(t, j, 9, 12)
	if !j.Adopt(9, numbers(1, 12), 1<<20, func(found []Stretch) { at = found[0] }) {
		t.Fatal("not adopted")
	}
	if err := fs.Flip(j.name(at.Segment, "wal"), int64(at.From+40)*8); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Frames(at, newContent()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	if names := idx(t, fs); len(names) > 0 {
		t.Errorf("digests are left: %q", names)
	}
}
