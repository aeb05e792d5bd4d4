package apps_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/warrentest"
)

const python = "/usr/bin/python3"

// patience is how long a program may take.
const patience = 90 * time.Second

// need skips where a program's library is not installed; test/deps.sh installs
// it, and make test sets WARREN_TEST_DEPS, and then its absence is a failure.
func need(t *testing.T, env []string, name string, probe ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), probe[0], probe[1:]...)
	cmd.Env = env
	err := cmd.Run()
	switch {
	case err == nil:
	case os.Getenv("WARREN_TEST_DEPS") != "":
		t.Fatalf("%s is not installed, and test/deps.sh has run: %v", name, err)
	default:
		t.Skipf("%s is not installed; test/deps.sh installs it", name)
	}
}

// run runs a program against a broker of its own.
func run(t *testing.T, env []string, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(env, "BROKER=amqp://guest:guest@"+warrentest.Start(t).Listen()+"/%2F")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done") {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestCelery(t *testing.T) {
	t.Parallel()
	env := append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1")
	need(t, env, "python3-celery", python, "-c", "import celery")
	run(t, env, "celery", python, "run.py")
}

func TestPika(t *testing.T) {
	t.Parallel()
	need(t, os.Environ(), "python3-pika", python, "-c", "import pika")
	run(t, os.Environ(), "pika", python, "tutorials.py")
}

func TestAmqplib(t *testing.T) {
	t.Parallel()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	env := append(os.Environ(), "NODE_PATH="+filepath.Join(cache, "warren-test", "node_modules"))
	need(t, env, "npm's amqplib", "node", "-e", "require('amqplib')")
	run(t, env, "amqplib", "node", "tutorials.js")
}
