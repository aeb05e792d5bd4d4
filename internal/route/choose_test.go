package route

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
)

func chooserOf(t *testing.T, kind string, args amqp.Table, weights map[int]string) Table[int] {
	t.Helper()
	table, ok := New[int](kind, args)
	if !ok {
		t.Fatalf("no type %s", kind)
	}
	for dest, key := range weights {
		table = table.Bind(Binding[int]{Key: key, Dest: dest, Name: fmt.Sprintf("queue %d", dest)})
	}
	return table
}

// spread counts where n keys go.
func spread(t *testing.T, table Table[int], n int) map[int]int {
	t.Helper()
	counts := map[int]int{}
	for i := range n {
		got := table.Match(Message{Key: fmt.Appendf(nil, "key.%d", i), Chance: mix(uint64(i))}, nil)
		if len(got) != 1 {
			t.Fatalf("%d destinations", len(got))
		}
		counts[got[0]]++
	}
	return counts
}

func TestShares(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for _, c := range []struct {
		kind    string
		weights map[int]string
		share   map[int]float64
	}{
		{ConsistentHash, map[int]string{1: "1", 2: "1", 3: "1", 4: "1"}, map[int]float64{1: .25, 2: .25, 3: .25, 4: .25}},
		{ConsistentHash, map[int]string{1: "10", 2: "20", 3: "70"}, map[int]float64{1: .1, 2: .2, 3: .7}},
		{ConsistentHash, map[int]string{1: "1", 2: "10000"}, map[int]float64{1: .0001, 2: .9999}},
		{ModulusHash, map[int]string{1: "a", 2: "b"}, map[int]float64{1: .5, 2: .5}},
		{Random, map[int]string{1: "a", 2: "b", 3: ""}, map[int]float64{1: .333, 2: .333, 3: .333}},
	} {
		for dest, got := range spread(t, chooserOf(t, c.kind, nil, c.weights), n) {
			if share := float64(got) / n; math.Abs(share-c.share[dest]) > .01 {
				t.Errorf("%s with %v: %d gets %.3f", c.kind, c.weights, dest, share)
			}
		}
	}
}

// TestOnlyItsOwnKeysMove: what is consistent about consistent hashing, for even and uneven weights.
func TestOnlyItsOwnKeysMove(t *testing.T) {
	t.Parallel()
	for _, added := range []string{"1", "7"} {
		before := chooserOf(t, ConsistentHash, nil, map[int]string{1: "1", 2: "1", 3: "1"})
		after := before.Bind(Binding[int]{Key: added, Dest: 4, Name: "queue 4"})
		back := after.Unbind(Binding[int]{Key: added, Dest: 4, Name: "queue 4"})
		moved := 0
		for i := range 10_000 {
			m := message(fmt.Sprintf("key %d", i), nil)
			was, is, again := before.Match(m, nil)[0], after.Match(m, nil)[0], back.Match(m, nil)[0]
			if is != was {
				moved++
			}
			if is != was && is != 4 || again != was {
				t.Fatalf("key %d went from %d to %d and back to %d", i, was, is, again)
			}
		}
		if moved == 0 {
			t.Error("nothing moved")
		}
	}
}

// TestStable pins the choice: it must be the same after a restart and in the next release.
func TestStable(t *testing.T) {
	t.Parallel()
	var got []int
	for _, table := range []Table[int]{
		chooserOf(t, ConsistentHash, nil, map[int]string{1: "1", 2: "1", 3: "1"}),
		chooserOf(t, ConsistentHash, nil, map[int]string{1: "1", 2: "2", 3: "3"}),
		chooserOf(t, ModulusHash, nil, map[int]string{1: "", 2: "", 3: ""}),
	} {
		for _, key := range []string{"", "a", "b", "order.1", "order.2", "order.3"} {
			got = table.Match(message(key, nil), got)
		}
	}
	if diff := cmp.Diff(stable, got); diff != "" {
		t.Error(diff)
	}
}

var stable = []int{3, 1, 2, 3, 2, 1, 3, 3, 2, 3, 2, 2, 1, 2, 1, 2, 1, 3}

// TestHashOn: messages with the same header or property go together, whatever their routing keys.
func TestHashOn(t *testing.T) {
	t.Parallel()
	weights := map[int]string{}
	for i := range 50 {
		weights[i] = "1"
	}
	byHeader := chooserOf(t, ConsistentHash, amqp.Table{{Key: "hash-header", Value: "id"}}, weights)
	byProperty := func(name string) Table[int] {
		return chooserOf(t, ConsistentHash, amqp.Table{{Key: "hash-property", Value: name}}, weights)
	}
	content := func(p amqp.Properties) Message {
		return Message{Key: []byte("k"), Content: p.AppendHeader(nil, 1, 0)}
	}
	for name, together := range map[string][]Message{
		"text":    {message("a", amqp.Table{{Key: "id", Value: "x"}}), message("b", amqp.Table{{Key: "z", Value: "y"}, {Key: "id", Value: "x"}})},
		"numbers": {message("a", amqp.Table{{Key: "id", Value: int8(7)}}), message("b", amqp.Table{{Key: "id", Value: int64(7)}})},
		"none":    {message("a", nil), message("b", amqp.Table{{Key: "other", Value: "x"}})},
	} {
		if a, b := byHeader.Match(together[0], nil)[0], byHeader.Match(together[1], nil)[0]; a != b {
			t.Errorf("%s: %d and %d", name, a, b)
		}
	}
	id := func(s string) Message { return content(amqp.Properties{Flags: amqp.FlagMessageID, MessageID: s}) }
	other := 0
	for i := range 20 {
		a, b := id(strconv.Itoa(i)), id(strconv.Itoa(i))
		b.Key = []byte("another")
		table := byProperty("message_id")
		if table.Match(a, nil)[0] != table.Match(b, nil)[0] {
			t.Errorf("message id %d goes to two places", i)
		}
		if table.Match(a, nil)[0] != table.Match(id("0"), nil)[0] {
			other++
		}
	}
	if other < 10 {
		t.Errorf("only %d of 20 message ids go elsewhere than the first", other)
	}
	if byProperty("correlation_id").Match(id("1"), nil)[0] != byProperty("correlation_id").Match(id("2"), nil)[0] {
		t.Error("messages without a correlation id go to different places")
	}
}

func TestCheckChoosers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, key, want string }{
		{ConsistentHash, "1", ""},
		{ConsistentHash, "10000", ""},
		{ConsistentHash, "k", `The binding key must be an integer: <<"k">>`},
		{ConsistentHash, "", `The binding key must be an integer: <<>>`},
		{ConsistentHash, "0", "The binding key must be greater than 0"},
		{ConsistentHash, "-3", "The binding key must be greater than 0"},
		{ConsistentHash, "10001", "The binding key must not exceed 10000"},
		{LocalRandom, "", ""},
		{LocalRandom, "k", "Non empty binding 'k' key not permitted"},
		{Random, "k", ""},
	} {
		if got := errorText(Check(c.kind, c.key, nil)); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.key, got, c.want)
		}
	}
	for _, c := range []struct {
		kind string
		args amqp.Table
		want string
	}{
		{ConsistentHash, amqp.Table{{Key: "hash-header", Value: "h"}}, ""},
		{ConsistentHash, amqp.Table{{Key: "hash-property", Value: "timestamp"}}, ""},
		{ConsistentHash, amqp.Table{{Key: "hash-property", Value: "app_id"}}, "Unsupported property: app_id"},
		{
			ConsistentHash,
			amqp.Table{{Key: "hash-property", Value: "message_id"}, {Key: "hash-header", Value: "h"}},
			"hash-header and hash-property are mutually exclusive",
		},
		{ConsistentHash, amqp.Table{{Key: "hash-header", Value: int32(1)}}, "hash-header must be a longstr, not a signedint"},
		{RecentHistory, nil, ""},
		{RecentHistory, amqp.Table{{Key: "x-recent-history-length", Value: int16(3)}}, ""},
		{
			RecentHistory,
			amqp.Table{{Key: "x-recent-history-length", Value: int32(0)}},
			"Invalid argument 0, 'x-recent-history-length' must be a positive integer",
		},
		{
			RecentHistory,
			amqp.Table{{Key: "x-recent-history-length", Value: "x"}},
			`Invalid argument <<"x">>, 'x-recent-history-length' must be a positive integer`,
		},
		{
			RecentHistory,
			amqp.Table{{Key: "x-recent-history-length", Value: int32(1001)}},
			"Invalid argument 1001, 'x-recent-history-length' must not exceed 1000",
		},
	} {
		if got := errorText(CheckArguments(c.kind, c.args)); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.kind, c.args, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	e, _ := err.(*amqp.Error) //nolint:errorlint // as documented
	return e.Text
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{4, 64, 1024} {
		for _, weight := range []string{"1", "uneven"} {
			b.Run(fmt.Sprintf("%d/%s", n, weight), func(b *testing.B) {
				table, _ := New[int](ConsistentHash, nil)
				for i := range n {
					key := weight
					if weight == "uneven" {
						key = strconv.Itoa(1 + i%5)
					}
					table = table.Bind(Binding[int]{Key: key, Dest: i, Name: strconv.Itoa(i)})
				}
				m := message("order.12345", nil)
				var dst []int
				for b.Loop() {
					dst = table.Match(m, dst[:0])
				}
			})
		}
	}
}
