package meta

import (
	"bytes"
	"slices"
	"sync"
)

// Log keeps the records of the definitions, in order. A [Store] calls Replay once, before the first
// Append, and one Append at a time.
type Log interface {
	// Append returns when the record is durable. The record is the caller's again afterwards. After
	// an error it is not known whether the record is in the log, unless the error is ENOSPC or
	// EDQUOT: then it is not, and the next append may succeed.
	Append(record []byte) error
	// Replay calls f with every record in the order of their appends, until f fails, and returns
	// f's error as it is. A record is valid during the call only.
	Replay(f func(record []byte) error) error
}

// Snapshotter is a Log that can begin anew with all definitions, so that it does not grow with every
// change.
type Snapshotter interface {
	// Grown reports that a snapshot would be worth its while.
	Grown() bool
	// Snapshot replaces all records by these, which lead to the same state. After an error it is
	// not known which of the two are in the log; after ENOSPC or EDQUOT it is as it was.
	Snapshot(records []byte) error
}

// MemoryLog is a Log that forgets everything with the process. It serves tests and throw-away
// brokers. The zero value is ready for use.
type MemoryLog struct {
	mu      sync.Mutex
	records [][]byte
}

// Append keeps a copy of record. It never fails.
func (l *MemoryLog) Append(record []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, bytes.Clone(record))
	return nil
}

// Replay calls f with every record that was appended before the call.
func (l *MemoryLog) Replay(f func(record []byte) error) error {
	l.mu.Lock()
	records := slices.Clip(l.records)
	l.mu.Unlock()
	for _, record := range records {
		if err := f(record); err != nil {
			return err
		}
	}
	return nil
}
