package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// digested is filled with digests beside all segments that stay, of which there
// are at least three.
func digested(t *testing.T, n int, brief func(uint64, []byte) (uint64, bool)) (*vfs.Mem, Options) {
	t.Helper()
	fs, o := filled(t, n)
	o.FS, o.Brief, o.KeepSegments = fs, brief, 1
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	putAll(t, j, 2, 20) // begins a segment, which wakes who makes them
	for j.undigested() != nil {
		time.Sleep(time.Millisecond)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if names := idx(t, fs); len(names) < 3 {
		t.Fatalf("digests: %q", names)
	}
	return fs, o
}

// alone is sum for digests without spans.
func alone(mark uint64, body []byte) (uint64, bool) {
	brief, _ := sum(mark, body)
	return brief, false
}

// eachDigest runs a test with digests that have spans and with such that have none.
func eachDigest(t *testing.T, test func(*testing.T, func(uint64, []byte) (uint64, bool))) {
	t.Helper()
	for name, brief := range map[string]func(uint64, []byte) (uint64, bool){"spans": sum, "alone": alone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, brief)
		})
	}
}

func idx(t *testing.T, fs *vfs.Mem) []string {
	t.Helper()
	names, err := fs.List("d")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".idx") })
}

// TestDigest: what a start reads of digests is what it reads of segments.
func TestDigest(t *testing.T) {
	t.Parallel()
	eachDigest(t, testDigest)
}

func testDigest(t *testing.T, brief func(uint64, []byte) (uint64, bool)) {
	t.Helper()
	fs, o := digested(t, 60, brief)
	o.FS = fs.Clone()
	c := newContent()
	j, r, err := Open(o, c)
	if err != nil {
		t.Fatal(err)
	}
	unread := len(c.unread)
	for _, s := range c.spans {
		unread += s.Count
	}
	if _, plain := brief(7, nil); unread < 30 || plain != (len(c.spans) > 0) {
		t.Errorf("only %d bodies were not read; %d spans", unread, len(c.spans))
	}
	if err := errors.Join(c.read(j), j.Close()); err != nil {
		t.Fatal(err)
	}
	o.Brief = nil
	whole, r2 := reopen(t, fs, o)
	if !maps.Equal(c.live(), whole.live()) || len(c.live()) != 80 {
		t.Errorf("%d messages with digests, %d without", len(c.live()), len(whole.live()))
	}
	if r.Frames != r2.Frames || r.Bytes != r2.Bytes || !slices.EqualFunc(r.Files, r2.Files, func(a, b SegmentReport) bool {
		return a.Name == b.Name && a.Size == b.Size && a.End == b.End && a.Frames == b.Frames && a.Prev == b.Prev
	}) {
		t.Errorf("reported with digests %+v, without %+v", r, r2)
	}
}

// TestDigestFlips flips a bit of every byte of the digests: none is believed.
func TestDigestFlips(t *testing.T) {
	t.Parallel()
	fs, o := digested(t, 40, sum)
	want, _ := reopen(t, fs, Options{Dir: "d", SegmentSize: o.SegmentSize})
	for _, name := range idx(t, fs) {
		b, err := vfs.Read(fs, "d/"+name)
		if err != nil {
			t.Fatal(err)
		}
		for at := range int64(len(b)) {
			o.FS = fs.Clone()
			if err := o.FS.(*vfs.Mem).Flip("d/"+name, at*8+at%8); err != nil {
				t.Fatal(err)
			}
			c := newContent()
			j, r, err := Open(o, c)
			if err != nil {
				t.Fatalf("%s byte %d: %v", name, at, err)
			}
			if err := errors.Join(c.read(j), j.Close()); err != nil || !maps.Equal(c.live(), want.live()) || len(r.Damaged) > 0 {
				t.Fatalf("%s byte %d: %v, %d messages, damage %q", name, at, err, len(c.live()), r.Damaged)
			}
		}
	}
}

// TestDamageBesideDigest damages a segment whose digest is good: it is found
// when the body is read, never handed out, and reported at the next start.
func TestDamageBesideDigest(t *testing.T) {
	t.Parallel()
	eachDigest(t, testDamageBesideDigest)
}

func testDamageBesideDigest(t *testing.T, brief func(uint64, []byte) (uint64, bool)) {
	t.Helper()
	fs, o := digested(t, 60, brief)
	name := strings.TrimSuffix(idx(t, fs)[1], "idx") + "wal"
	if err := fs.Flip("d/"+name, 8*1000); err != nil {
		t.Fatal(err)
	}
	o.FS = fs
	c := newContent()
	j, r, err := Open(o, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Damaged) > 0 {
		t.Errorf("found at once: %q", r.Damaged)
	}
	wrong, failed := 0, 0
	for p, body := range c.unread {
		b, err := j.Read(body.At, body.Size)
		switch {
		case errors.Is(err, ErrCorrupt):
			failed++
		case err != nil:
			t.Fatal(err)
		case string(b) != fmt.Sprintf("%0100d", p.Seq) && !bytes.Equal(b, make([]byte, 100)):
			wrong++
		}
	}
	for _, s := range c.spans {
		got := &spanned{content: c, span: s}
		switch _, err := j.Frames(s.At, got); {
		case errors.Is(err, ErrCorrupt):
			failed++
		case err != nil:
			t.Fatal(err)
		case got.brief != s.Brief:
			wrong++
		}
	}
	if wrong > 0 || failed == 0 || len(idx(t, fs)) > 0 {
		t.Errorf("%d bodies were wrong, %d could not be read, digests left: %q", wrong, failed, idx(t, fs))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if c, r := reopen(t, fs, o); len(r.Damaged) != 1 || len(c.live()) != 79 {
		t.Errorf("%d messages, reported: %q", len(c.live()), r.Damaged)
	}
}

// TestDigestGoes with its segment, and at the next start when it was left.
func TestDigestGoes(t *testing.T) {
	t.Parallel()
	fs, o := digested(t, 60, sum)
	names := idx(t, fs)
	o.FS = fs
	o.Live, o.LiveBytes, o.Levels = func(Ref) bool { return false }, func() int64 { return 0 }, func(uint64) []uint64 { return nil }
	if err := vfs.Write(fs, "d/00000000000000ff.idx", []byte("of no segment")); err != nil {
		t.Fatal(err)
	}
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	putAll(t, j, 3, 40)
	for { // until the sweeper is done
		j.files.Lock()
		done := !j.tooMuch() && !j.sweeping
		j.files.Unlock()
		if done {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range idx(t, fs) {
		if slices.Contains(names, name) || name == "00000000000000ff.idx" {
			t.Errorf("%s is still there", name)
		}
		if _, err := fs.Open("d/" + strings.TrimSuffix(name, "idx") + "wal"); err != nil {
			t.Errorf("%s is of no segment", name)
		}
	}
	if c, _ := reopen(t, fs, Options{Dir: "d", SegmentSize: o.SegmentSize}); c.live()[Ref{3, 40}] == "" {
		t.Error("what was written then is not there")
	}
}
