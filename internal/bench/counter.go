package bench

import (
	"context"
	"sync"
	"sync/atomic"
)

// counter is written by one goroutine and read by another; it has a cache line of its own.
type counter struct {
	atomic.Int64

	_ [56]byte
}

// crew is goroutines that work together: the first that fails ends them all.
type crew struct {
	wg     sync.WaitGroup
	cancel context.CancelCauseFunc
}

// newCrew returns a crew and the context that ends with its first failure.
func newCrew(ctx context.Context) (*crew, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &crew{cancel: cancel}, ctx
}

// run runs f in a goroutine.
func (c *crew) run(f func() error) {
	c.wg.Go(func() {
		if err := f(); err != nil {
			c.cancel(err)
		}
	})
}

// wait waits for all of them and returns the first failure. The context is the crew's.
func (c *crew) wait(ctx context.Context) error {
	c.wg.Wait()
	defer c.cancel(nil)
	return context.Cause(ctx)
}
