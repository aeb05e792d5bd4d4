package session

import (
	"sync"
	"testing"
	"time"
)

// TestOutboxDismiss: what is added is taken however often the writer is sent
// away, and one that is not needed goes.
func TestOutboxDismiss(t *testing.T) {
	t.Parallel()
	var o *outbox
	var writers sync.WaitGroup
	var mu sync.Mutex // guards taken, as Conn.w.mu does
	taken := 0
	o = newOutbox(func() {
		writers.Add(1)
		defer writers.Done()
		for range o.wake {
			mu.Lock()
			b, _ := o.take(nil, nil)
			taken += len(b)
			mu.Unlock()
			if o.off() {
				return
			}
		}
	})
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return taken
	}
	const adders, each = 4, 5000
	var all sync.WaitGroup
	for range adders {
		all.Go(func() {
			for range each {
				o.add(func(b []byte) []byte { return append(b, 'x') })
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for run := true; run; {
		select {
		case <-done:
			run = false
		default:
			o.dismiss()
		}
	}
	for end := time.Now().Add(20 * time.Second); count() < adders*each || o.manned.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d bytes were written; a writer is there: %t", count(), adders*each, o.manned.Load())
		}
		o.dismiss()
	}
	writers.Wait()
	o.close()
	if o.manned.Load() {
		t.Error("a closed outbox got a writer")
	}
}

// TestPanes: a window gets back what another gave, and less when little came.
func TestPanes(t *testing.T) {
	t.Parallel()
	var p panes
	var w window
	w.hold(p.get(windowMax))
	for i, c := range []struct{ last, want int }{
		{windowMax, windowMax},
		{windowMax / 4, windowMax},
		{windowMax/4 - 1, windowMax / 2},
		{windowMin - 1, windowMax / 4},
		{0, windowMax / 8},
		{0, windowMax / 16},
		{0, windowMax / 32},
		{0, windowMin},
		{0, windowMin},
	} {
		w.last = c.last
		b := w.give()
		if w.buf != nil || w.pane != nil {
			t.Fatalf("%d: the window still has memory", i)
		}
		p.put(b)
		w.hold(p.get(w.size))
		if len(w.buf) != c.want {
			t.Errorf("%d: %d bytes, want %d", i, len(w.buf), c.want)
		}
	}
	for _, size := range []int{0, 1, windowMin - 1, windowMin + 1, 3 * windowMin, 2 * windowMax} {
		if i := paneIndex(size); i >= 0 {
			t.Errorf("%d bytes are kept as %d", size, i)
		}
	}
	p.put(nil)
	p.put(&pane{make([]byte, 100)}) // not kept
	if b := p.get(2 * windowMax); len(b.buf) != 2*windowMax {
		t.Errorf("%d bytes", len(b.buf))
	}
}
