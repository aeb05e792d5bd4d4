package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestRightsCan(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{".*", "anything", true},
		{".*", "", true},
		{".*", "two\nlines", true},
		{"^.*$", "anything", true},
		{"", "anything", false},
		{"", "", false},
		{"^$", "anything", false},
		{"^$", "", false},
		{"orders", "my-orders-eu", true},
		{"^orders", "my-orders-eu", false},
		{"^orders", "orders.eu", true},
		{"^(orders|amq\\.default)$", "amq.default", true},
		{"^(orders|amq\\.default)$", "amq-default", false},
	} {
		// The pattern under test stands at each operation in turn; the others must not leak.
		for op, p := range map[Op]Permission{
			Configure: {Configure: tc.pattern},
			Write:     {Write: tc.pattern},
			Read:      {Read: tc.pattern},
		} {
			rights, err := Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, asked := range []Op{Configure, Write, Read} {
				want := tc.want && asked == op
				if got := rights.Can(asked, tc.name); got != want {
					t.Errorf("%s pattern %q: Can(%s, %q) = %t", op, tc.pattern, asked, tc.name, got)
				}
			}
		}
	}
}

func TestRightsNone(t *testing.T) {
	var none *Rights
	if none.Can(Read, "q") {
		t.Error("nil rights allow")
	}
	all, err := Compile(Permission{".*", ".*", ".*"})
	if err != nil {
		t.Fatal(err)
	}
	if all.Can(Op(3), "q") {
		t.Error("an operation that does not exist is allowed")
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, pattern := range map[string]string{
		"too long":       strings.Repeat("a", MaxPattern+1),
		"look-ahead":     "^(?!amq\\.).*",
		"back reference": `(a)\1`,
		"open":           "(",
		"explosive":      "((a{500}){500}){500}",
	} {
		_, err := Compile(Permission{Write: pattern})
		if !errors.Is(err, ErrPattern) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasPrefix(err.Error(), "write pattern: ") {
			t.Errorf("%s: %v does not say which pattern", name, err)
		}
	}
	if _, err := Compile(Permission{Write: strings.Repeat("a", MaxPattern)}); err != nil {
		t.Errorf("the longest pattern: %v", err)
	}
}

func TestGrant(t *testing.T) {
	for _, tc := range []struct {
		grant Grant
		want  Permission
	}{
		{Grant{}, Permission{"^$", "^$", "^$"}},
		{Grant{Produce: true}, Permission{".*", ".*", "^$"}},
		{Grant{Consume: true}, Permission{".*", "^$", ".*"}},
		{Grant{Produce: true, Consume: true}, Permission{".*", ".*", ".*"}},
	} {
		if got := tc.grant.Permission(); got != tc.want {
			t.Errorf("%+v is %+v, want %+v", tc.grant, got, tc.want)
		}
		if got := GrantOf(tc.want); got != tc.grant {
			t.Errorf("GrantOf(%+v) = %+v", tc.want, got)
		}
	}
	if got := GrantOf(Permission{".*", "^app\\.", "^.*$"}); got != (Grant{Consume: true}) {
		t.Errorf("finer patterns show as %+v", got)
	}
}

func BenchmarkRightsCan(b *testing.B) {
	for name, pattern := range map[string]string{"all": ".*", "prefix": "^orders\\."} {
		b.Run(name, func(b *testing.B) {
			rights, err := Compile(Permission{Write: pattern})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !rights.Can(Write, "orders.created") {
					b.Fatal("refused")
				}
			}
		})
	}
}
