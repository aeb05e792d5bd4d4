package journal

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// putAll appends n bodies of 100 bytes, each waited for.
func putAll(t *testing.T, j *Journal, stream uint64, n int) {
	t.Helper()
	for i := range n {
		done := make(chan error, 1)
		j.Append(func(b Batch) { b.Put([]Ref{{stream, uint64(i + 1)}}, 0, make([]byte, 100)) }, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestSynced: every commit that somebody waits for is measured.
func TestSynced(t *testing.T) {
	t.Parallel()
	var times atomic.Int64
	o := Options{FS: vfs.NewMem(), Dir: "d", SegmentSize: 2000, Synced: func(took time.Duration) {
		if took < 0 {
			t.Errorf("took %v", took)
		}
		times.Add(1)
	}}
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	putAll(t, j, 1, 7)
	if n := times.Load(); n != 7 {
		t.Errorf("%d of 7 commits were measured", n)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDiskBytes: the segments that replay finds count as those that were written
// since, so that the sweeper sees them.
func TestDiskBytes(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	o := Options{FS: fs, Dir: "d", SegmentSize: 2000, KeepSegments: 1, SpaceInterval: time.Millisecond}
	o.LiveBytes = func() int64 { return 1 << 20 }
	o.Levels = func(uint64) []uint64 { return nil }
	o.Live = func(Ref) bool { return false }
	segments := func() (n int) {
		names, err := fs.List("d")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".wal") {
				n++
			}
		}
		return n
	}
	open := func() *Journal {
		j, _, err := Open(o, newContent())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := j.DiskBytes(), int64(segments())*2000; got != want {
			t.Errorf("%d bytes in %d segments", got, segments())
		}
		return j
	}
	j := open()
	putAll(t, j, 1, 100)
	if got, want := j.DiskBytes(), int64(segments())*2000; got != want || got < 10_000 {
		t.Errorf("%d bytes in %d segments", got, segments())
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	before := segments()
	o.LiveBytes = func() int64 { return 0 }
	j = open()
	putAll(t, j, 2, 3) // which wakes the sweeper
	deadline := time.Now().Add(10 * time.Second)
	for segments() > 3 && time.Now().Before(deadline) {
		putAll(t, j, 3, 1)
		time.Sleep(time.Millisecond)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if n := segments(); n > 3 {
		names, _ := fs.List("d")
		t.Errorf("%d segments after a restart, %d before: %v", n, before, slices.Sorted(slices.Values(names)))
	}
}
