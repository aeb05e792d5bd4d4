package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// point is a system call at which something happens, and at which of them a
// thread makes.
type point struct {
	call string
	most int // it is one of the first so many
}

// points are the calls that change what is on the disk. Numbers are a
// thread's own: strace counts so.
var points = []point{
	{"pwrite64", 10},
	{"fdatasync", 4},
	{"fsync", 2},
	{"renameat", 2},
	{"unlinkat", 2},
	{"openat", 20},
	{"pwrite64", 90},
	{"fdatasync", 25},
	{"pwrite64", 200},
	{"fdatasync", 60},
}

// needStrace skips where strace cannot trace, and fails where it traces and
// does not inject: a node must not outlive its third write.
func needStrace(t *testing.T) {
	t.Helper()
	needTool(t, "strace")
	dir := t.TempDir()
	n, err := start(t.Context(), launch{
		data: filepath.Join(dir, "data"), strace: inject("pwrite64", "signal=KILL", 3, filepath.Join(dir, "trace")),
	})
	if n != nil {
		defer n.kill()
	}
	if n != nil && strings.Contains(n.tail(), "ptrace") {
		t.Skipf("this machine does not permit to trace: %s", n.tail())
	}
	if !errors.Is(err, errEnded) {
		t.Fatalf("strace does not kill the node at its third write: %v", err)
	}
}

// inject are strace's arguments for what happens at the nth call.
func inject(call, what string, nth int, log string) []string {
	return []string{"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, what, nth), "-ttt", "-y", "-o", log}
}

// TestKillAtSyscall kills the node as it enters a call that changes the disk:
// at its start, under load, or at its end.
func TestKillAtSyscall(t *testing.T) {
	needStrace(t)
	r := newTrial(t)
	r.stop(r.first())
	count, hits := cycles(t, "POINTS", 12, 3), map[string]int{}
	for k := range count {
		p := points[k%len(points)]
		nth := 1 + r.rng.IntN(p.most)
		if r.diesAt(p.call, nth) {
			hits[p.call]++
		}
		r.verifyOnce()
	}
	r.report(fmt.Sprintf("%d lives, killed at %v, the others after their load", count, hits))
	if count >= 3 && len(hits) == 0 {
		t.Error("no call was met: strace does not inject what it should")
	}
}

// diesAt runs a life that is killed at the nth call, if it gets there, and
// after its load otherwise. It reports whether it got there.
func (r *trial) diesAt(call string, nth int) bool {
	r.t.Helper()
	o := r.launch()
	trace := o.log + ".strace"
	o.strace = inject(call, "signal=KILL", nth, trace)
	n, err := start(r.t.Context(), o)
	if n != nil {
		defer n.kill()
	}
	if err != nil && !errors.Is(err, errEnded) {
		r.t.Fatalf("life %d, %s %d: %v\n%s", r.life, call, nth, err, n.tail())
	}
	if err == nil {
		d := r.run(n)
		if !n.ends(r.moment()) {
			_ = n.stop() // killed while it ends is fine too
		}
		n.kill()
		d.end()
	}
	r.ended(n)
	text, err := os.ReadFile(trace)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Contains(string(text), "+++ killed by SIGKILL +++")
}

// TestSyncFails lets one sync fail, of the journal or of the definitions. It
// is not known then what is on the disk: nothing may be confirmed any more,
// the process has to end and say why, and its next start has everything that
// was confirmed.
func TestSyncFails(t *testing.T) {
	needStrace(t)
	r := newTrial(t)
	r.stop(r.first())
	count := cycles(t, "SYNCS", 4, 2)
	for range count {
		r.failSync(1 + r.rng.IntN(30))
		r.verifyOnce()
	}
	r.report(fmt.Sprintf("%d failed syncs", count))
}

// fenceTexts are what a node may say at error level when a sync fails.
var fenceTexts = []string{"nothing can be stored any more", "no definition can change until a restart"}

// failSync runs a life of which the nth sync of a thread fails.
func (r *trial) failSync(nth int) {
	r.t.Helper()
	o := r.launch()
	trace := o.log + ".strace"
	o.strace = inject("fdatasync", "error=EIO", nth, trace)
	n, err := start(r.t.Context(), o)
	if n != nil {
		defer n.kill()
	}
	var d *load
	switch {
	case err == nil:
		d = r.run(n)
	case !errors.Is(err, errEnded):
		r.t.Fatalf("life %d, sync %d: %v", r.life, nth, err)
	}
	ended := n.ends(patience / 6)
	if !ended {
		n.kill()
	}
	if d != nil {
		d.end()
	}
	where := "sync " + strconv.Itoa(nth) + ": " + strings.Join(injected(r.t, trace), "; ")
	switch {
	case !strings.Contains(where, "INJECTED"):
		r.t.Logf("life %d: no thread got as far as sync %d", r.life, nth)
	case !ended:
		r.t.Errorf("life %d, %s: the node goes on\n%s", r.life, where, n.tail())
	case n.cmd.ProcessState.ExitCode() <= 0:
		r.t.Errorf("life %d, %s: the node ended with %v\n%s", r.life, where, n.cmd.ProcessState, n.tail())
	case !strings.Contains(n.tail(), "input/output error"):
		r.t.Errorf("life %d, %s: the node does not say why it ended\n%s", r.life, where, n.tail())
	}
	if d != nil && d.after.Load() > 0 {
		r.t.Errorf("life %d, %s: %d were confirmed that were sent after one had been refused", r.life, where, d.after.Load())
	}
	r.ended(n, fenceTexts...)
}

// injected returns the lines of a trace in which something was injected.
func injected(t *testing.T, trace string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "INJECTED") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return slices.Clip(lines)
}
