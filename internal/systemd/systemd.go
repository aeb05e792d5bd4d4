// Package systemd speaks to the service manager that started the process:
// Type=notify and socket activation, without its library. Where there is no
// manager nothing happens.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// firstFile is the first descriptor that a service manager passes.
const firstFile = 3

// maxFiles bounds how many it may pass.
const maxFiles = 64

// Manager is the service manager.
type Manager struct {
	socket   string // where it listens; empty: there is none
	watchdog time.Duration
}

// lookup finds a variable of an environment.
func lookup(environ []string, name string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// New returns the manager that an environment tells of.
func New(environ []string) *Manager {
	m := &Manager{socket: lookup(environ, "NOTIFY_SOCKET")}
	if usec, err := strconv.ParseInt(lookup(environ, "WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := lookup(environ, "WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			m.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return m
}

// Watchdog is how often the manager wants to hear from the process at least;
// 0: it does not.
func (m *Manager) Watchdog() time.Duration { return m.watchdog }

// Ready tells that the service serves, and what it says of itself.
func (m *Manager) Ready(status string) error { return m.send("READY=1\nSTATUS=" + line(status)) }

// Status tells what the service says of itself.
func (m *Manager) Status(status string) error { return m.send("STATUS=" + line(status)) }

// Stopping tells that the service ends.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// Alive feeds the watchdog.
func (m *Manager) Alive() error { return m.send("WATCHDOG=1") }

// Reloading tells that the configuration is read again; Ready must follow.
func (m *Manager) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("monotonic clock: %w", err)
	}
	return m.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// line is a text on one line.
func line(s string) string { return strings.ReplaceAll(s, "\n", " ") }

func (m *Manager) send(state string) error {
	if m.socket == "" {
		return nil
	}
	name := m.socket
	if strings.HasPrefix(name, "@") { // abstract
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// Listeners returns the sockets that the manager passed, by their names
// (FileDescriptorName=); nil when it passed none.
func Listeners(environ []string) (map[string]net.Listener, error) {
	return listeners(environ, os.Getpid(), firstFile)
}

func listeners(environ []string, pid int, first uintptr) (map[string]net.Listener, error) {
	if lookup(environ, "LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil //nolint:nilnil // no sockets are no error
	}
	n, err := strconv.Atoi(lookup(environ, "LISTEN_FDS"))
	if err != nil || n < 1 || n > maxFiles {
		return nil, fmt.Errorf("LISTEN_FDS=%q: it has to be from 1 to %d", lookup(environ, "LISTEN_FDS"), maxFiles)
	}
	names := strings.Split(lookup(environ, "LISTEN_FDNAMES"), ":")
	list := map[string]net.Listener{}
	for i := range n {
		fd := first + uintptr(i)
		syscall.CloseOnExec(int(fd))
		name := ""
		if i < len(names) {
			name = names[i]
		}
		f := os.NewFile(fd, name)
		l, err := net.FileListener(f)
		err = errors.Join(err, f.Close()) // the listener has a copy
		if err == nil && list[name] != nil {
			err = errors.New("two sockets have the name")
		}
		if err != nil {
			return list, fmt.Errorf("socket %q of the service manager: %w", name, err)
		}
		list[name] = l
	}
	return list, nil
}
