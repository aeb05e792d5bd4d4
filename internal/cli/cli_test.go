package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// output collects what a command prints, safe to read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// serving runs `warren serve` until the test ends and returns its directory
// and what it prints.
func serving(t *testing.T, more ...string) (dir string, out *output) {
	t.Helper()
	dir, err := os.MkdirTemp("", "warren") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	out = &output{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- executed.record(ctx, Env{
			Args:   append([]string{"serve", "--data", dir, "--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"}, more...),
			Stdout: out, Stderr: &output{}, Version: "test",
		})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("serve ended with %d", code)
		}
		_ = os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(10 * time.Second); out.String() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("serve says nothing")
		}
	}
	return dir, out
}

// run runs one command and returns its exit code and what it printed.
func run(t *testing.T, dir, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs output
	code = executed.record(t.Context(), Env{
		Args: args, Environ: []string{"WARREN_DATA=" + dir}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Version: "test",
	})
	return code, out.String(), errs.String()
}

func TestContract(t *testing.T) {
	dir, _ := serving(t)
	must := func(args ...string) string {
		t.Helper()
		code, out, errs := run(t, dir, "", args...)
		if code != 0 {
			t.Fatalf("warren %s: exit %d, %s", strings.Join(args, " "), code, errs)
		}
		return out
	}
	var c struct{ ID, Name, Address string }
	if err := json.Unmarshal([]byte(must("cluster", "create", "shop", "--output", "json")), &c); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^amqp-[a-z0-9]{12}$`).MatchString(c.ID) || c.Name != "shop" || !strings.HasPrefix(c.Address, "127.0.0.1:") {
		t.Fatalf("cluster %+v", c)
	}
	must("vhost", "create", "orders", "--cluster", c.ID)
	var r struct{ Name, Key string }
	if err := json.Unmarshal([]byte(must("role", "create", "worker", "--cluster", c.ID, "--output", "json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Name != "worker" || !strings.HasPrefix(r.Key, "eyJr") {
		t.Fatalf("role %+v", r)
	}
	at := []string{"--cluster", "shop", "--vhost", "orders"}
	in := func(args ...string) []string { return append(args, at...) }
	must(in("role", "grant", "worker", "--produce", "--consume")...)
	must(in("exchange", "create", "direct_exchange", "--type", "direct", "--durable")...)
	must(in("queue", "create", "q", "--durable", "--argument", "x-note=1")...)
	must(in("binding", "create", "--source", "direct_exchange", "--destination", "q", "--key", "k")...)

	conn, err := amqp091.DialConfig("amqp://"+c.Address, amqp091.Config{
		Vhost: c.ID + "|orders", SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "worker", Password: r.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := must("connection", "list"); !strings.Contains(out, c.ID+"|orders") {
		t.Errorf("connection list:\n%s", out)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}

	must(in("publish", "--exchange", "direct_exchange", "--key", "k", "--persistent", "--header", "n=1", "hello")...)
	if out := must(in("queue", "list")...); !regexp.MustCompile(`(?m)^q +running +1 +0 +0 +yes`).MatchString(out) {
		t.Errorf("queue list:\n%s", out)
	}
	if out := must(in("get", "q", "--requeue")...); !strings.Contains(out, "hello") {
		t.Errorf("get:\n%s", out)
	}
	var m struct {
		Payload, RoutingKey string
		Redelivered         bool
	}
	if err := json.Unmarshal([]byte(must(in("consume", "q", "--count", "1", "--output", "json")...)), &m); err != nil || m.Payload != "hello" || !m.Redelivered {
		t.Errorf("consume: %+v, %v", m, err)
	}
	if out := must(in("get", "q", "--output", "json")...); strings.TrimSpace(out) != "[]" {
		t.Errorf("the consumed message is still there: %s", out)
	}
	var before, after struct{ Key string }
	_ = json.Unmarshal([]byte(must("role", "show", "worker", "--cluster", "shop", "--output", "json")), &before)
	must("role", "reset-key", "worker", "--cluster", "shop")
	_ = json.Unmarshal([]byte(must("role", "show", "worker", "--cluster", "shop", "--output", "json")), &after)
	if before.Key != r.Key || after.Key == r.Key || after.Key == "" {
		t.Error("reset-key did not change the key that is shown")
	}
	must("role", "disable", "worker", "--cluster", "shop")
	if out := must("role", "list", "--cluster", "shop"); !regexp.MustCompile(`worker +orders:produce\+consume +yes`).MatchString(out) {
		t.Errorf("role list:\n%s", out)
	}
	must("role", "enable", "worker", "--cluster", "shop")
	must(in("role", "revoke", "worker")...)
	must(in("binding", "delete", "--source", "direct_exchange", "--destination", "q", "--key", "k")...)
	must(in("queue", "purge", "q")...)
	must(in("queue", "delete", "q")...)
	must(in("exchange", "delete", "direct_exchange")...)
	must("role", "delete", "worker", "--cluster", "shop")
	must("vhost", "delete", "orders", "--cluster", "shop")
	must("cluster", "delete", "shop")
	if out := must("cluster", "list", "--output", "name"); strings.Count(out, "\n") != 1 {
		t.Errorf("clusters left:\n%s", out)
	}
}

// TestDefaultCluster: without --cluster and --vhost the default's / is meant.
func TestDefaultCluster(t *testing.T) {
	dir, _ := serving(t)
	for _, args := range [][]string{
		{"queue", "create", "q"},
		{"publish", "--key", "q", "one"},
		{"user", "add", "ann", "--password", "secret", "--tag", "management"},
		{"user", "permit", "ann"},
		{"user", "list"},
		{"exchange", "list"},
		{"binding", "list"},
		{"vhost", "list"},
		{"queue", "show", "q"},
	} {
		if code, _, errs := run(t, dir, "", args...); code != 0 {
			t.Errorf("warren %s: exit %d, %s", strings.Join(args, " "), code, errs)
		}
	}
	if _, out, _ := run(t, dir, "", "get", "q", "-o", "name"); out != "one\n" {
		t.Errorf("get printed %q", out)
	}
	code, _, _ := run(t, dir, "from standard input", "publish", "--key", "q")
	if _, out, _ := run(t, dir, "", "consume", "q"); code != 0 || out != "from standard input\n" {
		t.Errorf("consume printed %q", out)
	}
	if code, _, errs := run(t, dir, "", "publish", "--key", "nobody", "x"); code != 1 || !strings.Contains(errs, "no queue takes") {
		t.Errorf("unroutable: exit %d, %s", code, errs)
	}
}

// TestSentences: what goes wrong is said with what to do about it.
func TestSentences(t *testing.T) {
	dir, _ := serving(t)
	used := filepath.Join(dir, "file")
	if err := os.WriteFile(used, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"serve", "--data", dir, "--amqp", "127.0.0.1:0"}, 1, "another warren is running on the data directory"},
		{[]string{"serve", "--data", used, "--amqp", "127.0.0.1:0"}, 1, "cannot be made"},
		{[]string{"serve", "--data", t.TempDir(), "--amqp", "nonsense"}, 1, "is not host:port"},
		{[]string{"serve", "--config", "/nonexistent"}, 1, "config file"},
		{[]string{"cluster", "list", "--data", t.TempDir()}, 1, "no node is running on the data directory"},
		{[]string{"cluster", "list", "--url", "http://127.0.0.1:1"}, 1, "no node answers at http://127.0.0.1:1"},
		{[]string{"cluster", "show", "nope"}, 1, `there is no cluster "nope"`},
		{[]string{"queue", "delete", "nope"}, 1, "there is no such object"},
		{[]string{"queue", "create", "amq.q"}, 1, "not allowed"},
		{[]string{"queue", "create", "q", "--argument", "x"}, 2, "is not key=value"},
		{[]string{"queue", "create"}, 2, "NAME is missing"},
		{[]string{"queue", "create", "a", "b"}, 2, "one argument too many"},
		{[]string{"queue", "jump"}, 2, `has no command "jump"`},
		{[]string{"queue", "list", "--output", "xml"}, 2, "none of table, json, yaml, name"},
		{[]string{"queue", "list", "--nope"}, 2, "unknown flag"},
		{[]string{"binding", "create", "--destination", "q"}, 2, "--source is missing"},
		{[]string{"role", "grant", "r"}, 2, "--vhost is missing"},
		{[]string{"role", "create", "no spaces"}, 1, "role"},
	} {
		code, _, errs := run(t, dir, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("warren %s: exit %d, %q; want %d and %q", strings.Join(c.args, " "), code, errs, c.code, c.says)
		}
	}
}

// TestPortInUse: the sentence names the address and the flag.
func TestPortInUse(t *testing.T) {
	_, out := serving(t)
	address := regexp.MustCompile(`AMQP on (\S+),`).FindStringSubmatch(out.String())[1]
	code, _, errs := run(t, "", "", "serve", "--data", t.TempDir(), "--amqp", address)
	if code != 1 || !strings.Contains(errs, "the address "+address+" is in use by another program") || !strings.Contains(errs, "--amqp") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestDemo(t *testing.T) {
	dir, out := serving(t, "--demo")
	for _, want := range []string{"access address  127.0.0.1:", "role name       demo", "role key        eyJr", "|demo", "pika.BlockingConnection", "API             http://"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the greeting lacks %q", want)
		}
	}
	if code, list, _ := run(t, dir, "", "cluster", "list", "-o", "name"); code != 0 || strings.Count(list, "\n") != 2 {
		t.Errorf("clusters: %s", list)
	}
}

// TestHelp: every command has a sentence and an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	root := newRoot(&Env{})
	n := 0
	for _, noun := range root.Commands() {
		for _, cmd := range append(noun.Commands(), noun) {
			n++
			if cmd.Short == "" || cmd.Example == "" && !cmd.HasSubCommands() {
				t.Errorf("%s has no sentence or no example", cmd.CommandPath())
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands found", n)
	}
}
