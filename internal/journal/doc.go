// Package journal is this node's write-ahead log: one sequence of frames for
// all queues, written and synced by one committer for everybody who waits.
//
// What is kept are numbered records of numbered streams (a queue is a stream):
// a put is one body with the places it has in streams, a settle takes places
// away. What is live is what was put and not settled, in whatever order the
// two lie in the log.
//
//	dir/%016x.wal    segments, SegmentSize long, written in advance or reserved
//	dir/%016x.free   files of retired segments, to be used again
//	dir/%016x.idx    digests of segments, see digest
//
//	segment          header | frame | frame | … | what an earlier use left
//	header           magic 8 | version u32 | id u64 | prev u64 | crc32c u32
//	frame            magic u32 | length u32 | crc32c u32 | synced u32 | entries
//	put              1 | n | n × (stream, seq) | mark | length | body (uvarints)
//	settle           2 | stream | n | n × seq, each less the one before
//	level            3 | stream | value | exact (0 or 1)
//	end              4
//	tally            5 | stream | seq | value
//
// A frame is a batch: all of it is there after a crash, or none. Its checksum
// is seeded with the segment's id, so that what an earlier use of the file
// left is never taken for a frame of this one. The field synced says how much
// of the segment was on stable storage when the frame was written: a bad frame
// behind which a good one says that it was synced is corruption, and is
// reported; any other is where the power went, and the log ends there. The
// field prev says where the frames of the segment before end: what lies behind
// was never part of the log. A header is synced before the first frame: behind
// a bad one a good frame, or another segment, says that it is damaged. A
// graceful end writes a frame with an end, which says that all before it was
// synced; after a crash the frames of the last sync, and those behind it, cannot be
// told from torn ones when they are damaged. After replay a new segment is begun, so nothing
// is ever written behind a torn end. All integers are little endian.
//
// # The crash argument
//
// In full, with what the broker adds to it, in doc/format/journal.md.
//
//	step                             on disk                       recovery
//	1 frames written, not synced     any part of them, in any order  the whole ones before the first torn one;
//	                                                                 none was confirmed
//	2 synced                         the frames                      all of them; then they are confirmed
//	3 segment full: the next one is  two segments                    one whose header is not whole was not begun;
//	  renamed to its id, directory                                   its file is free again
//	  synced, its header synced
//	4 live records of the oldest     put twice                       the same place twice is one record
//	  put again, synced
//	5 the oldest renamed to be free, the oldest or not               either way each live place is there; its settles
//	  directory synced                                               are for puts in it or before it, or are there again
//	                                                                 behind the put that came later
//	6 a free file renamed to be the  its old frames                  their checksums are of another id
//	  next, directory synced
//
// After the first write or sync that fails nothing is confirmed any more
// (ErrFenced): it is not known what is on the disk. The process ends, and
// what it starts with is what replay finds.
package journal

import "errors"

// Errors of the journal.
var (
	// ErrFenced is returned for everything that was not durable when a write
	// or sync failed, and for everything after it.
	ErrFenced = errors.New("the journal cannot be written to any more")
	// ErrClosed is returned for what comes after Close.
	ErrClosed = errors.New("the journal is closed")
	// ErrCorrupt says that something that was synced cannot be read.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrVersion says that a segment was written by a later version.
	ErrVersion = errors.New("the journal has a format that this version does not know")
)
