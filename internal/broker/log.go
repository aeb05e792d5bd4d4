package broker

import (
	"sync/atomic"

	"github.com/warrenmq/warren/internal/queue"
)

// Log keeps what must survive: the messages that are persistent and where
// they lie, and which of them are gone again. It is all that the broker knows
// of disks.
//
// Records name a message by queue and sequence number, so their order in the
// log does not matter: what is live is what was logged and not settled.
type Log interface {
	// Append adds a batch, of which nothing is needed any more when it
	// returns. durable runs when the batch is on stable storage, in the order
	// of the calls, or with the error that fenced the log; nil when nobody
	// waits. Append may block while the disk is behind.
	Append(batch Batch, durable func(error))
	// Gather is Append that leaves it to Push, which must follow, to end. It is
	// for a caller that has little else to do until the batch is durable: Gather
	// may begin to store it, and Push wait for that and call durable.
	Gather(batch Batch, durable func(error))
	Push()
	// Full reports that there is no space left: publishers have to wait.
	Full() bool
	// Err returns what fenced the log: nothing is confirmed any more, not even
	// what need not be stored. Nil: all is well.
	Err() error
	// Close syncs what was appended and ends the log.
	Close() error
}

// Batch is what one step of one connection makes durable: all of it or none.
type Batch struct {
	Images    [][]byte // of persistent messages, each once; slab memory
	Places    []Place  // the queues they went to
	Settled   []Settled
	Delivered []Delivered
	Tried     []Tried
	// Entered is set when the batch has its place in the log, before anything
	// else is behind it. Nil: nobody asks.
	Entered *atomic.Bool
}

// Tried says how often a message was delivered and came back.
type Tried struct {
	Queue uint64
	queue.Tried
}

func (b *Batch) reset() {
	clear(b.Images)
	clear(b.Settled)
	b.Images, b.Places, b.Settled, b.Delivered = b.Images[:0], b.Places[:0], b.Settled[:0], b.Delivered[:0]
	b.Tried, b.Entered = b.Tried[:0], nil
}

// Place is one message in one queue.
type Place struct {
	Image      int // index into Batch.Images
	Queue, Seq uint64
	RouteLen   int   // bytes of the image's route part
	Dead, Seen bool  // as in queue.Message
	Deadline   int64 // when the message expires, Unix milliseconds; 0: never
}

// Settled names messages of one queue that are gone for good.
type Settled struct {
	Queue uint64
	Seqs  []uint64
}

// Delivered says up to which sequence number the messages of a lane of a queue
// may have been delivered: those below are marked as redelivered in the queue's
// next life.
type Delivered struct {
	Queue, UpTo uint64
	// Exact lowers what was said before: at a graceful stop.
	Exact bool
}

// deliveredStep is how far ahead of the read position Delivered is logged, so
// that it is seldom.
const deliveredStep = 1 << 16

// MemoryLog is a Log that keeps nothing: what was logged is as durable as the
// process. It is for tests and throw-away brokers.
type MemoryLog struct{}

// Append implements Log.
func (MemoryLog) Append(_ Batch, durable func(error)) {
	if durable != nil {
		durable(nil)
	}
}

// Gather implements Log.
func (l MemoryLog) Gather(b Batch, durable func(error)) { l.Append(b, durable) }

// Push implements Log.
func (MemoryLog) Push() {}

// Full implements Log.
func (MemoryLog) Full() bool { return false }

// Err implements Log.
func (MemoryLog) Err() error { return nil }

// Close implements Log.
func (MemoryLog) Close() error { return nil }
