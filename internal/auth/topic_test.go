package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	all, err := Compile(Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	if all.Narrowed() || !all.CanTopic(Write, "x", "any") {
		t.Error("without topic permissions routing keys are not asked about")
	}
	topics, err := CompileTopics([]Topic{
		{Exchange: "x", Write: "^{username}\\.", Read: "^$"}, {Exchange: "y", Write: ".*", Read: "^a"},
	}, map[string]string{"username": "a.n"})
	if err != nil {
		t.Fatal(err)
	}
	r := all.With(topics)
	for _, c := range []struct {
		op            Op
		exchange, key string
		want          bool
	}{
		{Write, "x", "a.n.k", true},
		{Write, "x", "axn.k", false}, // a variable's value is no pattern
		{Write, "x", "", false},
		{Read, "x", "a.n.k", false},
		{Read, "y", "abc", true},
		{Read, "y", "b", false},
		{Read, "other", "b", true},
	} {
		if got := r.CanTopic(c.op, c.exchange, c.key); got != c.want {
			t.Errorf("%s %s by %q: %t", c.op, c.exchange, c.key, got)
		}
	}
	if !r.Narrowed() || all.Narrowed() {
		t.Error("With changes the rights that it was given")
	}
	for _, bad := range []string{"(", strings.Repeat("x", MaxPattern+1)} {
		if _, err := CompileTopics([]Topic{{Write: bad}}, nil); !errors.Is(err, ErrPattern) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}
