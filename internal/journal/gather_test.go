package journal

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// witness is a file system that notes what is done to segments.
type witness struct {
	vfs.FS

	mu  sync.Mutex
	did []string
}

type witnessed struct {
	vfs.File

	w *witness
}

func (w *witness) Open(name string) (vfs.File, error) {
	f, err := w.FS.Open(name)
	return witnessed{f, w}, err
}

func (w *witness) note(what string) {
	w.mu.Lock()
	w.did = append(w.did, what)
	w.mu.Unlock()
}

// take returns what was noted since it was called last.
func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	did := w.did
	w.did = nil
	return did
}

func (f witnessed) WriteAt(b []byte, off int64) (int, error) {
	f.w.note("write")
	return f.File.WriteAt(b, off)
}

func (f witnessed) Sync() error {
	f.w.note("sync")
	return f.File.Sync()
}

func (f witnessed) Start(int64, int64) { f.w.note("start") }

// TestGather: what is gathered is written and begun to be stored at once; Push
// waits for it, and for nothing else.
func TestGather(t *testing.T) {
	t.Parallel()
	w := &witness{FS: vfs.NewMem()}
	j, _, err := Open(Options{FS: w, Dir: "d", Linger: time.Hour}, newContent())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	seq := uint64(0)
	put := func(b Batch) { seq++; b.Put([]Ref{{1, seq}}, 0, []byte("x")) }
	tell := func(name string) func(error) {
		return func(err error) {
			mu.Lock()
			told = append(told, fmt.Sprint(name, err))
			mu.Unlock()
		}
	}
	expect := func(what string, did, names []string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if got := w.take(); !slices.Equal(got, did) {
			t.Errorf("%s: the file saw %q, want %q", what, got, did)
		}
		if !slices.Equal(told, names) {
			t.Errorf("%s: %q were told, want %q", what, told, names)
		}
		told = nil
	}
	j.Gather(put, tell("first"))
	j.Push()
	w.take() // a segment was begun
	told = nil

	j.Gather(put, tell("a"))
	expect("gather", []string{"write", "start"}, nil)
	j.Append(put, nil)
	expect("what nobody waits for", nil, nil)
	j.Push()
	expect("push", []string{"sync"}, []string{"a<nil>"})

	j.Gather(put, tell("b"))
	j.Gather(put, tell("c"))
	expect("two", []string{"write", "start", "write", "start"}, nil)
	j.Push()
	j.Push()
	expect("two pushes", []string{"sync"}, []string{"b<nil>", "c<nil>"})

	j.Gather(put, tell("d"))
	done := make(chan struct{})
	j.Append(put, func(err error) { tell("e")(err); close(done) })
	<-done
	j.Push()
	expect("an append between", []string{"write", "start", "write", "sync"}, []string{"d<nil>", "e<nil>"})

	j.Gather(put, tell("f"))
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	j.Push()
	if w.take(); !slices.Equal(told, []string{"f<nil>"}) {
		t.Errorf("close: %q were told", told)
	}
}
