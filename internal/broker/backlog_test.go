package broker

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
)

// lost is a run of messages that cannot be read.
type lost struct{ meanwhile func() }

func (l *lost) Read() ([]queue.Kept, error) {
	if l.meanwhile != nil {
		l.meanwhile()
	}
	return nil, errors.New("the disk does not answer")
}
func (*lost) Free()       {}
func (*lost) InLog() bool { return true }

// restored opens a broker with one queue, whose three messages lie where they
// cannot be read.
func restored(t *testing.T, where *lost) (v *Vhost, a *Actor, b *Broker, failures *int) {
	t.Helper()
	failures = new(int)
	b = New(Options{Log: MemoryLog{}, Logger: slog.New(slog.DiscardHandler), Failed: func(error) { *failures++ }})
	ref := meta.VhostRef{Cluster: "c", Name: "/"}
	v = b.AddVhost(meta.Vhost{Cluster: "c", Name: "/"}, "/")
	v.RestoreQueue(meta.Queue{Vhost: ref, Name: "q", UID: 7, Durable: true}, Restored{
		Runs: []queue.Cold{{Where: where, Seqs: []uint64{1, 2, 3}, Bytes: 30, PersistentBytes: 30}}, Ends: []uint64{4},
	}, Restored{}, Restored{})
	rights, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	return v, &Actor{Rights: rights}, b, failures
}

// TestLiveWhenUnreadable asks for a message that cannot be read, as the
// journal does before it retires a segment: it must get an answer, or the
// node never ends.
func TestLiveWhenUnreadable(t *testing.T) {
	t.Parallel()
	_, _, b, failures := restored(t, &lost{})
	for range 2 {
		if !b.Live(7, 2) {
			t.Error("a message that could not be read is not live")
		}
	}
	if *failures != 1 {
		t.Errorf("told %d times that the node has to end, want once", *failures)
	}
}

// TestGetWhenUnreadable has basic.get answer, not try again for ever.
func TestGetWhenUnreadable(t *testing.T) {
	t.Parallel()
	v, a, _, failures := restored(t, &lost{})
	if _, _, _, ok, err := v.Get(a, "q", false, nil); ok || err != nil {
		t.Errorf("got a message that cannot be read, or %v", err)
	}
	if *failures != 1 {
		t.Errorf("told %d times that the node has to end, want once", *failures)
	}
}

// TestPurgeWhileReading purges a queue while its messages are read: that they
// cannot be read any more is no failure.
func TestPurgeWhileReading(t *testing.T) {
	t.Parallel()
	where := &lost{}
	v, a, b, failures := restored(t, where)
	where.meanwhile = func() {
		if n, err := v.Purge(a, "q"); n != 3 || err != nil {
			t.Errorf("purge: %d messages, %v", n, err)
		}
	}
	if _, _, _, ok, err := v.Get(a, "q", false, nil); ok || err != nil {
		t.Errorf("got a message of a purged queue, or %v", err)
	}
	if *failures != 0 || b.Live(7, 2) {
		t.Errorf("told %d times that the node has to end; live: %t", *failures, b.Live(7, 2))
	}
}

// there is a run of messages that can be read.
type there struct {
	first uint64
	reads chan uint64
}

func (r *there) Read() ([]queue.Kept, error) {
	kept := make([]queue.Kept, 3)
	for i := range kept {
		kept[i] = queue.Kept{Seq: r.first + uint64(i), Message: queue.Message{Slab: slab.Adopt(make([]byte, 10)), Size: 10, Persistent: true}}
	}
	r.reads <- r.first
	return kept, nil
}
func (*there) Free()       {}
func (*there) InLog() bool { return true }

// TestReadAhead: while one run is consumed the next one is read, and not one more.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	b := New(Options{Log: MemoryLog{}, Logger: slog.New(slog.DiscardHandler)})
	ref := meta.VhostRef{Cluster: "c", Name: "/"}
	v := b.AddVhost(meta.Vhost{Cluster: "c", Name: "/"}, "/")
	reads := make(chan uint64, 10)
	r := Restored{Ends: []uint64{10}}
	for first := uint64(1); first < 10; first += 3 {
		r.Runs = append(r.Runs, queue.Cold{Where: &there{first, reads}, From: first, Count: 3, Bytes: 30, PersistentBytes: 30})
	}
	v.RestoreQueue(meta.Queue{Vhost: ref, Name: "q", UID: 7, Durable: true}, r, Restored{}, Restored{})
	q, _ := v.Queue("q")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		b.ReadAhead(ctx)
		close(done)
	}()
	rights, err := auth.Compile(auth.Permission{Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, ok, err := v.Get(&Actor{Rights: rights}, "q", true, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for want := uint64(1); want <= 4; want += 3 {
		if got := <-reads; got != want {
			t.Errorf("read the run at %d, want %d", got, want)
		}
	}
	stop()
	<-done // and what it was at is done
	if q.state.Where(4) != nil {
		t.Error("the next run is not there")
	}
	if q.state.Where(7) == nil || len(reads) > 0 {
		t.Error("more was read than the next run")
	}
}
