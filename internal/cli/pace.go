package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/warrenmq/warren/internal/config"
)

// What the garbage collector is told. A broker whose messages flow has next
// to nothing alive and makes garbage at the rate of its traffic: with Go's
// own setting it would collect every 4 MB.
const (
	// paceGarbage is how many bytes may be made between two collections when
	// little is alive, paceShare of what is alive when much is.
	paceGarbage = 32 << 20
	paceShare   = 50 // percent
	paceMost    = 800
	paceEvery   = time.Second
	// quietRate is how many bytes a second are made when there is nothing to
	// do, quietGarbage how many have to be made before it for it to be worth a
	// collection, after which the memory is given back: what the last one
	// found alive may be long gone.
	quietRate    = 1 << 20
	quietGarbage = 8 << 20
)

// pacePercent is the garbage collector's target for that many bytes alive.
func pacePercent(live uint64) int {
	if live == 0 {
		return paceMost
	}
	return int(min(max(paceGarbage*100/live, paceShare), paceMost))
}

// pace adjusts the garbage collector to what is alive, until ctx ends; GOGC
// and GOMEMLIMIT in the environment take precedence. It does so after each
// collection: what is alive while large messages flow is ten times as much
// from one moment to the next, and a share that was right for little would let
// the heap grow to nine times as much, one for much collect every few megabytes.
func pace(ctx context.Context, environ []string) {
	if !has(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(config.Memory() / 4 * 3)
	}
	if has(environ, "GOGC") {
		return
	}
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	made, tidied, second := uint64(0), uint64(0), true
	again := time.NewTicker(paceEvery)
	defer again.Stop()
	collected := collections(ctx)
	for now := 0; ; {
		metrics.Read(heap)
		live := heap[0].Value.Uint64()
		if second {
			before := made
			made = heap[1].Value.Uint64()
			if quiet(live, made-before, made-tidied) {
				debug.FreeOSMemory()
				tidied = made
			}
		}
		if next := pacePercent(live); next < now*9/10 || next > now*11/10 {
			debug.SetGCPercent(next)
			now = next
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			second = true
		case <-collected:
			second = false
		}
	}
}

// collections has a token when the garbage collector has gone round, until ctx
// ends: what is left of an object that nobody holds is cleaned up then.
func collections(ctx context.Context) <-chan struct{} {
	done := make(chan struct{}, 1)
	var again func(struct{})
	again = func(struct{}) {
		select {
		case done <- struct{}{}:
		default:
		}
		if ctx.Err() == nil {
			runtime.AddCleanup(&round{}, again, struct{}{})
		}
	}
	again(struct{}{})
	return done
}

// round is an object that lives until the next collection. It has a pointer, or
// it would share its place with others.
type round struct{ _ *round }

// quiet reports whether it is time to tidy up: of all that was made since the
// last time, little was in the last second.
func quiet(live, last, made uint64) bool {
	return last < quietRate && made > max(quietGarbage, live/4)
}

func has(environ []string, name string) bool {
	for _, kv := range environ {
		if strings.HasPrefix(kv, name+"=") {
			return true
		}
	}
	return false
}
