package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

// ledger notes which commands the tests have run to a good end, and which of
// them with --output json. It is kept for all tests: when all of them have run,
// a command that none has run is an error.
type ledger struct {
	mu    sync.Mutex
	ran   map[string]bool
	json  map[string]bool
	wrong []string
}

var executed = ledger{ran: map[string]bool{}, json: map[string]bool{}}

// record is Run that notes what was run. Everything in these tests runs
// commands by it.
func (l *ledger) record(ctx context.Context, env Env) int {
	var out bytes.Buffer
	if env.Stdout != nil {
		env.Stdout = io.MultiWriter(env.Stdout, &out)
	}
	code := Run(ctx, env)
	root := newRoot(&Env{}) //nolint:contextcheck // it is only looked at
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	cmd, _, err := root.Find(env.Args)
	if err != nil || code != exitDone || cmd.HasSubCommands() {
		return code
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	path := cmd.CommandPath()
	l.ran[path] = true
	if asksJSON(env.Args) {
		if err := isJSON(out.Bytes()); err != nil {
			l.wrong = append(l.wrong, fmt.Sprintf("%s prints with --output json %.100q: %v", path, out.String(), err))
		} else {
			l.json[path] = true
		}
	}
	return code
}

func asksJSON(args []string) bool {
	for i, a := range args {
		if (a == "--output" || a == "-o") && i+1 < len(args) && args[i+1] == "json" || a == "--output=json" {
			return true
		}
	}
	return false
}

// isJSON checks that there is one value, or several behind one another.
func isJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	for n := 0; ; n++ {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// allCommands are all commands that do something, and whether they have --output.
func allCommands() map[string]bool {
	all := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasSubCommands() && cmd.Name() != "help" {
			all[cmd.CommandPath()] = cmd.Flags().Lookup("output") != nil
		}
	}
	root := newRoot(&Env{})
	root.InitDefaultCompletionCmd()
	walk(root)
	return all
}

// missing says what no test has run.
func (l *ledger) missing() (list []string) {
	list = append(list, l.wrong...)
	for path, output := range allCommands() {
		switch {
		case !l.ran[path]:
			list = append(list, path+": no test runs it to a good end")
		case output && !l.json[path]:
			list = append(list, path+": no test runs it with --output json")
		}
	}
	slices.Sort(list)
	return list
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
			flag.Lookup("test.list").Value.String() == "" && !testing.Short(); code == 0 && whole {
			missing := executed.missing()
			for _, text := range missing {
				fmt.Println(text)
			}
			if len(missing) > 0 {
				code = 1
			}
			fmt.Printf("%d commands, %d run by the tests, %d with --output json\n", len(allCommands()), len(executed.ran), len(executed.json))
		}
		os.Exit(code)
	}))
}
