package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// naiveTopic matches by the table of all (rest of pattern, rest of key).
func naiveTopic(pattern, key string) bool {
	p, k := strings.Split(pattern, "."), strings.Split(key, ".")
	reach := make([]bool, len(k)+1) // reach[j]: the pattern so far matches the first j words.
	reach[0] = true
	for _, word := range p {
		next := make([]bool, len(k)+1)
		for j := range next {
			switch {
			case word == "#":
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = reach[j-1] && (word == "*" || word == k[j-1])
			}
		}
		reach = next
	}
	return reach[len(k)]
}

func TestTopic(t *testing.T) {
	tests := []struct {
		pattern  string
		yes, not []string
	}{
		// AMQP 0-9-1, section 3.1.3.3.
		{"*.stock.#", []string{"usd.stock", "eur.stock.db"}, []string{"stock.nasdaq", "stock"}},
		// RabbitMQ's tutorial on topics.
		{"*.orange.*", []string{"quick.orange.rabbit", "lazy.orange.elephant"}, []string{"quick.brown.fox", "orange", "quick.orange.new.rabbit"}},
		{"*.*.rabbit", []string{"quick.orange.rabbit", "lazy.pink.rabbit"}, []string{"quick.orange.fox", "rabbit"}},
		{"lazy.#", []string{"lazy", "lazy.brown.fox", "lazy.orange.new.rabbit"}, []string{"quick.lazy", "lazyy", ""}},
		{"#", []string{"", ".", "a", "a.b.c", "#", "*"}, nil},
		{"*", []string{"", "a", "*"}, []string{".", "a.b"}},
		{"", []string{""}, []string{"a", "."}},
		{".", []string{"."}, []string{"", "..", "a."}},
		{"a..b", []string{"a..b"}, []string{"a.b", "a.x.b"}},
		{"a.*.b", []string{"a..b", "a.x.b"}, []string{"a.b"}},
		{"a.#.b", []string{"a.b", "a..b", "a.b.b", "a.x.y.b"}, []string{"a", "b", "a.b.c"}},
		{"#.a.#", []string{"a", "a.a", "x.a", "a.x", "x.a.y"}, []string{"", "x", "aa"}},
		{"#.*", []string{"", "a", "a.b"}, nil},
		{"#.#", []string{"", "a", "a.b"}, nil},
		{"*.#.*", []string{".", "a.b", "a.b.c"}, []string{"", "a"}},
		{"#.*.*.#", []string{"a.b", "a.b.c"}, []string{"", "a"}},
		{"#.a.a", []string{"a.a", "a.a.a", "b.a.a"}, []string{"a", "a.a.b"}},
		{"a#", []string{"a#"}, []string{"a", "a.b"}},
		{"**", []string{"**"}, []string{"*", "a", "a.b"}},
		{"A", []string{"A"}, []string{"a"}},
	}
	for _, test := range tests {
		table := newTable(t, "topic").Bind(Binding[int]{Key: test.pattern, Dest: 1})
		for _, key := range test.yes {
			if got := table.Match(message(key, nil), nil); len(got) != 1 {
				t.Errorf("%q and %q: delivered %d times, want once", test.pattern, key, len(got))
			}
		}
		for _, key := range test.not {
			if got := table.Match(message(key, nil), nil); len(got) != 0 {
				t.Errorf("%q and %q match", test.pattern, key)
			}
		}
	}
}

// TestTopicLongKeys has the longest keys there are, and patterns for which trying one place after
// the other would not come to an end in a lifetime.
func TestTopicLongKeys(t *testing.T) {
	dots := strings.Repeat(".", MaxKey)
	as := strings.Repeat("a.", MaxKey/2) + "a"
	patterns := map[string][]bool{ // Does it match dots, as?
		strings.Repeat("#.a.", 60) + "#":       {false, true},
		strings.Repeat("#.a.", 60) + "b":       {false, false},
		strings.Repeat("#.*.", 60) + "#.*":     {true, true},
		strings.Repeat("#.", 120) + "b":        {false, false},
		strings.Repeat("*.", MaxKey/2) + "*":   {false, true},
		dots:                                   {true, false},
		"#" + strings.Repeat(".*.#", 60) + ".": {true, false},
	}
	table := newTable(t, "topic")
	var wantDots, wantAs []int
	dest := 0
	for pattern, want := range patterns {
		table = table.Bind(Binding[int]{Key: pattern, Dest: dest})
		if want[0] {
			wantDots = append(wantDots, dest)
		}
		if want[1] {
			wantAs = append(wantAs, dest)
		}
		dest++
	}
	if diff := cmp.Diff(wantDots, matched(table, message(dots, nil))); diff != "" {
		t.Errorf("dots (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantAs, matched(table, message(as, nil))); diff != "" {
		t.Errorf("as (-want +got):\n%s", diff)
	}
	table = table.Bind(Binding[int]{Key: "#", Dest: dest})
	if got := table.Match(message(dots+".", nil), nil); len(got) != 0 {
		t.Errorf("a key of %d bytes matches %v", MaxKey+1, got)
	}
}

// TestTopicForgets binds and unbinds and looks whether nodes stay behind.
func TestTopicForgets(t *testing.T) {
	patterns := []string{"", "a", "a.b", "a.*", "a.#.b", "#", "*.*.c", "a.b.c.d"}
	table := newTable(t, "topic")
	for i, p := range patterns {
		table = table.Bind(Binding[int]{Key: p, Dest: i})
	}
	for i, p := range patterns {
		table = table.Unbind(Binding[int]{Key: p, Dest: i})
	}
	x, ok := table.exchange.(*topic[int])
	if !ok {
		t.Fatalf("exchange is a %T", table.exchange)
	}
	if x.root != nil {
		t.Errorf("nodes are left: %+v", x.root)
	}
}

// FuzzTopic compares the trie with the naive matcher; patterns are separated by line feeds.
func FuzzTopic(f *testing.F) {
	f.Add("a.b\n*.b\n#", "a.b")
	f.Add("#.a.#.a.#\na.#.#.b\n#.*.a", "a.b.a.a.b")
	f.Add("\n.\n..\n#.\n*.*", ".")
	f.Fuzz(func(t *testing.T, patterns, key string) {
		table := newTable(t, "topic")
		var model naive
		model.kind = "topic"
		for i, p := range strings.Split(patterns, "\n") {
			table = table.Bind(Binding[int]{Key: p, Dest: i})
			model = model.bind(Binding[int]{Key: p, Dest: i})
		}
		var want []int
		if len(key) <= MaxKey {
			want = model.match(key, nil)
		}
		if diff := cmp.Diff(want, matched(table, message(key, nil)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", key, diff)
		}
	})
}

func BenchmarkTopic(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		table := newTable(b, "topic")
		for i := range n {
			table = table.Bind(Binding[int]{Key: fmt.Sprintf("r%d.*.x", i), Dest: i})
		}
		benchmarkMatch(b, fmt.Sprintf("star/%d", n), table, message(fmt.Sprintf("r%d.k.x", n/2), nil))
	}
	for _, n := range []int{1, 1000} {
		table := newTable(b, "topic")
		for i := range n {
			table = table.Bind(Binding[int]{Key: "#", Dest: i})
		}
		benchmarkMatch(b, fmt.Sprintf("all/%d", n), table, message("a.k.x", nil))
	}
	for _, n := range []int{1, 1000} {
		table := newTable(b, "topic")
		for i := range n {
			table = table.Bind(Binding[int]{Key: fmt.Sprintf("#.r%d.#", i), Dest: i})
		}
		benchmarkMatch(b, fmt.Sprintf("within/%d", n), table, message(fmt.Sprintf("a.r%d.x", n/2), nil))
		benchmarkMatch(b, fmt.Sprintf("within-256-words/%d", n), table, message(strings.Repeat(".", MaxKey), nil))
	}
}
