package session

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestJudge: whose acknowledgements may gather, and how many bytes of them are enough.
func TestJudge(t *testing.T) {
	t.Parallel()
	const ack = 21 // bytes of a frame
	for _, c := range []struct {
		name               string
		prefetch, multiple int
		other              bool
		published          bool
		want               int
		batches            int
	}{
		{name: "one by one", prefetch: 1000, multiple: 1, batches: patientAfter + 1, want: 125 * ack},
		{name: "no limit", prefetch: 0, multiple: 1, batches: patientAfter + 1, want: unlimited / 8 * ack},
		{name: "not long enough", prefetch: 1000, multiple: 1, batches: patientAfter},
		{name: "a small prefetch", prefetch: patientFrom - 1, multiple: 1, batches: 100},
		{name: "the smallest that is large", prefetch: patientFrom, multiple: 1, batches: 100, want: 8 * ack},
		{name: "many at once", prefetch: 1000, multiple: 250, batches: 100},
		{name: "a few at once", prefetch: 1000, multiple: 5, batches: 100, want: 25 * ack},
		{name: "publishes too", prefetch: 1000, multiple: 1, batches: 100, published: true},
		{name: "does something else", prefetch: 1000, multiple: 1, batches: 100, other: true},
	} {
		var l listening
		for range c.batches {
			for range 4 * c.multiple {
				l.heard(c.prefetch)
			}
			l.other = c.other
			l.judge(4*ack, c.published)
		}
		if l.enough != c.want {
			t.Errorf("%s: %d bytes are enough, want %d", c.name, l.enough, c.want)
		}
		l.heard(c.prefetch)
		l.other = true
		l.judge(ack+40, false)
		if l.enough != 0 {
			t.Errorf("%s: something else came, and still it waits for %d bytes", c.name, l.enough)
		}
	}
}

// TestHold: a publisher that is ahead goes at the pace of a million messages or a gigabyte a second.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		messages uint64
		bytes    int
		want     time.Duration
	}{
		{1000, 0, time.Second},
		{10, 10_000_000, 10*time.Second + 10*time.Millisecond},
		{1, 1000, 2 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			var l lead
			t0 := time.Now()
			for range 1000 {
				l.hold(c.messages, c.bytes)
			}
			if got := time.Since(t0); got > c.want || got < c.want-leadNap {
				t.Errorf("a thousand batches of %d messages and %d bytes took %v, want %v", c.messages, c.bytes, got, c.want)
			}
		})
	}
}
