package route

import (
	"bytes"
	"hash/maphash"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/pmap"
)

// maxHashes is how many words of a binding key may be '#', as in RabbitMQ since 4.3.
const maxHashes = 2

// A topic exchange delivers to the bindings whose pattern matches the routing key (AMQP 0-9-1,
// section 3.1.3.3). Both are words separated by dots, and a word may be empty: "" is one empty
// word and "." two. In a pattern the word * stands for any one word and # for any number of
// words, none included.
//
// The patterns are a trie, an edge a word:
//
//	     ┌ stock ─ * ─ nyse   stock.*.nyse
//	root ┤       └ #          stock.#
//	     └ # ─ log            #.log
//
// As long as no # has been passed, one walk has one place in the key, and descends from a node by
// at most one word and by *. Behind a # it could be anywhere in the rest of the key, and trying
// the places one by one would take exponential time; there a node is visited once with the set of
// all places, see sweep. So a match visits no node twice.
type topic[D comparable] struct {
	root *topicNode[D]
	seed maphash.Seed // Of all the nodes' maps, so that a word is hashed once and not once a node.
}

type topicNode[D comparable] struct {
	here  destinations[D]                 // Where the patterns lead that end here.
	words pmap.Map[string, *topicNode[D]] // By the next word of the pattern, unless it is
	star  *topicNode[D]                   // this one
	hash  *topicNode[D]                   // or this one.
}

func newTopic[D comparable]() *topic[D] { return &topic[D]{seed: maphash.MakeSeed()} }

// checkTopic is [Check] for this type.
func checkTopic(key string) error {
	n := 0
	for word := range strings.SplitSeq(key, ".") {
		if word == "#" {
			n++
		}
	}
	if n > maxHashes {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"Topic binding key '%s' uses %d '#' wildcards, at most %d are allowed", key, n, maxHashes)
	}
	return nil
}

func (x *topic[D]) add(id identity[D]) exchange[D] {
	return &topic[D]{root: x.with(x.root, id.key, true, id.dest), seed: x.seed}
}

// with returns n with a binding to d behind pattern; more says that there is a pattern left, be it
// one empty word. A nil node is an empty one.
func (x *topic[D]) with(n *topicNode[D], pattern string, more bool, d D) *topicNode[D] {
	c := topicNode[D]{words: pmap.New[string, *topicNode[D]](x.seed)}
	if n != nil {
		c = *n
	}
	if !more {
		c.here = c.here.add(d)
		return &c
	}
	word, rest, more := strings.Cut(pattern, ".")
	c.setNext(word, x.with(c.next(word), rest, more, d))
	return &c
}

func (x *topic[D]) remove(id identity[D]) exchange[D] {
	return &topic[D]{root: x.root.without(id.key, true, id.dest), seed: x.seed}
}

// without is the opposite of with: n has the binding. It returns nil when nothing is left.
func (n *topicNode[D]) without(pattern string, more bool, d D) *topicNode[D] {
	c := *n
	if more {
		word, rest, more := strings.Cut(pattern, ".")
		c.setNext(word, c.next(word).without(rest, more, d))
	} else {
		c.here = c.here.remove(d)
	}
	if c.here.empty() && c.leaf() {
		return nil
	}
	return &c
}

// next returns the node behind a word of a pattern, nil when there is none.
func (n *topicNode[D]) next(word string) *topicNode[D] {
	switch word {
	case "*":
		return n.star
	case "#":
		return n.hash
	}
	kid, _ := n.words.Get(word)
	return kid
}

// setNext puts kid behind a word of a pattern, and takes what is there away when kid is nil.
func (n *topicNode[D]) setNext(word string, kid *topicNode[D]) {
	switch {
	case word == "*":
		n.star = kid
	case word == "#":
		n.hash = kid
	case kid == nil:
		n.words = n.words.Delete(word)
	default:
		n.words = n.words.Set(word, kid)
	}
}

// leaf says that all patterns that get to n end there.
func (n *topicNode[D]) leaf() bool {
	return n.star == nil && n.hash == nil && n.words.Len() == 0
}

func (x *topic[D]) match(m Message, dst []D) []D {
	if x.root == nil || len(m.Key) > MaxKey {
		return dst
	}
	return x.walk(x.root, m.Key, true, dst)
}

// walk appends the destinations of n, and of what is behind it, for the rest of a key; more says
// that there is a rest, be it one empty word.
func (x *topic[D]) walk(n *topicNode[D], key []byte, more bool, dst []D) []D {
	if n.hash != nil {
		dst = x.behindHash(n.hash, key, more, dst)
	}
	if !more {
		return n.here.appendTo(dst)
	}
	if n.star == nil && n.words.Len() == 0 {
		return dst
	}
	word, rest := key, []byte(nil)
	i := bytes.IndexByte(key, '.')
	if more = i >= 0; more {
		word, rest = key[:i], key[i+1:]
	}
	if n.star != nil {
		dst = x.walk(n.star, rest, more, dst)
	}
	if kid, ok := pmap.GetBytes(n.words, word); ok {
		dst = x.walk(kid, rest, more, dst)
	}
	return dst
}

// behindHash is walk for a node behind the first # of a pattern.
func (x *topic[D]) behindHash(n *topicNode[D], key []byte, more bool, dst []D) []D {
	if n.leaf() {
		return n.here.appendTo(dst)
	}
	var s sweep[D]
	if more {
		s.split(x.seed, key)
	}
	return s.visit(n, placesFrom(0, s.words), dst)
}
