package session

import (
	"time"

	"github.com/warrenmq/warren/internal/broker"
)

// sampleEvery is that of so many batches, of reading or of delivering, one is
// timed, besides the first after each beat of the Registry. Reading the clock
// for all of them would cost more than the rest of the counting.
const sampleEvery = 16

// stamp is a time in microseconds since the Registry was made, and how many
// messages it stands for as a sample: 0, it is none and up to a beat too early.
// The latter lie in the lowest bits.
type stamp uint64

const (
	stampShift = 11 // pullMax fits
	stampCount = 1<<stampShift - 1
)

// moment is the present time as a stamp that is no sample.
func (r *Registry) moment() stamp {
	return stamp(time.Since(r.started)/time.Microsecond) << stampShift //nolint:gosec // not negative
}

// at is when a stamp was made.
func (r *Registry) at(s stamp) time.Time {
	return r.started.Add(time.Duration(s>>stampShift) * time.Microsecond)
}

// of returns the stamp as a sample of n messages.
func (s stamp) of(n int) stamp { return s | stamp(min(n, stampCount)) } //nolint:gosec // a number of messages

// messages is of how many it is a sample.
func (s stamp) messages() int { return int(s & stampCount) }

// since is how long ago another stamp was.
func (s stamp) since(before stamp) time.Duration {
	if s>>stampShift < before>>stampShift {
		return 0
	}
	return time.Duration(s>>stampShift-before>>stampShift) * time.Microsecond
}

// sampler decides what is timed. Its owner is one goroutine at a time.
type sampler struct {
	batches uint
	beat    int64
	last    stamp // when something was timed
}

// next reports whether the batch that begins is timed.
func (s *sampler) next(r *Registry) bool {
	s.batches++
	beat := r.now()
	if s.batches%sampleEvery != 0 && s.beat == beat && s.last != 0 {
		return false
	}
	s.beat, s.last = beat, r.moment()
	return true
}

// stampPull returns when the deliveries of one pull are, and which of them is
// the sample for all: -1, none is.
func (w *writer) stampPull(r *Registry, tag uint64, n int) (at stamp, sample int) {
	if n == 0 {
		return 0, -1
	}
	if !w.timing.next(r) {
		return w.timing.last, -1
	}
	const odd = 0x9e3779b97f4a7c15                         // any one of them: the first would be too fast and the last too slow
	return w.timing.last, int(tag * odd >> 32 % uint64(n)) //nolint:gosec // less than n
}

// stampNow is the time of the reader's batch, read from the clock if need be.
func (c *Conn) stampNow() stamp {
	if c.got.since == 0 {
		return c.cfg.Registry.moment()
	}
	return c.got.since
}

// timeAck tells a queue how long one of its deliveries was with the client.
func (c *Conn) timeAck(d *outstanding) {
	if n := d.at.messages(); n > 0 && d.src != nil {
		c.vhost.AckedAfter(d.src.queue, c.stampNow().since(d.at), n)
	}
}

// timing is how long a batch of publishes takes; its zero value times nothing.
type timing struct {
	sampled *broker.Sampled
	since   stamp
}

// timePublishes times the next flush, if the batch is timed.
func (c *Conn) timePublishes() timing {
	if c.got.since == 0 {
		return timing{}
	}
	return timing{c.pub.Sample(), c.got.since}
}

// done tells how long the batch took.
func (t timing) done(r *Registry) {
	if t.sampled != nil {
		t.sampled.Took(r.moment().since(t.since))
	}
}
