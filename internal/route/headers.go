package route

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/pmap"
)

// maxArgs is how many arguments a binding to a headers exchange may have. Each takes a place in
// the index.
const maxArgs = 1024

// xMatch is the argument that says how the others are to be read.
const xMatch = "x-match"

// A headers exchange delivers to the bindings whose arguments the message's headers fulfil (AMQP
// 0-9-1, section 3.1.3.4); the argument x-match says how:
//
//	all (or none)  every argument is fulfilled; when there is none, so are all
//	any            one is
//	all-with-x, any-with-x  the same, and arguments beginning with "x-" count too
//
// An argument is fulfilled by a header of its name with an equal value; one without a value (void),
// by any header of its name. Of headers with one name the first counts. See value for what is equal.
//
// Bindings are found by the headers of the message, not tried one by one: each waits in the slots
// of the index under its arguments' anchors, an "any" binding under every one and an "all" binding
// under the least crowded one. Those under the anchors of a message's headers are then tried.
type headers[D comparable] struct {
	slots pmap.Map[string, slot[D]] // By anchor; "" is that of the bindings that all messages fulfil.
}

// A slot has the bindings under one anchor, by destination, so that a destination that is to get
// the message is tried no further.
type slot[D comparable] struct {
	to  pmap.Ordered[D, pmap.Ordered[label, *pattern]]
	len int // The number of patterns of all destinations.
}

// A label tells the bindings of one destination apart.
type label struct{ key, args string }

// checkHeaders is [Check] for this type.
func checkHeaders(args amqp.Table) error {
	if len(args) > maxArgs {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"headers binding has %d arguments, at most %d are allowed", len(args), maxArgs)
	}
	v, ok := args.Get(xMatch)
	if !ok {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"Invalid x-match field type %s (value %s); expected longstr", amqp.TypeName(v), erlangTerm(v))
	}
	switch s {
	case "all", "any", "all-with-x", "any-with-x":
		return nil
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
		"Invalid x-match field value %s; expected all, any, all-with-x, or any-with-x",
		amqp.ErlangBinary([]byte(s)))
}

// erlangTerm renders a value that is not a string about as RabbitMQ does.
func erlangTerm(v any) string {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case []byte:
		return amqp.ErlangBinary(v)
	}
	return fmt.Sprint(v)
}

func (x *headers[D]) add(id identity[D]) exchange[D] {
	p := compile(id.args)
	slots := x.slots
	for _, anchor := range x.choose(p) {
		s, _ := slots.Get(anchor)
		slots = slots.Set(anchor, s.add(id, p))
	}
	return &headers[D]{slots: slots}
}

// choose returns the anchors to put p under, such that no message can fulfil p without a header
// that has one of them.
func (x *headers[D]) choose(p *pattern) []string {
	anchors := p.anchors()
	if p.any || len(anchors) == 0 {
		return anchors
	}
	best, least := 0, int(^uint(0)>>1)
	for i, anchor := range anchors {
		if s, _ := x.slots.Get(anchor); s.len < least {
			best, least = i, s.len
		}
	}
	return anchors[best : best+1]
}

func (x *headers[D]) remove(id identity[D]) exchange[D] {
	slots := x.slots
	for _, anchor := range compile(id.args).anchors() {
		s, _ := slots.Get(anchor)
		if s = s.remove(id); s.len == 0 {
			slots = slots.Delete(anchor)
		} else {
			slots = slots.Set(anchor, s)
		}
	}
	return &headers[D]{slots: slots}
}

func (x *headers[D]) match(m Message, dst []D) []D {
	if x.slots.Len() == 0 {
		return dst
	}
	var h fields
	h.read(m.Headers)
	if s, ok := x.slots.Get(""); ok {
		dst = s.match(&h, dst)
	}
	var buf [maxAnchor]byte
	for i := range h.list {
		anchor := appendName(buf[:0], h.list[i].name)
		if s, ok := pmap.GetBytes(x.slots, anchor); ok {
			dst = s.match(&h, dst)
		}
		anchor = appendValue(anchor, h.list[i].value)
		if s, ok := pmap.GetBytes(x.slots, anchor); ok {
			dst = s.match(&h, dst)
		}
	}
	return dst
}

// add returns the slot with p under id; it may be there.
func (s slot[D]) add(id identity[D], p *pattern) slot[D] {
	of, _ := s.to.Get(id.dest)
	n := of.Len()
	of = of.Set(label{id.key, id.args}, p)
	return slot[D]{to: s.to.Set(id.dest, of), len: s.len + of.Len() - n}
}

// remove returns the slot without id; it need not be there.
func (s slot[D]) remove(id identity[D]) slot[D] {
	of, _ := s.to.Get(id.dest)
	n := of.Len()
	of = of.Delete(label{id.key, id.args})
	if of.Len() == 0 {
		return slot[D]{to: s.to.Delete(id.dest), len: s.len - n}
	}
	return slot[D]{to: s.to.Set(id.dest, of), len: s.len + of.Len() - n}
}

// match appends the destinations of the slot that have a binding which h fulfils.
func (s slot[D]) match(h *fields, dst []D) []D {
	for i := 0; i < s.to.Len(); {
		run := s.to.Run(i)
		for j := range run {
			if fulfilsOne(h, &run[j].Value) {
				dst = append(dst, run[j].Key)
			}
		}
		i += len(run)
	}
	return dst
}

func fulfilsOne(h *fields, of *pmap.Ordered[label, *pattern]) bool {
	for i := 0; i < of.Len(); {
		run := of.Run(i)
		for j := range run {
			if run[j].Value.fulfilledBy(h) {
				return true
			}
		}
		i += len(run)
	}
	return false
}

// A pattern is a binding's arguments, ready to be compared.
type pattern struct {
	any  bool // One term must be fulfilled; else all of them.
	want []term
}

// A term is one argument that a message is asked for.
type term struct {
	name []byte
	want value // Void: any value.
}

// compile makes a pattern of arguments encoded by identify.
func compile(args string) *pattern {
	p := &pattern{}
	if args == "" {
		return p
	}
	table := amqp.RawTable(args[4:]) // Behind the length. A copy, which the terms may keep.
	withX := false
	if v, ok := table.Lookup(xMatch); ok {
		mode := string(v.Bytes())
		p.any = strings.HasPrefix(mode, "any")
		withX = strings.HasSuffix(mode, "-with-x")
	}
	table.Each(func(name []byte, v amqp.RawValue) bool {
		if string(name) != xMatch && (withX || !bytes.HasPrefix(name, []byte("x-"))) {
			p.want = append(p.want, term{name: name, want: valueOf(v)})
		}
		return true
	})
	return p
}

// anchors returns the anchors of p's terms. For a pattern without terms it is "" if that is
// fulfilled by all messages, and nothing if by none.
func (p *pattern) anchors() []string {
	if len(p.want) == 0 && !p.any {
		return []string{""}
	}
	anchors := make([]string, 0, len(p.want))
	for _, t := range p.want {
		a := appendName(nil, t.name)
		if t.want.class != void {
			a = appendValue(a, t.want)
		}
		anchors = append(anchors, string(a))
	}
	slices.Sort(anchors)
	return slices.Compact(anchors)
}

func (p *pattern) fulfilledBy(h *fields) bool {
	for i := range p.want {
		if h.fulfil(&p.want[i]) == p.any {
			return p.any
		}
	}
	return !p.any
}
