package cli

import (
	"runtime"
	"testing"
	"time"
)

func TestCollections(t *testing.T) {
	t.Parallel()
	done := collections(t.Context())
	for range 3 { // each collection anew
		for heard := false; !heard; {
			runtime.GC()
			select {
			case <-done:
				heard = true
			case <-time.After(10 * time.Millisecond): // the clean-up is a goroutine's
			}
		}
	}
}

func TestPacePercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, paceMost}, {1 << 20, paceMost}, {8 << 20, 400}, {32 << 20, 100}, {40 << 20, 80}, {1 << 30, paceShare}, {1 << 40, paceShare},
	} {
		if got := pacePercent(c.live); got != c.want {
			t.Errorf("pacePercent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		live, last, made uint64
		want             bool
	}{
		{10 * mib, 0, 1 * mib, false},
		{10 * mib, 0, 30 * mib, true},
		{10 * mib, 20 * mib, 30 * mib, false},
		{1000 * mib, 0, 100 * mib, false},
		{1000 * mib, 0, 300 * mib, true},
	} {
		if got := quiet(c.live, c.last, c.made); got != c.want {
			t.Errorf("quiet(%d, %d, %d) = %v", c.live, c.last, c.made, got)
		}
	}
}
