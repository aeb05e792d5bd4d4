package broker

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// maxDeaths bounds what x-death takes of a message, in bytes: about seventy
// deaths in queues with the longest names, three hundred with usual ones. A
// message must not grow with each queue of a chain, nor past what a frame
// carries.
const maxDeaths = 64 << 10

// deathOverhead is what a death takes beside its texts.
const deathOverhead = 112

// deathSize is about what one entry of x-death takes.
func deathSize(e any) int {
	n := deathOverhead
	t, _ := e.(amqp.Table)
	for _, f := range t {
		switch v := f.Value.(type) {
		case string:
			n += len(v)
		case []any:
			for _, k := range v {
				s, _ := k.(string)
				n += 5 + len(s)
			}
		}
	}
	return n
}

// bound makes deaths, the youngest first, fit into maxDeaths. Cycles are found
// by those since the last rejection: the ones before go first, the oldest
// first. Then go the routing keys but the first of each, the oldest first.
// endless: it is still too much. Such a message has gone through more queues
// than anybody would put in a row.
func bound(deaths []any) (_ []any, endless bool) {
	size := 0
	for _, e := range deaths {
		size += deathSize(e)
	}
	if size <= maxDeaths {
		return deaths, false
	}
	needed := slices.IndexFunc(deaths, wasRejected)
	switch needed {
	case -1:
		needed = len(deaths)
	case 0: // it was the last to happen, and is to be told
		needed = 1
	}
	for ; size > maxDeaths && len(deaths) > needed; deaths = deaths[:len(deaths)-1] {
		size -= deathSize(deaths[len(deaths)-1])
	}
	for i := len(deaths) - 1; size > maxDeaths && i >= 0; i-- {
		size -= deathSize(deaths[i])
		deaths[i] = firstKey(deaths[i])
		size += deathSize(deaths[i])
	}
	for ; size > maxDeaths; deaths = deaths[:len(deaths)-1] {
		size -= deathSize(deaths[len(deaths)-1])
		endless = true
	}
	return deaths, endless
}

func wasRejected(e any) bool {
	t, _ := e.(amqp.Table)
	r, _ := t.Get("reason")
	return r == "rejected"
}

// firstKey is an entry of x-death without routing keys but the first.
func firstKey(e any) any {
	t, _ := e.(amqp.Table)
	v, _ := t.Get("routing-keys")
	keys, _ := v.([]any)
	if len(keys) < 2 {
		return e
	}
	return with(slices.Clone(t), "routing-keys", keys[:1:1])
}

// Narrow makes the payload of a header frame fit into most bytes if that can
// be done by leaving out what the broker says of deaths: the oldest first, at
// last the short form of the first and the last too. Clients may have smaller
// frames than those who published.
func Narrow(payload []byte, most int) []byte {
	h, err := amqp.ParseHeader(payload)
	var p amqp.Properties
	if err != nil || p.Decode(h.Flags, h.Properties) != nil {
		return payload // it came over the wire whole
	}
	v, _ := p.Headers.Get("x-death")
	deaths, _ := v.([]any)
	if len(deaths) == 0 {
		return payload
	}
	deaths = slices.Clone(deaths)
	over := len(payload) - most
	for ; over > 0 && len(deaths) > 1; deaths = deaths[:len(deaths)-1] {
		t, _ := deaths[len(deaths)-1].(amqp.Table)
		over -= len(amqp.AppendTable(nil, t)) + 1
	}
	if over > 0 {
		deaths[0] = firstKey(deaths[0])
	}
	p.Headers = with(slices.Clone(p.Headers), "x-death", deaths)
	if b := headerPayload(&p, h.BodySize); len(b) <= most {
		return b
	}
	p.Headers = slices.DeleteFunc(p.Headers, func(f amqp.Field) bool {
		return f.Key == "x-death" || strings.HasPrefix(f.Key, "x-first-death-") || strings.HasPrefix(f.Key, "x-last-death-")
	})
	if b := headerPayload(&p, h.BodySize); len(b) <= most {
		return b
	}
	return payload
}

// headerPayload encodes a header frame and takes the payload of it.
func headerPayload(p *amqp.Properties, size uint64) []byte {
	b := p.AppendHeader(nil, 0, size)
	return b[7 : len(b)-1]
}
