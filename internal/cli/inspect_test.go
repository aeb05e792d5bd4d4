package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stored runs a node for a while, which leaves a queue with messages and one
// that is deleted, and returns its directory.
func stored(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "warren") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	live(t, dir, func() {
		for _, cmd := range []string{
			"queue create keep --durable", "queue create drop --durable", "cluster create shop",
		} {
			must(t, dir, "", strings.Fields(cmd)...)
		}
		for i := range 20 {
			must(t, dir, "", "publish", "--persistent", "--key", "keep", strings.Repeat("k", 1000)+strconv.Itoa(i))
			must(t, dir, "", "publish", "--persistent", "--key", "drop", "d")
		}
		must(t, dir, "", "get", "keep")
		must(t, dir, "", "queue", "delete", "drop")
	})
	return dir
}

// live runs a node on dir while f runs.
func live(t *testing.T, dir string, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, out, errs := make(chan int, 1), &output{}, &output{}
	go func() {
		done <- executed.record(ctx, Env{
			Args:   []string{"serve", "--data", dir, "--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"},
			Stdout: out, Stderr: errs, Version: "test",
		})
	}()
	for deadline := time.Now().Add(10 * time.Second); out.String() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("serve says nothing but %s", errs.String())
		}
	}
	f()
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("serve ended with %d: %s", code, errs.String())
	}
}

func must(t *testing.T, dir, stdin string, args ...string) string {
	t.Helper()
	code, out, errs := run(t, dir, stdin, args...)
	if code != 0 {
		t.Fatalf("%s: %d, %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// contents reads a whole directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// look runs inspect and decodes what it says.
func look(t *testing.T, code int, args ...string) inspection {
	t.Helper()
	got, out, errs := run(t, "", "", append([]string{"inspect", "--output", "json"}, args...)...)
	if got != code {
		t.Fatalf("inspect %q ends with %d, want %d: %s%s", args, got, code, out, errs)
	}
	var i inspection
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return i
}

// damage changes bytes of a file behind what begins with text.
func damage(t *testing.T, name, text string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), text)
	if at < 0 {
		t.Fatalf("%s does not have %q", name, text)
	}
	b[at] ^= 4
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	before := contents(t, dir)
	i := look(t, 0, dir)
	if !i.Sound || !i.Key || !i.Definitions.Sound || i.Format != "warren 1" {
		t.Errorf("a sound directory: %+v", i)
	}
	if d := i.Definitions; d.Clusters != 2 || d.Vhosts != 1 || d.Roles != 1 || d.Queues != 1 {
		t.Errorf("definitions: %+v", d)
	}
	if i.Journal.Segments < 1 || i.Journal.LiveBytes < 19_000 || len(i.Journal.Damage) > 0 {
		t.Errorf("journal: %+v", i.Journal)
	}
	if len(i.Queues) != 2 || i.Queues[0].Name != "keep" || i.Queues[0].Messages != 19 || !i.Queues[1].Deleted || i.Queues[1].Messages != 20 {
		t.Errorf("queues: %+v", i.Queues)
	}
	if got := must(t, "", "", "inspect", dir, "--output", "name"); !strings.HasPrefix(got, "keep\n") {
		t.Errorf("names: %q", got)
	}
	table := must(t, "", "", "inspect", dir)
	for _, want := range []string{"warren 1", "2 clusters, 1 vhosts, 1 roles, 1 queues", "keep", "(deleted, number ", "sound"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if after := contents(t, dir); !equalFiles(before, after) {
		t.Error("inspect has changed the directory")
	}
}

func equalFiles(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, text := range a {
		if other, ok := b[name]; !ok || other != text {
			return false
		}
	}
	return true
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	if code, _, errs := run(t, "", "", "inspect", empty); code != 1 || !strings.Contains(errs, "is no data directory") {
		t.Errorf("an empty directory: %d, %s", code, errs)
	}
	if code, _, _ := run(t, "", "", "inspect", filepath.Join(empty, "none")); code != 1 {
		t.Errorf("no directory: %d", code)
	}
	if left, _ := os.ReadDir(empty); len(left) > 0 {
		t.Errorf("inspect has made %v", left)
	}
	if code, _, _ := run(t, "", "", "inspect"); code != 2 {
		t.Errorf("without a directory: %d", code)
	}
	dir, _ := serving(t)
	if code, _, errs := run(t, "", "", "inspect", dir); code != 1 || !strings.Contains(errs, "another warren is running") {
		t.Errorf("while a node runs: %d, %s", code, errs)
	}
}

func TestInspectRepair(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	if i := look(t, 0, dir, "--repair"); len(i.Aside) > 0 {
		t.Errorf("a sound directory was repaired: %q", i.Aside)
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "journal", "*.wal"))
	damage(t, slices.Min(segments), "kkk") // in the first message, which was taken
	damage(t, slices.Min(segments), "kkkkk5")
	before := contents(t, dir)
	i := look(t, 1, dir)
	if i.Sound || len(i.Journal.Damage) != 2 {
		t.Errorf("a damaged journal: %+v", i.Journal)
	}
	if !equalFiles(before, contents(t, dir)) {
		t.Error("inspect has changed a damaged directory")
	}
	i = look(t, 0, dir, "--repair")
	if len(i.Aside) != 2 {
		t.Fatalf("set aside: %q", i.Aside)
	}
	kept, err := os.ReadFile(i.Aside[0])
	if err != nil || string(kept) != before[slices.Min(segments)] {
		t.Errorf("the damaged segment was not kept: %v", err)
	}
	if text, err := os.ReadFile(i.Aside[1]); err != nil || !strings.Contains(string(text), "bytes at offset") {
		t.Errorf("the report: %q, %v", text, err)
	}
	if i = look(t, 0, dir); !i.Sound || i.Queues[0].Messages != 18 {
		t.Errorf("after the repair: %+v", i)
	}
	live(t, dir, func() {
		if out := must(t, dir, "", "queue", "list", "--output", "json"); !strings.Contains(out, `"messages_ready":18`) {
			t.Errorf("the node serves %s", out)
		}
	})
}

func TestInspectRepairDefinitions(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	names, _ := filepath.Glob(filepath.Join(dir, "definitions-*.log"))
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	end := len(strings.TrimRight(string(b), "\x00")) // the file grows ahead
	b[end-60] ^= 1                                   // in the last record, that the queue is deleted
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if i := look(t, 1, dir); i.Definitions.Sound || i.Definitions.Queues != 2 {
		t.Errorf("damaged definitions: %+v", i.Definitions)
	}
	i := look(t, 0, dir, "--repair")
	if kept, err := os.ReadFile(i.Aside[0]); err != nil || string(kept) != string(b) {
		t.Errorf("the damaged definitions were not kept: %v", err)
	}
	if i = look(t, 0, dir); i.Definitions.Queues != 2 {
		t.Errorf("after the repair: %+v", i.Definitions)
	}
	live(t, dir, func() {
		if got := must(t, dir, "", "queue", "list", "--output", "name"); !strings.Contains(got, "keep") || !strings.Contains(got, "drop") {
			t.Errorf("the node has the queues %q", got)
		}
	})
}

// TestInspectBeyondRepair leaves a directory as it is of which nothing can be
// saved.
func TestInspectBeyondRepair(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	if err := os.Rename(filepath.Join(dir, "node.key"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if i := look(t, 1, dir); i.Key || i.Sound {
		t.Errorf("without a key: %+v", i)
	}
	before := contents(t, dir)
	if code, _, errs := run(t, "", "", "inspect", dir, "--repair"); code != 1 || !strings.Contains(errs, "cannot be repaired") {
		t.Errorf("repair without a key: %d, %s", code, errs)
	}
	if !equalFiles(before, contents(t, dir)) {
		t.Error("a repair that cannot be done has changed the directory")
	}
}
