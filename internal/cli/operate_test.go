package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"
)

// session runs commands against one node.
type session struct {
	t   *testing.T
	dir string
}

func (s *session) must(args ...string) string {
	s.t.Helper()
	code, out, errs := run(s.t, s.dir, "", args...)
	if code != 0 {
		s.t.Fatalf("warren %s: exit %d, %s", strings.Join(args, " "), code, errs)
	}
	return out
}

func (s *session) has(want string, args ...string) {
	s.t.Helper()
	if out := s.must(args...); !strings.Contains(out, want) {
		s.t.Errorf("warren %s shows\n%swithout %q", strings.Join(args, " "), out, want)
	}
}

func (s *session) fails(code int, want string, args ...string) {
	s.t.Helper()
	got, _, errs := run(s.t, s.dir, "", args...)
	if got != code || !strings.Contains(errs, want) {
		s.t.Errorf("warren %s: exit %d, %s; want %d, %s", strings.Join(args, " "), got, errs, code, want)
	}
}

// TestOperate goes through what operators do, noun by noun.
func TestOperate(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.must("queue", "create", "q", "--durable")
	s.must("user", "add", "alice", "--password", "secret")

	s.must("queue", "change", "q", "--argument", "x-max-length=100", "--argument", "x-message-ttl=60000")
	s.must("queue", "change", "q", "--without", "x-message-ttl")
	s.has(`{"x-max-length":100}`, "queue", "list")
	s.fails(1, "no such object", "queue", "change", "other", "--without", "x-message-ttl")

	s.must("queue", "pause", "q")
	s.has("paused", "queue", "list")
	s.has("[]", "queue", "unacked", "q", "--output", "json")
	s.has("delivers again", "queue", "resume", "q")
	s.fails(1, "no such object", "queue", "pause", "other")

	s.must("policy", "set", "short", "--pattern", "^q$", "--apply-to", "queues", "--key", "message-ttl=60000", "--priority", "3")
	s.has("message-ttl", "policy", "list")
	s.has("^q$", "policy", "show", "short", "--output", "yaml")
	s.fails(1, "no such object", "policy", "show", "other")
	s.must("policy", "set", "cap", "--operator", "--pattern", ".*", "--apply-to", "queues", "--key", "max-length=10")
	s.has("cap", "policy", "list", "--operator", "--output", "name")
	s.must("policy", "delete", "cap", "--operator")
	s.must("policy", "delete", "short")

	s.must("permission", "set", "alice", "--configure", "^a", "--write", ".*", "--read", "")
	s.has("^a", "permission", "list")
	s.must("permission", "topic", "set", "alice", "--exchange", "amq.topic", "--write", "^a", "--read", ".*")
	s.has("amq.topic", "permission", "topic", "list")
	s.must("permission", "topic", "delete", "alice")
	s.must("permission", "delete", "alice")
	if out := s.must("permission", "list", "--output", "name"); strings.Contains(out, "alice") {
		t.Errorf("deleted permissions are shown: %s", out)
	}

	s.must("limit", "set", "max-queues", "7")
	s.has("max-queues", "limit", "list")
	s.must("limit", "set", "max-connections", "3", "--user", "alice")
	s.has("alice", "limit", "list", "--user", "alice")
	s.must("limit", "delete", "max-queues")
	s.fails(2, "not a number", "limit", "set", "max-queues", "many")

	s.must("parameter", "set", "owner", `{"team":"shop"}`)
	s.has("shop", "parameter", "show", "owner")
	s.has("owner", "parameter", "list", "--output", "name")
	s.must("parameter", "delete", "owner")
	s.fails(2, "not JSON", "parameter", "set", "owner", "{")

	s.has("queues", "overview")
	s.has("yes", "node", "list")
	s.has("ok", "node", "health")
	s.must("channel", "list")
	s.must("consumer", "list")
	s.has("QUEUE", "top", "--once")
	s.has(`"queues"`, "top", "--once", "--output", "json")
	s.has(`"name": "q"`, "api", "GET", "/api/queues/%2F/q")
	s.must("api", "DELETE", "/api/queues/%2F/q")
	s.fails(1, "no such object", "api", "GET", "/api/queues/%2F/q")
	s.fails(2, "none of", "api", "PATCH", "/api/queues")
}

// TestDelayed lists and cancels what waits.
func TestDelayed(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.must("exchange", "create", "later", "--type", "x-delayed-message", "--durable", "--argument", "x-delayed-type=fanout")
	s.must("queue", "create", "q")
	s.must("binding", "create", "--source", "later", "--destination", "q")
	for range 3 {
		s.must("publish", "--exchange", "later", "--header", "x-delay=3600000", "body")
	}
	ids := strings.Fields(s.must("delayed", "list", "later", "--output", "name"))
	if len(ids) != 3 {
		t.Fatalf("%q wait", ids)
	}
	s.must("delayed", "cancel", "later", ids[1])
	if left := strings.Fields(s.must("delayed", "list", "later", "--output", "name")); len(left) != 2 || slices.Contains(left, ids[1]) {
		t.Errorf("%q wait", left)
	}
	s.must("delayed", "purge", "later")
	if out := s.must("delayed", "list", "later", "--output", "name"); out != "" {
		t.Errorf("%q waits after a purge", out)
	}
}

// TestDrain sends the clients away, and takes them again.
func TestDrain(t *testing.T) {
	dir, out := serving(t)
	s := &session{t, dir}
	address := regexp.MustCompile(`AMQP on ([0-9.:]+)`).FindStringSubmatch(out.String())
	conn, err := amqp091.Dial("amqp://guest:guest@" + address[1] + "/")
	if err != nil {
		t.Fatal(err)
	}
	gone := conn.NotifyClose(make(chan *amqp091.Error, 1))
	s.has("all clients have gone", "drain", "--seconds", "1")
	if e := <-gone; e == nil || e.Code != 320 {
		t.Errorf("the client was told %v", e)
	}
	if _, err := amqp091.Dial("amqp://guest:guest@" + address[1] + "/"); err == nil {
		t.Error("a drained node takes a client")
	}
	s.has("takes clients again", "drain", "--end")
	if conn, err = amqp091.Dial("amqp://guest:guest@" + address[1] + "/"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestMessages sends messages through files and from queue to queue.
func TestMessages(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	for _, q := range []string{"a", "b", "c"} {
		s.must("queue", "create", q, "--durable")
	}
	const n = 700 // more than are on their way at once
	s.must("publish", "--key", "a", "--persistent", "--header", "n=1", "--property", "content_type=text/plain", "--count", "700", "body")
	ready := func(want int, queue string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var q struct {
				Ready int `json:"messages_ready"`
			}
			if err := json.Unmarshal([]byte(s.must("queue", "show", queue, "--output", "json")), &q); err != nil {
				t.Fatal(err)
			}
			if q.Ready == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("queue %s has %d ready, want %d", queue, q.Ready, want)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "a.jsonl")
	s.must("message", "export", "a", file)
	ready(n, "a")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var m line
	if err := json.Unmarshal([]byte(lines[0]), &m); err != nil || len(lines) != n || string(m.Body) != "body" ||
		m.Properties.ContentType != "text/plain" || m.Properties.DeliveryMode != 2 || m.Headers["n"] != 1.0 {
		t.Errorf("%d lines, the first %+v, %v", len(lines), m, err)
	}
	s.fails(1, "exists", "message", "export", "a", file)
	s.must("message", "import", file, "--queue", "b")
	ready(n, "b")
	s.must("message", "move", "b", "c", "--count", "600")
	ready(600, "c")
	ready(n-600, "b")
	s.fails(1, "no queue takes", "message", "move", "c", "--exchange", "amq.direct", "--key", "nowhere", "--count", "1")
	ready(600, "c")
	s.must("message", "export", "c", "--remove", "--count", "250")
	ready(350, "c")
}

// TestDefinitions: what is exported is the same, what was changed is shown.
func TestDefinitions(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.must("queue", "create", "q", "--durable")
	file := filepath.Join(t.TempDir(), "all.json")
	s.must("definitions", "export", file)
	s.must("definitions", "diff", file)
	s.must("queue", "create", "r", "--durable")
	code, out, errs := run(t, dir, "", "definitions", "diff", file)
	if code != 1 || !strings.Contains(out, "added") || !strings.Contains(errs, "1 objects differ") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	s.must("queue", "delete", "q")
	s.must("definitions", "import", file)
	s.has("q", "queue", "list", "--output", "name")
}

// TestProfiles: a profile says where the node is.
func TestProfiles(t *testing.T) {
	dir, _ := serving(t)
	home := t.TempDir()
	in := func(args ...string) (int, string, string) {
		var out, errs output
		code := executed.record(t.Context(), Env{Args: args, Environ: []string{"HOME=" + home}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
		return code, out.String(), errs.String()
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{0, "is set", []string{"profile", "set", "here", "--data", dir}},
		{0, "here", []string{"profile", "list"}},
		{0, "queues", []string{"overview", "--profile", "here"}},
		{2, "no profile", []string{"overview", "--profile", "there"}},
		{2, "needs --data or --url", []string{"profile", "set", "x"}},
		{0, "is deleted", []string{"profile", "delete", "here"}},
		{1, "no profile", []string{"profile", "delete", "here"}},
		{0, "sound", []string{"config", "check"}},
		{0, "hot_window", []string{"config", "print"}},
		{0, "hot_window", []string{"config", "schema"}},
		{2, "less than", []string{"queue", "list", "--watch", "1ms", "--data", dir}},
	} {
		code, out, errs := in(c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("warren %v: exit %d, %s%s; want %d, %s", c.args, code, out, errs, c.code, c.want)
		}
	}
}

// TestCompletion proposes the names that there are.
func TestCompletion(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.must("queue", "create", "orders")
	s.must("queue", "create", "invoices")
	s.must("cluster", "create", "shop")
	for want, words := range map[string][]string{
		"orders": {cobra.ShellCompRequestCmd, "queue", "show", "o"},
		"shop":   {cobra.ShellCompRequestCmd, "vhost", "list", "--cluster", "s"},
		"/":      {cobra.ShellCompRequestCmd, "queue", "list", "--vhost", ""},
		"yaml":   {cobra.ShellCompRequestCmd, "queue", "list", "--output", "y"},
		"GET":    {cobra.ShellCompRequestCmd, "api", "G"},
	} {
		got := strings.Fields(s.must(words...))
		if !slices.Contains(got, want) || slices.Contains(got, "invoices") {
			t.Errorf("%v proposes %q", words, got)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	now := time.Unix(0, 0)
	p := &progress{w: &b, now: func() time.Time { return now }, what: "moved", total: 100, begun: now, shown: now}
	p.add(10)
	now = now.Add(5 * time.Second)
	p.add(15)
	p.end()
	if want := "moved 25  25 % of 100, 5/s, 15s left\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
