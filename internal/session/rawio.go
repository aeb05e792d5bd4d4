package session

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are read(2) and write(2) on a socket that does not
// block. The scheduler is not told: its monitor would wake up for each call
// that follows a pause, look around for a while and find nothing, which is a
// third of what a message costs at ten thousand a second.

func readNow(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_READ, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_WRITE, fd, p) }

func now(call, fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // p lives
		if errno == 0 {
			return int(n), nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
