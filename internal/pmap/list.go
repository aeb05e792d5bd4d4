package pmap

import (
	"fmt"
	"iter"
)

// blockLen is how many items, or blocks, a block of a [List] has.
const (
	blockBits = 5
	blockLen  = 1 << blockBits
	blockMask = blockLen - 1
)

// List is a persistent vector. Set, Push and Pop return another List and leave the receiver as it
// is. The zero value is an empty list. An index out of range panics, as that of a slice does.
type List[T any] struct {
	root  *block[T]
	len   int
	shift uint // How far an index is shifted to find the place in root; 0: root has the items.
}

// A block has items at the lowest level and blocks above it. All but the last are full.
type block[T any] struct {
	items  []T
	blocks []*block[T]
}

// Len returns the number of items.
func (l List[T]) Len() int { return l.len }

// At returns item i.
func (l List[T]) At(i int) T { return l.Run(i)[0] }

// Run returns item i and some of those that follow it, to walk a list by runs instead of by
// items. The caller must not change them.
func (l List[T]) Run(i int) []T {
	l.check(i)
	b := l.root
	for shift := l.shift; shift > 0; shift -= blockBits {
		b = b.blocks[i>>shift&blockMask]
	}
	return b.items[i&blockMask : len(b.items) : len(b.items)]
}

// All yields the items from the first to the last.
func (l List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := 0; i < l.len; {
			run := l.Run(i)
			for _, v := range run {
				if !yield(v) {
					return
				}
			}
			i += len(run)
		}
	}
}

// Set returns a list in which item i is v.
func (l List[T]) Set(i int, v T) List[T] {
	l.check(i)
	l.root = l.root.set(l.shift, i, v)
	return l
}

// Push returns a list with v after the last item.
func (l List[T]) Push(v T) List[T] {
	if l.root != nil && l.len == blockLen<<l.shift {
		l.root = &block[T]{blocks: []*block[T]{l.root}}
		l.shift += blockBits
	}
	l.root = l.root.push(l.shift, l.len, v)
	l.len++
	return l
}

// Pop returns a list without the last item.
func (l List[T]) Pop() List[T] {
	l.check(l.len - 1)
	l.len--
	l.root = l.root.pop(l.shift, l.len)
	if l.root == nil {
		return List[T]{}
	}
	for l.shift > 0 && len(l.root.blocks) == 1 {
		l.root = l.root.blocks[0]
		l.shift -= blockBits
	}
	return l
}

func (l List[T]) check(i int) {
	if i < 0 || i >= l.len {
		panic(fmt.Sprintf("pmap: index %d of a list of %d", i, l.len))
	}
}

func (b *block[T]) set(shift uint, i int, v T) *block[T] {
	if shift == 0 {
		return &block[T]{items: replaced(b.items, i&blockMask, v)}
	}
	at := i >> shift & blockMask
	return &block[T]{blocks: replaced(b.blocks, at, b.blocks[at].set(shift-blockBits, i, v))}
}

// push returns b with v as item i, the first one behind its last. A nil block is an empty one.
func (b *block[T]) push(shift uint, i int, v T) *block[T] {
	if b == nil {
		b = &block[T]{}
	}
	if shift == 0 {
		return &block[T]{items: inserted(b.items, len(b.items), v)}
	}
	at := i >> shift & blockMask
	if at == len(b.blocks) {
		var none *block[T]
		return &block[T]{blocks: inserted(b.blocks, at, none.push(shift-blockBits, i, v))}
	}
	return &block[T]{blocks: replaced(b.blocks, at, b.blocks[at].push(shift-blockBits, i, v))}
}

// pop returns b without item i, its last, and nil when none is left.
func (b *block[T]) pop(shift uint, i int) *block[T] {
	if shift == 0 {
		if len(b.items) == 1 {
			return nil
		}
		return &block[T]{items: removed(b.items, i&blockMask)}
	}
	at := i >> shift & blockMask
	kid := b.blocks[at].pop(shift-blockBits, i)
	switch {
	case kid != nil:
		return &block[T]{blocks: replaced(b.blocks, at, kid)}
	case at == 0:
		return nil
	}
	return &block[T]{blocks: removed(b.blocks, at)}
}
