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
	again   = 40 * time.Millisecond
	slowly  = 80 * time.Millisecond
	// How many are played at once.
	crowd    = 40
	doubters = 16
)

// TestDifferential plays COUNT scripts (default 200) beginning with SEED against Warren and the
// RabbitMQ at RABBITMQ (host:port; its HTTP API at RABBITMQ_API).
func TestDifferential(t *testing.T) {
	t.Parallel()
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
	seeds := seeds(t)
	c := &comparison{warren: warren, rabbit: rabbit, found: map[string][]uint64{}, explained: map[string]int{}}
	if os.Getenv("SEED") == "" {
		for i, s := range byHand() {
			if d := c.compare(s, slowly); d != nil {
				t.Errorf("conversation %d\n%s%s", i+1, d.script(s, false), d)
			}
		}
	}
	c.run(t, seeds)
	t.Logf("%d scripts, %d operations, %d differences explained, %d not", len(seeds), c.ops.Load(), c.known.Load(), c.unknown.Load())
	for _, name := range slices.Sorted(keys(c.explained)) {
		t.Logf("explained, %s: %d", name, c.explained[name])
	}
	for _, name := range slices.Sorted(keys(c.found)) {
		t.Logf("%4d  %s  seeds %v", len(c.found[name]), name, c.found[name][:min(6, len(c.found[name]))])
	}
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
	warren, rabbit      *broker
	ops, known, unknown atomic.Uint64

	mu        sync.Mutex          // guards what follows
	found     map[string][]uint64 // seeds by kind of difference
	explained map[string]int
}

func (c *comparison) run(t *testing.T, list []uint64) {
	t.Helper()
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	var doubtful []uint64
	for range crowd {
		wg.Go(func() {
			for seed := range seeds {
				if d := c.compare(generate(seed), quickly); d != nil {
					c.mu.Lock()
					doubtful = append(doubtful, seed)
					c.mu.Unlock()
				}
			}
		})
	}
	for _, seed := range list {
		seeds <- seed
	}
	close(seeds)
	wg.Wait()
	slices.Sort(doubtful)
	left := make(chan uint64)
	for range doubters {
		wg.Go(func() {
			for seed := range left {
				c.again(t, seed, len(list) < 50)
			}
		})
	}
	for _, seed := range doubtful {
		left <- seed
	}
	close(left)
	wg.Wait()
}

// again plays a script that differed once more, slowly: chance is no difference.
func (c *comparison) again(t *testing.T, seed uint64, few bool) {
	t.Helper()
	s := generate(seed)
	d := c.compare(s, again)
	if d != nil {
		d = c.compare(s, slowly)
	}
	if *verbose && d == nil {
		t.Logf("seed %d does not differ", seed)
	}
	if d == nil {
		return
	}
	name := d.explain(s)
	c.mu.Lock()
	if name != "" {
		c.explained[name]++
	} else {
		c.found[d.kind()] = append(c.found[d.kind()], seed)
	}
	first := name == "" && len(c.found[d.kind()]) == 1
	c.mu.Unlock()
	if name != "" {
		c.known.Add(1)
		return
	}
	c.unknown.Add(1)
	if first || few {
		if number("SHRINK", 1) > 0 {
			s, d = c.shrink(s, d)
		}
		t.Errorf("seed %d, %s\n%s%s", seed, d.kind(), d.script(s, *verbose), d)
	}
}

// shrink leaves out steps as long as the script still differs in the same way.
func (c *comparison) shrink(s *script, d *difference) (*script, *difference) {
	for size := len(s.ops) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(s.ops); {
			less := *s
			less.ops = slices.Concat(s.ops[:at], s.ops[min(at+size, len(s.ops)):])
			if e := c.compare(&less, slowly); e != nil && e.kind() == d.kind() {
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
func (c *comparison) compare(s *script, quiet time.Duration) *difference {
	var of [2][]string
	var errs [2]error
	var wg sync.WaitGroup
	for i, b := range []*broker{c.warren, c.rabbit} {
		wg.Go(func() { of[i], errs[i] = b.play(s, quiet) })
	}
	wg.Wait()
	c.ops.Add(uint64(len(s.ops)))
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
