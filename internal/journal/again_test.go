package journal

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/vfs"
)

// lastWord notes what the log says last of a place.
type lastWord struct {
	*content

	place        Ref
	puts         int
	settledAfter bool
}

func (l *lastWord) Put(places []Ref, _ uint64, _ Body) {
	for _, p := range places {
		if p == l.place {
			l.puts++
			l.settledAfter = false
		}
	}
}

func (l *lastWord) Settle(stream uint64, seqs []uint64) {
	for _, seq := range seqs {
		if (Ref{stream, seq}) == l.place {
			l.settledAfter = true
		}
	}
}

// TestSettledWhilePutAgain: a message is settled just when the sweeper has
// found it live. The settle is in the log before the put, and may go with its
// segment before that: there has to be another behind the put.
func TestSettledWhilePutAgain(t *testing.T) {
	t.Parallel()
	fs, target := vfs.NewMem(), Ref{1, 1}
	var mu sync.Mutex
	var j *Journal
	settled := false
	o := Options{FS: fs, Dir: "d", SegmentSize: 2000, KeepSegments: 1, SpaceInterval: time.Millisecond}
	o.LiveBytes = func() int64 { return 0 }
	o.Levels = func(uint64) []uint64 { return nil }
	o.Live = func(r Ref) bool {
		mu.Lock()
		defer mu.Unlock()
		if r != target || settled {
			return false
		}
		settled = true
		j.Append(func(b Batch) { b.Settle(target.Stream, []uint64{target.Seq}) }, nil)
		return true // as it was a moment ago
	}
	var err error
	if j, _, err = Open(o, newContent()); err != nil {
		t.Fatal(err)
	}
	put := func(r Ref) {
		done := make(chan error, 1)
		j.Append(func(b Batch) { b.Put([]Ref{r}, 7, make([]byte, 100)) }, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	put(target)
	for i := uint64(2); ; i++ {
		mu.Lock()
		met := settled
		mu.Unlock()
		if met {
			time.Sleep(time.Millisecond)
		} else {
			put(Ref{2, i})
		}
		names, err := fs.List("d")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(names, "0000000000000001.wal") { // the sweeper is done with it
			break
		}
		if i > 10_000 {
			t.Fatal("the sweeper has not come")
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	l := &lastWord{content: newContent(), place: target}
	if _, err := Inspect(fs, "d", l); err != nil {
		t.Fatal(err)
	}
	if l.puts > 0 && !l.settledAfter { // none: that segment is gone as well
		t.Errorf("put %d times, settled behind the last put: %v", l.puts, l.settledAfter)
	}
}

// TestTwoNames: after a crash a file that was being named as the next segment can be there
// under both names. It is used once.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	fs, o := filled(t, 3)
	names, err := fs.List(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") {
			last = name
		}
	}
	id, err := strconv.ParseUint(strings.TrimSuffix(last, ".wal"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, ending := range []string{"wal", "free"} {
		f, err := fs.Create(fmt.Sprintf("%s/%016x.%s", o.Dir, id+1, ending))
		if err == nil {
			_, err = f.WriteAt(make([]byte, o.SegmentSize), 0)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	o.Fenced = func(err error) { t.Error(err) }
	j, _, err := Open(o, newContent())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(20) {
		done := make(chan error, 1)
		j.Append(func(b Batch) { b.Put([]Ref{{9, seq}}, 0, make([]byte, o.SegmentSize/2)) }, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatalf("segment %d: %v", seq/2, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
