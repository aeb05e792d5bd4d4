// Package examples runs the programs that people copy, against a broker.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

const python = "/usr/bin/python3"

// needPika skips where pika is not installed; the README's test command
// installs it and sets WARREN_TEST_DEPS, and then its absence is a failure.
func needPika(t *testing.T) {
	t.Helper()
	err := exec.CommandContext(t.Context(), python, "-c", "import pika").Run()
	if err == nil {
		return
	}
	if os.Getenv("WARREN_TEST_DEPS") != "" {
		t.Fatalf("pika is not installed: %v", err)
	}
	t.Skip("pika is not installed; make test installs it")
}

// environment is what the programs read.
func environment(t *testing.T, address string, tenant warrentest.Tenant) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "WARREN_HOST="+host, "WARREN_PORT="+port, "WARREN_VHOST="+tenant.Vhost,
		"WARREN_ROLE="+tenant.Role, "WARREN_KEY="+tenant.Key)
}

func produce(t *testing.T, env []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "pika/producer.py")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("producer: %v\n%s", err, out)
	}
	return string(out)
}

// consumer starts the consumer and returns its lines once it waits.
func consumer(t *testing.T, env []string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, python, "pika/consumer.py")
	cmd.Env = env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 16)
	go read(out, lines)
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	if got := next(t, lines); got != "waiting" {
		_ = cmd.Wait()
		t.Fatalf("consumer said %q\n%s", got, errs.String())
	}
	return lines
}

func read(r io.Reader, lines chan<- string) {
	defer close(lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		lines <- s.Text()
	}
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case l := <-lines:
		return l
	case <-time.After(20 * time.Second):
		t.Fatal("the consumer is silent")
		return ""
	}
}

func TestPika(t *testing.T) {
	t.Parallel()
	needPika(t)
	for _, first := range []string{"on an empty vhost", "with a durable exchange made before"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			b := warrentest.Start(t)
			tenant := b.Tenant("shop", "orders", "worker")
			address := b.Listen()
			if strings.Contains(first, "durable") {
				declare(t, address, tenant)
			}
			env := environment(t, address, tenant)
			if out := produce(t, env); strings.Count(out, "sent") != 4 {
				t.Fatalf("producer said %q", out)
			}
			lines := consumer(t, env)
			produce(t, env)
			for _, want := range []string{"received order.created: hello", "received order.paid: hello"} {
				if got := next(t, lines); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
			second := exec.CommandContext(t.Context(), python, "pika/consumer.py")
			second.Env = env
			out, err := second.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("405")) {
				t.Fatalf("a second consumer of the exclusive queue was not refused: %v\n%s", err, out)
			}
		})
	}
}

// declare makes the exchange that the programs declare as transient, durable.
func declare(t *testing.T, address string, tenant warrentest.Tenant) {
	t.Helper()
	conn, err := amqp091.DialConfig("amqp://"+address, amqp091.Config{
		Vhost: tenant.Vhost, SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: tenant.Role, Password: tenant.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("direct_exchange", "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
}
