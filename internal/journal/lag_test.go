package journal

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: not after five seconds", what)
}

// wrote waits until a file was written to n times, and returns what it saw.
func (w *witness) wrote(t *testing.T, n int) (did []string) {
	t.Helper()
	until(t, "a write", func() bool {
		did = append(did, w.take()...)
		writes := 0
		for _, what := range did {
			if what == "write" {
				writes++
			}
		}
		return writes >= n
	})
	return did
}

// lagging opens a journal whose files a witness sees, with a segment begun.
func lagging(t *testing.T, o Options) (*Journal, *witness) {
	t.Helper()
	w := &witness{FS: vfs.NewMem()}
	o.FS, o.Dir = w, "d"
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	put(t, j, func(b Batch) { b.Put([]Ref{{1, 1}}, 0, []byte("x")) })
	w.take()
	return j, w
}

// TestLag: what nobody waits for is written soon, and synced with what somebody
// waits for, or at the end.
func TestLag(t *testing.T) {
	t.Parallel()
	j, w := lagging(t, Options{SegmentSize: 1 << 16, Linger: time.Millisecond, Lag: time.Hour})
	lone := func(seq uint64) {
		j.Append(func(b Batch) { b.Put([]Ref{{1, seq}}, 0, []byte("x")) }, nil)
	}
	lone(2)
	if did := w.wrote(t, 1); !slices.Equal(did, []string{"write"}) {
		t.Errorf("what nobody waits for: %q", did)
	}
	lone(3)
	if did := w.wrote(t, 1); !slices.Equal(did, []string{"write"}) {
		t.Errorf("more of it: %q", did)
	}
	done := make(chan error)
	j.Append(func(Batch) {}, func(err error) { done <- err }) // nothing of its own
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if did := w.take(); !slices.Equal(did, []string{"sync"}) {
		t.Errorf("who waits for what was before: %q", did)
	}
	lone(4)
	w.wrote(t, 1)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if did := w.take(); !slices.Equal(did, []string{"sync", "write", "sync"}) {
		t.Errorf("the end, of what was before it and of itself: %q", did)
	}
}

// TestLagEnds: it is not synced later than Lag, nor with more than maxLag behind.
func TestLagEnds(t *testing.T) {
	t.Parallel()
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		j, w := lagging(t, Options{SegmentSize: 1 << 16, Linger: time.Millisecond, Lag: 5 * time.Millisecond})
		for seq := range uint64(3) {
			j.Append(func(b Batch) { b.Put([]Ref{{1, 2 + seq}}, 0, []byte("x")) }, nil)
			var did []string
			until(t, "a sync", func() bool {
				did = append(did, w.take()...)
				return slices.Contains(did, "sync")
			})
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		j, w := lagging(t, Options{SegmentSize: 8 << 20, Linger: time.Hour, Lag: time.Hour})
		body := make([]byte, maxLinger)
		behind := 0
		for seq := range uint64(3*maxLag/maxLinger + 1) {
			j.Append(func(b Batch) { b.Put([]Ref{{1, 2 + seq}}, 0, body) }, nil)
			for _, what := range w.wrote(t, 1) {
				if behind++; what == "sync" {
					behind = 0
				}
			}
			if behind > 2*maxLag/maxLinger+2 { // each is a write and a start
				t.Fatalf("%d writes and starts without a sync", behind)
			}
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// reserving counts how often space is reserved; it may be that it cannot.
type reserving struct {
	vfs.FS

	reserved atomic.Int32
	cannot   bool
}

type reserved struct {
	vfs.File

	fs *reserving
}

func (r *reserving) Create(name string) (vfs.File, error) {
	f, err := r.FS.Create(name)
	return reserved{f, r}, err
}

func (f reserved) Reserve(size int64) error {
	f.fs.reserved.Add(1)
	if f.fs.cannot {
		return syscall.ENOTSUP
	}
	_, err := f.WriteAt([]byte{0}, size-1)
	return err
}

// TestReserve: space is reserved for segments, where it can be, when those before
// had few syncs, and only then.
func TestReserve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		few, cannot bool
	}{{true, false}, {true, true}, {false, false}} {
		t.Run(fmt.Sprintf("few %t cannot %t", c.few, c.cannot), func(t *testing.T) {
			t.Parallel()
			fs := &reserving{FS: vfs.NewMem(), cannot: c.cannot}
			content := newContent()
			o := Options{FS: fs, Dir: "d", SegmentSize: 4 << 20, Linger: time.Hour, Lag: time.Hour}
			j, _, err := Open(o, content)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 700<<10)
			for seq := range uint64(48) {
				done := make(chan error, 1)
				tell := func(err error) { done <- err }
				if c.few && seq%8 != 0 {
					tell = nil
				}
				j.Append(func(b Batch) { b.Put([]Ref{{1, seq}}, 0, body) }, tell)
				if tell != nil {
					if err := <-done; err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			if n := fs.reserved.Load(); n > 0 != c.few {
				t.Errorf("space was reserved %d times", n)
			}
			content = newContent()
			if j, _, err = Open(o, content); err != nil {
				t.Fatal(err)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			if len(content.put) != 48 {
				t.Errorf("%d of 48 messages are there", len(content.put))
			}
		})
	}
}
