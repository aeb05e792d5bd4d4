package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SocketName is the file in a data directory through which its owner's
// programs reach the running node.
const SocketName = "warren.sock"

// Lock is the hold of one node on its data directory.
type Lock struct{ f *os.File }

// LockDir makes the directory if it must and takes it for this process.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be made: %w; name another with --data", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec,forbidigo // a lock keeps no data
	if err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be written to: %w; name another with --data", dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, fmt.Errorf("another warren is running on the data directory %s; stop it or name another with --data", dir)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the data directory %s cannot be locked: %w", dir, err)
	}
	return &Lock{f}, nil
}

// Unlock gives the directory back.
func (l *Lock) Unlock() error { return l.f.Close() }
