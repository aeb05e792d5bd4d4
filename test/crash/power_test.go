package crash_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPowerLoss takes the disk away under load: what was not synced is gone.
// A process outlives the shutdown of its file system, which it would not with
// the machine, and the kernel may tell it meanwhile that a sync was done which
// the shutdown has just cut off (ext4: a commit that was aborted counts as
// committed). So what clients hear after the shutdown has begun is not heard.
func TestPowerLoss(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) { powerLoss(t, kind) })
	}
}

func powerLoss(t *testing.T, kind string) {
	t.Helper()
	needTool(t, "mkfs."+kind, "xfs_io", "losetup")
	r := newTrial(t)
	disk := newLoopDisk(t, r.dir, kind)
	r.data = filepath.Join(disk.dir, "data")
	n := r.first()
	count := cycles(t, "CYCLES", 3, 1)
	for range count {
		d := r.run(n)
		time.Sleep(r.moment())
		r.l.stopListening()
		r.defs.stopListening()
		if err := tool(t, "xfs_io", "-x", "-c", "shutdown", disk.dir); err != nil {
			t.Fatal(err)
		}
		if !n.ends(patience / 6) {
			t.Errorf("life %d goes on though its disk is gone\n%s", r.life, n.tail())
		}
		n.kill()
		d.end()
		r.ended(n, append(fenceTexts, "input/output error")...)
		disk.unmount(t)
		disk.mount(t)
		n = r.verify()
	}
	r.stop(n)
	r.report(fmt.Sprintf("%s, %d losses of power", kind, count))
}

// loopDisk is a file system in a file.
type loopDisk struct{ kind, device, dir string }

// diskSize is what a loop disk holds, most of it sparse.
const diskSize = 3 << 30

// newLoopDisk makes and mounts one, or skips where that is not permitted.
func newLoopDisk(t *testing.T, dir, kind string) *loopDisk {
	t.Helper()
	image := filepath.Join(dir, kind+".img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(diskSize); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tool(t, "mkfs."+kind, "-q", image); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device here: %v: %s", err, out)
	}
	d := &loopDisk{kind: kind, device: strings.TrimSpace(string(out)), dir: filepath.Join(dir, kind)}
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", d.device).Run() }) //nolint:noctx // the test's context has ended
	d.mount(t)
	return d
}

func (d *loopDisk) mount(t *testing.T) {
	t.Helper()
	mount(t, d.device, d.dir, d.kind, "")
}

func (d *loopDisk) unmount(t *testing.T) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the dead node's files may be open for a moment
		err := unix.Unmount(d.dir, 0)
		if err == nil {
			return
		}
		if time.Since(begun) > patience {
			t.Fatalf("unmount %s: %v", d.dir, err)
		}
	}
}

// tool runs a program.
func tool(t *testing.T, name string, args ...string) error {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
