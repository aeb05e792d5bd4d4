package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// asJSON runs a command with --output json and checks what it prints: a value
// that has what is wanted, written without spaces.
func (s *session) asJSON(want string, args ...string) string {
	s.t.Helper()
	out := s.must(append(args, "--output", "json")...)
	flat := regexp.MustCompile(`\s*\n\s*|(":) `).ReplaceAllString(out, "$1")
	if !strings.Contains(flat, want) {
		s.t.Errorf("warren %s prints\n%swithout %s", strings.Join(args, " "), out, want)
	}
	return out
}

// lacks checks that a list has not what is gone.
func (s *session) lacks(not string, args ...string) {
	s.t.Helper()
	if out := s.must(append(args, "--output", "json")...); strings.Contains(out, not) {
		s.t.Errorf("warren %s still shows %s:\n%s", strings.Join(args, " "), not, out)
	}
}

const ok = `{"status":"ok"}`

// TestTenantsInJSON makes and removes a tenant as a script does.
func TestTenantsInJSON(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.asJSON(`"name":"shop"`, "cluster", "create", "shop", "--remark", "ours")
	s.asJSON(`"remark":"ours"`, "cluster", "show", "shop")
	s.asJSON(`"name":"shop"`, "cluster", "list")
	in := func(args ...string) []string { return append(args, "--cluster", "shop") }
	s.asJSON("{", in("vhost", "create", "orders")...)
	s.asJSON(`"vhost":"orders"`, in("vhost", "list")...)
	s.asJSON(`"vhost":"orders"`, in("vhost", "show", "orders")...)
	s.asJSON(`"key":"eyJr`, in("role", "create", "worker")...)
	s.asJSON(ok, in("role", "grant", "worker", "--vhost", "orders", "--produce")...)
	s.asJSON(`"produce":true`, in("role", "list")...)
	s.asJSON(`"key":"eyJr`, in("role", "show", "worker")...)
	s.asJSON(`"key":"eyJr`, in("role", "reset-key", "worker")...)
	s.asJSON(ok, in("role", "disable", "worker")...)
	s.asJSON(`"disabled":true`, in("role", "show", "worker")...)
	s.asJSON(ok, in("role", "enable", "worker")...)
	s.asJSON(ok, in("role", "revoke", "worker", "--vhost", "orders")...)
	s.lacks(`"produce":true`, in("role", "list")...)
	s.asJSON(ok, in("role", "delete", "worker")...)
	s.lacks("worker", in("role", "list")...)
	s.asJSON(ok, in("vhost", "delete", "orders")...)
	s.lacks("orders", in("vhost", "list")...)
	s.asJSON(ok, "cluster", "delete", "shop")
	s.lacks("shop", "cluster", "list")

	s.asJSON("{", "user", "add", "ann", "--password", "secret", "--tag", "management")
	s.asJSON(`"name":"ann"`, "user", "list")
	s.asJSON(ok, "user", "permit", "ann")
	s.asJSON(`"user":"ann"`, "permission", "list")
	s.asJSON(ok, "permission", "set", "ann", "--configure", "^c", "--write", "", "--read", "")
	s.asJSON(`"configure":"^c"`, "permission", "list")
	s.asJSON(ok, "permission", "topic", "set", "ann", "--exchange", "amq.topic", "--write", "^w", "--read", "")
	s.asJSON(`"write":"^w"`, "permission", "topic", "list")
	s.asJSON(ok, "permission", "topic", "delete", "ann")
	s.lacks("^w", "permission", "topic", "list")
	s.asJSON(ok, "permission", "delete", "ann")
	s.lacks("ann", "permission", "list")
	s.asJSON(ok, "limit", "set", "max-queues", "7")
	s.asJSON(`"max-queues":7`, "limit", "list")
	s.asJSON(ok, "limit", "delete", "max-queues")
	s.lacks("max-queues", "limit", "list")
	s.asJSON(ok, "user", "delete", "ann")
	s.lacks("ann", "user", "list")
}

// TestTopologyInJSON does so with queues, exchanges and what is in them.
func TestTopologyInJSON(t *testing.T) {
	dir, _ := serving(t)
	s := &session{t, dir}
	s.asJSON("{", "exchange", "create", "x", "--type", "fanout", "--durable")
	s.asJSON(`"name":"x"`, "exchange", "list")
	s.asJSON("{", "queue", "create", "q", "--durable")
	s.asJSON("{", "binding", "create", "--source", "x", "--destination", "q", "--key", "k")
	s.asJSON(`"routing_key":"k"`, "binding", "list")
	s.asJSON(ok, "queue", "pause", "q")
	s.asJSON(`"state":"paused"`, "queue", "show", "q")
	s.asJSON("{", "publish", "--exchange", "x", "body")
	s.asJSON(`"payload":"body"`, "get", "q", "--requeue")
	s.asJSON(ok, "queue", "resume", "q")
	s.asJSON(`"state":"running"`, "queue", "list")
	s.asJSON(`"payload":"body"`, "consume", "q", "--count", "1")
	s.asJSON(ok, "queue", "change", "q", "--argument", "x-max-length=9")
	s.asJSON(`"x-max-length":9`, "queue", "show", "q")
	s.asJSON("{", "publish", "--exchange", "x", "body")
	s.asJSON(ok, "queue", "purge", "q")
	s.asJSON("[]", "get", "q")
	s.asJSON(ok, "binding", "delete", "--source", "x", "--destination", "q", "--key", "k")
	s.lacks(`"source":"x"`, "binding", "list")

	s.asJSON(ok, "policy", "set", "p", "--pattern", "^q", "--apply-to", "queues", "--key", "max-length=5")
	s.asJSON(`"pattern":"^q"`, "policy", "list")
	s.asJSON(`"max-length":5`, "policy", "show", "p")
	s.asJSON(ok, "policy", "delete", "p")
	s.lacks("^q", "policy", "list")
	s.asJSON(ok, "parameter", "set", "owner", `{"team":"shop"}`)
	s.asJSON(`"team":"shop"`, "parameter", "show", "owner")
	s.asJSON(`"name":"owner"`, "parameter", "list")
	s.asJSON(ok, "parameter", "delete", "owner")
	s.lacks("owner", "parameter", "list")

	s.must("exchange", "create", "later", "--type", "x-delayed-message", "--durable", "--argument", "x-delayed-type=fanout")
	s.must("publish", "--exchange", "later", "--header", "x-delay=3600000", "one")
	s.must("publish", "--exchange", "later", "--header", "x-delay=3600000", "two")
	s.asJSON(`"id":`, "delayed", "list", "later")
	id := strings.Fields(s.must("delayed", "list", "later", "--output", "name"))[0]
	s.asJSON(ok, "delayed", "cancel", "later", id)
	s.asJSON("{", "delayed", "purge", "later")
	s.asJSON("[]", "delayed", "list", "later")

	file := filepath.Join(t.TempDir(), "messages")
	s.must("publish", "--key", "q", "--count", "3", "m")
	s.asJSON(ok, "message", "export", "q", file)
	s.must("queue", "create", "r")
	s.asJSON("{", "message", "import", file, "--queue", "r")
	s.asJSON("{", "message", "move", "q", "r")
	s.asJSON(`"messages_ready":6`, "queue", "show", "r")

	all := filepath.Join(t.TempDir(), "definitions")
	s.asJSON("{", "definitions", "export", all)
	s.asJSON("[]", "definitions", "diff", all)
	s.asJSON(ok, "queue", "delete", "q")
	s.lacks(`"name":"q"`, "queue", "list")
	s.asJSON(`{"objects":[]}`, "definitions", "import", all)
	s.asJSON(`"name":"q"`, "queue", "list")
	s.asJSON(ok, "exchange", "delete", "x")
	s.lacks(`"name":"x"`, "exchange", "list")
}

// TestClientsInJSON looks at clients, and sends them away.
func TestClientsInJSON(t *testing.T) {
	dir, out := serving(t)
	s := &session{t, dir}
	address := regexp.MustCompile(`AMQP on ([0-9.:]+)`).FindStringSubmatch(out.String())[1]
	conn, err := amqp091.Dial("amqp://guest:guest@" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	gone := conn.NotifyClose(make(chan *amqp091.Error, 1))
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	got, err := ch.Consume("q", "me", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.must("publish", "--key", "q", "body")
	<-got
	s.asJSON(`"consumer_tag":"me"`, "queue", "unacked", "q")
	s.has("me", "queue", "unacked", "q")
	s.asJSON(`"consumer_tag":"me"`, "consumer", "list")
	s.asJSON(`"consumer_count":1`, "channel", "list")
	names := strings.Split(strings.TrimSpace(s.must("connection", "list", "--output", "name")), "\n")
	if len(names) != 1 {
		t.Fatalf("connections %q", names)
	}
	s.asJSON(`"consumer_count":1`, "channel", "show", names[0]+" (1)")
	s.asJSON(`"channels":1`, "connection", "list")
	s.asJSON(ok, "connection", "close", names[0])
	if e := <-gone; e == nil || e.Code != amqp091.ConnectionForced {
		t.Errorf("the client was told %v", e)
	}
	s.asJSON("{", "overview")
	s.asJSON(`"running":true`, "node", "list")
	s.asJSON(`"status":"ok"`, "node", "health")
	s.asJSON(`"name":"q"`, "api", "GET", "/api/queues/%2F/q")
	s.asJSON("{", "drain", "--seconds", "1")
	s.asJSON("{", "drain", "--end")
}

// TestHereInJSON runs what needs no node.
func TestHereInJSON(t *testing.T) {
	home := t.TempDir()
	here := func(want string, args ...string) {
		t.Helper()
		var out, errs output
		code := executed.record(t.Context(), Env{
			Args: args, Environ: []string{"HOME=" + home}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "test",
		})
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("warren %v: exit %d, %s%s, want %s", args, code, out.String(), errs.String(), want)
		}
	}
	here(ok, "profile", "set", "here", "--data", "/d", "-o", "json")
	here(`"here"`, "profile", "list", "-o", "json")
	here(ok, "profile", "delete", "here", "-o", "json")
	here("{}", "profile", "list", "-o", "json")
	here(ok, "config", "check", "-o", "json")
	here(`"hot_window": 33554432`, "config", "print", "-o", "json")
	here(`"otlp_endpoint"`, "config", "schema", "-o", "json")
	for shell, has := range map[string]string{"bash": "__start_warren", "zsh": "#compdef warren", "fish": "complete -c warren", "powershell": "Register-ArgumentCompleter"} {
		here(has, "completion", shell)
	}
	pages := t.TempDir()
	here("", "man", pages, "-o", "json")
	page, err := os.ReadFile(filepath.Join(pages, "warren-queue-pause.1"))
	if err != nil || !strings.Contains(string(page), ".TH") || !strings.Contains(string(page), "publishing goes on") {
		t.Errorf("the page of queue pause: %v\n%.200s", err, page)
	}
}

// TestBenchScenarios runs each scenario, small: what goes in comes out.
func TestBenchScenarios(t *testing.T) {
	b := warrentest.Start(t)
	at := "--url=amqp://guest:guest@" + b.Listen()
	for scenario, flags := range map[string]string{
		"backlog": "-C 200", "churn-channel": "-C 5", "churn-connection": "-C 5", "churn-exclusive-queue": "-C 5", "churn-queue": "-C 5",
		"confirmed": "-C 50", "fanout": "-C 20", "idle": "--connections 5", "latency": "-z 0.3 --warm 0 --rate 200",
		"queues": "-C 50", "throughput": "-C 500", "topic": "-C 50",
	} {
		args := slices.Concat([]string{"bench", scenario, at, "-o", "json"}, strings.Fields(flags))
		code, out, errs := run(t, "none", "", args...)
		var r struct{ Scenario string }
		if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || r.Scenario != scenario {
			t.Errorf("warren %v: exit %d, %v\n%s%s", args, code, err, out, errs)
		}
	}
	must(t, "none", "", "bench", "backlog", at, "-C", "200", "--keep")
	var drained struct {
		Delivered int `json:"delivered_total"`
	}
	if err := json.Unmarshal([]byte(must(t, "none", "", "bench", "drain", at, "-o", "json")), &drained); err != nil || drained.Delivered != 200 {
		t.Errorf("of 200 messages %d are drained, %v", drained.Delivered, err)
	}
	urls := []string{"amqp://" + b.Listen(), "amqp://" + b.Listen()}
	code, out, errs := run(t, "none", "", append([]string{"bench", "compare", "--scenario", "churn-channel", "-C", "5", "--runs", "1", "-o", "json"}, urls...)...)
	if code != 0 || !strings.Contains(out, "churn-channel") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
}
