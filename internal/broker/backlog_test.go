package broker

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/queue"
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
