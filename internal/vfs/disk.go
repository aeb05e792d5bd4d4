package vfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

// Disk is the operating system's file system.
type Disk struct{}

// Create implements FS.
func (Disk) Create(name string) (File, error) {
	return open(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
}

// Open implements FS.
func (Disk) Open(name string) (File, error) { return open(name, os.O_RDWR) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.FromSlash(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return disk{f}, nil
}

// Rename implements FS.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (Disk) Remove(name string) error { return os.Remove(name) }

// List implements FS.
func (Disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// SyncDir implements FS.
func (Disk) SyncDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.Open(dir) //nolint:gosec // the operator names the directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// disk is a file of the operating system.
type disk struct{ *os.File }

// Size implements File.
func (d disk) Size() (int64, error) {
	info, err := d.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync implements File: the data and the length, not the times.
func (d disk) Sync() error {
	for {
		err := unix.Fdatasync(int(d.Fd()))
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("sync %s: %w", d.Name(), err)
			}
			return nil
		}
	}
}

// Start implements Starter.
func (d disk) Start(off, size int64) {
	_ = unix.SyncFileRange(int(d.Fd()), off, size, unix.SYNC_FILE_RANGE_WRITE)
}

// Reserve implements Reserver.
func (d disk) Reserve(size int64) error {
	for {
		if err := unix.Fallocate(int(d.Fd()), 0, 0, size); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Punch implements File.
func (d disk) Punch(off, size int64) error {
	return unix.Fallocate(int(d.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, size)
}
