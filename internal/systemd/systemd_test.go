package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNotify(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	m := New([]string{"NOTIFY_SOCKET=" + at, "WATCHDOG_USEC=3000000"})
	if m.Watchdog() != 3*time.Second {
		t.Errorf("watchdog is %s", m.Watchdog())
	}
	for want, say := range map[string]func() error{
		"READY=1\nSTATUS=serves two lines": func() error { return m.Ready("serves\ntwo lines") },
		"STOPPING=1":                       m.Stopping,
		"WATCHDOG=1":                       m.Alive,
		"STATUS=x":                         func() error { return m.Status("x") },
		"RELOADING=1\nMONOTONIC_USEC=":     m.Reloading,
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 256)
		n, err := l.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Errorf("%q, want %q (%v)", b[:n], want, err)
		}
	}
	if err := New(nil).Ready(""); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	if err := New([]string{"NOTIFY_SOCKET=" + at + "x"}).Ready(""); err == nil {
		t.Error("a manager that is not there hears")
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	given, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = given.Close() }()
	file, err := given.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	const place = 200 // where the manager would have put it
	if err := unix.Dup2(int(file.Fd()), place); err != nil {
		t.Fatal(err)
	}
	list, err := listeners([]string{"LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES=amqp"}, 7, place)
	if err != nil || list["amqp"] == nil || list["amqp"].Addr().String() != given.Addr().String() {
		t.Fatalf("%v, %v", list, err)
	}
	_ = list["amqp"].Close()
	if list, err := listeners([]string{"LISTEN_PID=8", "LISTEN_FDS=1"}, 7, place); list != nil || err != nil {
		t.Errorf("another process's: %v, %v", list, err)
	}
	for _, n := range []string{"0", "x", "65"} {
		if _, err := listeners([]string{"LISTEN_PID=7", "LISTEN_FDS=" + n}, 7, place); err == nil {
			t.Errorf("LISTEN_FDS=%s is taken", n)
		}
	}
	if _, err := Listeners(os.Environ()); err != nil {
		t.Error(err)
	}
}
