package config

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryShare is the part of the memory that messages may take by default.
const memoryShare = 2 // a half

// DefaultMemoryLimit returns half of the memory that this process may use, in
// bytes.
func DefaultMemoryLimit() int64 { return Memory() / memoryShare }

// Memory returns how much memory this process may use, in bytes: the control
// group's limit (version 2, then 1) or the machine's memory.
func Memory() int64 {
	var info unix.Sysinfo_t
	limit := int64(1 << 30)
	if unix.Sysinfo(&info) == nil {
		limit = int64(info.Totalram) * int64(info.Unit) //nolint:gosec // no machine has so much
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(file) //nolint:gosec // fixed names
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && n < limit {
			limit = n
		}
	}
	return limit
}
