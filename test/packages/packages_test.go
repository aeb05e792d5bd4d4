package packages

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long a tool may take.
const patience = 2 * time.Minute

// absent skips because something is not there that make test sees to; it sets
// WARREN_TEST_DEPS, and then the absence is a failure.
func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("WARREN_TEST_DEPS") != "" {
		t.Fatalf("%s is not there, and make test sees to it", what)
	}
	t.Skipf("%s is not there; make test sees to it", what)
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			absent(t, tool)
		}
	}
}

// made is the youngest package with an ending, as make package has made it.
func made(t *testing.T, pattern string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join("..", "..", "bin", "package", pattern))
	if err != nil {
		t.Fatal(err)
	}
	best, when := "", time.Time{}
	for _, path := range list {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(when) {
			best, when = path, info.ModTime()
		}
	}
	if best == "" {
		absent(t, "a package "+pattern)
	}
	sources, err := filepath.Glob(filepath.Join("..", "..", "dist", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(when) {
			absent(t, "a package made after "+path)
		}
	}
	path, err := filepath.Abs(best)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// host stands for the programs of a host that a package's scripts change it by:
// they note how they are called, and nothing happens.
type host struct {
	t   *testing.T
	dir string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	for _, name := range []string{"getent", "groupadd", "useradd", "systemctl"} {
		script := "#!/bin/sh\necho " + name + " \"$@\" >> '" + h.dir + "/calls'\n"
		if name == "getent" {
			script += "test -e '" + h.dir + "/users'\n"
		}
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// run runs a program on the host and returns what it prints.
func (h *host) run(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (h *host) try(args ...string) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + h.dir + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + h.dir, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// calls returns how the host was changed since the last call.
func (h *host) calls() string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, "calls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(h.dir, "calls"))
	return string(b)
}

// installed checks what a package brings, below a root.
func (h *host) installed(root, unit string) {
	h.t.Helper()
	bin := filepath.Join(root, "usr/bin/warren")
	if out := h.run(bin, "--version"); !strings.HasPrefix(out, "warren version ") || strings.Contains(out, "unknown") {
		h.t.Errorf("the version is %q", out)
	}
	if out := h.run(bin, "config", "check", "--config", filepath.Join(root, "etc/warren/warren.yaml")); !strings.Contains(out, "sound") {
		h.t.Errorf("the configuration: %s", out)
	}
	for path, has := range map[string]string{
		unit:                              "ExecStart=/usr/bin/warren serve --config /etc/warren/warren.yaml",
		"etc/warren/warren.yaml":          "data: /var/lib/warren",
		"usr/share/man/man1/warren.1":     ".TH",
		"usr/share/man/man1/warren-get.1": ".TH",
		"usr/share/bash-completion/completions/warren":    "__start_warren",
		"usr/share/zsh/vendor-completions/_warren":        "#compdef warren",
		"usr/share/fish/vendor_completions.d/warren.fish": "complete -c warren",
		"usr/share/warren/grafana/warren.json":            "warren_journal_sync_seconds_bucket",
		"usr/share/doc/warren/copyright":                  "Apache License",
		"usr/share/doc/warren/CHANGELOG.md":               "# Changelog",
	} {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || !strings.Contains(string(b), has) {
			h.t.Errorf("%s: %v, without %q", path, err, has)
		}
	}
}

const wantUser = `getent group warren
groupadd --system warren
getent passwd warren
useradd --system --gid warren --home-dir /var/lib/warren --shell /usr/sbin/nologin warren
`

// TestDeb installs, upgrades, removes and purges the package by dpkg, in a root
// of its own. Its scripts run, with the programs of a host that only take notes.
func TestDeb(t *testing.T) {
	need(t, "dpkg", "dpkg-query")
	if os.Getuid() != 0 {
		t.Skip("dpkg installs as root alone")
	}
	file := made(t, "warren_*_"+runtime.GOARCH+".deb")
	h := newHost(t)
	root := t.TempDir()
	admin := filepath.Join(root, "var/lib/dpkg")
	for _, dir := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(filepath.Join(admin, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(admin, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) {
		t.Helper()
		h.run(append([]string{"dpkg", "--root=" + root, "--force-script-chrootless", "--log=/dev/null"}, args...)...)
	}
	status := func() string {
		t.Helper()
		out, _ := h.try("dpkg-query", "--admindir="+admin, "-W", "-f", "${Status}", "warren")
		return out
	}
	dpkg("--install", file)
	if got := h.calls(); got != wantUser {
		t.Errorf("a new host was changed by\n%swant\n%s", got, wantUser)
	}
	if got := status(); got != "install ok installed" {
		t.Errorf("status %q", got)
	}
	h.installed(root, "lib/systemd/system/warren.service")

	config := filepath.Join(root, "etc/warren/warren.yaml")
	const ours = "data: /srv/warren\n"
	if err := errors.Join(os.WriteFile(config, []byte(ours), 0o600), os.WriteFile(filepath.Join(h.dir, "users"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	dpkg("--install", file) // an upgrade, to the same version
	if got := h.calls(); strings.Contains(got, "add ") || strings.Contains(got, "disable") {
		t.Errorf("an upgrade changes the host by\n%s", got)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != ours {
		t.Errorf("the upgrade has changed the configuration: %q, %v", b, err)
	}
	dpkg("--remove", "warren")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/warren")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program is still there: %v", err)
	}
	if _, err := os.Stat(config); err != nil {
		t.Errorf("the configuration has gone with the package: %v", err)
	}
	dpkg("--purge", "warren")
	if _, err := os.Stat(config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the configuration is still there after a purge: %v", err)
	}
}

// TestRPM installs the package by rpm, verifies and erases it, in a root of its
// own; its scripts run by themselves, since there is no shell in the root.
func TestRPM(t *testing.T) {
	need(t, "rpm")
	if os.Getuid() != 0 {
		t.Skip("rpm installs as root alone")
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	file := made(t, "warren-*."+arch+".rpm")
	h := newHost(t)
	root := t.TempDir()
	h.run("rpm", "--root", root, "--noscripts", "--nodeps", "--install", file)
	h.installed(root, "usr/lib/systemd/system/warren.service")
	if out := h.run("rpm", "--root", root, "--verify", "--nodeps", "warren"); strings.Contains(out, "missing") || strings.Contains(out, "S.5") {
		t.Errorf("verify says\n%s", out)
	}
	if out := h.run("rpm", "--query", "--package", "--configfiles", file); !strings.Contains(out, "/etc/warren/warren.yaml") {
		t.Errorf("configuration files: %q", out)
	}
	scripts := regexp.MustCompile(`(?s)(preinstall|postinstall|preuninstall) scriptlet \(using /bin/sh\):\n(.*?)(?:\n\n|$)`).
		FindAllStringSubmatch(h.run("rpm", "--query", "--package", "--scripts", file)+"\n", -1)
	if len(scripts) != 3 {
		t.Fatalf("%d scripts", len(scripts))
	}
	for _, s := range scripts {
		h.run("/bin/sh", "-c", s[2], "script", "1")
		if got := h.calls(); s[1] == "preinstall" && got != wantUser || strings.Contains(got, "disable") {
			t.Errorf("%s changes the host by\n%s", s[1], got)
		}
	}
	h.run("rpm", "--root", root, "--noscripts", "--erase", "warren")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/warren")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program is still there: %v", err)
	}
}

// TestUnits has systemd look at the units: nothing is unknown or wrong, and the
// service is as confined as it says.
func TestUnits(t *testing.T) {
	need(t, "systemd-analyze")
	h := newHost(t)
	dir := t.TempDir()
	program, err := exec.LookPath("true") // that there is one
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, name := range []string{"warren.service", "warren-amqp.socket", "warren-http.socket"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "dist", name))
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, name)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(b), "/usr/bin/warren", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, unit)
	}
	if out, err := h.try(append([]string{"systemd-analyze", "verify", "--man=no"}, units...)...); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("verify: %v\n%s", err, out)
	}
	const exposure = "20" // in tenths of ten
	if out, err := h.try("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+exposure, units[0]); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
