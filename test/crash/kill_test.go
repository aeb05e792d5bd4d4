package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// number reads a count from the environment.
func number(t *testing.T, name string, byDefault int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return byDefault
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, s)
	}
	return n
}

// cycles says how often something is done: short with -short.
func cycles(t *testing.T, name string, byDefault, short int) int {
	t.Helper()
	if testing.Short() {
		byDefault = short
	}
	return number(t, name, byDefault)
}

// place of a test: where its data lies, kept when the test fails.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "warren-crash") //nolint:usetesting // kept when the test fails
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the data directory is kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// seed is where chance comes from; SEED replays.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := uint64(number(t, "SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("replay: SEED=%d go test -run '^%s$' ./test/crash", s, t.Name())
	return s
}

// trial is a data directory through many lives of its node.
type trial struct {
	t    *testing.T
	l    *Ledger
	defs *definitions
	pika *pika  // nil: not installed
	dir  string // of logs
	data string
	rng  *rand.Rand
	life int
	most int
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	s := seed(t)
	r := &trial{t: t, l: newLedger(), dir: workDir(t), rng: rand.New(rand.NewPCG(s, s)), most: 1500}
	r.data = filepath.Join(r.dir, "data")
	r.defs = newDefinitions()
	r.pika = startPika(t, r.l)
	return r
}

// launch is how the next life is started.
func (r *trial) launch() launch {
	r.life++
	o := launch{data: r.data, log: filepath.Join(r.dir, fmt.Sprintf("log-%03d.json", r.life))}
	if r.rng.IntN(3) == 0 {
		o.memory = "2000000"
	}
	return o
}

// start starts a life that has to come up.
func (r *trial) start(o launch) *node {
	r.t.Helper()
	n, err := start(r.t.Context(), o)
	if err != nil {
		if n != nil {
			r.t.Fatalf("life %d: %v\n%s", r.life, err, n.tail())
		}
		r.t.Fatalf("life %d: %v", r.life, err)
	}
	r.t.Cleanup(n.kill)
	return n
}

// run puts the load on a node, definitions and pika included.
func (r *trial) run(n *node) *load {
	r.t.Helper()
	d, err := run(r.t.Context(), r.l, n, r.rng.Uint64(), r.most)
	if err != nil {
		r.t.Fatalf("life %d: %v\n%s", r.life, err, n.tail())
	}
	r.defs.run(d)
	r.pika.run(d)
	return d
}

// ended checks a life that has ended: what was seen of it, and its log.
func (r *trial) ended(n *node, expected ...string) {
	r.t.Helper()
	for _, p := range append(r.l.take(), n.alarms(expected...)...) {
		r.t.Errorf("life %d: %s", r.life, p)
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// verify starts the node again and compares everything. What it returns has
// been verified and goes on, or has been stopped and started once more.
func (r *trial) verify() *node {
	r.t.Helper()
	n, f := r.compare()
	if f == remove {
		return n
	}
	// What was taken and given back stays in memory, and with a small limit
	// publishers would wait for it: begin again.
	r.stop(n)
	return r.start(r.launch())
}

// verifyOnce is verify, and ends the node.
func (r *trial) verifyOnce() {
	r.t.Helper()
	n, _ := r.compare()
	r.stop(n)
}

func (r *trial) compare() (*node, fate) {
	r.t.Helper()
	n := r.start(r.launch())
	f := []fate{keep, some, remove, remove}[r.rng.IntN(4)]
	err := verify(r.l, n, f)
	if err == nil {
		err = r.defs.verify(r.t.Context(), n)
	}
	if err != nil {
		n.kill()
		r.t.Fatalf("life %d: %v", r.life, err)
	}
	r.ended(n)
	return n, f
}

// stop ends a node gracefully.
func (r *trial) stop(n *node) {
	r.t.Helper()
	if err := n.stop(); err != nil {
		r.t.Fatalf("life %d: %v", r.life, err)
	}
	r.ended(n)
}

// first starts the first life and declares what the load needs.
func (r *trial) first() *node {
	r.t.Helper()
	n := r.start(r.launch())
	if err := topology(n); err != nil {
		r.t.Fatal(err)
	}
	if err := r.defs.begin(r.t.Context(), n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// moment is how long a load runs: 0.1 to 2 seconds, more often short.
func (r *trial) moment() time.Duration {
	f := r.rng.Float64()
	return 100*time.Millisecond + time.Duration(f*f*1900)*time.Millisecond
}

// report says what was done.
func (r *trial) report(what string) {
	r.t.Helper()
	total := r.l.total()
	r.t.Logf("%s: %v; definitions: %v", what, total, r.defs)
	if total.confirmed == 0 || total.found == 0 {
		r.t.Error("nothing was confirmed, or nothing found: the load does not work")
	}
}

// TestKill is kill -9 under load, again and again on one data directory.
func TestKill(t *testing.T) {
	r := newTrial(t)
	n := r.first()
	count := cycles(t, "CYCLES", 15, 3)
	for range count {
		d := r.run(n)
		time.Sleep(r.moment())
		n.kill()
		d.end()
		r.ended(n)
		n = r.verify()
	}
	r.stop(n)
	r.report(fmt.Sprintf("%d kills", count))
}
