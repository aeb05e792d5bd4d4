package storage_test

import (
	mrand "math/rand/v2"
	"strings"
	"syscall"

	"github.com/warrenmq/warren/internal/vfs"
)

// fault returns a random fault, nil for none.
func fault(r *mrand.Rand) func(vfs.Op) error {
	at, kth := r.IntN(500), 1+r.IntN(60)
	once := func(op vfs.Op) error {
		if op.N == at {
			return syscall.EIO
		}
		return nil
	}
	switch r.IntN(8) {
	case 0:
		return func(op vfs.Op) error {
			if op.N >= at {
				return syscall.EIO
			}
			return nil
		}
	case 1:
		return once
	case 2:
		return func(op vfs.Op) error {
			if op.Kind == "sync" && op.Nth == kth {
				return syscall.EIO
			}
			return nil
		}
	case 3:
		return func(op vfs.Op) error {
			if op.Kind == "write" && op.N >= at {
				return &vfs.ShortWriteError{N: kth * 7, Err: syscall.EIO}
			}
			return nil
		}
	case 4: // the backlog's disk fails: messages stay in memory
		return func(op vfs.Op) error {
			if strings.HasSuffix(op.Name, ".blk") && op.N >= at && (op.Kind == "write" || op.Kind == "create") {
				return syscall.ENOSPC
			}
			return nil
		}
	}
	return nil
}
