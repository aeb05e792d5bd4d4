package session

import (
	"cmp"
	"slices"

	"github.com/warrenmq/warren/internal/broker"
)

// source is where deliveries come from: a consumer, or a queue read with
// basic.get.
type source struct {
	queue    *broker.Queue
	consumer *broker.Consumer // nil for basic.get
	prefetch int              // the consumer's, 0: no limit
	live     int              // deliveries outstanding; guarded by channel.mu
}

// busy reports whether the client has so much of its prefetch in hand that it
// will not miss what it may get more, for a moment; channel.mu is held.
func (s *source) busy() bool { return s.prefetch >= patientFrom && 8*s.live >= 7*s.prefetch }

// outstanding is one delivery that is not settled.
type outstanding struct {
	src *source // nil: settled, or never to be
	seq uint64
	at  stamp // when it was delivered
}

// unacked holds a channel's outstanding deliveries by tag. Tags grow by one,
// so it is a ring indexed by tag; the few that outlive their neighbours move
// to old, so that one forgotten acknowledgement does not keep the ring long.
type unacked struct {
	base uint64 // tag at ring[head]
	ring []outstanding
	head int
	span int // tags from base on that the ring covers
	live int // of ring and old

	old     []oldDelivery // ascending by tag
	oldLive int

	late *lateness // nil until something is overdue
}

type oldDelivery struct {
	tag uint64
	outstanding
}

const minRing = 16

// add enters the delivery with the next tag. Tags may be skipped, never
// repeated.
func (u *unacked) add(tag uint64, d outstanding) {
	if u.span == 0 {
		u.base = tag
		if u.live == 0 {
			u.late = nil
		}
	}
	for u.base+uint64(u.span) < tag { //nolint:gosec // a length
		u.push(outstanding{})
		if u.span == 0 { // the ring was cleared out
			u.base = tag
		}
	}
	u.push(d)
	u.live++
	d.src.live++
}

func (u *unacked) push(d outstanding) {
	if u.span == len(u.ring) {
		if u.span >= 1024 && u.live-u.oldLive < u.span/4 {
			next := u.base + uint64(u.span)
			u.retire()
			u.base = next
		} else {
			u.grow()
		}
	}
	u.ring[(u.head+u.span)&(len(u.ring)-1)] = d
	u.span++
}

func (u *unacked) grow() {
	ring := make([]outstanding, max(minRing, 2*len(u.ring)))
	n := copy(ring, u.ring[u.head:])
	copy(ring[n:], u.ring[:u.head])
	u.ring, u.head = ring, 0
}

// retire moves what is left in the ring to old.
func (u *unacked) retire() {
	for ; u.span > 0; u.pop() {
		if d := u.ring[u.head]; d.src != nil {
			u.old = append(u.old, oldDelivery{u.base, d})
			u.oldLive++
		}
	}
}

// pop drops the ring's first tag.
func (u *unacked) pop() {
	u.ring[u.head] = outstanding{}
	u.head = (u.head + 1) & (len(u.ring) - 1)
	u.base++
	u.span--
}

// trim drops the settled tags at the ring's start.
func (u *unacked) trim() {
	for u.span > 0 && u.ring[u.head].src == nil {
		u.pop()
	}
}

// take removes one delivery; ok is false when the tag is not outstanding.
func (u *unacked) take(tag uint64) (d outstanding, ok bool) {
	if off := tag - u.base; u.span > 0 && off < uint64(u.span) {
		p := &u.ring[(u.head+int(off))&(len(u.ring)-1)] //nolint:gosec // less than span
		d, *p = *p, outstanding{}
		u.trim()
	} else if i, found := u.findOld(tag); found {
		d, u.old[i].outstanding = u.old[i].outstanding, outstanding{}
		if d.src != nil {
			u.oldLive--
			u.trimOld()
		}
	}
	if d.src != nil {
		u.live--
		d.src.live--
	}
	return d, d.src != nil
}

// takeUpTo removes all deliveries with tags up to and including tag, in
// order, and appends them to dst; tag 0 means all.
func (u *unacked) takeUpTo(tag uint64, dst []outstanding) []outstanding {
	n := len(dst)
	i := 0
	for ; i < len(u.old) && (tag == 0 || u.old[i].tag <= tag); i++ {
		if u.old[i].src != nil {
			dst = append(dst, u.old[i].outstanding)
		}
	}
	u.oldLive -= len(dst) - n
	u.old = u.old[i:]
	for u.span > 0 && (tag == 0 || u.base <= tag) {
		if d := u.ring[u.head]; d.src != nil {
			dst = append(dst, d)
		}
		u.pop()
	}
	u.trim()
	u.live -= len(dst) - n
	for i := range dst[n:] {
		dst[n+i].src.live--
	}
	return dst
}

// has reports whether tag is outstanding.
func (u *unacked) has(tag uint64) bool {
	_, ok := u.peek(tag)
	return ok
}

// peek is take that leaves the delivery where it is.
func (u *unacked) peek(tag uint64) (d outstanding, ok bool) {
	if off := tag - u.base; u.span > 0 && off < uint64(u.span) {
		d = u.ring[(u.head+int(off))&(len(u.ring)-1)] //nolint:gosec // less than span
	} else if i, found := u.findOld(tag); found {
		d = u.old[i].outstanding
	}
	return d, d.src != nil
}

// restore enters deliveries again that take or takeUpTo removed. It sorts the
// list, and moves what is in old once: a client may settle any number of
// messages in any order before it rolls back.
func (u *unacked) restore(list []oldDelivery) {
	slices.SortFunc(list, func(a, b oldDelivery) int { return cmp.Compare(a.tag, b.tag) })
	u.live += len(list)
	back := list[:0]
	for _, d := range list {
		d.src.live++
		if u.late != nil && d.tag <= u.late.upTo {
			u.late.enter(d.tag, &d.outstanding)
		}
		if off := d.tag - u.base; u.span > 0 && off < uint64(u.span) {
			u.ring[(u.head+int(off))&(len(u.ring)-1)] = d.outstanding //nolint:gosec // less than span
		} else {
			back = append(back, d)
		}
	}
	if len(back) == 0 {
		return
	}
	u.oldLive += len(back)
	merged := make([]oldDelivery, 0, u.oldLive)
	for _, d := range u.old {
		for len(back) > 0 && back[0].tag <= d.tag {
			merged = append(merged, back[0])
			back = back[1:]
		}
		if d.src != nil {
			merged = append(merged, d)
		}
	}
	u.old = append(merged, back...)
}

func (u *unacked) findOld(tag uint64) (int, bool) {
	return slices.BinarySearchFunc(u.old, tag, func(d oldDelivery, tag uint64) int {
		switch {
		case d.tag < tag:
			return -1
		case d.tag > tag:
			return 1
		}
		return 0
	})
}

// trimOld forgets settled entries once they are the most.
func (u *unacked) trimOld() {
	if len(u.old) >= 16 && u.oldLive < len(u.old)/2 {
		u.old = slices.DeleteFunc(u.old, func(d oldDelivery) bool { return d.src == nil })
	}
}

// each yields the outstanding deliveries, ascending by tag.
func (u *unacked) each(yield func(tag uint64, d *outstanding) bool) { u.above(0, yield) }

// above is each of those with tags above one.
func (u *unacked) above(tag uint64, yield func(tag uint64, d *outstanding) bool) {
	from, _ := u.findOld(tag + 1)
	for i := from; i < len(u.old); i++ {
		if d := &u.old[i]; d.src != nil && !yield(d.tag, &d.outstanding) {
			return
		}
	}
	skip := 0
	if tag >= u.base {
		skip = int(min(tag-u.base+1, uint64(u.span))) //nolint:gosec // lengths
	}
	for i := skip; i < u.span; i++ {
		if d := &u.ring[(u.head+i)&(len(u.ring)-1)]; d.src != nil && !yield(u.base+uint64(i), d) {
			return
		}
	}
}

// tags lists the outstanding tags up to and including tag; 0 means all.
func (u *unacked) tags(tag uint64) (list []uint64) {
	u.each(func(t uint64, _ *outstanding) bool {
		if tag == 0 || t <= tag {
			list = append(list, t)
		}
		return tag == 0 || t < tag
	})
	return list
}
