package route

import "github.com/warrenmq/warren/internal/pmap"

// Destinations is an immutable set of destinations, each with the number of bindings that lead to
// it. It is in the order in which they came. The zero value is empty.
type destinations[D comparable] struct {
	bindings pmap.Ordered[D, int]
}

// add returns the set with one more binding to d.
func (s destinations[D]) add(d D) destinations[D] {
	n, _ := s.bindings.Get(d)
	return destinations[D]{bindings: s.bindings.Set(d, n+1)}
}

// remove returns the set with one binding less to d, and without d after the last one.
func (s destinations[D]) remove(d D) destinations[D] {
	if n, _ := s.bindings.Get(d); n > 1 {
		return destinations[D]{bindings: s.bindings.Set(d, n-1)}
	}
	return destinations[D]{bindings: s.bindings.Delete(d)}
}

// empty says that no binding is left.
func (s destinations[D]) empty() bool { return s.bindings.Len() == 0 }

// appendTo appends every destination once.
func (s destinations[D]) appendTo(dst []D) []D {
	for i := 0; i < s.bindings.Len(); {
		run := s.bindings.Run(i)
		for j := range run {
			dst = append(dst, run[j].Key)
		}
		i += len(run)
	}
	return dst
}
