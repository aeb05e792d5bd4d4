package broker

// Log keeps what must survive: the messages that are persistent and where
// they lie, and which of them are gone again. It is all that the broker knows
// of disks.
//
// Records name a message by queue and sequence number, so their order in the
// log does not matter: what is live is what was logged and not settled.
type Log interface {
	// Append takes over batch and returns at once. durable runs when the
	// batch is on stable storage, in the order of the calls, or with the
	// error that fenced the log; nil when nobody waits.
	Append(batch Batch, durable func(error))
	// Close syncs what was appended and ends the log.
	Close() error
}

// Batch is what one step of one connection makes durable.
type Batch struct {
	Images  [][]byte // of persistent messages, each once; slab memory
	Places  []Place  // the queues they went to
	Settled []Settled
}

// Place is one message in one queue.
type Place struct {
	Image      int // index into Batch.Images
	Queue, Seq uint64
	RouteLen   int // bytes of the image's route part
}

// Settled names messages of one queue that are gone for good.
type Settled struct {
	Queue uint64
	Seqs  []uint64
}

// MemoryLog is a Log that keeps nothing: what was logged is as durable as the
// process. It stands in until the broker is given a journal.
type MemoryLog struct{}

// Append implements Log.
func (MemoryLog) Append(_ Batch, durable func(error)) {
	if durable != nil {
		durable(nil)
	}
}

// Close implements Log.
func (MemoryLog) Close() error { return nil }
