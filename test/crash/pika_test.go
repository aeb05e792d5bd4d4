package crash_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const python = "/usr/bin/python3"

// pika is load.py, which says what it does. It lives through all lives of the
// node. A nil one does nothing.
type pika struct {
	l   *Ledger
	in  io.Writer
	out *bufio.Scanner
}

// startPika starts load.py, or returns nil where pika is not installed.
func startPika(t *testing.T, l *Ledger) *pika {
	t.Helper()
	if err := exec.CommandContext(t.Context(), python, "-c", "import pika").Run(); err != nil {
		if os.Getenv("WARREN_TEST_DEPS") != "" {
			t.Fatalf("pika is not installed, and test/deps.sh has run: %v", err)
		}
		t.Log("without pika: test/deps.sh installs it")
		return nil
	}
	cmd := exec.CommandContext(t.Context(), python, "load.py", strconv.Itoa(pubPika), "crash.pika")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
		}
	})
	return &pika{l: l, in: in, out: bufio.NewScanner(out)}
}

// run sends it to a node until that dies.
func (p *pika) run(d *load) {
	if p == nil {
		return
	}
	f := &flow{}
	p.l.source(f, "crash.pika")
	_, port, _ := net.SplitHostPort(d.node.amqp)
	if _, err := fmt.Fprintln(p.in, port); err != nil {
		p.note("pika has ended: %v", err)
		return
	}
	d.work.Go(func() {
		sent := map[uint32]*publish{}
		for p.out.Scan() {
			if p.out.Text() == "lost" {
				return
			}
			p.line(f, sent, p.out.Text())
		}
		p.note("pika has ended: %v", p.out.Err())
	})
}

func (p *pika) note(format string, args ...any) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.problem(format, args...)
}

// line enters what it says into the ledger.
func (p *pika) line(f *flow, sent map[uint32]*publish, text string) {
	var verb string
	i := id{pub: pubPika}
	if n, _ := fmt.Sscanf(text, "sending %d", &i.seq); n == 1 {
		sent[i.seq] = p.l.sending(f, i, true, nil, "crash.pika")
		return
	}
	if n, _ := fmt.Sscanf(text, "confirmed %d", &i.seq); n == 1 {
		p.l.confirmed(sent[i.seq])
		delete(sent, i.seq)
		return
	}
	_, _ = fmt.Sscan(text, &verb, &i.pub, &i.seq)
	switch verb {
	case "got":
		p.got(i)
	case "acking":
		p.l.acking("crash.pika", i)
	case "acked":
		p.l.acked(f, "crash.pika", i)
	default:
		p.note("pika says %q", text)
	}
}

// got is a delivery whose body the program has checked.
func (p *pika) got(i id) {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.deliver("crash.pika", i)
}
