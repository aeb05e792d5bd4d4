package broker

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
)

// ledger is definitions that take their time, and that refuse what does not
// follow from what they hold.
type ledger struct {
	mu       sync.Mutex
	queues   map[string]uint64
	bindings map[string]bool
	writing  atomic.Int32
	most     atomic.Int32 // how many queues were written at once
}

var errLedger = errors.New("that does not follow")

func (l *ledger) slowly(f func() bool) error {
	n := l.writing.Add(1)
	defer l.writing.Add(-1)
	for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
	}
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	defer time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !f() {
		return errLedger
	}
	return nil
}

func (l *ledger) PutQueue(q meta.Queue) error {
	return l.slowly(func() bool {
		_, ok := l.queues[q.Name]
		l.queues[q.Name] = q.UID
		return !ok
	})
}

func (l *ledger) DeleteQueue(_ meta.VhostRef, name string) error {
	return l.slowly(func() bool {
		_, ok := l.queues[name]
		delete(l.queues, name)
		for b := range l.bindings {
			if strings.HasPrefix(b, name+" ") {
				delete(l.bindings, b)
			}
		}
		return ok
	})
}

func (l *ledger) PutBinding(b meta.Binding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.queues[b.Destination]; !ok {
		return errLedger
	}
	l.bindings[b.Destination+" "+b.RoutingKey] = true
	return nil
}

func (l *ledger) DeleteBinding(b meta.Binding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := b.Destination + " " + b.RoutingKey
	if !l.bindings[id] {
		return errLedger
	}
	delete(l.bindings, id)
	return nil
}

func (l *ledger) PutExchange(meta.Exchange) error            { return nil }
func (l *ledger) DeleteExchange(meta.VhostRef, string) error { return nil }

// TestRecordTogether: what several do with the same few durable queues at once
// leads to definitions that say what there is.
func TestRecordTogether(t *testing.T) {
	t.Parallel()
	l := &ledger{queues: map[string]uint64{}, bindings: map[string]bool{}}
	var uid atomic.Uint64
	b := New(Options{
		Log: MemoryLog{}, Definitions: l, Logger: slog.New(slog.DiscardHandler), NextUID: func() uint64 { return uid.Add(1) },
	})
	v := b.AddVhost(meta.Vhost{Cluster: "c", Name: "/"}, "/")
	const limit = 3
	v.Follow(meta.Vhost{Limits: meta.Quota{meta.LimitQueues: limit}})
	rights, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	a := &Actor{Rights: rights}
	names := []string{"a", "b", "c", "d", "e"}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 150 {
				name := names[rand.IntN(len(names))]
				binding := Binding{Source: "amq.direct", Destination: name, DestinationKind: KindQueue, Key: "k"}
				switch rand.IntN(5) {
				case 0, 1:
					q, err := v.DeclareQueue(a, QueueDeclare{Name: name, Durable: true})
					if err != nil && !strings.Contains(err.Text, "queue limit") {
						t.Errorf("declare: %v", err)
					}
					if err == nil && q.Name != name {
						t.Errorf("declared %s, got %s", name, q.Name)
					}
				case 2:
					if _, err := v.DeleteQueue(a, name, false, false); err != nil {
						t.Errorf("delete: %v", err)
					}
				case 3:
					if err := v.Bind(a, binding); err != nil && !strings.Contains(err.Text, "no queue") {
						t.Errorf("bind: %v", err)
					}
				case 4:
					if err := v.Unbind(a, binding); err != nil {
						t.Errorf("unbind: %v", err)
					}
				}
				if n := len(v.Queues()); n > limit {
					t.Errorf("%d queues, the limit is %d", n, limit)
				}
			}
		})
	}
	wg.Wait()
	if l.most.Load() < 2 {
		t.Error("no two queues were written at once")
	}
	if n := len(v.Queues()); n != len(l.queues) || v.recording.adds != 0 || len(v.recording.names) != 0 {
		t.Errorf("%d queues, %d are recorded; %d are still being written", n, len(l.queues), len(v.recording.names))
	}
	for _, q := range v.Queues() {
		if l.queues[q.Name] != q.UID {
			t.Errorf("queue %s has number %d, recorded is %d", q.Name, q.UID, l.queues[q.Name])
		}
	}
	if n := len(v.Bindings()); n != len(l.bindings) {
		t.Errorf("%d bindings, %d are recorded", n, len(l.bindings))
	}
}
