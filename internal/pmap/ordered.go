package pmap

import "iter"

// An Ordered with up to maxFew pairs is a slice that is searched from one end to the other, which
// is smaller and quicker than hashing; it becomes one again when it has shrunk to half of that.
const maxFew = 8

// Ordered is a persistent map that is walked in an order which depends on nothing but the calls
// that made it: a new key goes to the end, and the last one takes the place of a deleted one. Set
// and Delete return another Ordered and leave the receiver as it is. The zero value is empty.
type Ordered[K comparable, V any] struct {
	few  []Pair[K, V]
	many *crowd[K, V] // When it is not nil, few is.
}

// Pair is a key and its value.
type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

// A crowd keeps the pairs by place, and the places by key.
type crowd[K comparable, V any] struct {
	pairs List[Pair[K, V]]
	place Map[K, int]
}

// Len returns the number of keys.
func (o Ordered[K, V]) Len() int {
	if o.many != nil {
		return o.many.pairs.Len()
	}
	return len(o.few)
}

// Get returns the value of key and whether there is one.
func (o Ordered[K, V]) Get(key K) (V, bool) {
	i, ok := o.find(key)
	if !ok {
		var none V
		return none, false
	}
	return o.Run(i)[0].Value, true
}

// Run returns the pair at place i and some of those that follow it, to walk a map by runs instead
// of by pairs: i begins at 0, grows by the length of the run, and ends at Len. The caller must not
// change the pairs.
func (o Ordered[K, V]) Run(i int) []Pair[K, V] {
	if o.many != nil {
		return o.many.pairs.Run(i)
	}
	return o.few[i:len(o.few):len(o.few)]
}

// All yields the keys and their values in order.
func (o Ordered[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := 0; i < o.Len(); {
			run := o.Run(i)
			for _, p := range run {
				if !yield(p.Key, p.Value) {
					return
				}
			}
			i += len(run)
		}
	}
}

// Set returns a map in which key has the value val.
func (o Ordered[K, V]) Set(key K, val V) Ordered[K, V] {
	p := Pair[K, V]{Key: key, Value: val}
	i, ok := o.find(key)
	switch {
	case o.many == nil && ok:
		return Ordered[K, V]{few: replaced(o.few, i, p)}
	case o.many == nil && len(o.few) < maxFew:
		return Ordered[K, V]{few: inserted(o.few, len(o.few), p)}
	case ok:
		return Ordered[K, V]{many: &crowd[K, V]{pairs: o.many.pairs.Set(i, p), place: o.many.place}}
	}
	c := o.crowd()
	c.place = c.place.Set(key, c.pairs.Len())
	c.pairs = c.pairs.Push(p)
	return Ordered[K, V]{many: &c}
}

// Delete returns a map without key: the receiver if it has none.
func (o Ordered[K, V]) Delete(key K) Ordered[K, V] {
	i, ok := o.find(key)
	if !ok {
		return o
	}
	last := o.Len() - 1
	moved := o.Run(last)[0]
	if o.many == nil {
		few := removed(o.few, last)
		if i < last {
			few[i] = moved
		}
		return Ordered[K, V]{few: few}
	}
	c := *o.many
	c.place = c.place.Delete(key)
	c.pairs = c.pairs.Pop()
	if i < last {
		c.place = c.place.Set(moved.Key, i)
		c.pairs = c.pairs.Set(i, moved)
	}
	if last <= maxFew/2 {
		return Ordered[K, V]{few: c.pairs.Run(0)}
	}
	return Ordered[K, V]{many: &c}
}

// find returns the place of key and whether it has one.
func (o Ordered[K, V]) find(key K) (int, bool) {
	if o.many != nil {
		return o.many.place.Get(key)
	}
	for i := range o.few {
		if o.few[i].Key == key {
			return i, true
		}
	}
	return 0, false
}

// crowd returns a copy of the crowd that o is, or would be.
func (o Ordered[K, V]) crowd() crowd[K, V] {
	if o.many != nil {
		return *o.many
	}
	var c crowd[K, V]
	for i, p := range o.few {
		c.pairs = c.pairs.Push(p)
		c.place = c.place.Set(p.Key, i)
	}
	return c
}
