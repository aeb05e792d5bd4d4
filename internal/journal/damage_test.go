package journal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// filled makes a journal with n messages of stream 1 in several segments,
// closes it, and returns its disk.
func filled(t *testing.T, n int) (*vfs.Mem, Options) {
	t.Helper()
	fs := vfs.NewMem()
	o := Options{FS: fs, Dir: "d", SegmentSize: 2000, SpaceInterval: time.Millisecond}
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		done := make(chan error, 1)
		j.Append(func(b Batch) { b.Put([]Ref{{1, uint64(i)}}, 7, fmt.Appendf(nil, "%0100d", i)) }, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, o
}

// reopen replays a copy of a disk.
func reopen(t *testing.T, fs *vfs.Mem, o Options) (*content, *Report) {
	t.Helper()
	o.FS = fs.Clone()
	c := newContent()
	j, r, err := Open(o, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return c, r
}

// TestEveryFlip flips, after a graceful end, a bit of every byte that was
// written: each is reported, or costs nothing; none costs more than a frame.
func TestEveryFlip(t *testing.T) {
	t.Parallel()
	const n = 30
	fs, o := filled(t, n)
	names, err := fs.List("d")
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		for at := range o.SegmentSize {
			damaged := fs.Clone()
			if err := damaged.Flip("d/"+name, at*8+at%8); err != nil {
				t.Fatal(err)
			}
			o.FS = damaged
			c := newContent()
			j, r, err := Open(o, c)
			if err != nil {
				t.Fatalf("%s byte %d: %v", name, at, err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			lost := n - len(c.live())
			if lost > 1 || lost > 0 && len(r.Damaged) == 0 {
				t.Fatalf("%s byte %d: %d messages are lost, reported: %q", name, at, lost, r.Damaged)
			}
			for ref, body := range c.live() {
				if want := fmt.Sprintf("7 %0100d", ref.Seq); body != want {
					t.Fatalf("%s byte %d: message %d is %q", name, at, ref.Seq, body)
				}
			}
			flips += len(r.Damaged)
		}
	}
	if flips < n*100 {
		t.Errorf("only %d flips were found to be damage", flips)
	}
}

// TestDamageIsKept serves what is left beside damage, goes on, and finds the
// same at the next start.
func TestDamageIsKept(t *testing.T) {
	t.Parallel()
	fs, o := filled(t, 30)
	if err := fs.Zero("d/0000000000000001.wal", 0, headerSize); err != nil {
		t.Fatal(err)
	}
	if err := fs.Zero("d/0000000000000002.wal", 512, 512); err != nil {
		t.Fatal(err)
	}
	o.FS = fs
	for range 2 {
		c := newContent()
		j, r, err := Open(o, c)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Damaged) != 2 || len(c.live()) < 20 {
			t.Errorf("%d messages are left, damage: %q", len(c.live()), r.Damaged)
		}
		j.Append(func(b Batch) { b.Put([]Ref{{2, 1}}, 7, []byte("x")) }, nil)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if c, _ := reopen(t, fs, o); c.live()[Ref{2, 1}] != "7 x" {
		t.Error("what was written beside the damage is not there")
	}
}

// TestMissing takes segments out of the middle of the log: it is said, the rest
// is served, and after a repair there is nothing to say.
func TestMissing(t *testing.T) {
	t.Parallel()
	fs, o := filled(t, 60)
	for _, id := range []int{2, 3} {
		if err := fs.Remove(fmt.Sprintf("d/%016x.wal", id)); err != nil {
			t.Fatal(err)
		}
	}
	c, r := reopen(t, fs, o)
	if len(r.Damaged) != 1 || !strings.Contains(r.Damaged[0], "segment 0000000000000003: its file is missing") {
		t.Errorf("reported: %q", r.Damaged)
	}
	left := len(c.live())
	if left < 20 || left > 50 {
		t.Errorf("%d messages are left", left)
	}
	r, err := Inspect(fs, "d", newContent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(fs, "d", r); err != nil {
		t.Fatal(err)
	}
	if c, r := reopen(t, fs, o); len(r.Damaged) > 0 || len(c.live()) != left {
		t.Errorf("after the repair: %d messages, reported %q", len(c.live()), r.Damaged)
	}
}

// FuzzFrame reads anything as a frame and its entries.
func FuzzFrame(f *testing.F) {
	seed := func(entries []byte) {
		b := append(make([]byte, frameHeader), entries...)
		seal(b, 1, 32)
		f.Add(b, false)
		f.Add(entries, true)
	}
	put := appendPut(nil, []Ref{{1, 2}, {3, 4}}, 5, []byte("body"))
	seed(put)
	seed(appendSettle(nil, 9, []uint64{7, 3, 8}))
	seed(appendTally(nil, Ref{1, 2}, 1<<33|1))
	seed(appendEnd(appendLevel(put, 1, 1<<40, true)))
	seed([]byte{kindPut, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	seed([]byte{kindSettle, 1, 3, 1})
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed { // so that the fuzzer need not find a checksum
			b = append(make([]byte, frameHeader), b...)
			seal(b, 1, 32)
		}
		body, _, n := frameAt(b, 1)
		if n == 0 {
			if sealed && len(b) > frameHeader {
				t.Fatal("a frame that was just sealed is none")
			}
			return
		}
		if n > len(b) || n < frameHeader {
			t.Fatalf("a frame of %d bytes in %d", n, len(b))
		}
		var e entries
		c := newContent()
		if e.visit(body, Position{1, 64}, c) && len(e.b) > 0 {
			t.Fatalf("%d bytes are left of a good frame", len(e.b))
		}
		for ref, text := range c.put {
			if len(text) > len(body)+21 {
				t.Fatalf("the body of %v is longer than its frame", ref)
			}
		}
	})
}
