package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// patience is how long anything may take before it counts as stuck.
const patience = 60 * time.Second

// warren builds ./cmd/warren once for all tests.
var warren = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "warren-crash-bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "warren")
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/warren")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := warren(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// node is one life of the process on a data directory.
type node struct {
	data, amqp, http, log string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// launch says how a node is started.
type launch struct {
	data   string
	memory string   // WARREN_HOT_WINDOW, empty: the default
	strace []string // arguments of strace, nil: without
	log    string   // where its log goes, by default behind data
}

// start starts a node and waits until it answers; an error says that it ended
// before.
func start(ctx context.Context, o launch) (*node, error) {
	path, err := warren()
	if err != nil {
		return nil, err
	}
	n := &node{data: o.data, log: o.log, done: make(chan struct{})}
	if n.log == "" {
		n.log = o.data + ".log"
	}
	if n.amqp, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	if n.http, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	args := []string{path, "serve", "--data", n.data, "--amqp", n.amqp, "--http", n.http, "--log-format", "json"}
	if o.strace != nil { // -D: the child is the node, strace a grandchild; with --seccomp-bpf no signal is injected
		args = append(append([]string{"strace", "-D", "-f", "-qq"}, o.strace...), args...)
	}
	out, err := os.Create(n.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()         // the node has its own
	n.cmd = exec.Command(args[0], args[1:]...) //nolint:noctx // it ends in many ways, each by its test
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // when the test is killed
	n.cmd.Env = os.Environ()
	if o.memory != "" {
		n.cmd.Env = append(n.cmd.Env, "WARREN_HOT_WINDOW="+o.memory)
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.done)
	}()
	return n, n.wait()
}

func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// errEnded says that the node has ended.
var errEnded = errors.New("the node has ended")

// wait returns when the node answers.
func (n *node) wait() error {
	for begun := time.Now(); time.Since(begun) < patience; {
		c, err := n.dial()
		if err == nil {
			return c.Close()
		}
		select {
		case <-n.done:
			return errEnded
		case <-time.After(10 * time.Millisecond):
		}
	}
	n.kill()
	return fmt.Errorf("the node does not answer after %v", patience)
}

func (n *node) dial() (*amqp091.Connection, error) {
	return amqp091.DialConfig("amqp://guest:guest@"+n.amqp+"/", amqp091.Config{
		Heartbeat: patience, Dial: amqp091.DefaultDial(patience),
	})
}

// kill is kill -9.
func (n *node) kill() {
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.done
}

// stop is SIGTERM; the error says that the node does not end as it should.
func (n *node) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	if !n.ends(patience) {
		n.kill()
		return fmt.Errorf("the node did not end within %v of SIGTERM", patience)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the node ended with %d after SIGTERM\n%s", code, n.tail())
	}
	return nil
}

// ends reports whether the node ends by itself.
func (n *node) ends(within time.Duration) bool {
	select {
	case <-n.done:
		return true
	case <-time.After(within):
		return false
	}
}

// alarms returns what the log has that it must not have: a panic always,
// errors unless they are expected.
func (n *node) alarms(expected ...string) (list []string) {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(text)) {
		bad := strings.Contains(line, "panic") || strings.Contains(line, "fatal error") || strings.Contains(line, "damaged") ||
			strings.Contains(line, `"level":"ERROR"`)
		for _, s := range expected {
			bad = bad && !strings.Contains(line, s)
		}
		if bad {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// tail returns the end of the log.
func (n *node) tail() string {
	text, _ := os.ReadFile(n.log)
	return string(text[max(0, len(text)-4000):])
}

// cli runs the command line against the node, as the directory's owner.
func (n *node) cli(ctx context.Context, args ...string) ([]byte, error) {
	path, err := warren()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(args, "--data", n.data)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("warren %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// get asks the HTTP API.
func (n *node) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+path, http.NoBody)
	if err != nil {
		return err
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// needTool skips where a program is not installed; where test/deps.sh has run
// its absence is a failure.
func needTool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("WARREN_TEST_DEPS") != "" {
			t.Fatalf("%s is not installed, and test/deps.sh has run", name)
		}
		t.Skipf("%s is not installed; test/deps.sh installs it", name)
	}
}
