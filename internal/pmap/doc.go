// Package pmap has persistent collections: a change returns a new value that shares all but a
// few small blocks with the old one, and the old one never changes.
//
//	Map      a hash map, for look-ups
//	List     a vector, for walking and for places by number
//	Ordered  a map that is walked in an order of its own, the same on every run
//
// A value may therefore be read by any number of goroutines while another makes the next one; the
// package has no lock. Changing one of n elements copies about log32(n) blocks of at most 32
// elements, whatever n is.
package pmap
