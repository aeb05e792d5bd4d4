package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"sort"
	"sync"
)

// Mem is a file system in memory that keeps the letter of the promises of FS
// and nothing more: at a crash, what was not synced may be there, in part, in
// any order, or not at all; a name whose directory was not synced likewise.
type Mem struct {
	mu    sync.Mutex
	files map[string]*node // what a running process sees
	saved map[string]*node // directory entries on stable storage
	ops   int
	kinds map[string]int // operations by kind
	// fault is asked before each operation that changes something; what it
	// returns is that operation's error.
	fault func(op Op) error
	dead  bool
}

// Op is one operation that changes something.
type Op struct {
	N    int    // counted from 1
	Nth  int    // counted from 1 among those of its kind
	Kind string // create, write, sync, rename, remove or syncdir
	Name string
}

// ShortWriteError is the fault of a write that stops halfway: the first N bytes
// are written, then it fails with Err.
type ShortWriteError struct {
	N   int
	Err error
}

// Error implements error.
func (s *ShortWriteError) Error() string {
	return fmt.Sprintf("short write of %d bytes: %v", s.N, s.Err)
}

// Unwrap returns why the write stopped.
func (s *ShortWriteError) Unwrap() error { return s.Err }

// node is a file's content.
type node struct {
	data   []byte // what a running process sees
	synced []byte // what is on stable storage
	dirty  []span // written since the last sync, oldest first
}

// span is one write that was not synced.
type span struct {
	off  int64
	data []byte
}

// ErrCrashed is what every operation of a crashed file system returns.
var ErrCrashed = errors.New("vfs: the machine has crashed")

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{files: map[string]*node{}, saved: map[string]*node{}, kinds: map[string]int{}}
}

// SetFault sets what is asked before each operation that changes something;
// nil for nothing.
func (m *Mem) SetFault(f func(op Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Crash returns what is on stable storage after the power goes now: synced
// content, and of each write since then a random part. m itself is dead after
// it.
func (m *Mem) Crash(r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	next := NewMem()
	names := make([]string, 0, len(m.saved)+len(m.files))
	for name := range m.saved {
		names = append(names, name)
	}
	for name := range m.files {
		if _, ok := m.saved[name]; !ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		n := m.saved[name]
		if now := m.files[name]; now != n && r.IntN(2) == 0 {
			n = now // a change of the directory that reached the disk unasked
		}
		if n != nil {
			c := &node{synced: n.survive(r)}
			c.data = append([]byte(nil), c.synced...)
			next.files[name], next.saved[name] = c, c
		}
	}
	return next
}

// Clone returns a copy of what a running process sees, as if all of it were
// on stable storage.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := NewMem()
	for name, n := range m.files {
		c := &node{data: append([]byte(nil), n.data...), synced: append([]byte(nil), n.data...)}
		next.files[name], next.saved[name] = c, c
	}
	return next
}

// Flip changes one bit of a file at rest, counted from the first byte's
// lowest; it is what the process sees and what a crash leaves.
func (m *Mem) Flip(name string, bit int64) error {
	return m.damage(name, bit/8, 1, func(b []byte) { b[0] ^= 1 << (bit % 8) })
}

// Zero makes a part of a file at rest zeros, such as a sector that was lost.
func (m *Mem) Zero(name string, off, size int64) error {
	return m.damage(name, off, size, func(b []byte) { clear(b) })
}

// damage changes size bytes at off of a file, unseen by faults.
func (m *Mem) damage(name string, off, size int64, change func([]byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.files[name]
	if !ok {
		return &fs.PathError{Op: "damage", Path: name, Err: fs.ErrNotExist}
	}
	if off < 0 || size < 0 || off+size > int64(len(n.data)) {
		return &fs.PathError{Op: "damage", Path: name, Err: io.ErrUnexpectedEOF}
	}
	change(n.data[off : off+size])
	if off+size <= int64(len(n.synced)) {
		change(n.synced[off : off+size])
	}
	return nil
}

// survive is what is left of a file's content.
func (n *node) survive(r *rand.Rand) []byte {
	data := append([]byte(nil), n.synced...)
	for _, s := range n.dirty {
		switch r.IntN(4) {
		case 0: // not a byte
		case 1: // all of it
			data = writeAt(data, s.data, s.off)
		case 2: // torn at any byte
			data = writeAt(data, s.data[:r.IntN(len(s.data)+1)], s.off)
		case 3: // the end of it without the beginning
			cut := r.IntN(len(s.data) + 1)
			data = writeAt(data, s.data[cut:], s.off+int64(cut))
		}
	}
	return data
}

func writeAt(data, p []byte, off int64) []byte {
	if len(p) == 0 {
		return data
	}
	if need := int(off) + len(p); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	copy(data[off:], p)
	return data
}

// step counts an operation and asks for its fault; m.mu is held.
func (m *Mem) step(kind, name string) error {
	if m.dead {
		return ErrCrashed
	}
	m.ops++
	m.kinds[kind]++
	if m.fault != nil {
		return m.fault(Op{m.ops, m.kinds[kind], kind, name})
	}
	return nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("create", name); err != nil {
		return nil, err
	}
	n := &node{}
	m.files[name] = n
	return &memFile{m, n, name}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.files[name]
	if m.dead || !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m, n, name}, nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("rename", from); err != nil {
		return err
	}
	n, ok := m.files[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.files, from)
	m.files[to] = n
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("remove", name); err != nil {
		return err
	}
	if _, ok := m.files[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	sort.Strings(names)
	return names, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("syncdir", dir); err != nil {
		return err
	}
	for name := range m.saved {
		if path.Dir(name) == path.Clean(dir) && m.files[name] == nil {
			delete(m.saved, name)
		}
	}
	for name, n := range m.files {
		if path.Dir(name) == path.Clean(dir) {
			m.saved[name] = n
		}
	}
	return nil
}

// memFile is an open file of a Mem.
type memFile struct {
	m    *Mem
	n    *node
	name string
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.step("write", f.name)
	if err != nil {
		short, ok := errors.AsType[*ShortWriteError](err)
		if !ok || short.N <= 0 {
			return 0, err
		}
		p = p[:min(short.N, len(p))]
	}
	f.n.data = writeAt(f.n.data, p, off)
	f.n.dirty = append(f.n.dirty, span{off, append([]byte(nil), p...)})
	return len(p), err
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

// Sync implements File.
func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step("sync", f.name); err != nil {
		f.n.dirty = nil // as on Linux: the pages are marked clean, a later sync says all is well
		return err
	}
	for _, w := range f.n.dirty {
		f.n.synced = writeAt(f.n.synced, w.data, w.off)
	}
	f.n.dirty = nil
	return nil
}

// Reserve implements Reserver.
func (f *memFile) Reserve(size int64) error {
	_, err := f.WriteAt(make([]byte, size), 0)
	return err
}

// Punch implements File.
func (f *memFile) Punch(off, size int64) error {
	_, err := f.WriteAt(make([]byte, size), off)
	return err
}

// Close implements File.
func (f *memFile) Close() error { return nil }
