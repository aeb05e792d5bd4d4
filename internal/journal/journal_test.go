package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warrenmq/warren/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is what a journal holds: bodies by place.
type content struct {
	put     map[Ref]string
	settled map[Ref]bool
	levels  map[uint64]uint64
	tallies map[Ref]uint64
	unread  map[Ref]Body // of which the digest was read
	spans   []Span
}

func newContent() *content {
	return &content{
		put: map[Ref]string{}, settled: map[Ref]bool{}, levels: map[uint64]uint64{}, tallies: map[Ref]uint64{}, unread: map[Ref]Body{},
	}
}

func (c *content) Tally(r Ref, value uint64) { c.tallies[r] = max(c.tallies[r], value) }

func (c *content) Put(places []Ref, mark uint64, body Body) {
	for _, p := range places {
		c.put[p] = fmt.Sprintf("%d %s", mark, body.Bytes)
		if delete(c.unread, p); body.Bytes == nil {
			c.unread[p] = body
		}
	}
}

// sum is what the tests' digests say of a body.
func sum(mark uint64, body []byte) (uint64, bool) {
	return mark<<32 | uint64(crc32.ChecksumIEEE(body)), mark%4 > 0
}

// Span notes the messages, with what reads them later.
func (c *content) Span(s Span) {
	c.spans = append(c.spans, s)
	for i := range s.Count {
		p := Ref{s.Stream, s.First + uint64(i)}
		c.put[p] = ""
		delete(c.unread, p)
	}
}

// spanned reads a span's bodies.
type spanned struct {
	*content

	span  Span
	count int
	bytes int64
	brief uint64
}

func (s *spanned) Put(places []Ref, mark uint64, body Body) {
	for _, p := range places {
		if p.Stream == s.span.Stream && p.Seq-s.span.First < uint64(s.span.Count) {
			b, _ := sum(mark, body.Bytes)
			s.count, s.bytes, s.brief = s.count+1, s.bytes+int64(body.Size), s.brief+b
			if s.put[p] == "" {
				s.put[p] = fmt.Sprintf("%d %s", mark, body.Bytes)
			}
		}
	}
}

// read reads the bodies of which the digest was read.
func (c *content) read(j *Journal) error {
	for p, body := range c.unread {
		b, err := j.Read(body.At, body.Size)
		if err != nil {
			return fmt.Errorf("place %v: %w", p, err)
		}
		brief, _ := sum(body.Brief>>32, b)
		if c.put[p] += string(b); body.Brief != brief {
			return fmt.Errorf("place %v: the digest has %x, the body is %q", p, body.Brief, b)
		}
	}
	for _, s := range c.spans {
		got := &spanned{content: c, span: s}
		if _, err := j.Frames(s.At, got); err != nil {
			return fmt.Errorf("span %+v: %w", s, err)
		}
		if got.count != s.Count || got.bytes != s.Bytes || got.brief != s.Brief {
			return fmt.Errorf("span %+v has %d messages, %d bytes, %x", s, got.count, got.bytes, got.brief)
		}
	}
	return nil
}

func (c *content) Settle(stream uint64, seqs []uint64) {
	for _, seq := range seqs {
		c.settled[Ref{stream, seq}] = true
	}
}

func (c *content) Level(stream, value uint64, exact bool) {
	if exact || value > c.levels[stream] {
		c.levels[stream] = value
	}
}

func (c *content) live() map[Ref]string {
	m := map[Ref]string{}
	for r, body := range c.put {
		if !c.settled[r] {
			m[r] = body
		}
	}
	return m
}

// world is what the test knows: the truth that the journal is held against.
type world struct {
	mu       sync.Mutex
	bodies   map[Ref]string // ever put
	live     map[Ref]bool   // as the broker sees it: settled at once
	stored   map[Ref]bool   // its put was confirmed
	settling map[Ref]bool   // its settle was appended
	gone     map[Ref]bool   // its settle was confirmed
	bytes    int64
	next     [3]uint64
	level    [3]uint64 // what was appended last
	leveled  [3]uint64 // what was confirmed
}

func newWorld() *world {
	return &world{
		bodies: map[Ref]string{}, live: map[Ref]bool{}, stored: map[Ref]bool{}, settling: map[Ref]bool{}, gone: map[Ref]bool{},
	}
}

func (w *world) isLive(r Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live[r]
}

func (w *world) any(stream, from, to uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.live {
		if r.Stream == stream && r.Seq >= from && r.Seq <= to {
			return true
		}
	}
	return false
}

func (w *world) levelsOf(stream uint64) []uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []uint64{w.level[stream]}
}

func (w *world) liveBytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// act appends one random batch.
func (w *world) act(j *Journal, r *rand.Rand, wait bool) {
	w.mu.Lock()
	type put struct {
		places []Ref
		mark   uint64
		body   string
	}
	var puts []put
	var settles []Ref
	if r.IntN(5) == 0 { // many of one stream, which lie together
		s, mark := r.IntN(len(w.next)), 7+uint64(r.IntN(8)/7)
		for range 5 + r.IntN(20) {
			p := put{[]Ref{{uint64(s), w.next[s]}}, mark, fmt.Sprintf("%0*d", r.IntN(60), r.IntN(1000))}
			w.bodies[p.places[0]], w.live[p.places[0]] = fmt.Sprint(mark, " ", p.body), true
			w.next[s]++
			w.bytes += int64(len(p.body))
			puts = append(puts, p)
		}
	}
	for range 1 + r.IntN(3) {
		p := put{mark: 7, body: fmt.Sprintf("%0*d", r.IntN(300), r.IntN(1000))}
		for s := range w.next {
			if r.IntN(2) == 0 || len(p.places) == 0 && s == len(w.next)-1 {
				ref := Ref{uint64(s), w.next[s]}
				w.next[s] += 1 + uint64(r.IntN(2)) // transient messages leave gaps
				p.places = append(p.places, ref)
				w.bodies[ref], w.live[ref] = "7 "+p.body, true
				w.bytes += int64(len(p.body))
			}
		}
		puts = append(puts, p)
	}
	all := make([]Ref, 0, len(w.live))
	for ref := range w.live {
		all = append(all, ref)
	}
	slices.SortFunc(all, func(a, b Ref) int { return int(a.Seq*8+a.Stream) - int(b.Seq*8+b.Stream) })
	for _, ref := range all {
		if r.IntN(4) == 0 && (w.stored[ref] || r.IntN(8) == 0) {
			settles = append(settles, ref)
			delete(w.live, ref)
			w.settling[ref] = true
			w.bytes -= int64(len(w.bodies[ref]) - 2)
		}
	}
	level := w.level
	if s := r.IntN(30); s < len(level) {
		level[s] += 10
	}
	changed := level != w.level
	w.level = level
	w.mu.Unlock()
	done := make(chan struct{})
	add, gathered := j.Append, r.IntN(2) == 0
	if gathered {
		add = j.Gather
	}
	add(func(b Batch) {
		for s, value := range level {
			if changed {
				b.Level(uint64(s), value, false)
			}
		}
		for _, p := range puts {
			b.Put(p.places, p.mark, []byte(p.body))
		}
		for _, ref := range settles {
			b.Settle(ref.Stream, []uint64{ref.Seq})
		}
	}, func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		defer close(done)
		if err != nil {
			return
		}
		for _, p := range puts {
			for _, ref := range p.places {
				w.stored[ref] = true
			}
		}
		for _, ref := range settles {
			w.gone[ref] = true
		}
		if changed {
			w.leveled = level
		}
	})
	if gathered {
		if r.IntN(4) == 0 {
			w.act(j, r, false)
		}
		j.Push()
	}
	if wait {
		<-done
	}
}

// check holds what a journal replayed against the truth.
func (w *world) check(c *content) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := c.live()
	for s, value := range w.leveled {
		if c.levels[uint64(s)] < value || c.levels[uint64(s)] > w.level[s] {
			return fmt.Errorf("level of stream %d is %d, confirmed was %d", s, c.levels[uint64(s)], value)
		}
	}
	for ref := range w.stored {
		if !w.settling[ref] && got[ref] != w.bodies[ref] {
			return fmt.Errorf("confirmed place %v is lost or changed: %q, want %q", ref, got[ref], w.bodies[ref])
		}
	}
	for ref, body := range got {
		if w.gone[ref] {
			return fmt.Errorf("place %v came back after its settle was durable", ref)
		}
		if body != w.bodies[ref] {
			return fmt.Errorf("place %v was never put, or not so: %q", ref, body)
		}
	}
	return nil
}

// recovered makes the world what the journal says.
func (w *world) recovered(c *content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := c.live()
	w.bytes = 0
	for s := range w.level {
		w.level[s] = c.levels[uint64(s)]
		w.leveled[s] = w.level[s]
	}
	for ref := range w.bodies {
		_, ok := got[ref]
		delete(w.live, ref)
		if ok {
			w.live[ref], w.stored[ref] = true, true
			delete(w.settling, ref)
			w.bytes += int64(len(w.bodies[ref]) - 2)
		} else {
			w.settling[ref], w.gone[ref] = true, true
		}
	}
}

// simulate runs one seed: workloads with crashes, faults and restarts.
func simulate(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	fs, w := vfs.NewMem(), newWorld()
	o := Options{
		Dir: "d", SegmentSize: 2000 + int64(r.IntN(3000)), KeepSegments: 1 + r.IntN(2), Live: w.isLive, Any: w.any, LiveBytes: w.liveBytes, Levels: w.levelsOf,
		SpaceInterval: time.Millisecond,
	}
	if r.IntN(2) == 0 {
		o.Brief = sum
	}
	idle := r.IntN(8) == 0 // now and then, so that what nobody waits for is written, or synced
	if idle {
		o.Linger, o.Lag = time.Microsecond, time.Duration(r.IntN(2))*time.Millisecond+time.Microsecond
	}
	for life := range 2 + r.IntN(4) {
		fs.SetFault(nil)
		o.FS = fs
		c := newContent()
		j, report, err := Open(o, c)
		if err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if len(report.Damaged) > 0 {
			return fmt.Errorf("life %d: damage without a cause: %v", life, report.Damaged)
		}
		if err := errors.Join(c.read(j), w.check(c)); err != nil {
			return errors.Join(fmt.Errorf("life %d: %w", life, err), j.Close())
		}
		w.recovered(c)
		if at := r.IntN(120); at < 100 {
			kind, space := r.IntN(4), at+r.IntN(20)
			fs.SetFault(func(op vfs.Op) error {
				if kind == 3 { // the disk is full for a while: nobody need notice
					if op.N >= at && op.N < space && (op.Kind == "create" || op.Kind == "write" && strings.HasSuffix(op.Name, ".free")) {
						return syscall.ENOSPC
					}
					return nil
				}
				if op.N >= at && kind < 2 || op.N == at {
					return errors.New("EIO") // for good, or once
				}
				return nil
			})
		}
		for range 5 + r.IntN(60) {
			w.act(j, r, r.IntN(3) == 0)
			if idle && r.IntN(3) == 0 {
				time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
			}
		}
		if r.IntN(3) == 0 { // a clean end
			_ = j.Close()
			if r.IntN(2) == 0 {
				continue
			}
		}
		crashed := fs.Crash(r)
		_ = j.Close()
		fs = crashed
	}
	return nil
}

// TestSimulation runs seeds from SEED on (default 1), COUNT of them (default
// 20,000, a tenth of that under the race detector). A seed that fails is run again with SEED=n COUNT=1.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, count := uint64(1), 20_000
	if raceEnabled {
		count /= 10
	}
	if s := os.Getenv("SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("COUNT"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	if testing.Short() {
		count = min(count, 200)
	}
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range 4 {
		wg.Go(func() {
			for seed := range seeds {
				if err := simulate(seed); err != nil {
					t.Errorf("seed %d: %v (run it again with SEED=%d COUNT=1 go test -run Simulation ./internal/journal)", seed, err, seed)
				}
			}
		})
	}
	for i := range count {
		seeds <- first + uint64(i)
	}
	close(seeds)
	wg.Wait()
}

// TestErr: whoever is told that something is not stored finds the journal
// fenced already.
func TestErr(t *testing.T) {
	fs := vfs.NewMem()
	j, _, err := Open(Options{FS: fs, Dir: "d", SegmentSize: 2000, SpaceInterval: time.Millisecond}, newContent())
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Err(); err != nil {
		t.Fatal(err)
	}
	fs.SetFault(func(op vfs.Op) error {
		if op.Kind == "sync" {
			return syscall.EIO
		}
		return nil
	})
	told := make(chan error, 1)
	j.Append(func(b Batch) { b.Put([]Ref{{1, 1}}, 0, []byte("x")) }, func(err error) {
		if j.Err() == nil {
			t.Error("told before the journal was fenced")
		}
		told <- err
	})
	if err := <-told; !errors.Is(err, syscall.EIO) || !errors.Is(j.Err(), ErrFenced) {
		t.Errorf("told %v, then %v", err, j.Err())
	}
	_ = j.Close()
}
