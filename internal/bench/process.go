package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of /proc/PID/stat: USER_HZ is 100 on every Linux that Go knows.
const tick = 10 * time.Millisecond

var errProc = errors.New("it is not what Linux writes there")

// process reads what the kernel knows of the broker's process; 0 is none.
type process int

// usage is what a process used up to a moment.
type usage struct {
	cpu time.Duration // user and system
	rss int64         // bytes
}

// usage reads both; without a process it returns nothing.
func (p process) usage() (usage, error) {
	if p == 0 {
		return usage{}, nil
	}
	var u usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", int(p)))
	if err == nil {
		u.cpu, err = parseStat(stat)
	}
	if err != nil {
		return usage{}, fmt.Errorf("no CPU time of process %d: %w; --pid takes the broker's process id on this machine", int(p), err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", int(p)))
	if err == nil {
		u.rss, err = parseStatus(status)
	}
	if err != nil {
		return usage{}, fmt.Errorf("no memory of process %d: %w; --pid takes the broker's process id on this machine", int(p), err)
	}
	return u, nil
}

// parseStat returns user and system time out of /proc/PID/stat. The second field is the program's
// name in parentheses, which may itself hold blanks and parentheses.
func parseStat(b []byte) (time.Duration, error) {
	const utime, stime = 11, 12 // counted from the field after the name
	end := bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[end+1:])
	if end < 0 || len(f) <= stime {
		return 0, errProc
	}
	user, err := strconv.ParseInt(string(f[utime]), 10, 64)
	if err != nil {
		return 0, errProc
	}
	system, err := strconv.ParseInt(string(f[stime]), 10, 64)
	if err != nil {
		return 0, errProc
	}
	return time.Duration(user+system) * tick, nil
}

// parseStatus returns the resident memory out of /proc/PID/status.
func parseStatus(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		value, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		f := bytes.Fields(value)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, errProc
		}
		kib, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			return 0, errProc
		}
		return kib << 10, nil
	}
	return 0, errProc
}

// ownCPU is what this process used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
