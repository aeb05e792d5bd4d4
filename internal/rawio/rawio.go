// Package rawio is system calls on sockets that do not block. The scheduler is
// not told of them: its monitor would wake up for each call that follows a
// pause, look around for a while and find nothing, which is a third of what a
// message costs at ten thousand a second.
package rawio

import (
	"syscall"
	"unsafe"
)

// Read is read(2).
func Read(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_READ, fd, p) }

// Write is write(2).
func Write(fd uintptr, p []byte) (int, error) { return now(syscall.SYS_WRITE, fd, p) }

// Writev is writev(2).
func Writev(fd uintptr, vec []syscall.Iovec) (int, error) {
	p := unsafe.Pointer(unsafe.SliceData(vec)) //nolint:gosec // the list lives until the call returns
	return retry(syscall.SYS_WRITEV, fd, p, len(vec))
}

// Iovec is an element of a list for Writev; b has a length.
func Iovec(b []byte) syscall.Iovec { return syscall.Iovec{Base: &b[0], Len: uint64(len(b))} }

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
