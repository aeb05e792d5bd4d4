// Package vfs is the file system as the stores see it: few operations, each
// with the promise that the disk makes for it, a real one and one in memory
// that forgets what was not synced.
package vfs

import (
	"errors"
	"fmt"
	"io"
)

// FS is a file system. Names are slash-separated paths.
type FS interface {
	// Create makes or empties a file and opens it for reading and writing.
	// The name is durable after SyncDir of its directory.
	Create(name string) (File, error)
	// Open opens a file that exists for reading and writing.
	Open(name string) (File, error)
	// Rename gives a file another name, replacing what has that name; durable
	// after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file; durable after SyncDir.
	Remove(name string) error
	// List returns the names of the files in a directory, in order.
	List(dir string) ([]string, error)
	// SyncDir makes the entries of a directory durable. It makes the
	// directory if there is none.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the file's length in bytes.
	Size() (int64, error)
	// Punch gives the space of a part of the file back; it reads as zeros.
	// Where that cannot be done it is an error and nothing has changed.
	Punch(off, size int64) error
	// Sync returns when everything that was written is on stable storage.
	// After an error nothing is known of what was written since the last Sync
	// that succeeded; the file must not be written to again.
	Sync() error
}

// Starter is a File that can begin to store what was written before Sync waits
// for it. Start promises nothing: what goes wrong is Sync's to say.
type Starter interface {
	Start(off, size int64)
}

// Reserver is a File that can take space of the disk without writing to it.
type Reserver interface {
	// Reserve makes an empty file size bytes long, which read as zeros, and
	// takes the space for them: quicker than writing zeros, but what is written
	// there first is slower to sync than what overwrites. Where the file system
	// cannot, it is ENOTSUP.
	Reserve(size int64) error
}

// Write makes a file whose content is on stable storage; its name is after
// SyncDir.
func Write(fsys FS, name string, b []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// Read returns a file's content.
func Read(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) && int64(n) == size {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// Unused returns name, or name with a number behind it, so that there is no
// such file.
func Unused(fsys FS, name string) string {
	try := name
	for i := 2; ; i++ {
		f, err := fsys.Open(try)
		if err != nil {
			return try
		}
		_ = f.Close()
		try = fmt.Sprintf("%s-%d", name, i)
	}
}
