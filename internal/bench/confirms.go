package bench

import "fmt"

// confirms counts what the broker has confirmed of a channel whose publishes are numbered 1, 2, ….
// Confirms may come in any order and for several at once.
type confirms struct {
	base   uint64   // all up to here are settled
	ahead  []uint64 // bits of those behind it that are: tag t is bit t mod the size
	acked  int64
	nacked int64
	each   func(tag uint64) // is told each confirmed one, unless nil
}

// newConfirms allows for window unconfirmed publishes.
func newConfirms(window int) *confirms {
	words := 1
	for words*64 <= window {
		words *= 2
	}
	return &confirms{ahead: make([]uint64, words)}
}

func (c *confirms) bit(tag uint64) (word *uint64, mask uint64) {
	tag &= uint64(len(c.ahead))*64 - 1
	return &c.ahead[tag/64], 1 << (tag % 64)
}

// settle takes a basic.ack or, if ok is false, a basic.nack.
func (c *confirms) settle(tag uint64, multiple, ok bool) error {
	if tag <= c.base || tag-c.base > uint64(len(c.ahead)*64) {
		if multiple && tag == c.base {
			return nil // nothing new
		}
		return fmt.Errorf("the broker confirms publish %d, which is not waiting: all up to %d are confirmed", tag, c.base)
	}
	from := tag
	if multiple {
		from = c.base + 1
	}
	for t := from; t <= tag; t++ {
		if w, m := c.bit(t); *w&m == 0 {
			*w |= m
			c.count(t, ok)
		} else if !multiple {
			return fmt.Errorf("the broker confirms publish %d twice", tag)
		}
	}
	for {
		w, m := c.bit(c.base + 1)
		if *w&m == 0 {
			return nil
		}
		*w &^= m
		c.base++
	}
}

func (c *confirms) count(tag uint64, ok bool) {
	if !ok {
		c.nacked++
		return
	}
	if c.acked++; c.each != nil {
		c.each(tag)
	}
}
