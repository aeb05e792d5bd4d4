// Package history keeps what counters were a while ago, so that rates can be
// told without a database of statistics: a ring of the last samples in each
// object that counts. An object that does nothing keeps next to nothing.
//
// Everything here is a pure function of its arguments; who samples holds the
// lock of the object.
package history

// Every is how often objects are sampled, in seconds, and Length how many
// samples are kept: a minute and the sample before it.
const (
	Every  = 5
	Length = 13
)

// Sample is what a value was at a time.
type Sample[T comparable] struct {
	At    int64 // Unix milliseconds
	Value T
}

// Ring is the last samples of a value. Its zero value is ready.
type Ring[T comparable] struct {
	list  []Sample[T]
	first int // place of the oldest, when list is full
}

// Add enters what the value is now. A value that stays as it is is kept once
// with the times from and to which it was so; one that never was anything but
// zero is not kept at all.
func (r *Ring[T]) Add(at int64, v T) {
	var zero T
	if len(r.list) == 0 && v == zero {
		return
	}
	if n := len(r.list); n >= 2 {
		last, before := r.at(n-1), r.at(n-2)
		if last.Value == v && before.Value == v {
			last.At = at
			return
		}
	}
	if len(r.list) < Length {
		if len(r.list) == 0 {
			r.list = make([]Sample[T], 0, 2)
		}
		r.list = append(r.list, Sample[T]{at, v})
		return
	}
	r.list[r.first] = Sample[T]{at, v}
	r.first = (r.first + 1) % Length
}

// at is the i-th sample, oldest first.
func (r *Ring[T]) at(i int) *Sample[T] { return &r.list[(r.first+i)%len(r.list)] }

// Samples returns a copy of the samples, oldest first.
func (r *Ring[T]) Samples() []Sample[T] {
	if len(r.list) == 0 {
		return nil
	}
	list := make([]Sample[T], 0, len(r.list))
	return append(append(list, r.list[r.first:]...), r.list[:r.first]...)
}

// Rate is by how much a part of the value changed a second, between the last
// two samples.
func Rate[T comparable](list []Sample[T], part func(*T) float64) float64 {
	if len(list) < 2 {
		return 0
	}
	a, b := &list[len(list)-2], &list[len(list)-1]
	return perSecond(part(&b.Value)-part(&a.Value), b.At-a.At)
}

// Rate is [Rate] of the samples.
func (r *Ring[T]) Rate(part func(*T) float64) float64 {
	n := len(r.list)
	if n < 2 {
		return 0
	}
	a, b := r.at(n-2), r.at(n-1)
	return perSecond(part(&b.Value)-part(&a.Value), b.At-a.At)
}

func perSecond(change float64, millis int64) float64 {
	if millis <= 0 {
		return 0
	}
	return change * 1000 / float64(millis)
}

// Point is one point of a series.
type Point struct {
	At    int64
	Value float64
}

// Series is a part of the value every step milliseconds from from to to, the
// youngest first as RabbitMQ lists them. Before the first sample it is zero.
func Series[T comparable](list []Sample[T], from, to, step int64, part func(*T) float64) []Point {
	if step <= 0 || to < from {
		return nil
	}
	points := make([]Point, 0, (to-from)/step+1)
	i := len(list) - 1
	for at := to; at >= from; at -= step {
		for i >= 0 && list[i].At > at {
			i--
		}
		p := Point{At: at}
		if i >= 0 {
			p.Value = part(&list[i].Value)
		}
		points = append(points, p)
	}
	return points
}
