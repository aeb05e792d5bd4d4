package broker

import (
	"math"

	"github.com/warrenmq/warren/internal/queue"
)

// run is what one flush brings one queue.
type run struct {
	queue    *Queue
	messages []queue.Message
	images   []int // index into batch.Images for each message, -1: not logged
	timed    bool  // some have a deadline
	// tickets are as many as messages when the queue may refuse some.
	tickets []uint64
	refused []uint64 // tickets
	// In a queue with priorities: seqs are as many as messages, and firsts the
	// first of each lane.
	seqs, firsts []uint64
	tries        []queue.Tries // of the first messages, which come from a queue
}

// seq is the number of message i when first is that of the first.
func (r *run) seq(i int, first uint64) uint64 {
	if len(r.seqs) > 0 {
		return r.seqs[i]
	}
	return first + uint64(i) //nolint:gosec // an index
}

// number notes the numbers that the messages got.
func (r *run) number(seqs []uint64) {
	r.seqs, r.firsts = append(r.seqs[:0], seqs...), nil
	var seen [4]uint64
	for _, seq := range seqs {
		lane := seq >> queue.LaneShift
		if bit := uint64(1) << (lane % 64); seen[lane/64]&bit == 0 {
			seen[lane/64] |= bit
			r.firsts = append(r.firsts, seq)
		}
	}
}

// note keeps the ticket of the message that was just appended. Of those before
// it there is none when the queue begins to refuse just now.
func (r *run) note(ticket uint64) {
	for len(r.tickets) < len(r.messages)-1 {
		r.tickets = append(r.tickets, 0)
	}
	r.tickets = append(r.tickets, ticket)
}

// nobodys is the ticket of a message of which nobody is told that it was refused: a
// dead letter, which may be part of a client's transaction.
const nobodys = math.MaxUint64

// refuse takes the messages at some places out.
func (r *run) refuse(places []int) {
	n := 0
	for i := range r.messages {
		if len(places) > 0 && places[0] == i {
			places = places[1:]
			ticket := uint64(0) // the queue has begun to refuse since it was entered
			if i < len(r.tickets) {
				ticket = r.tickets[i]
			}
			if ticket != nobodys {
				r.refused = append(r.refused, ticket)
			}
			continue
		}
		r.messages[n], r.images[n] = r.messages[i], r.images[i]
		if i < len(r.tries) {
			r.tries[n] = r.tries[i]
		}
		n++
	}
	clear(r.messages[n:])
	r.messages, r.images, r.tries = r.messages[:n], r.images[:n], r.tries[:min(n, len(r.tries))]
}

func (r *run) reset() {
	clear(r.messages)
	r.queue, r.messages, r.images, r.timed = nil, r.messages[:0], r.images[:0], false
	r.tickets, r.refused, r.seqs, r.firsts = r.tickets[:0], nil, r.seqs[:0], nil
	r.tries = nil
}
