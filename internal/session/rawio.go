package session

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow and writeNow are read(2) and write(2) on a socket that does not
// block. The scheduler is not told: its monitor would wake up for each call
// that follows a pause, look around for a while and find nothing, which is a
// third of what a message costs at ten thousand a second.

func readNow(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_READ, fd, p) }

func writeNow(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_WRITE, fd, p) }

// writeAllNow is writev(2).
func writeAllNow(fd uintptr, vec []syscall.Iovec) (int, error) {
	p := unsafe.Pointer(unsafe.SliceData(vec)) //nolint:gosec // the list lives until the call returns
	return retry(syscall.SYS_WRITEV, fd, p, len(vec))
}

// iovec is an element of a list for writeAllNow; b has a length.
func iovec(b []byte) syscall.Iovec { return syscall.Iovec{Base: &b[0], Len: uint64(len(b))} }

func now(call, fd uintptr, b []byte) (int, error) {
	p := unsafe.Pointer(unsafe.SliceData(b)) //nolint:gosec // the bytes live until the call returns
	return retry(call, fd, p, len(b))
}

func retry(call, fd uintptr, p unsafe.Pointer, n int) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(p), uintptr(n))
		if errno == 0 {
			return int(n), nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// waitReadable waits until there is something to read, or for that long.
func waitReadable(fd uintptr, most time.Duration) {
	limit := unix.NsecToTimespec(int64(most))
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &limit, nil) //nolint:gosec // a descriptor
}
