package backlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"syscall"
	"testing"

	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
	"github.com/warrenmq/warren/internal/vfs"
)

// run makes n messages of size bytes each, from sequence number first on,
// with gaps.
func run(first uint64, n, size int) []queue.Kept {
	kept := make([]queue.Kept, n)
	for i := range kept {
		body := bytes.Repeat([]byte{byte(i)}, size)
		kept[i] = queue.Kept{Seq: first + uint64(3*i), Redelivered: i%2 == 0, Message: queue.Message{
			Slab: slab.Adopt(body), Size: uint32(size), RouteLen: uint16(i % 300), Persistent: i%3 == 0,
			Dead: i%5 == 0, Deadline: int64(i%7) << 40,
		}}
	}
	return kept
}

// equal compares two runs.
func equal(got, want []queue.Kept) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if g.Seq != w.Seq || g.Redelivered != w.Redelivered || g.Persistent != w.Persistent || g.RouteLen != w.RouteLen ||
			g.Dead != w.Dead || g.Deadline != w.Deadline ||
			!bytes.Equal(g.Slab.Bytes(g.Off, g.Size), w.Slab.Bytes(w.Off, w.Size)) {
			return fmt.Errorf("message %d is not what was written", i)
		}
	}
	return nil
}

func opened(t *testing.T) (*vfs.Mem, *Store) {
	t.Helper()
	fs := vfs.NewMem()
	s, err := Open(fs, "b")
	if err != nil {
		t.Fatal(err)
	}
	return fs, s
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	_, s := opened(t)
	runs := [][]queue.Kept{run(1, 1, 0), run(1<<60, 1000, 17), run(5, 3, 1<<20)}
	var blocks []*Block
	for _, r := range runs {
		b, err := s.Write(r)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	for i, b := range blocks {
		for range 2 { // reading lets go of nothing
			got, err := b.Read()
			if err == nil {
				err = equal(got, runs[i])
			}
			if err != nil {
				t.Errorf("block %d: %v", i, err)
			}
		}
		b.Free()
	}
	if n := s.Bytes(); n != 0 {
		t.Errorf("%d bytes are left of nothing", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	fs, s := opened(t)
	b, err := s.Write(run(1, 5, 10))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range b.size * 8 {
		name := "b/00000000.blk"
		if err := fs.Flip(name, bit); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d: %v, want ErrDamaged", bit, err)
		}
		if err := fs.Flip(name, bit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Read(); err != nil {
		t.Errorf("the repaired block: %v", err)
	}
}

// TestSpace fills files and frees their blocks in an order that leaves holes:
// what is read back is right, holes are given back, empty files go.
func TestSpace(t *testing.T) {
	t.Parallel()
	fs, s := opened(t)
	s.fileSize = 1 << 20
	punched := int64(0)
	fs.SetFault(func(op vfs.Op) error {
		if op.Kind == "remove" {
			punched++
		}
		return nil
	})
	want := run(1, 8, 16<<10)
	var blocks []*Block
	for range 18 { // 2.25 MiB: two full files and a bit
		b, err := s.Write(want)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	size := blocks[0].size
	if names, _ := fs.List("b"); len(names) != 3 {
		t.Fatalf("files: %q, want three", names)
	}
	for i := 0; i < 16; i += 2 { // every other block of the two full files
		blocks[i].Free()
	}
	f := blocks[1].file
	if f.idle != 0 || f.free != nil {
		t.Errorf("half of a full file is free and not given back: %d bytes in %d parts", f.idle, len(f.free))
	}
	hole := make([]byte, 16)
	if _, err := f.ReadAt(hole, blocks[2].off+100); err != nil || !bytes.Equal(hole, make([]byte, 16)) {
		t.Errorf("a freed block still takes space: %q, %v", hole, err)
	}
	for i := 1; i < 16; i += 2 {
		got, err := blocks[i].Read()
		if err == nil {
			err = equal(got, want)
		}
		if err != nil {
			t.Fatalf("block %d beside holes: %v", i, err)
		}
	}
	if got := s.Bytes(); got != 10*size {
		t.Errorf("%d bytes are in use, want %d", got, 10*size)
	}
	for i := 1; i < 16; i += 2 {
		blocks[i].Free()
	}
	if names, _ := fs.List("b"); len(names) != 1 || punched != 2 {
		t.Errorf("after all blocks of two files were freed there are %q", names)
	}
	if got, err := blocks[17].Read(); err != nil || equal(got, want) != nil {
		t.Errorf("the last block: %v", err)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	fs, s := opened(t)
	if _, err := s.Write(run(1, 2, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Create("b/other"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(fs, "b"); err != nil {
		t.Fatal(err)
	}
	if names, _ := fs.List("b"); strings.Join(names, " ") != "other" {
		t.Errorf("left after a start: %q", names)
	}
}

// TestFullDisk fails a write and goes on where it was.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fs, s := opened(t)
	first := run(1, 2, 10)
	a, err := s.Write(first)
	if err != nil {
		t.Fatal(err)
	}
	fs.SetFault(func(op vfs.Op) error {
		if op.Kind == "write" {
			return &vfs.ShortWriteError{N: 7, Err: syscall.ENOSPC}
		}
		return nil
	})
	if _, err := s.Write(run(50, 9, 10)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write to a full disk: %v", err)
	}
	fs.SetFault(nil)
	second := run(100, 3, 10)
	b, err := s.Write(second)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		block *Block
		want  []queue.Kept
	}{{a, first}, {b, second}} {
		got, err := c.block.Read()
		if err == nil {
			err = equal(got, c.want)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// FuzzReadBlock reads anything as a block.
func FuzzReadBlock(f *testing.F) {
	f.Add(appendBlock(nil, run(1, 3, 5)), false)
	f.Add(appendBlock(nil, run(1, 1, 0))[4:], true)
	f.Add(binary.LittleEndian.AppendUint32(nil, queue.MaxRun), true)
	f.Add(append(binary.LittleEndian.AppendUint32(nil, 1), 1, 0xff, 0xff, 0xff, 0xff, 0x1f, 1, 1), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed { // so that the fuzzer need not find a checksum
			b = append(make([]byte, 4), b...)
			binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)))
		}
		kept, err := readBlock(b)
		if err != nil {
			return
		}
		total := 0
		for i := range kept {
			total += len(kept[i].Slab.Bytes(kept[i].Off, kept[i].Size))
		}
		if total > len(b) {
			t.Fatalf("%d bytes of messages in a block of %d", total, len(b))
		}
	})
}
