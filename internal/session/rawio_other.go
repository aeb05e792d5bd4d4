//go:build !linux

package session

import (
	"errors"
	"syscall"
)

func readNow(fd uintptr, p []byte) (int, error) { return now(syscall.Read, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return now(syscall.Write, fd, p) }

func now(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); !errors.Is(err, syscall.EINTR) {
			return max(0, n), err
		}
	}
}
