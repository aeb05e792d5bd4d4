package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/systemd"
)

// TestReload: SIGHUP changes the level of the log, says what a restart needs,
// and the service manager hears of it.
func TestReload(t *testing.T) { //nolint:paralleltest // signals are the process's
	at := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var out bytes.Buffer
	level := &slog.LevelVar{}
	running := config.Default()
	next := running
	next.LogLevel, next.Heartbeat = "debug", 7
	answers := make(chan error, 2)
	answers <- nil
	answers <- errors.New("it is broken")
	r := &reloader{
		read: func() (config.Config, error) { return next, <-answers }, running: running, level: level,
		log: slog.New(slog.NewTextHandler(&out, nil)), manager: systemd.New([]string{"NOTIFY_SOCKET=" + at, "WATCHDOG_USEC=20000000"}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.wait(ctx, nil, nil) }()
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 256)
		_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := l.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Fatalf("the manager hears %q, want %q (%v)", b[:n], want, err)
		}
	}
	hear("READY=1")
	for range 2 {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		hear("RELOADING=1")
		hear("READY=1")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if level.Level() != slog.LevelDebug {
		t.Errorf("level is %s", level.Level())
	}
	for _, want := range []string{"keys=heartbeat", "the configuration stays as it is", "it is broken"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, out.String())
		}
	}
}

// TestPassed: sockets of the service manager take the places of their names.
func TestPassed(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data, c.AMQP, c.HTTP, c.Metrics = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", ""
	var lc net.ListenConfig
	given := map[string]net.Listener{}
	for _, name := range []string{"", "http"} {
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		given[name] = l
	}
	amqp, http := given[""], given["http"]
	ls, err := listenAll(t.Context(), &c, slog.New(slog.DiscardHandler), given)
	if err != nil {
		t.Fatal(err)
	}
	defer ls.close()
	if ls.amqp != amqp || ls.http != http {
		t.Error("the passed sockets are not used")
	}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Data = t.TempDir()
	if _, err := listenAll(t.Context(), &c, slog.New(slog.DiscardHandler), map[string]net.Listener{"other": l}); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("a socket with a strange name: %v", err)
	}
}
