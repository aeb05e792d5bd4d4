// Package backlog keeps messages outside of memory for the life of the
// process: blocks of one queue's messages, read back as a whole.
//
// A backlog is never needed after a crash (what must survive is in the
// journal), so nothing is synced, and what an earlier process left is removed.
//
//	dir/%08x.blk   files of about FileSize, blocks one behind the other
//	block          crc32c u32 | n u32 | n × (seq, size, route, flags [, deadline]) | images
//
// The numbers of the table are uvarints; seq is relative to the one before.
// When half of a file is free its free parts are given back to the file
// system, when all of it is it is removed.
package backlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"strings"
	"sync"

	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
	"github.com/warrenmq/warren/internal/vfs"
)

// FileSize is from how many bytes on another file is begun.
const FileSize = 64 << 20

// ErrDamaged says that a block is not what was written.
var ErrDamaged = errors.New("a block of the backlog is damaged")

// Store is all blocks of a node.
type Store struct {
	fs       vfs.FS
	dir      string
	fileSize int64 // FileSize, less in tests

	mu   sync.Mutex // guards what follows, and the fields of files
	cur  *file
	next int
	buf  []byte
	used int64
}

// file is one file of blocks.
type file struct {
	vfs.File

	name string
	size int64 // where the next block goes
	live int64 // bytes of blocks that are not freed
	free []span
	idle int64 // bytes in free
	full bool
}

type span struct{ off, size int64 }

// Block is a run of messages in the store.
type Block struct {
	store *Store
	file  *file
	span
}

// Flags of a message in a block's table.
const (
	flagPersistent  = 1
	flagRedelivered = 2
	flagDeadline    = 4
	flagDead        = 8
)

const blockHeader = 8

// Open removes what an earlier process left in the directory.
func Open(fs vfs.FS, dir string) (*Store, error) {
	if err := fs.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("backlog directory: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("backlog directory: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".blk") {
			if err := fs.Remove(path.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("backlog: %w", err)
			}
		}
	}
	return &Store{fs: fs, dir: dir, fileSize: FileSize}, nil
}

// Bytes returns the size of all blocks.
func (s *Store) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Write keeps a run of messages, ascending.
func (s *Store) Write(kept []queue.Kept) (*Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = appendBlock(s.buf[:0], kept)
	if s.cur == nil {
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	f := s.cur
	if _, err := f.WriteAt(s.buf, f.size); err != nil {
		return nil, fmt.Errorf("write backlog: %w", err)
	}
	b := &Block{store: s, file: f, span: span{f.size, int64(len(s.buf))}}
	f.size += b.size
	f.live += b.size
	s.used += b.size
	if f.size >= s.fileSize {
		f.full = true
		s.cur = nil
	}
	if cap(s.buf) > 4<<20 {
		s.buf = nil
	}
	return b, nil
}

func (s *Store) begin() error {
	name := path.Join(s.dir, fmt.Sprintf("%08x.blk", s.next))
	f, err := s.fs.Create(name)
	if err != nil {
		return fmt.Errorf("backlog: %w", err)
	}
	s.next++
	s.cur = &file{File: f, name: name}
	return nil
}

// Read brings the messages back, without letting go of them.
func (b *Block) Read() ([]queue.Kept, error) {
	buf := make([]byte, b.size)
	if _, err := b.file.ReadAt(buf, b.off); err != nil {
		return nil, fmt.Errorf("read backlog: %w", err)
	}
	return readBlock(buf)
}

// Free lets go of the messages.
func (b *Block) Free() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	f := b.file
	f.live -= b.size
	b.store.used -= b.size
	if f.live == 0 && f.full {
		_ = f.Close() // nothing in it is wanted
		_ = b.store.fs.Remove(f.name)
		return
	}
	f.free = append(f.free, b.span)
	if f.idle += b.size; f.full && f.idle >= b.store.fileSize/2 {
		for _, p := range f.free {
			_ = f.Punch(p.off, p.size) // where that cannot be done the file goes later
		}
		f.free, f.idle = nil, 0
	}
}

// InLog implements broker.Cold.
func (b *Block) InLog() bool { return false }

// Close ends the store; the next start removes the files.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		return s.cur.Close()
	}
	return nil
}

func appendBlock(dst []byte, kept []queue.Kept) []byte {
	dst = append(dst, make([]byte, blockHeader)...)
	binary.LittleEndian.PutUint32(dst[4:], uint32(len(kept))) //nolint:gosec // at most queue.MaxRun
	last := uint64(0)
	for i := range kept {
		k := &kept[i]
		flags := uint64(0)
		if k.Persistent {
			flags |= flagPersistent
		}
		if k.Redelivered {
			flags |= flagRedelivered
		}
		dst = binary.AppendUvarint(dst, k.Seq-last)
		dst = binary.AppendUvarint(dst, uint64(k.Size))
		dst = binary.AppendUvarint(dst, uint64(k.RouteLen))
		if k.Dead {
			flags |= flagDead
		}
		if k.Deadline != 0 {
			flags |= flagDeadline
		}
		dst = binary.AppendUvarint(dst, flags)
		if k.Deadline != 0 {
			dst = binary.AppendUvarint(dst, uint64(k.Deadline)) //nolint:gosec // a time
		}
		last = k.Seq
	}
	for i := range kept {
		dst = append(dst, kept[i].Slab.Bytes(kept[i].Off, kept[i].Size)...)
	}
	binary.LittleEndian.PutUint32(dst, crc32.Checksum(dst[4:], crc32.MakeTable(crc32.Castagnoli)))
	return dst
}

// readBlock decodes a block; the messages lie in buf.
func readBlock(buf []byte) ([]queue.Kept, error) {
	if len(buf) < blockHeader || binary.LittleEndian.Uint32(buf) != crc32.Checksum(buf[4:], crc32.MakeTable(crc32.Castagnoli)) {
		return nil, ErrDamaged
	}
	n := int(binary.LittleEndian.Uint32(buf[4:]))
	if n > queue.MaxRun {
		return nil, ErrDamaged
	}
	kept := make([]queue.Kept, n)
	rest := buf[blockHeader:]
	last := uint64(0)
	for i := range kept {
		var v [5]uint64
		for j := range v {
			if j == 4 && v[3]&flagDeadline == 0 {
				break
			}
			x, used := binary.Uvarint(rest)
			if used <= 0 {
				return nil, ErrDamaged
			}
			v[j], rest = x, rest[used:]
		}
		last += v[0]
		kept[i] = queue.Kept{Seq: last, Redelivered: v[3]&flagRedelivered != 0, Message: queue.Message{
			Size: uint32(v[1]), RouteLen: uint16(v[2]), Persistent: v[3]&flagPersistent != 0, //nolint:gosec // checked by its checksum
			Dead: v[3]&flagDead != 0, Deadline: int64(v[4]), //nolint:gosec // the same
		}}
	}
	off := uint64(len(buf) - len(rest)) //nolint:gosec // a length
	all := slab.Adopt(buf)
	for i := range kept {
		kept[i].Slab, kept[i].Off = all, uint32(off) //nolint:gosec // checked below
		if off += uint64(kept[i].Size); off > uint64(len(buf)) {
			return nil, ErrDamaged
		}
	}
	return kept, nil
}
