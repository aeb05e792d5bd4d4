package storage

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/warrenmq/warren/internal/vfs"
)

// TestDefinitionsFull fills the disk while definitions are written: each
// append that is refused leaves the file as it was, and the next one that
// finds space goes where it would have gone.
func TestDefinitionsFull(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, err := OpenDefinitions(disk, "data", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, record := range []string{"first", strings.Repeat("long", 50), "second", "third"} {
		for _, wrote := range []int{0, 3, 40} {
			disk.SetFault(func(op vfs.Op) error {
				if op.Kind == "write" {
					return &vfs.ShortWriteError{N: wrote, Err: syscall.ENOSPC}
				}
				return nil
			})
			if err := d.Append([]byte("refused " + record)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("append %d on a full disk: %v", i, err)
			}
		}
		disk.SetFault(nil)
		if err := d.Append([]byte(record)); err != nil {
			t.Fatalf("append %d with space again: %v", i, err)
		}
		want = append(want, record)
		if got := replayed(t, disk.Clone()); !slices.Equal(got, want) {
			t.Fatalf("replayed %q, want %q", got, want)
		}
	}
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == "sync" {
			return syscall.ENOSPC
		}
		return nil
	})
	if err := d.Append([]byte("perhaps")); err == nil || errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a sync that fails for want of space may have written: got %v", err)
	}
}

// replayed returns the records that a node finds.
func replayed(t *testing.T, disk *vfs.Mem) (records []string) {
	t.Helper()
	d, err := OpenDefinitions(disk, "data", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Replay(func(record []byte) error {
		records = append(records, string(record))
		return nil
	})
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return records
}
