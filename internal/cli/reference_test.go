package cli

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write doc/reference/cli.md")

// TestReference holds the page about the commands against the commands.
func TestReference(t *testing.T) {
	const page = "../../doc/reference/cli.md"
	want := reference(newRoot(&Env{}))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("doc/reference/cli.md is not what the commands say: go test ./internal/cli -run Reference -update")
	}
}

// TestExamples: each command says what it does and has examples that it
// understands.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, cmd := range leaves(newRoot(&Env{})) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no description or no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			line = strings.ReplaceAll(line, "$(pidof warren)", "1")
			line, _, _ = strings.Cut(strings.TrimSpace(line), " | ")
			line, _, _ = strings.Cut(line, " || ")
			line, _, _ = strings.Cut(line, " && ")
			line, _, _ = strings.Cut(line, " > ")
			line, _, _ = strings.Cut(line, " < ")
			words := shellWords(line)
			if len(words) == 0 || words[0] != "warren" {
				t.Errorf("%s: the example %q does not begin with warren", cmd.CommandPath(), line)
				continue
			}
			found, rest, err := newRoot(&Env{}).Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil && found.Args != nil {
				err = found.Args(found, found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: the example %q is not understood: %v", cmd.CommandPath(), line, err)
			}
		}
	}
}

// shellWords splits as a shell does, as far as examples need it.
func shellWords(s string) (words []string) {
	var word strings.Builder
	in, begun := rune(0), false
	for _, r := range s {
		switch {
		case in != 0 && r == in:
			in = 0
		case in == 0 && (r == '\'' || r == '"'):
			in, begun = r, true
		case in == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// TestOutputs: whatever shows something has --output.
func TestOutputs(t *testing.T) {
	t.Parallel()
	without := map[string]bool{"warren serve": true, "warren inspect": true, "warren config schema": true}
	for _, cmd := range leaves(newRoot(&Env{})) {
		var f *pflag.Flag
		if f = cmd.Flags().Lookup("output"); f == nil && !without[cmd.CommandPath()] {
			t.Errorf("%s has no --output", cmd.CommandPath())
		}
	}
}
