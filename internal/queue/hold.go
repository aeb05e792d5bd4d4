package queue

import "math"

// A consumer may have to settle what it gets within a time (x-consumer-timeout).
// The owner says when it was delivered, and Overdue what was not settled since:
// the messages stay unacknowledged until they are returned.

// holds are deliveries that are to be settled in time.
type holds struct {
	due  map[uint64]hold // by sequence number
	heap []holdEnd       // of all in due, and of some that are no more
}

type hold struct {
	consumer *Consumer
	at       int64 // Unix milliseconds
}

type holdEnd struct {
	at  int64
	seq uint64
}

// Overdue are messages that a consumer did not settle in time.
type Overdue struct {
	Consumer *Consumer
	Seqs     []uint64
}

// Hold says that c got these messages at now, Unix milliseconds, and has to
// settle them within its timeout, or the queue's when it has none.
func (s *State) Hold(c *Consumer, ds []Delivery, now int64) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = s.set.ConsumerTimeout
	}
	if timeout <= 0 || c.NoAck || len(ds) == 0 {
		return
	}
	if s.holds == nil {
		s.holds = &holds{due: map[uint64]hold{}}
	}
	for i := range ds {
		s.holds.due[ds[i].Seq] = hold{c, now + timeout}
		s.holds.push(holdEnd{now + timeout, ds[i].Seq})
	}
}

// unhold forgets a delivery that is settled or returned.
func (s *State) unhold(seq uint64) {
	if s.holds == nil {
		return
	}
	delete(s.holds.due, seq)
	if len(s.holds.due) == 0 {
		s.holds = nil
	}
}

// HoldEnd returns when the first delivery is overdue, in Unix milliseconds;
// math.MaxInt64 when there is none.
func (s *State) HoldEnd() int64 {
	if s.holds == nil {
		return math.MaxInt64
	}
	return s.holds.first()
}

// Overdue lists what was not settled in time, each delivery once.
func (s *State) Overdue(now int64, fx *Effects) {
	for s.holds != nil && s.holds.first() <= now {
		seq := s.holds.heap[0].seq
		c := s.holds.due[seq].consumer
		s.unhold(seq)
		if n := len(fx.Overdue); n > 0 && fx.Overdue[n-1].Consumer == c {
			fx.Overdue[n-1].Seqs = append(fx.Overdue[n-1].Seqs, seq)
		} else {
			fx.Overdue = append(fx.Overdue, Overdue{c, []uint64{seq}})
		}
	}
}

// first drops what is over from the heap and returns when its first ends.
func (h *holds) first() int64 {
	for h.due[h.heap[0].seq].at != h.heap[0].at {
		h.pop()
	}
	return h.heap[0].at
}

func (h *holds) push(e holdEnd) {
	if len(h.heap) > 2*len(h.due)+16 { // most of it is over
		h.heap = h.heap[:0]
		for seq, d := range h.due {
			h.rise(holdEnd{d.at, seq})
		}
		return
	}
	h.rise(e)
}

func (h *holds) rise(e holdEnd) {
	h.heap = append(h.heap, e)
	for i := len(h.heap) - 1; i > 0 && h.heap[i].at < h.heap[(i-1)/2].at; i = (i - 1) / 2 {
		h.heap[i], h.heap[(i-1)/2] = h.heap[(i-1)/2], h.heap[i]
	}
}

func (h *holds) pop() {
	n := len(h.heap) - 1
	h.heap[0] = h.heap[n]
	h.heap = h.heap[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c+1 < n && h.heap[c+1].at < h.heap[c].at {
			c++
		}
		if c >= n || h.heap[i].at <= h.heap[c].at {
			return
		}
		h.heap[i], h.heap[c] = h.heap[c], h.heap[i]
		i = c
	}
}
