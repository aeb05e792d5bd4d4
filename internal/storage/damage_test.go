package storage_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/warrenmq/warren/internal/journal"
	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/vfs"
)

// damaged says that a node refused to start because of what it found.
func damaged(err error) bool {
	return errors.Is(err, storage.ErrDefinitions) || errors.Is(err, storage.ErrKey) || errors.Is(err, storage.ErrFormat) ||
		errors.Is(err, journal.ErrVersion)
}

// files lists what is in a data directory, as paths.
func files(t *testing.T, disk *vfs.Mem) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"data", "data/journal", "data/backlog"} {
		names, err := disk.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all = append(all, dir+"/"+name)
		}
	}
	return all
}

// worn runs one life without faults and returns its disk, closed, and what
// must be on it.
func worn(seed uint64) (disk *vfs.Mem, m *model, segment int64, err error) {
	r := mrand.New(mrand.NewPCG(seed, 3))
	disk, m, segment = first().Clone(), newModel(), int64(2000+r.IntN(6000))
	nd, err := open(disk, segment, 1<<(10+r.IntN(6)), m.now)
	if err != nil {
		return nil, nil, 0, err
	}
	l := &life{node: nd, r: r, m: m, pub: nd.vhost.NewPublisher(), other: nd.vhost.NewPublisher()}
	for range 50 + r.IntN(100) {
		if l.act(); l.err != nil || l.over {
			break
		}
	}
	for _, c := range l.consumers {
		l.giveBack(c.q, c, slices.Clone(c.unacked))
	}
	if err := errors.Join(l.err, nd.close()); err != nil {
		return nil, nil, 0, err
	}
	return disk, m, segment, check(disk, segment, m, !l.over)
}

// spot is where a disk was damaged.
type spot struct {
	name   string
	at     int64
	sector bool // all of it, else one bit
	tail   bool // in the file that was written to last
}

func (s spot) String() string { return fmt.Sprintf("%s at %d (sector: %t)", s.name, s.at, s.sector) }

// afterDamage opens a disk that was damaged in one place and holds what is
// there against what was.
// A sector that takes the end of the log with what says where that was cannot
// be told from a write that was cut off.
func afterDamage(disk *vfs.Mem, segment int64, m *model, where spot) (reported bool, err error) {
	n, err := open(disk, segment, 1<<13, m.now)
	if damaged(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	s, err := n.look()
	if n.ended.Load() { // it was found when a message was wanted: the next start reports it
		_ = n.close() // it has ended
		if n, err = open(disk, segment, 1<<13, m.now); err != nil {
			return false, fmt.Errorf("open again: %w", err)
		}
		if len(n.report.Damaged) == 0 {
			return false, errors.Join(errors.New("the node ended and its next start finds nothing"), n.close())
		}
		s, err = n.look()
	}
	if err = errors.Join(err, n.close()); err != nil {
		return false, err
	}
	reported = len(n.report.Damaged) > 0 || where.sector && where.tail
	lost := map[uint64]bool{}
	if reported && strings.Contains(where.name, "definitions") {
		return reported, nil
	}
	if !maps.Equal(s.bound, m.bound) || !maps.Equal(s.keys, m.keys) {
		return reported, errors.New("definitions were changed and nobody was told")
	}
	for name, q := range m.queues {
		messages, ok := s.queues[name]
		if !ok {
			return reported, fmt.Errorf("queue %s is gone and nobody was told", name)
		}
		if err := same(q, messages, reported, lost); err != nil {
			return reported, fmt.Errorf("queue %s: %w", name, err)
		}
	}
	if len(lost) > 0 && !reported {
		return reported, fmt.Errorf("%d messages are lost and nothing is reported", len(lost))
	}
	if len(lost) > 6 && !where.sector { // more than a batch has
		return reported, fmt.Errorf("%d messages are lost by one bit: %v", len(lost), n.report.Damaged)
	}
	return reported, nil
}

// afterRepair repairs a disk that was damaged in one place: it is sound then,
// and has all that it had before.
func afterRepair(disk *vfs.Mem, segment int64, m *model, where spot) error {
	before := disk.Clone() // its start reads all, as the repair does
	if err := removeDigests(before); err != nil {
		return err
	}
	i, err := storage.Inspect(disk, "data")
	if damaged(err) {
		return nil // the format
	}
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	found := i.Damaged()
	aside, err := i.Repair(rand.Reader)
	if err != nil {
		if i.Definitions.Err == nil {
			return fmt.Errorf("repair: %w", err)
		}
		return nil // nothing can be saved
	}
	if found != (len(aside) > 0) {
		return fmt.Errorf("damage was found: %t; set aside: %q", found, aside)
	}
	if i, err = storage.Inspect(disk, "data"); err != nil || i.Damaged() {
		return fmt.Errorf("not sound after repair: %w, %v", err, i.Journal.Damaged)
	}
	if strings.Contains(where.name, "definitions") {
		return nil
	}
	var got [2]*seen
	for k, disk := range []*vfs.Mem{before, disk} {
		n, err := open(disk, segment, 0, newModel().now)
		if err != nil {
			return fmt.Errorf("start after repair: %w", err)
		}
		if got[k], err = n.look(); err == nil {
			err = n.close()
		}
		if err != nil {
			return err
		}
	}
	for name := range m.queues {
		if !slices.EqualFunc(got[0].queues[name], got[1].queues[name], func(a, b seenMessage) bool { return a.id == b.id }) {
			return fmt.Errorf("queue %s has other messages after the repair", name)
		}
	}
	return nil
}

func removeDigests(disk *vfs.Mem) error {
	names, err := disk.List("data/journal")
	for _, name := range names {
		if strings.HasSuffix(name, ".idx") {
			err = errors.Join(err, disk.Remove("data/journal/"+name))
		}
	}
	return err
}

// same compares a queue with the model; of what is reported to be damaged
// messages may be missing, and settled ones may be back.
func same(q *modelQueue, messages []seenMessage, reported bool, lost map[uint64]bool) error {
	got := map[uint64]seenMessage{}
	last := -1
	for _, g := range messages {
		if _, twice := got[g.id]; twice {
			return fmt.Errorf("message %d is there twice", g.id)
		}
		got[g.id] = g
		p := q.ever[g.id]
		i := slices.Index(q.places, p)
		switch {
		case p == nil || !p.persistent:
			return fmt.Errorf("message %d was never there", g.id)
		case string(p.image) != string(g.image):
			return fmt.Errorf("message %d has other bytes", g.id)
		case i < 0 && !reported:
			return fmt.Errorf("message %d is back", g.id)
		case i >= 0 && i < last:
			return fmt.Errorf("message %d is not in its place", g.id)
		case i >= 0 && g.redelivered != p.flag && !reported:
			return fmt.Errorf("message %d redelivered is %t, want %t", g.id, g.redelivered, p.flag)
		}
		last = max(last, i)
	}
	for _, p := range q.places {
		if _, ok := got[p.id]; !ok {
			lost[p.id] = true
		}
	}
	return nil
}

// TestDamage flips bits and zeroes sectors of files at rest: it is reported,
// or nothing is missing; all else is served, and never a wrong byte.
func TestDamage(t *testing.T) {
	t.Parallel()
	from, count := uint64(1), 60
	if s := os.Getenv("SEED"); s != "" {
		from, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("COUNT"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	if testing.Short() || raceEnabled {
		count = min(count, 10)
	}
	reports := 0
	for i := range count {
		seed := from + uint64(i)
		disk, m, segment, err := worn(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := mrand.New(mrand.NewPCG(seed, 4))
		all := files(t, disk)
		for range 50 {
			name := all[r.IntN(len(all))]
			d := disk.Clone()
			where := spoil(t, d, name, r, all)
			c := d.Clone()
			reported, err := afterDamage(d, segment, m, where)
			if err == nil && r.IntN(3) == 0 {
				err = afterRepair(c, segment, m, where)
			}
			if err != nil {
				t.Errorf("seed %d, %s: %v (run it again with SEED=%d COUNT=1 go test -run Damage ./internal/storage)", seed, where, err, seed)
			}
			if reported {
				reports++
			}
		}
	}
	if reports < 3*count {
		t.Errorf("only %d of %d damages were seen", reports, 50*count)
	}
}

// spoil damages a file in one place.
func spoil(t *testing.T, disk *vfs.Mem, name string, r *mrand.Rand, all []string) spot {
	t.Helper()
	f, err := disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	s := spot{name: name, sector: r.IntN(4) == 0, tail: strings.Contains(name, "definitions")}
	if strings.HasSuffix(name, ".wal") {
		wals := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !strings.HasSuffix(n, ".wal") })
		s.tail = name == slices.Max(wals)
	}
	if size == 0 {
		return s
	}
	s.at = r.Int64N(size)
	if s.sector {
		s.at -= s.at % 512
		err = disk.Zero(name, s.at, min(512, size-s.at))
	} else {
		err = disk.Flip(name, s.at*8+r.Int64N(8))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNoDefinitions refuses a directory whose definitions are gone: a new
// first queue must not get an earlier one's messages.
func TestNoDefinitions(t *testing.T) {
	t.Parallel()
	disk, _, segment, err := worn(5)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, disk) {
		if strings.HasPrefix(name, "data/definitions-") {
			if err := disk.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = open(disk, segment, 0, newModel().now)
	if !errors.Is(err, storage.ErrDefinitions) {
		t.Fatalf("started without definitions: %v", err)
	}
}

// TestNumbersAreNotUsedAgain gives a new queue a number above all that the
// journal knows, even when the definitions know less.
func TestNumbersAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	disk, _, segment, err := worn(5)
	if err != nil {
		t.Fatal(err)
	}
	n, err := open(disk, segment, 0, newModel().now)
	if err != nil {
		t.Fatal(err)
	}
	before := n.server.Store().NextUID()
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	old := first().Clone() // definitions from before any queue was declared
	for _, name := range files(t, disk) {
		if strings.HasPrefix(name, "data/definitions-") || strings.HasSuffix(name, ".key") {
			if err := disk.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range files(t, old) {
		if strings.HasPrefix(name, "data/definitions-") || strings.HasSuffix(name, ".key") {
			copyFile(t, old, disk, name)
		}
	}
	if n, err = open(disk, segment, 0, newModel().now); err != nil {
		t.Fatal(err)
	}
	if got := n.server.Store().NextUID(); got < before-1 {
		t.Errorf("the next queue gets number %d, the journal has messages of numbers up to %d", got, before-1)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to *vfs.Mem, name string) {
	t.Helper()
	f, err := from.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	g, err := to.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// TestEarlierGeneration keeps the generation before until the present one is
// known to be good.
func TestEarlierGeneration(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, err := storage.OpenDefinitions(disk, "d", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Append([]byte("one")), d.Close()); err != nil {
		t.Fatal(err)
	}
	before := disk.Clone()
	if d, err = storage.OpenDefinitions(disk, "d", rand.Reader); err != nil {
		t.Fatal(err)
	}
	var got []string
	note := func(record []byte) error { got = append(got, string(record)); return nil }
	if err := errors.Join(d.Replay(note), d.Snapshot([]byte("two")), d.Close()); err != nil {
		t.Fatal(err)
	}
	const older, newer = "d/definitions-00000001.log", "d/definitions-00000002.log"
	copyFile(t, before, disk, older) // its removal did not reach the disk
	if err := disk.Flip(newer, 8*30); err != nil {
		t.Fatal(err)
	}
	if d, err = storage.OpenDefinitions(disk, "d", rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := d.Replay(note); !errors.Is(err, storage.ErrDefinitions) && !errors.Is(err, storage.ErrKey) {
		t.Errorf("replay of damaged definitions: %v", err)
	}
	if _, err := disk.Open(older); errors.Is(err, fs.ErrNotExist) {
		t.Error("the good generation was removed before the present one was read")
	}
	if want := []string{"one"}; !slices.Equal(got, want) {
		t.Errorf("replayed %q, want %q", got, want)
	}
}
