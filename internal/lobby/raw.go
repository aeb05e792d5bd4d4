package lobby

import (
	"encoding/binary"
	"net"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls here do not wait, and the scheduler is not told of them.

// edge is EPOLLET, which unix has as a negative number.
const edge = 1 << 31

// wait is epoll_pwait(2) without waiting.
func wait(fd uintptr, ready *[eventsMax]unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(ready)), eventsMax, 0, 0, 0) //nolint:gosec // the room's
	if errno != 0 {
		return 0
	}
	return int(n)
}

// control is epoll_ctl(2).
func control(epoll, op, fd int, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(fd)}                                                                                    //nolint:gosec // a descriptor
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0) //nolint:gosec // lives until the call returns
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// closeNow is close(2): what it does with a TCP socket, it does at once, unless it is asked to linger.
func closeNow(fd int) { _, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// accept is accept4(2).
func accept(listener int) (fd int, peer *net.TCPAddr, err error) {
	var sa syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), //nolint:gosec // as in control
			uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0) //nolint:gosec // the same
		if errno == 0 {
			return int(n), address(&sa), nil
		}
		if errno != syscall.EINTR {
			return 0, nil, errno
		}
	}
}

// localOf is getsockname(2).
func localOf(fd int) *net.TCPAddr {
	var sa syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	_, _, _ = syscall.RawSyscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))) //nolint:gosec // as in control
	return address(&sa)
}

// address takes an address of IP; of anything else it is the zero value.
func address(sa *syscall.RawSockaddrAny) *net.TCPAddr {
	port := func(p *uint16) int { return int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])) } //nolint:gosec // two bytes
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa)) //nolint:gosec // the family says so
		return &net.TCPAddr{IP: append(net.IP(nil), in.Addr[:]...), Port: port(&in.Port)}
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa)) //nolint:gosec // the same
		a := &net.TCPAddr{IP: append(net.IP(nil), in.Addr[:]...), Port: port(&in.Port)}
		if in.Scope_id != 0 {
			a.Zone = zone(int(in.Scope_id))
		}
		return a
	}
	return &net.TCPAddr{}
}

// zone is the name of an interface, as of net's addresses.
func zone(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}
