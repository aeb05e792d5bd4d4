package storage

import (
	"cmp"
	"slices"
)

// intervals are numbers, as intervals in the order in which they came; after merge
// ascending and apart from each other.
type intervals []interval

// interval holds the numbers from one up to another, which it does not hold.
type interval struct{ from, to uint64 }

// add returns r with a number. Most come in order.
func (r intervals) add(seq uint64) intervals {
	if n := len(r); n > 0 && r[n-1].to == seq {
		r[n-1].to++
		return r
	}
	return append(r, interval{seq, seq + 1})
}

// merge sorts r in place and joins what touches.
func (r intervals) merge() intervals {
	byFrom := func(x, y interval) int { return cmp.Compare(x.from, y.from) }
	if !slices.IsSortedFunc(r, byFrom) {
		slices.SortFunc(r, byFrom)
	}
	kept := r[:0]
	for _, i := range r {
		if n := len(kept); n > 0 && i.from <= kept[n-1].to {
			kept[n-1].to = max(kept[n-1].to, i.to)
		} else {
			kept = append(kept, i)
		}
	}
	return kept
}

// from returns what of r, which is merged, ends behind a number.
func (r intervals) from(seq uint64) intervals {
	if len(r) > 0 && r[0].to > seq { // most often
		return r
	}
	n, _ := slices.BinarySearchFunc(r, seq, func(i interval, seq uint64) int { return cmp.Compare(i.to, seq+1) })
	return r[n:]
}
