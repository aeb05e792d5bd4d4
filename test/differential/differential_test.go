package differential_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/warrentest"
)

var verbose = flag.Bool("transcript", false, "print what a single SEED brings")

// How long nothing must come for a step to be over: when many scripts are played
// at once, and when one is looked at that differed.
const (
	quickly = 15 * time.Millisecond
	slowly  = 80 * time.Millisecond
	// How many are played at once, and how many of those that differed.
	crowd    = 50
	doubters = 25
	// What is played before those of it that differed are played again.
	chunk = 1000
)

// TestDifferential plays COUNT scripts (default 200) beginning with SEED against Warren and the
// RabbitMQ at RABBITMQ (host:port; its HTTP API at RABBITMQ_API).
func TestDifferential(t *testing.T) {
	t.Parallel()
	c := compared(t)
	list := seeds(t)
	if os.Getenv("SEED") == "" {
		for i, s := range byHand() {
			// Of one connection RabbitMQ would remember what type a queue had.
			if d := c.compare(s, slowly, &pair{}); d != nil && d.explain(s) == "" {
				t.Errorf("conversation %d\n%s%s", i+1, d.script(s, false), d)
			}
		}
	}
	begun := time.Now()
	for part := range slices.Chunk(list, chunk) {
		c.run(t, part, len(list) < 50)
		c.played += len(part)
		t.Logf("%s", c.summary(time.Since(begun)))
	}
	for _, name := range slices.Sorted(keys(c.explained)) {
		t.Logf("explained, %s: %d", name, c.explained[name])
	}
	for _, name := range slices.Sorted(keys(c.found)) {
		t.Logf("%4d  %s  seeds %v", len(c.found[name]), name, c.found[name][:min(6, len(c.found[name]))])
	}
}

// compared returns the two brokers, with nothing compared yet.
func compared(t *testing.T) *comparison {
	t.Helper()
	address := os.Getenv("RABBITMQ")
	if address == "" {
		t.Skip("RABBITMQ is not set: host:port of a RabbitMQ 4.3 to compare with")
	}
	w := warrentest.Start(t)
	warren := &broker{name: "Warren", amqp: w.Listen(), http: func(method, path, body string) (int, string) {
		status, answer := w.Manage(method, path, body)
		return status, reason([]byte(answer))
	}}
	rabbit := &broker{name: "RabbitMQ", amqp: address, http: overHTTP("http://" + os.Getenv("RABBITMQ_API"))}
	for _, b := range []*broker{warren, rabbit} {
		b.ownVhost(t)
	}
	return &comparison{warren: warren, rabbit: rabbit, found: map[string][]uint64{}, explained: map[string]int{}}
}

// ownVhost makes a vhost for this test of this run.
func (b *broker) ownVhost(t *testing.T) {
	t.Helper()
	b.vhost = fmt.Sprintf("differential-%s-%d", t.Name(), os.Getpid())
	b.http("PUT", "/api/vhosts/"+b.vhost, "{}")
	if status, answer := b.http("PUT", "/api/permissions/"+b.vhost+"/guest", `{"configure":".*","write":".*","read":".*"}`); status >= 300 {
		t.Fatalf("%s: vhost %s: %d %s", b.name, b.vhost, status, answer)
	}
	t.Cleanup(func() { b.http("DELETE", "/api/vhosts/"+b.vhost, "") })
}

// seeds are those that SEED names, or COUNT of them beginning with it.
func seeds(t *testing.T) (list []uint64) {
	t.Helper()
	first := uint64(1)
	for text := range strings.SplitSeq(os.Getenv("SEED"), ",") {
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		list = append(list, n)
		first = n
	}
	if count := os.Getenv("COUNT"); count != "" || len(list) == 0 {
		list = list[:0]
		for i := range number("COUNT", 200) {
			list = append(list, first+i)
		}
	}
	return list
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func number(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// comparison is one run of many scripts.
type comparison struct {
	warren, rabbit *broker
	played         int
	ops            atomic.Uint64

	mu        sync.Mutex          // guards what follows
	found     map[string][]uint64 // seeds by kind of difference
	explained map[string]int
	timing    []uint64 // differed when many were played at once, and not again
	once      []uint64 // differed in one of three times when they were played again
}

// pair keeps the caretakers of a worker's scripts.
type pair [2]*seat

func (c *comparison) summary(d time.Duration) string {
	known, unknown := 0, 0
	for _, n := range c.explained {
		known += n
	}
	for _, list := range c.found {
		unknown += len(list)
	}
	return fmt.Sprintf("%v: %d scripts, %d operations; %d differences explained, %d not; timing, not reproduced: %d, and once in three: %v",
		d.Round(time.Second), c.played, c.ops.Load(), known, unknown, len(c.timing), c.once)
}

// crew has workers work off a list.
func crew(list []uint64, workers int, work func(seed uint64, kept *pair)) {
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range workers {
		wg.Go(func() {
			var kept pair
			for seed := range seeds {
				work(seed, &kept)
			}
			for _, s := range kept {
				if s != nil {
					_ = s.c.nc.Close()
				}
			}
		})
	}
	for _, seed := range list {
		seeds <- seed
	}
	close(seeds)
	wg.Wait()
}

// run plays scripts, all at once, and those that differ again.
func (c *comparison) run(t *testing.T, list []uint64, few bool) {
	t.Helper()
	var doubtful []uint64
	crew(list, crowd, func(seed uint64, kept *pair) {
		s := generate(seed)
		d := c.compare(s, quickly, kept)
		c.ops.Add(uint64(len(s.ops)))
		if d != nil {
			c.mu.Lock()
			doubtful = append(doubtful, seed)
			c.mu.Unlock()
		}
	})
	slices.Sort(doubtful)
	crew(doubtful, doubters, func(seed uint64, kept *pair) { c.again(t, seed, few, kept) })
}

// again plays a script that differed up to three times more, slowly: what does not happen twice is chance.
func (c *comparison) again(t *testing.T, seed uint64, few bool, kept *pair) {
	t.Helper()
	s := generate(seed)
	var d *difference
	times := 0
	for i := range 3 {
		if e := c.compare(s, slowly, kept); e != nil {
			d = e
			times++
		}
		if times == 2 || i == 1 && times == 0 {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch times {
	case 0:
		c.timing = append(c.timing, seed)
		if *verbose {
			t.Logf("seed %d does not differ", seed)
		}
		return
	case 1:
		c.once = append(c.once, seed)
		t.Logf("seed %d differed once, %s\n%s%s", seed, d.kind(), d.script(s, false), d)
		return
	}
	if name := d.explain(s); name != "" {
		c.explained[name]++
		if *verbose {
			t.Logf("seed %d, %s, explained: %s\n%s%s", seed, d.kind(), name, d.script(s, *verbose), d)
		}
		return
	}
	c.found[d.kind()] = append(c.found[d.kind()], seed)
	if first := len(c.found[d.kind()]) == 1; first || few {
		if number("SHRINK", 1) > 0 {
			c.mu.Unlock()
			s, d = c.shrink(s, d, kept)
			c.mu.Lock()
		}
		t.Errorf("seed %d, %s\n%s%s", seed, d.kind(), d.script(s, *verbose), d)
	}
}

// shrink leaves out steps as long as the script still differs in the same way.
func (c *comparison) shrink(s *script, d *difference, kept *pair) (*script, *difference) {
	for size := len(s.ops) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(s.ops); {
			less := *s
			less.ops = slices.Concat(s.ops[:at], s.ops[min(at+size, len(s.ops)):])
			if e := c.compare(&less, slowly, kept); e != nil && e.kind() == d.kind() {
				s, d = &less, e
			} else {
				at += size
			}
		}
	}
	return s, d
}

// difference is where a script went different ways.
type difference struct {
	at             int
	op             *op // nil: behind the last step
	warren, rabbit string
	all            [2][]string
}

// compare plays a script on both and returns the first difference.
func (c *comparison) compare(s *script, quiet time.Duration, kept *pair) *difference {
	var of [2][]string
	var errs [2]error
	var wg sync.WaitGroup
	for i, b := range []*broker{c.warren, c.rabbit} {
		wg.Go(func() { of[i], errs[i] = b.play(s, quiet, &kept[i]) })
	}
	wg.Wait()
	for i := range max(len(of[0]), len(of[1])) {
		a, b := at(of[0], i), at(of[1], i)
		if a != b {
			d := &difference{at: i, warren: a, rabbit: b, all: of}
			if i < len(s.ops) {
				d.op = &s.ops[i]
			}
			return d
		}
	}
	return nil
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(not reached)"
}

// script writes what was played up to the difference.
func (d *difference) script(s *script, transcript bool) string {
	var b strings.Builder
	for i, o := range s.ops {
		if i > d.at && !transcript {
			break
		}
		fmt.Fprintf(&b, "%3d %s\n", i, o)
		if transcript || i < d.at && len(d.all[0]) > i {
			b.WriteString(at(d.all[0], i))
		}
	}
	return b.String()
}

func (d *difference) String() string {
	return "(-Warren +RabbitMQ)\n" + cmp.Diff(strings.Split(d.warren, "\n"), strings.Split(d.rabbit, "\n"))
}
