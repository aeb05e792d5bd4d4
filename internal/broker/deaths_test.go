package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// longLetter is a message with many CC keys, if any.
func longLetter(cc int) *letter {
	l := &letter{exchange: strings.Repeat("x", 255), keys: [][]byte{[]byte("key")}}
	for i := range cc {
		l.keys = append(l.keys, fmt.Appendf(nil, "%0100d", i))
	}
	return l
}

// queueName is one of the longest.
func queueName(i int) string { return fmt.Sprintf("%0255d", i) }

func (l *letter) queues() (list []string) {
	for _, e := range l.deaths {
		t, _ := e.(amqp.Table)
		q, _ := t.Get("queue")
		s, _ := q.(string)
		list = append(list, s)
	}
	return list
}

// TestDeathsRejected: what consumers reject may go from queue to queue any
// number of times; the youngest deaths are told.
func TestDeathsRejected(t *testing.T) {
	t.Parallel()
	for _, cc := range []int{0, 1000} {
		l := longLetter(cc)
		for i := range 2000 {
			l.record(queueName(i), &queue.Dead{Reason: queue.Rejected}, 1)
			if n := len(l.content()); n > maxDeaths+4096 {
				t.Fatalf("after %d deaths the header takes %d bytes", i+1, n)
			}
			if l.cycle(queueName(i)) || l.cycle("other") || l.queues()[0] != queueName(i) {
				t.Fatalf("death %d, of %.5q…, is a cycle: %t", i, l.queues()[0], l.cycle("other"))
			}
		}
		if n := len(l.deaths); n < 70 && cc == 0 || n == 0 {
			t.Errorf("%d deaths are left with %d CC keys", n, cc)
		}
		if first, _ := l.properties.Headers.Get("x-first-death-queue"); first != queueName(0) {
			t.Errorf("the first death was in %v", first)
		}
	}
}

// TestDeathsWithoutRejection: cycles are found as long as a message can be in
// one, and after very many queues it is taken for one.
func TestDeathsWithoutRejection(t *testing.T) {
	t.Parallel()
	for _, cc := range []int{0, 30, 1000} {
		l := longLetter(cc)
		l.record("long ago", &queue.Dead{Reason: queue.Expired}, 1)
		l.record("rejects", &queue.Dead{Reason: queue.Rejected}, 1)
		for i := range 200 {
			l.record(queueName(i), &queue.Dead{Reason: queue.Expired}, 1)
			if n := len(l.content()); n > maxDeaths+4096 {
				t.Fatalf("after %d deaths the header takes %d bytes", i+1, n)
			}
			if !l.cycle(queueName(0)) || !l.cycle(queueName(i)) {
				t.Fatalf("after %d deaths a cycle is not found", i+1)
			}
			if endless := l.cycle("long ago"); endless != l.endless || endless && i < 70 {
				t.Fatalf("after %d deaths: %t", i+1, endless)
			}
		}
		if !l.endless {
			t.Error("two hundred queues in a row are no cycle")
		}
	}
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	l := longLetter(3)
	l.properties.Headers = amqp.Table{{Key: "own", Value: strings.Repeat("o", 4000)}}
	l.properties.Flags |= amqp.FlagHeaders
	l.size = 7
	whole := headerPayload(&l.properties, l.size)
	for i := range 30 {
		l.record(queueName(i), &queue.Dead{Reason: queue.Rejected}, 1)
	}
	full := headerPayload(&l.properties, l.size)
	for _, c := range []struct{ most, deaths int }{{len(full), 30}, {len(full) - 1, 29}, {8184, 3}, {len(whole) + 2600, 1}, {len(whole), 0}} {
		b := Narrow(full, c.most)
		if len(b) > c.most {
			t.Errorf("%d bytes instead of %d", len(b), c.most)
		}
		h, err := amqp.ParseHeader(b)
		if err != nil || h.BodySize != 7 {
			t.Fatalf("%v, body of %d bytes", err, h.BodySize)
		}
		var p amqp.Properties
		if err := p.Decode(h.Flags, h.Properties); err != nil {
			t.Fatal(err)
		}
		v, _ := p.Headers.Get("x-death")
		deaths, _ := v.([]any)
		if own, _ := p.Headers.Get("own"); own != strings.Repeat("o", 4000) || len(deaths) != c.deaths {
			t.Errorf("in %d bytes: %d deaths, want %d", c.most, len(deaths), c.deaths)
		}
		if c.deaths > 0 && (&letter{deaths: deaths}).queues()[0] != queueName(29) {
			t.Errorf("in %d bytes the last death is not told", c.most)
		}
	}
	if b := Narrow(full, len(whole)-1); !slices.Equal(b, full) {
		t.Error("what the publisher said is changed")
	}
	var strange amqp.Properties
	strange.Headers, strange.Flags = amqp.Table{{Key: "x-death", Value: []any{}}, {Key: "x", Value: strings.Repeat("y", 99)}}, amqp.FlagHeaders
	if b := headerPayload(&strange, 0); !slices.Equal(Narrow(b, 50), b) {
		t.Error("an x-death without deaths is changed")
	}
}
