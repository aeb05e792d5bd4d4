package meta

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// gate is a log whose appends wait while it is shut.
type gate struct {
	failing

	mu      sync.Mutex
	entered chan struct{} // one token an append that waits
	shut    chan struct{} // closed: it is open
	lines   []int         // of each append since it was shut first
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.lines, g.entered = make(chan struct{}), nil, make(chan struct{}, 1)
}

func (g *gate) Append(record []byte) error {
	g.mu.Lock()
	shut, entered := g.shut, g.entered
	g.lines = append(g.lines, bytes.Count(record, []byte("\n"))+1)
	g.mu.Unlock()
	if shut != nil {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-shut
	}
	return g.failing.Append(record)
}

// gatherAll starts changes, all but the first while that one is being written,
// lets them be written when all wait, and returns what became of them.
func gatherAll(t *testing.T, s *Store, log *gate, changes ...func() error) []error {
	t.Helper()
	log.close()
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	for i, change := range changes {
		wg.Go(func() { errs[i] = change() })
		if i == 0 {
			<-log.entered
			continue
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // one after another: their order counts
			s.gathered.mu.Lock()
			n := len(s.gathered.list)
			s.gathered.mu.Unlock()
			if n == i {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d changes wait, want %d", n, i)
			}
		}
	}
	close(log.shut)
	wg.Wait()
	return errs
}

// TestGather: changes of queues that come while one is written are written
// together, those of one queue one after another.
func TestGather(t *testing.T) {
	t.Parallel()
	log := &gate{failing: failing{left: 1 << 20}}
	s, _ := open(t, log)
	ref, _ := tenant(t, s, "shop")
	put := func(name string, uid uint64) func() error {
		return func() error { return s.PutQueue(Queue{Vhost: ref, Name: name, UID: uid, Durable: true}) }
	}
	remove := func(name string) func() error { return func() error { return s.DeleteQueue(ref, name) } }
	for i, err := range gatherAll(t, s, log,
		put("a", 11), put("b", 12), put("c", 13), put("b", 99), remove("a"), remove("none"), put("d", 14), put("a", 15), remove("a")) {
		switch {
		case i == 3 && !errors.Is(err, ErrExists), i == 5 && !errors.Is(err, ErrNotFound), i != 3 && i != 5 && err != nil:
			t.Errorf("change %d: %v", i, err)
		}
	}
	// b, c, without a, d; a again; without a again
	if want := []int{1, 4, 1, 1}; fmt.Sprint(log.lines) != fmt.Sprint(want) {
		t.Errorf("appends have %v records, want %v", log.lines, want)
	}
	if q, err := s.Queues(ref); err != nil || len(q) != 3 || q[0].Name != "b" || q[0].UID != 12 {
		t.Errorf("queues are %v, %v", q, err)
	}
	next, _ := open(t, &log.MemoryLog)
	if export(t, next.state) != export(t, s.state) {
		t.Error("a restart leads to another state")
	}
}

// TestGatherFull: a full disk refuses all that was to be written together, and
// a failure fences.
func TestGatherFull(t *testing.T) {
	t.Parallel()
	log := &gate{failing: failing{left: 1 << 20}}
	s, _ := open(t, log)
	ref, _ := tenant(t, s, "shop")
	before := export(t, s.state)
	put := func(name string, uid uint64) func() error {
		return func() error { return s.PutQueue(Queue{Vhost: ref, Name: name, UID: uid, Durable: true}) }
	}
	log.full = true
	for i, err := range gatherAll(t, s, log, put("a", 11), put("b", 12), put("c", 13)) {
		if !errors.Is(err, ErrFull) {
			t.Errorf("change %d on a full disk: %v", i, err)
		}
	}
	log.full, log.left = false, 1
	if export(t, s.state) != before {
		t.Error("the state has what the log has not")
	}
	for i, err := range gatherAll(t, s, log, put("a", 11), put("b", 12), put("c", 13)) {
		if (err == nil) != (i == 0) || err != nil && !errors.Is(err, ErrFenced) {
			t.Errorf("change %d on a disk that fails with the second append: %v", i, err)
		}
	}
	if err := put("d", 14)(); !errors.Is(err, ErrFenced) {
		t.Errorf("after the failure: %v", err)
	}
}
