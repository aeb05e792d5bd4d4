package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mount mounts a file system until the test ends, or skips where that is not
// permitted.
func mount(t *testing.T, source, dir, kind, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount(source, dir, kind, 0, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENODEV) {
		t.Skipf("%s cannot be mounted here: %v", kind, err)
	}
	if err != nil {
		t.Fatalf("mount %s on %s: %v", kind, dir, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// Sizes of the small disk. The journal takes 64 MiB a segment: with nothing in
// it, seven of them, and the backlog's last file is as long.
const (
	smallDisk = 768 << 20
	ballast   = 200 << 20
)

// TestDiskFull fills a small disk: publishers are told to wait, consumers go
// on, and when there is space again everything goes on without a restart,
// whether somebody makes some or consumers empty the queues.
func TestDiskFull(t *testing.T) {
	r := newTrial(t)
	disk := filepath.Join(r.dir, "disk")
	mount(t, "tmpfs", disk, "tmpfs", fmt.Sprintf("size=%d", smallDisk))
	r.data, r.most = filepath.Join(disk, "data"), 1<<30
	n := r.first()
	t.Run("space is made", func(t *testing.T) { r.fill(t, n, makeSpace) })
	t.Run("queues are purged", func(t *testing.T) { r.fill(t, n, purgeAll) })
	t.Run("queues are consumed", func(t *testing.T) { r.fill(t, n, consumeAll) })
	if r.t = t; t.Failed() {
		return
	}
	n.kill()
	r.ended(n, "the disk is full", "messages cannot be moved out of memory")
	r.stop(r.verify())
	r.report("a full disk")
}

// fill publishes until the disk is full, and then lets relief bring space.
func (r *trial) fill(t *testing.T, n *node, relief func(t *testing.T, r *trial, n *node)) {
	t.Helper()
	r.t = t
	heavy := filepath.Join(filepath.Dir(r.data), "ballast")
	r.until("room for the ballast", n, func() bool { // the journal gives back what was purged, in a moment
		err := os.WriteFile(heavy, make([]byte, ballast), 0o600)
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			_ = os.Remove(heavy) // half of it is in the way
			time.Sleep(100 * time.Millisecond)
		}
		return err == nil
	})
	d := &load{l: r.l, node: n, seed: r.rng.Uint64(), most: r.most}
	d.begin(t.Context())
	defer d.end()
	if err := d.flood(); err != nil {
		t.Fatal(err)
	}
	r.until("connection.blocked", n, func() bool { return d.blocked.Load() > d.opened.Load() })
	before := r.l.total()
	time.Sleep(300 * time.Millisecond)
	if err := d.drain("crash.own", 20); err != nil {
		t.Fatal(err)
	}
	t.Logf("full after %v", before)
	r.until("consumers that go on", n, func() bool { return r.l.total().acked > before.acked+100 })
	relief(t, r, n)
	r.until("connection.unblocked", n, func() bool { return d.blocked.Load() == d.opened.Load() })
	before = r.l.total()
	r.until("confirms", n, func() bool { return r.l.total().confirmed > before.confirmed+100 })
	if err := os.Remove(heavy); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	purgeAll(t, r, n)
}

// until waits for something to happen.
func (r *trial) until(what string, n *node, f func() bool) {
	r.t.Helper()
	for begun := time.Now(); !f(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-n.done:
			r.t.Fatalf("waiting for %s: the node has ended\n%s", what, n.tail())
		default:
		}
		if time.Since(begun) > patience {
			r.t.Fatalf("no %s within %v\n%s", what, patience, n.tail())
		}
	}
}

func makeSpace(t *testing.T, r *trial, _ *node) {
	t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(r.data), "ballast")); err != nil {
		t.Fatal(err)
	}
}

// flooded are the queues that fill the disk.
var flooded = []string{"crash.own", "crash.back"}

// purgeAll purges what fills the disk. A purge is like an acknowledgement: by
// itself it promises nothing.
func purgeAll(t *testing.T, r *trial, n *node) {
	t.Helper()
	c, err := n.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range flooded {
		r.l.purging(q)
		if _, err := ch.QueuePurge(q, false); err != nil {
			t.Fatal(err)
		}
		r.l.purging(q) // what came meanwhile
	}
}

// consumeAll consumes what fills the disk.
func consumeAll(t *testing.T, r *trial, n *node) {
	t.Helper()
	d := &load{l: r.l, node: n, seed: r.rng.Uint64(), most: r.most}
	d.begin(t.Context())
	t.Cleanup(d.end)
	if err := d.drain("crash.back", 100); err != nil {
		t.Fatal(err)
	}
}

// flood publishes to two queues, two connections, with large messages.
func (d *load) flood() error {
	d.large = true
	for i, q := range flooded {
		c, f, err := d.dial()
		if err != nil {
			return err
		}
		if err := d.publisher(c, f, uint16(pubFlood+i), []target{direct(q)}, 100, 0); err != nil {
			return err
		}
	}
	return nil
}

// drain consumes a queue.
func (d *load) drain(queue string, prefetch int) error {
	c, f, err := d.dial()
	if err != nil {
		return err
	}
	return d.consumer(c, f, queue, prefetch)
}
