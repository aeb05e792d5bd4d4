package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestIsClusterID(t *testing.T) {
	for s, want := range map[string]bool{
		"amqp-0a1b2c3d4e5f":  true,
		"amqp-zzzzzzzzzzzz":  true,
		"":                   false,
		"amqp-":              false,
		"amqp-0a1b2c3d4e5":   false,
		"amqp-0a1b2c3d4e5f0": false,
		"amqp-0A1b2c3d4e5f":  false,
		"amqp-0a1b2c3d4e5|":  false,
		"AMQP-0a1b2c3d4e5f":  false,
	} {
		if got := IsClusterID(s); got != want {
			t.Errorf("IsClusterID(%q) = %t", s, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name       string
		role, user bool
	}{
		{"guest", true, true},
		{"a", true, true},
		{"Team_1.orders-eu", true, true},
		{strings.Repeat("r", 32), true, true},
		{strings.Repeat("r", 33), false, true},
		{strings.Repeat("r", 255), false, true},
		{strings.Repeat("r", 256), false, false},
		{"", false, false},
		{"two words", false, true},
		{"wäh", false, true},
		{"a\x00b", false, false},
		{"a\nb", false, false},
		{"a\u0085b", false, false},
		{"\xff", false, false},
	} {
		for check, c := range map[string]struct {
			err error
			ok  bool
		}{"role": {CheckRoleName(tc.name), tc.role}, "user": {CheckUserName(tc.name), tc.user}} {
			if (c.err == nil) != c.ok || c.err != nil && !errors.Is(c.err, ErrName) {
				t.Errorf("%s name %q: %v, want ok %t", check, tc.name, c.err, c.ok)
			}
		}
	}
}
