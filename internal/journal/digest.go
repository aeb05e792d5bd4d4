package journal

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"path"
	"strings"

	"github.com/warrenmq/warren/internal/vfs"
)

// A digest is what a segment holds without the bodies, so that a start need not
// read these. That of a segment that is not written to any more lies beside it:
//
//	dir/%016x.idx    magic 8 | version u32 | id u64 | end u64 | frames u32 | n u32 | n × stretch u32 | entries | crc32c u32
//
// end is where the segment's frames end; a stretch is where a frame begins, and
// the next about stretchSize behind it; entries are the segment's, but that a put
// has
//
//	6 | n | n × (stream, seq) | mark | length | offset | brief (uvarints)
//
// where offset is the body's, from the end of the one before, and brief what
// Options.Brief says of it, and that puts of a stream that lie together are a Span:
//
//	7 | stream | first | count | from | length | bytes | brief
//
// Puts and spans are in the order of the segment, and all else is, but each of
// the two may come before the other. It is not synced: one that is not whole, or
// says another end than the segment behind, is as good as none.
const (
	digestMagic   = "WARRENI\n"
	digestVersion = 2
	digestHeader  = 8 + 4 + 8 + 8 + 4 + 4
	kindBrief     = 6
	kindSpan      = 7
	stretchSize   = 256 << 10
)

// digest is one in memory.
type digest struct {
	frames    int
	stretches []uint32
	entries   []byte
}

// digester is a Visitor that makes one.
type digester struct {
	digest

	brief    func(mark uint64, body []byte) (uint64, bool)
	last     uint32 // where the body before ended
	from, to uint32 // the frame that is visited

	open  Span   // the last put and those before it that it lies together with; Count 0: none
	alone []byte // these one by one
	ended uint32 // as last, behind them
}

// frame notes that one begins.
func (d *digester) frame(at int64, size int) {
	d.frames++
	if n := len(d.stretches); n == 0 || at-int64(d.stretches[n-1]) >= stretchSize {
		d.stretches = append(d.stretches, uint32(at)) //nolint:gosec // within a segment
	}
	d.from, d.to = uint32(at), uint32(at)+uint32(size) //nolint:gosec // the same
}

// Put implements Visitor.
func (d *digester) Put(places []Ref, mark uint64, body Body) {
	brief, plain := d.brief(mark, body.Bytes)
	if plain = plain && len(places) == 1; !plain || !d.open.takes(places[0], d.from, d.to) {
		d.close()
	}
	d.alone = appendBrief(d.alone, places, mark, body, d.ended, brief)
	d.ended = body.At.Off + body.Size
	if !plain {
		d.close()
		return
	}
	if d.open.Count == 0 {
		d.open = Span{Stream: places[0].Stream, First: places[0].Seq, At: Stretch{body.At.Segment, d.from, d.to}}
	}
	d.open.Count++
	d.open.At.To = d.to
	d.open.Bytes += int64(body.Size)
	d.open.Brief += brief
}

// close enters the puts of open: as a span if it is worth it.
func (d *digester) close() {
	if s := &d.open; s.worth() {
		d.entries = appendSpan(d.entries, s)
		d.ended = d.last
	} else {
		d.entries = append(d.entries, d.alone...)
		d.last = d.ended
	}
	d.open, d.alone = Span{}, d.alone[:0]
}

// appendBrief encodes a put of a digest; last is where the body before it ended.
func appendBrief(b []byte, places []Ref, mark uint64, body Body, last uint32, brief uint64) []byte {
	b = append(b, kindBrief)
	b = binary.AppendUvarint(b, uint64(len(places)))
	for _, p := range places {
		b = binary.AppendUvarint(b, p.Stream)
		b = binary.AppendUvarint(b, p.Seq)
	}
	b = binary.AppendUvarint(b, mark)
	b = binary.AppendUvarint(b, uint64(body.Size))
	b = binary.AppendUvarint(b, uint64(body.At.Off-last))
	return binary.AppendUvarint(b, brief)
}

// Settle implements Visitor.
func (d *digester) Settle(stream uint64, seqs []uint64) {
	d.entries = appendSettle(d.entries, stream, seqs)
}

// Level implements Visitor.
func (d *digester) Level(stream, value uint64, exact bool) {
	d.entries = appendLevel(d.entries, stream, value, exact)
}

// Tally implements Visitor.
func (d *digester) Tally(r Ref, value uint64) { d.entries = appendTally(d.entries, r, value) }

// Span implements Visitor: a segment has none.
func (d *digester) Span(Span) {}

// makeDigest reads a segment up to end; nil when not every byte up to there is
// of a good frame.
func makeDigest(s *segment, end int64, brief func(uint64, []byte) (uint64, bool)) (*digest, error) {
	if end > math.MaxUint32 {
		return nil, nil //nolint:nilnil // as documented
	}
	w := window{file: s.file, end: end}
	d := &digester{brief: brief}
	var e entries
	for at := int64(headerSize); at < end; {
		b, err := w.frame(at)
		if err != nil {
			return nil, err
		}
		body, _, n := frameAt(b, s.id)
		if n == 0 {
			return nil, nil //nolint:nilnil // as documented
		}
		if d.frame(at, n); !e.visit(body, s.at(at), d) {
			return nil, nil //nolint:nilnil // as documented
		}
		at += int64(n)
	}
	d.close()
	return &d.digest, nil
}

// encode makes the file of a digest.
func (d *digest) encode(id uint64, end int64) []byte {
	b := make([]byte, 0, digestHeader+4*len(d.stretches)+len(d.entries)+4)
	b = append(b, digestMagic...)
	b = binary.LittleEndian.AppendUint32(b, digestVersion)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(end))              //nolint:gosec // an offset
	b = binary.LittleEndian.AppendUint32(b, uint32(d.frames))         //nolint:gosec // less than a segment's bytes
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.stretches))) //nolint:gosec // the same
	for _, at := range d.stretches {
		b = binary.LittleEndian.AppendUint32(b, at)
	}
	b = append(b, d.entries...)
	return binary.LittleEndian.AppendUint32(b, checksum(id, b))
}

// decodeDigest reads the file of the digest of segment id, whose frames end at
// end; nil when it is not that.
func decodeDigest(b []byte, id uint64, end int64) *digest {
	n := len(b) - 4
	if n < digestHeader || string(b[:8]) != digestMagic || binary.LittleEndian.Uint32(b[8:]) != digestVersion ||
		binary.LittleEndian.Uint32(b[n:]) != checksum(id, b[:n]) ||
		binary.LittleEndian.Uint64(b[12:]) != id || binary.LittleEndian.Uint64(b[20:]) != uint64(end) { //nolint:gosec // an offset
		return nil
	}
	d := &digest{frames: int(binary.LittleEndian.Uint32(b[28:]))}
	stretches := int(binary.LittleEndian.Uint32(b[32:]))
	rest := b[digestHeader:n]
	if stretches > len(rest)/4 {
		return nil
	}
	for i := range stretches {
		d.stretches = append(d.stretches, binary.LittleEndian.Uint32(rest[4*i:]))
	}
	d.entries = rest[4*stretches:]
	return d
}

// readDigest returns the digest that lies beside a segment, nil when there is
// none to be trusted.
func (j *Journal) readDigest(id uint64, end int64) (*digest, error) {
	b, err := vfs.Read(j.opts.FS, j.name(id, "idx"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, err
	}
	return decodeDigest(b, id, end), nil
}

// Distrust makes the next start read all segments whole: one of them is damaged,
// and it has to be found out which are, or a digest says what is not so.
func (j *Journal) Distrust() error {
	names, err := j.opts.FS.List(j.opts.Dir)
	for _, name := range names {
		if !strings.HasSuffix(name, ".idx") {
			continue
		}
		if e := j.opts.FS.Remove(path.Join(j.opts.Dir, name)); !errors.Is(e, fs.ErrNotExist) { // its segment may go meanwhile
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, j.opts.FS.SyncDir(j.opts.Dir))
}
