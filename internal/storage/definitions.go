package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/warrenmq/warren/internal/vfs"
)

// Errors of the definitions.
var (
	// ErrDefinitions says that definitions cannot be read.
	ErrDefinitions = errors.New("the definitions are damaged")
	// ErrKey says that the key of the definitions is missing or another one.
	ErrKey = errors.New("the node key does not fit")
)

const (
	keyName     = "node.key"
	keySize     = 32
	defsMagic   = "WARREND\n"
	defsVersion = 1
	defsHeader  = 16 // magic, version u32, reserved u32
	defsFrame   = 8  // length u32, crc32c u32
	nonceSize   = 12
	// defsGrown is from how many bytes behind the snapshot on another one is
	// written.
	defsGrown = 1 << 20
	// defsStep is how many bytes the file grows by at once: to sync what lies
	// within a file costs less than to sync one that has grown.
	defsStep = 64 << 10
)

// Definitions is the log of the definitions: a file that begins with all of
// them and goes on with the changes since, sealed with the node's key
// (AES-256-GCM), because roles' secrets are among them.
//
//	dir/definitions-%08x.log   generation n; the highest one counts
//	dir/node.key               the key, 64 hexadecimal digits, mode 0600
//
//	file                       magic 8 | version u32 | 0 u32 | frame | frame | …
//	frame                      length u32 | crc32c u32 | nonce 12 | sealed records
//
// An empty record is where a process ended. Behind the last frame may be zeros.
//
// A frame is sealed together with its generation and number, so frames can
// be neither exchanged nor reordered. An append is synced before it returns. A
// snapshot is written beside the file, synced and renamed: at any moment there
// is one whole generation. All integers are little endian.
type Definitions struct {
	fs     vfs.FS
	dir    string
	aead   cipher.AEAD
	random io.Reader

	generation uint64 // 0: none yet
	file       vfs.File
	off        int64
	size       int64 // of file
	frames     uint64
	snapshot   int64 // bytes of the first frame
	old        bool  // the present file was written by an earlier process
	failed     bool  // an append did not succeed: nothing more is written
	names      []string
}

// OpenDefinitions opens the definitions in a directory, making a key when
// there are none. Earlier generations stay until the present one is replayed.
func OpenDefinitions(fsys vfs.FS, dir string, random io.Reader) (*Definitions, error) {
	d := &Definitions{fs: fsys, dir: dir, random: random}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := d.list(); err != nil {
		return nil, err
	}
	err := d.openKey()
	if errors.Is(err, fs.ErrNotExist) && d.generation == 0 {
		err = d.makeKey(path.Join(dir, keyName))
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// list finds the present generation.
func (d *Definitions) list() (err error) {
	if d.names, err = d.fs.List(d.dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, name := range d.names {
		text, ok := strings.CutPrefix(name, "definitions-")
		text, whole := strings.CutSuffix(text, ".log")
		if n, err := strconv.ParseUint(text, 16, 32); ok && whole && err == nil {
			d.generation = max(d.generation, n)
		}
	}
	return nil
}

// openKey reads the node's key.
func (d *Definitions) openKey() error {
	name := path.Join(d.dir, keyName)
	f, err := d.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing and the definitions cannot be read without it; put it back: %w", ErrKey, name, err)
	}
	if err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	text := make([]byte, 2*keySize)
	_, err = f.ReadAt(text, 0)
	key, bad := hex.DecodeString(string(text))
	if err = errors.Join(err, bad, f.Close()); err != nil {
		return fmt.Errorf("%w: %s is not a key: %w", ErrKey, name, err)
	}
	return d.useKey(key)
}

func (d *Definitions) makeKey(name string) error {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(d.random, key); err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	f, err := d.fs.Create(name + ".new")
	if err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	_, err = f.WriteAt([]byte(hex.EncodeToString(key)+"\n"), 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	if err = errors.Join(d.fs.Rename(name+".new", name), d.fs.SyncDir(d.dir)); err != nil {
		return fmt.Errorf("node key: %w", err)
	}
	return d.useKey(key)
}

func (d *Definitions) useKey(key []byte) error {
	block, err := aes.NewCipher(key)
	if err == nil {
		d.aead, err = cipher.NewGCM(block)
	}
	return err
}

func (d *Definitions) name(generation uint64) string {
	return path.Join(d.dir, fmt.Sprintf("definitions-%08x.log", generation))
}

// removeOthers removes earlier generations and what was being written.
func (d *Definitions) removeOthers() error {
	for _, name := range d.names {
		other := strings.HasPrefix(name, "definitions-") && path.Join(d.dir, name) != d.name(d.generation)
		if other && !strings.Contains(name, ".damaged") || name == keyName+".new" {
			if err := d.fs.Remove(path.Join(d.dir, name)); err != nil {
				return fmt.Errorf("definitions: %w", err)
			}
		}
	}
	return nil
}

// extra is what a frame is sealed together with.
func extra(generation, frame uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, generation), frame)
}

func (d *Definitions) appendFrame(dst, record []byte, generation, frame uint64) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, defsFrame+nonceSize)...)
	if _, err := io.ReadFull(d.random, dst[start+defsFrame:]); err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	dst = d.aead.Seal(dst, dst[start+defsFrame:], record, extra(generation, frame))
	body := dst[start+defsFrame:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body))) //nolint:gosec // definitions are far smaller
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return dst, nil
}

// frameOf reads the frame at the start of b; n is 0 when it is not whole.
func frameOf(b []byte) (body []byte, n int) {
	if len(b) < defsFrame {
		return nil, 0
	}
	size := binary.LittleEndian.Uint32(b)
	if size < nonceSize || uint64(len(b)) < defsFrame+uint64(size) {
		return nil, 0
	}
	n = defsFrame + int(size)
	body = b[defsFrame:n]
	if binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) {
		return nil, 0
	}
	return body, n
}

// Replay implements meta.Log. A frame that is not whole ends the file when
// nothing is behind it: it was being written, and nobody was told of it.
func (d *Definitions) Replay(f func(record []byte) error) error {
	if err := d.replay(f); err != nil {
		return err
	}
	return d.removeOthers()
}

// replay is Replay that changes nothing.
func (d *Definitions) replay(f func(record []byte) error) error {
	if d.generation == 0 {
		return nil
	}
	data, err := vfs.Read(d.fs, d.name(d.generation))
	if err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	if len(data) < defsHeader || string(data[:len(defsMagic)]) != defsMagic {
		return fmt.Errorf("%w: %s is no file of definitions", ErrDefinitions, d.name(d.generation))
	}
	if v := binary.LittleEndian.Uint32(data[len(defsMagic):]); v > defsVersion {
		return fmt.Errorf("%w: they have format %d, this version knows up to %d; use a later one", ErrDefinitions, v, defsVersion)
	}
	d.old = true
	at := defsHeader
	for at < len(data) {
		body, n := frameOf(data[at:])
		if n == 0 {
			break
		}
		record, err := d.aead.Open(nil, body[:nonceSize], body[nonceSize:], extra(d.generation, d.frames))
		if err != nil {
			return fmt.Errorf("%w: record %d of %s cannot be opened with %s", ErrKey, d.frames, d.name(d.generation), keyName)
		}
		if len(record) > 0 { // else it is where an earlier process ended
			if err := f(record); err != nil {
				return err
			}
		}
		d.frames++
		at += n
	}
	return d.checkEnd(data, at)
}

// checkEnd looks for a whole frame behind the end of the log.
func (d *Definitions) checkEnd(data []byte, at int) error {
	if d.frames == 0 { // the first is synced before the file gets its name
		return fmt.Errorf("%w: the first record of %s", ErrDefinitions, d.name(d.generation))
	}
	for from := at + 1; from+defsFrame <= len(data); from++ {
		if _, n := frameOf(data[from:]); n > 0 {
			return fmt.Errorf("%w: %d bytes at offset %d of %s; restore the file from a copy, or run warren inspect --repair, "+
				"which keeps what is before", ErrDefinitions, from-at, at, d.name(d.generation))
		}
	}
	return nil
}

// Append implements meta.Log. What a full disk leaves of a frame is no frame,
// and the next one is written over it.
func (d *Definitions) Append(record []byte) error {
	if d.file == nil {
		return d.Snapshot(record)
	}
	b, err := d.appendFrame(nil, record, d.generation, d.frames)
	if err != nil {
		return err
	}
	if _, err := d.file.WriteAt(b, d.off); err != nil {
		d.failed = !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT)
		return fmt.Errorf("write definitions: %w", err)
	}
	if err := d.grow(d.off + int64(len(b))); err != nil {
		d.failed = true
		return fmt.Errorf("write definitions: %w", err)
	}
	if err := d.file.Sync(); err != nil {
		d.failed = true
		return fmt.Errorf("write definitions: %v", err) //nolint:errorlint // a full disk now is no longer one that left the file as it was
	}
	d.off += int64(len(b))
	d.frames++
	return nil
}

// grow sees to it that there are zeros behind end, if it has come to the end of
// the file. A full disk is no reason to fail: then there are none.
func (d *Definitions) grow(end int64) error {
	if end <= d.size {
		return nil
	}
	d.size = end
	n, err := d.file.WriteAt(make([]byte, defsStep), end)
	if d.size += int64(n); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

// Grown implements meta.Snapshotter: what an earlier process has left is
// always written anew, since after a sync that failed the system may show what
// it will never write.
func (d *Definitions) Grown() bool {
	return d.old || d.off-d.snapshot > max(defsGrown, 2*d.snapshot)
}

// Snapshot implements meta.Snapshotter.
func (d *Definitions) Snapshot(records []byte) error {
	next := d.generation + 1
	b := append([]byte(defsMagic), make([]byte, defsHeader-len(defsMagic))...)
	binary.LittleEndian.PutUint32(b[len(defsMagic):], defsVersion)
	b, err := d.appendFrame(b, records, next, 0)
	if err != nil {
		return err
	}
	temporary := d.name(next) + ".new"
	f, err := d.fs.Create(temporary)
	if err != nil {
		return fmt.Errorf("write definitions: %w", err)
	}
	_, err = f.WriteAt(b, 0)
	if err = errors.Join(err, f.Sync()); err != nil {
		return fmt.Errorf("write definitions: %w", errors.Join(err, f.Close(), d.fs.Remove(temporary)))
	}
	if err = errors.Join(d.fs.Rename(temporary, d.name(next)), d.fs.SyncDir(d.dir)); err != nil {
		return fmt.Errorf("write definitions: %v", errors.Join(err, f.Close())) //nolint:errorlint // as in Append
	}
	if d.file != nil {
		err = d.file.Close()
	}
	if d.generation > 0 {
		err = errors.Join(err, d.fs.Remove(d.name(d.generation)))
	}
	d.generation, d.file, d.off, d.snapshot, d.frames, d.old = next, f, int64(len(b)), int64(len(b)), 1, false
	d.size = d.off
	return err
}

// Close ends the log, with an empty record: damage of the last one is told
// from a write that was cut off by what is behind it.
func (d *Definitions) Close() error {
	if d.file == nil {
		return nil
	}
	var err error
	if !d.failed {
		err = d.Append(nil)
	}
	return errors.Join(err, d.file.Close())
}
