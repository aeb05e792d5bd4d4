package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is how long the path of a socket file may be (sockaddr_un).
const maxSocketPath = 107

// ListenSocket opens a socket file in a data directory that this process has
// locked; a file that a crashed node left is replaced. Only the directory's
// owner can open it.
func ListenSocket(ctx context.Context, dir, name string) (net.Listener, error) {
	path := filepath.Join(dir, name)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path %s is longer than the %d bytes a socket's may have; choose a shorter --data, or a relative one",
			path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { //nolint:forbidigo // a socket keeps no data
		return nil, fmt.Errorf("the socket %s cannot be replaced: %w", path, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("the socket %s cannot be kept to its owner: %w", path, err)
	}
	return l, nil
}
