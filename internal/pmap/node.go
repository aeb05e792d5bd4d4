package pmap

import (
	"math/bits"
)

// A node covers the keys whose hashes agree in all bits below the node's shift. The next five
// bits choose one of 32 slots, and a slot is empty, an entry, or another node:
//
//	leafs  .1....1.   a bit a slot that holds an entry, entries in the order of the bits
//	kids   ...1....   a bit a slot that holds a node, nodes in the order of the bits
//
// Two keys whose hashes agree in all 64 bits end in a node at bottom, where the bit sets are
// unused and entries is searched from one end to the other.
//
// The shape depends on the contents only, not on the history: a node below the root never holds
// a single entry alone, as that entry would be in the slot above.
const (
	slotBits = 5
	slotMask = 1<<slotBits - 1
	bottom   = 65 // The first shift at which no hash bits are left: 13 levels of 5 bits.
)

type entry[K comparable, V any] struct {
	hash uint64
	key  K
	val  V
}

type node[K comparable, V any] struct {
	leafs, kids uint32
	entries     []entry[K, V]
	nodes       []*node[K, V]
}

// candidates returns the entries that hash could belong to: none, one with the same bits as far
// as the tree is deep there, or all the entries with exactly this hash.
func (n *node[K, V]) candidates(hash uint64) []entry[K, V] {
	for shift := uint(0); n != nil; shift += slotBits {
		if shift >= bottom {
			return n.entries
		}
		bit := slot(hash, shift)
		if n.kids&bit != 0 {
			n = n.nodes[rank(n.kids, bit)]
			continue
		}
		if n.leafs&bit == 0 {
			return nil
		}
		i := rank(n.leafs, bit)
		return n.entries[i : i+1]
	}
	return nil
}

// set returns n with e in it, and whether e's key is a new one. A nil node is an empty one.
func (n *node[K, V]) set(shift uint, e entry[K, V]) (*node[K, V], bool) {
	if n == nil {
		return &node[K, V]{leafs: slot(e.hash, shift), entries: []entry[K, V]{e}}, true
	}
	if shift >= bottom {
		for i := range n.entries {
			if n.entries[i].key == e.key {
				return &node[K, V]{entries: replaced(n.entries, i, e)}, false
			}
		}
		return &node[K, V]{entries: inserted(n.entries, len(n.entries), e)}, true
	}
	bit := slot(e.hash, shift)
	c := *n
	switch {
	case n.kids&bit != 0:
		i := rank(n.kids, bit)
		kid, added := n.nodes[i].set(shift+slotBits, e)
		c.nodes = replaced(n.nodes, i, kid)
		return &c, added
	case n.leafs&bit == 0:
		c.leafs |= bit
		c.entries = inserted(n.entries, rank(n.leafs, bit), e)
		return &c, true
	}
	i := rank(n.leafs, bit)
	if n.entries[i].key == e.key {
		c.entries = replaced(n.entries, i, e)
		return &c, false
	}
	c.leafs &^= bit
	c.entries = removed(n.entries, i)
	c.kids |= bit
	c.nodes = inserted(n.nodes, rank(n.kids, bit), pair(shift+slotBits, n.entries[i], e))
	return &c, true
}

// pair returns a node with two entries of different keys.
func pair[K comparable, V any](shift uint, a, b entry[K, V]) *node[K, V] {
	if shift >= bottom {
		return &node[K, V]{entries: []entry[K, V]{a, b}}
	}
	x, y := slot(a.hash, shift), slot(b.hash, shift)
	switch {
	case x == y:
		return &node[K, V]{kids: x, nodes: []*node[K, V]{pair(shift+slotBits, a, b)}}
	case x > y:
		a, b = b, a
	}
	return &node[K, V]{leafs: x | y, entries: []entry[K, V]{a, b}}
}

// remove returns n without key, nil when that was its last one, and whether key was there.
func (n *node[K, V]) remove(shift uint, hash uint64, key K) (*node[K, V], bool) {
	switch {
	case n == nil:
		return nil, false
	case shift >= bottom:
		for i := range n.entries {
			if n.entries[i].key == key {
				return &node[K, V]{entries: removed(n.entries, i)}, true
			}
		}
		return n, false
	}
	bit := slot(hash, shift)
	if n.kids&bit != 0 {
		i := rank(n.kids, bit)
		kid, ok := n.nodes[i].remove(shift+slotBits, hash, key)
		if !ok {
			return n, false
		}
		return n.withKid(bit, i, kid), true
	}
	i := rank(n.leafs, bit)
	if n.leafs&bit == 0 || n.entries[i].key != key {
		return n, false
	}
	if len(n.entries) == 1 && len(n.nodes) == 0 {
		return nil, true
	}
	c := *n
	c.leafs &^= bit
	c.entries = removed(n.entries, i)
	return &c, true
}

// withKid returns n with kid, from which a key was removed, at bit, the i-th of its nodes. A kid
// with a single entry left gives it up to n.
func (n *node[K, V]) withKid(bit uint32, i int, kid *node[K, V]) *node[K, V] {
	c := *n
	if len(kid.entries) != 1 || len(kid.nodes) != 0 {
		c.nodes = replaced(n.nodes, i, kid)
		return &c
	}
	c.kids &^= bit
	c.nodes = removed(n.nodes, i)
	c.leafs |= bit
	c.entries = inserted(n.entries, rank(n.leafs, bit), kid.entries[0])
	return &c
}

// each calls yield for every entry until it returns false, and reports whether it never did.
func (n *node[K, V]) each(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.entries {
		if !yield(n.entries[i].key, n.entries[i].val) {
			return false
		}
	}
	for _, kid := range n.nodes {
		if !kid.each(yield) {
			return false
		}
	}
	return true
}

// slot returns the bit of the slot that hash has at shift.
func slot(hash uint64, shift uint) uint32 { return 1 << (hash >> shift & slotMask) }

// rank returns how many bits of set are below bit.
func rank(set, bit uint32) int { return bits.OnesCount32(set & (bit - 1)) }

// replaced returns a copy of s with v at i.
func replaced[T any](s []T, i int, v T) []T {
	c := make([]T, len(s))
	copy(c, s)
	c[i] = v
	return c
}

// inserted returns a copy of s with v before s[i].
func inserted[T any](s []T, i int, v T) []T {
	c := make([]T, len(s)+1)
	copy(c, s[:i])
	c[i] = v
	copy(c[i+1:], s[i:])
	return c
}

// removed returns a copy of s without s[i].
func removed[T any](s []T, i int) []T {
	if len(s) == 1 {
		return nil
	}
	c := make([]T, len(s)-1)
	copy(c, s[:i])
	copy(c[i:], s[i+1:])
	return c
}
