// Package process tells what the operating system knows about this process:
// its files, its memory, its disk.
package process

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stats are figures of the process at one moment; what cannot be found out is 0.
type Stats struct {
	Files, MaxFiles     uint64 // open file descriptors and their limit
	Resident            uint64 // bytes of memory
	CPU                 time.Duration
	DiskFree, DiskTotal uint64 // bytes of the file system of the data directory
}

// maxFiles bounds how many descriptors are counted.
const maxFiles = 1 << 20

// Read reads the figures; dir is the data directory, or empty.
func Read(dir string) Stats {
	var s Stats
	s.countFiles()
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		s.MaxFiles = limit.Cur
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			s.Resident = pages * uint64(os.Getpagesize()) //nolint:gosec // positive
		}
	}
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		s.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	var fs syscall.Statfs_t
	if dir != "" && syscall.Statfs(dir, &fs) == nil {
		s.DiskFree = fs.Bavail * uint64(fs.Bsize)  //nolint:gosec // positive
		s.DiskTotal = fs.Blocks * uint64(fs.Bsize) //nolint:gosec // positive
	}
	return s
}

// countFiles counts the open descriptors.
func (s *Stats) countFiles() {
	d, err := os.Open("/proc/self/fd") //nolint:forbidigo // no durable file
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }()
	for s.Files < maxFiles {
		names, err := d.Readdirnames(1024)
		s.Files += uint64(len(names))
		if err != nil {
			return
		}
	}
}
