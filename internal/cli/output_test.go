package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// TestStrangeNames: what a tenant calls its objects does nothing to the
// terminal of who lists them.
func TestStrangeNames(t *testing.T) {
	dir, _ := serving(t)
	name := "q\x1b[2J\x1b]0;title\a\tsecond\u009b31m\u202egnp.exe"
	must := func(args ...string) string {
		t.Helper()
		code, out, errs := run(t, dir, "", args...)
		if code != 0 {
			t.Fatalf("%v: %d %s", args, code, errs)
		}
		return out
	}
	strange := func(what, text string) {
		t.Helper()
		for _, r := range text {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Errorf("%s: %q", what, text)
				return
			}
		}
	}
	must("queue", "create", name)
	must("exchange", "create", name)
	must("binding", "create", "--source", name, "--destination", name, "--key", name)
	must("publish", "--exchange", name, "--key", name, "\x1b[31mred\nsecond")
	for _, args := range [][]string{
		{"queue", "list"}, {"queue", "show", name}, {"exchange", "list"}, {"binding", "list"}, {"get", name, "--requeue"}, {"top", "--once"},
	} {
		out := must(args...)
		strange(fmt.Sprint(args[:2]), out)
	}
	if out := must("queue", "list", "--output", "name"); out != name+"\n" {
		t.Errorf("names for scripts: %q", out)
	}
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(must("queue", "list", "--output", "json")), &list); err != nil || list[0].Name != name {
		t.Errorf("%v, %v", list, err)
	}
	_, _, errs := run(t, dir, "", "queue", "create", name, "--argument", "x-max-length=no\x1b[31m")
	strange("an error", strings.ReplaceAll(errs, "\t", ""))
}
