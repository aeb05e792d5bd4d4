package route

import (
	"bytes"
	"hash/maphash"
	"math/bits"

	"github.com/warrenmq/warren/internal/pmap"
)

// maxWords is how many words a key of MaxKey bytes can have: that of a key made of dots.
const maxWords = MaxKey + 1

// A sweep matches the patterns behind a # with what is left of a key. It is split into words, and
// place i is the one before word i; the last place, after all the words, is the end.
type sweep[D comparable] struct {
	key   []byte
	words int
	ends  [maxWords]uint8 // Word i is key[start:ends[i]], where start is 0 or ends[i-1]+1.
	hash  [maxWords]uint64
}

func (s *sweep[D]) split(seed maphash.Seed, key []byte) {
	s.key = key
	for start := 0; start <= len(key); s.words++ {
		end := len(key)
		if i := bytes.IndexByte(key[start:], '.'); i >= 0 {
			end = start + i
		}
		s.ends[s.words] = uint8(end) //nolint:gosec // at most MaxKey
		s.hash[s.words] = maphash.Bytes(seed, key[start:end])
		start = end + 1
	}
}

func (s *sweep[D]) word(i int) []byte {
	start := 0
	if i > 0 {
		start = int(s.ends[i-1]) + 1
	}
	return s.key[start:s.ends[i]]
}

// visit appends the destinations of n and of what is behind it, when a pattern may have got to n
// at any of the given places. No place more than is tried once a node, and a node, having one
// parent, is visited once.
func (s *sweep[D]) visit(n *topicNode[D], at places, dst []D) []D {
	if at.has(s.words) {
		dst = n.here.appendTo(dst)
		if n.hash == nil && at.first() == s.words {
			return dst
		}
	}
	if n.hash != nil {
		dst = s.visit(n.hash, placesFrom(at.first(), s.words), dst)
	}
	at.remove(s.words)
	if n.star != nil && !at.empty() {
		dst = s.visit(n.star, at.next(), dst)
	}
	if n.words.Len() == 0 {
		return dst
	}
	for i := at.first(); i >= 0; i = at.first() {
		kid, ok := pmap.GetHashed(n.words, s.hash[i], s.word(i))
		if !ok {
			at.remove(i)
			continue
		}
		same := s.take(&at, i)
		dst = s.visit(kid, same.next(), dst)
	}
	return dst
}

// take moves the places before the same word as that at i from at to the result.
func (s *sweep[D]) take(at *places, i int) places {
	var same places
	word := s.word(i)
	for j := i; j < s.words; j++ {
		if at.has(j) && s.hash[j] == s.hash[i] && bytes.Equal(s.word(j), word) {
			at.remove(j)
			same.add(j)
		}
	}
	return same
}

// Places is a set of places in a key, a bit each, from 0 to maxWords.
type places [maxWords/64 + 1]uint64

// placesFrom returns the places from i to end, both included.
func placesFrom(i, end int) places {
	var p places
	for ; i <= end; i++ {
		p.add(i)
	}
	return p
}

func (p *places) add(i int)      { p[i/64] |= 1 << (i % 64) }
func (p *places) remove(i int)   { p[i/64] &^= 1 << (i % 64) }
func (p *places) has(i int) bool { return p[i/64]&(1<<(i%64)) != 0 }
func (p *places) empty() bool    { return *p == places{} }

// first returns the first place, and -1 when there is none.
func (p *places) first() int {
	for w, set := range p {
		if set != 0 {
			return w*64 + bits.TrailingZeros64(set)
		}
	}
	return -1
}

// next returns every place moved behind the word that follows it.
func (p *places) next() places {
	var q places
	carry := uint64(0)
	for w, set := range p {
		q[w] = set<<1 | carry
		carry = set >> 63
	}
	return q
}
