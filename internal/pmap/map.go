package pmap

import (
	"hash/maphash"
	"iter"
)

// Map is a persistent hash map. Set and Delete return another Map and leave the receiver as it
// is. The zero value is an empty map, ready to use.
//
// Keys may come from an attacker: they are hashed with a random seed, and keys that agree in the
// whole hash are told apart by comparison.
type Map[K comparable, V any] struct {
	root *node[K, V]
	len  int
	seed maphash.Seed
}

// New returns an empty map that hashes with seed. Many small maps made with one seed can be
// searched for the same key with one hash; see [GetHashed]. A zero Map makes a seed of its own
// at its first Set.
func New[K comparable, V any](seed maphash.Seed) Map[K, V] {
	return Map[K, V]{seed: seed}
}

// Len returns the number of keys.
func (m Map[K, V]) Len() int { return m.len }

// Get returns the value of key and whether there is one.
func (m Map[K, V]) Get(key K) (V, bool) {
	if m.root != nil {
		hash := m.hash(key)
		for i, c := 0, m.root.candidates(hash); i < len(c); i++ {
			if c[i].hash == hash && c[i].key == key {
				return c[i].val, true
			}
		}
	}
	var none V
	return none, false
}

// Set returns a map in which key has the value val.
func (m Map[K, V]) Set(key K, val V) Map[K, V] {
	if m.seed == (maphash.Seed{}) {
		m.seed = maphash.MakeSeed()
	}
	return m.set(m.hash(key), key, val)
}

// Delete returns a map without key: the receiver if it has none.
func (m Map[K, V]) Delete(key K) Map[K, V] {
	if m.root == nil {
		return m
	}
	return m.remove(m.hash(key), key)
}

// All yields the keys and their values. The order is arbitrary, and differs from run to run.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { m.root.each(yield) }
}

// GetBytes is m.Get(string(key)) without making the string.
func GetBytes[V any](m Map[string, V], key []byte) (V, bool) {
	var none V
	switch m.len {
	case 0:
		return none, false
	case 1: // one comparison is cheaper than a hash
		if e := &m.root.entries[0]; e.key == string(key) {
			return e.val, true
		}
		return none, false
	}
	return GetHashed(m, maphash.Bytes(m.seed, key), key)
}

// GetHashed is [GetBytes] for a caller that has the key's hash: maphash.Bytes of it with the seed
// that m was given in [New]. With another hash nothing is found.
func GetHashed[V any](m Map[string, V], hash uint64, key []byte) (V, bool) {
	for i, c := 0, m.root.candidates(hash); i < len(c); i++ {
		if c[i].hash == hash && c[i].key == string(key) {
			return c[i].val, true
		}
	}
	var none V
	return none, false
}

// hash returns the hash of key. That of a string must be what GetBytes computes from its bytes,
// which maphash.Comparable does not promise.
func (m Map[K, V]) hash(key K) uint64 {
	if s, ok := any(key).(string); ok {
		return maphash.String(m.seed, s)
	}
	return maphash.Comparable(m.seed, key)
}

func (m Map[K, V]) set(hash uint64, key K, val V) Map[K, V] {
	root, added := m.root.set(0, entry[K, V]{hash: hash, key: key, val: val})
	m.root = root
	if added {
		m.len++
	}
	return m
}

func (m Map[K, V]) remove(hash uint64, key K) Map[K, V] {
	root, ok := m.root.remove(0, hash, key)
	if ok {
		m.root = root
		m.len--
	}
	return m
}
