package listing

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// container has its members by a method.
type container []string

// Member implements Container.
func (container) Member(name string) (any, bool) { return 1, name == "x" }

// TestPart: a page has what a whole sort would put there.
func TestPart(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		n := r.IntN(300)
		list := make([]int, n)
		for i := range list {
			list[i] = r.IntN(1 + r.IntN(400))
		}
		sorted := slices.Sorted(slices.Values(list))
		from := r.IntN(n + 1)
		to := from + r.IntN(n-from+1)
		part(list, from, to, cmp.Compare[int])
		if !slices.Equal(list[from:to], sorted[from:to]) {
			t.Fatalf("%d to %d of %d: %v, want %v", from, to, n, list[from:to], sorted[from:to])
		}
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	type load struct {
		Ready int            `json:"messages_ready"`
		Stats map[string]any `json:"message_stats,omitempty"`
	}
	view := struct {
		Name string    `json:"name"`
		Args container `json:"arguments"`
		*load
	}{"q", nil, &load{Stats: map[string]any{"publish": 7, "publish_details": struct {
		Rate float64 `json:"rate"`
	}{2.5}}}}
	root := &columns{}
	for _, name := range []string{"name", "message_stats.publish", "message_stats.publish_details.rate", "nope", "messages_ready", "arguments.x"} {
		path, err := parseColumn(name)
		if err != nil {
			t.Fatal(err)
		}
		root.add(path)
	}
	b, err := json.Marshal(root.of(view, members{}))
	want := `{"arguments":{"x":1},"message_stats":{"publish":7,"publish_details":{"rate":2.5}},"messages_ready":0,"name":"q"}`
	if err != nil || string(b) != want {
		t.Errorf("%s %v, want %s", b, err, want)
	}
	view.load = nil
	if b, _ := json.Marshal(root.of(view, members{})); string(b) != `{"arguments":{"x":1},"name":"q"}` {
		t.Errorf("without a load: %s", b)
	}
	if v := (members{}).at(view, []string{"name"}); !reflect.DeepEqual(v, "q") {
		t.Errorf("name is %v", v)
	}
}
