package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/warrenmq/warren/internal/vfs"
)

// write makes a file and writes to it; it returns the open file.
func write(t *testing.T, m *vfs.Mem, name, text string) vfs.File {
	t.Helper()
	f, err := m.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// read returns a file's content; ok is false when there is no such file.
func read(t *testing.T, fsys vfs.FS, name string) (text string, ok bool) {
	t.Helper()
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	must(t, err)
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if size > 0 {
		_, err = f.ReadAt(b, 0)
		must(t, err)
	}
	must(t, f.Close())
	return string(b), true
}

// outcomes crashes what setup makes many times and returns the contents that
// the file name had afterwards; absent files are "-".
func outcomes(t *testing.T, name string, setup func(m *vfs.Mem)) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(300) {
		m := vfs.NewMem()
		setup(m)
		text, ok := read(t, m.Crash(rand.New(rand.NewPCG(seed, 0))), name)
		if !ok {
			text = "-"
		}
		seen[text] = true
	}
	var all []string
	for text := range seen {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	got := outcomes(t, "d/a", func(m *vfs.Mem) {
		f := write(t, m, "d/a", "abc")
		must(t, f.Sync(), m.SyncDir("d"))
	})
	if !slices.Equal(got, []string{"abc"}) {
		t.Errorf("synced file after crashes: %q, want always abc", got)
	}
}

func TestCrashTearsWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	got := outcomes(t, "d/a", func(m *vfs.Mem) {
		f := write(t, m, "d/a", "...")
		must(t, f.Sync(), m.SyncDir("d"))
		_, err := f.WriteAt([]byte("abc"), 0)
		must(t, err)
	})
	for _, want := range []string{"...", "abc", "a..", "..c", "ab.", ".bc"} {
		if !slices.Contains(got, want) {
			t.Errorf("an unsynced write never came out as %q: %q", want, got)
		}
	}
}

func TestCrashReordersWrites(t *testing.T) {
	t.Parallel()
	got := outcomes(t, "d/a", func(m *vfs.Mem) {
		f := write(t, m, "d/a", "..")
		must(t, f.Sync(), m.SyncDir("d"))
		for i, s := range []string{"1", "2"} {
			_, err := f.WriteAt([]byte(s), int64(i))
			must(t, err)
		}
	})
	if want := []string{"..", ".2", "1.", "12"}; !slices.Equal(got, want) {
		t.Errorf("two unsynced writes came out as %q, want %q", got, want)
	}
}

func TestCrashForgetsNames(t *testing.T) {
	t.Parallel()
	created := func(m *vfs.Mem) { must(t, write(t, m, "d/a", "x").Sync()) }
	if got := outcomes(t, "d/a", created); !slices.Equal(got, []string{"-", "x"}) {
		t.Errorf("a name that was not synced: %q, want that it may be missing", got)
	}
	renamed := func(m *vfs.Mem) {
		must(t, write(t, m, "d/a", "new").Sync(), write(t, m, "d/b", "old").Sync(), m.SyncDir("d"), m.Rename("d/a", "d/b"))
	}
	if got := outcomes(t, "d/b", renamed); !slices.Equal(got, []string{"new", "old"}) {
		t.Errorf("a rename that was not synced: %q, want old or new", got)
	}
	removed := func(m *vfs.Mem) {
		must(t, write(t, m, "d/a", "x").Sync(), m.SyncDir("d"), m.Remove("d/a"))
	}
	if got := outcomes(t, "d/a", removed); !slices.Equal(got, []string{"-", "x"}) {
		t.Errorf("a removal that was not synced: %q, want that the file may be back", got)
	}
	synced := func(m *vfs.Mem) { removed(m); must(t, m.SyncDir("d")) }
	if got := outcomes(t, "d/a", synced); !slices.Equal(got, []string{"-"}) {
		t.Errorf("a removal that was synced: %q, want that the file is gone", got)
	}
	elsewhere := func(m *vfs.Mem) { must(t, write(t, m, "d/a", "x").Sync(), m.SyncDir("e")) }
	if got := outcomes(t, "d/a", elsewhere); !slices.Equal(got, []string{"-", "x"}) {
		t.Errorf("another directory's sync made the name durable: %q", got)
	}
}

func TestCrashedIsDead(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	f := write(t, m, "d/a", "x")
	must(t, f.Sync(), m.SyncDir("d"))
	next := m.Crash(rand.New(rand.NewPCG(1, 1)))
	if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, vfs.ErrCrashed) {
		t.Errorf("write after the crash: %v, want ErrCrashed", err)
	}
	if err := f.Sync(); !errors.Is(err, vfs.ErrCrashed) {
		t.Errorf("sync after the crash: %v, want ErrCrashed", err)
	}
	if text, _ := read(t, next, "d/a"); text != "x" {
		t.Errorf("after the crash the file is %q, want x", text)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	f := write(t, m, "d/a", "....")
	must(t, f.Sync(), m.SyncDir("d"))
	m.SetFault(func(op vfs.Op) error {
		switch {
		case op.Kind == "sync" && op.Nth == 2:
			return syscall.EIO
		case op.Kind == "write" && op.Nth == 2:
			return &vfs.ShortWriteError{N: 2, Err: syscall.ENOSPC}
		}
		return nil
	})
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d bytes, %v; want 2 and ENOSPC", n, err)
	}
	if text, _ := read(t, m, "d/a"); text != "ab.." {
		t.Errorf("after the short write the file is %q", text)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("second sync: %v, want EIO", err)
	}
	must(t, f.Sync()) // says all is well, and is not
	if text, _ := read(t, m.Crash(rand.New(rand.NewPCG(1, 1))), "d/a"); text != "...." {
		t.Errorf("what a failed sync had marked clean is on the disk: %q", text)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	f := write(t, m, "d/a", "abcd")
	must(t, f.Sync(), m.SyncDir("d"), m.Flip("d/a", 8), m.Zero("d/a", 2, 1))
	if text, _ := read(t, m, "d/a"); text != "ac\x00d" {
		t.Errorf("damaged file: %q", text)
	}
	if m.Flip("d/a", 32) == nil || m.Flip("d/b", 0) == nil {
		t.Error("a bit that is not there was flipped")
	}
	c := m.Clone()
	must(t, c.Flip("d/a", 0))
	if text, _ := read(t, m, "d/a"); text != "ac\x00d" {
		t.Errorf("a change of the clone shows in the original: %q", text)
	}
	if text, _ := read(t, m.Crash(rand.New(rand.NewPCG(1, 1))), "d/a"); text != "ac\x00d" {
		t.Errorf("damage did not survive the crash: %q", text)
	}
}

// TestContract holds both file systems to what vfs.FS says.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]vfs.FS{"mem": vfs.NewMem(), "disk": vfs.Disk{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contract(t, fsys, t.TempDir()+"/new")
		})
	}
}

func contract(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	must(t, fsys.SyncDir(dir)) // makes it
	if _, err := fsys.Open(dir + "/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of a file that is not there: %v", err)
	}
	if !errors.Is(fsys.Remove(dir+"/a"), fs.ErrNotExist) || !errors.Is(fsys.Rename(dir+"/a", dir+"/b"), fs.ErrNotExist) {
		t.Error("a file that is not there was removed or renamed")
	}
	f, err := fsys.Create(dir + "/a")
	must(t, err)
	_, err = f.WriteAt([]byte("tail"), 8192)
	must(t, err, f.Sync())
	if size, err := f.Size(); err != nil || size != 8196 {
		t.Errorf("size %d, %v; want 8196", size, err)
	}
	head := make([]byte, 4)
	if _, err := f.ReadAt(head, 100); err != nil || !bytes.Equal(head, make([]byte, 4)) {
		t.Errorf("a hole reads as %q, %v", head, err)
	}
	if n, err := f.ReadAt(head, 8194); n != 2 || err == nil {
		t.Errorf("read over the end: %d bytes, %v; want 2 and an error", n, err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte("x"), 8192), 0)
	must(t, err)
	if err := f.Punch(0, 4096); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("punch: %v", err)
	} else if err == nil {
		if _, err := f.ReadAt(head, 4094); err != nil || string(head) != "\x00\x00xx" {
			t.Errorf("around a hole: %q, %v", head, err)
		}
	}
	must(t, f.Close(), fsys.Rename(dir+"/a", dir+"/c"))
	g, err := fsys.Create(dir + "/b")
	must(t, err, g.Close(), fsys.SyncDir(dir))
	if names, err := fsys.List(dir); err != nil || !slices.Equal(names, []string{"b", "c"}) {
		t.Errorf("list: %q, %v", names, err)
	}
	g, err = fsys.Create(dir + "/c") // empties it
	must(t, err, g.Close())
	if text, ok := read(t, fsys, dir+"/c"); !ok || text != "" {
		t.Errorf("a file that was made again has %d bytes", len(text))
	}
	must(t, fsys.Remove(dir+"/b"))
	if names, err := fsys.List(dir); err != nil || !slices.Equal(names, []string{"c"}) {
		t.Errorf("list after a removal: %q, %v", names, err)
	}
}
