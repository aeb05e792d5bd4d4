package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/warrenmq/warren/"

// arrows says what each package may import of this module; packages that are
// not named may import nothing of it. Arrows point down.
var arrows = map[string][]string{
	"cmd/warren":              {"internal/cli"},
	"warrentest":              {"internal/server", "internal/vfs", "internal/meta", "internal/auth"},
	"internal/cli":            {"internal/systemd", "internal/server", "internal/transport", "internal/config", "internal/meta", "internal/auth", "internal/bench"},
	"internal/transport":      nil,
	"internal/lobby":          {"internal/rawio"},
	"internal/server":         {"internal/lobby", "internal/otlp", "internal/history", "internal/transport", "internal/storage", "internal/vfs", "internal/mgmt", "internal/metrics", "internal/session", "internal/broker", "internal/meta", "internal/policy", "internal/auth"},
	"internal/mgmt":           {"internal/latency", "internal/listing", "internal/metrics", "internal/history", "internal/process", "internal/session", "internal/broker", "internal/queue", "internal/meta", "internal/policy", "internal/auth", "amqp"},
	"internal/mgmt/reference": {"internal/mgmt"},
	"internal/mgmt/gen":       {"internal/mgmt/reference"},
	"internal/metrics":        {"internal/latency", "internal/process", "internal/session", "internal/broker", "internal/queue"},
	"internal/session":        {"internal/rawio", "internal/history", "internal/broker", "internal/queue", "internal/meta", "internal/auth", "amqp"},
	"internal/broker":         {"internal/latency", "internal/history", "internal/route", "internal/queue", "internal/slab", "internal/pmap", "internal/meta", "internal/policy", "internal/auth", "amqp"},
	"internal/meta":           {"internal/policy", "internal/auth", "amqp"},
	"internal/policy":         {"amqp"},
	"internal/auth":           {"amqp"},
	"internal/bench":          {"amqp"},
	"internal/route":          {"internal/pmap", "amqp"},
	"internal/queue":          {"internal/slab"},
	"internal/storage":        {"internal/broker", "internal/backlog", "internal/journal", "internal/queue", "internal/slab", "internal/vfs"},
	"internal/backlog":        {"internal/queue", "internal/slab", "internal/vfs"},
	"internal/journal":        {"internal/vfs"},
	"amqp/internal/gen":       nil,
}

// pure packages touch nothing outside: no I/O, lock, clock or chance.
var pure = []string{"internal/history", "internal/queue", "internal/route", "internal/policy", "internal/pmap", "internal/slab"}

// impure are standard packages that a pure package may not import.
var impure = []string{"os", "net", "net/http", "sync", "sync/atomic", "time", "context", "log", "log/slog", "math/rand", "math/rand/v2", "io"}

// Limits of size, for hand-written code that is no test.
const (
	maxFileLines    = 600
	maxFuncLines    = 75
	maxFields       = 40
	maxMethods      = 6 // of an interface
	maxPackageLines = 8000
)

// file is one parsed Go file of the module.
type file struct {
	pkg, path string
	ast       *ast.File
	lines     int
	generated bool
	test      bool
}

func TestArrows(t *testing.T) {
	_, files := load(t)
	for _, f := range files {
		for _, spec := range f.ast.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if to, ours := strings.CutPrefix(path, module); ours && !f.test && !slices.Contains(arrows[f.pkg], to) {
				t.Errorf("%s imports %s: no arrow of ARCHITECTURE.md leads from %s to it", f.path, to, f.pkg)
			}
			if !f.test && slices.Contains(pure, f.pkg) && slices.Contains(impure, path) {
				t.Errorf("%s imports %s: %s is pure", f.path, path, f.pkg)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	fset, files := load(t)
	lines := map[string]int{}
	for _, f := range files {
		if f.generated || f.test {
			continue
		}
		if lines[f.pkg] += f.lines; f.lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it along a noun", f.path, f.lines, maxFileLines)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if why := tooLarge(fset, n); why != "" {
				t.Errorf("%s: %s", f.path, why)
			}
			return true
		})
	}
	for pkg, n := range lines {
		if n > maxPackageLines {
			t.Errorf("package %s has %d lines, more than %d", pkg, n, maxPackageLines)
		}
	}
}

// tooLarge says what is wrong with one declaration, or nothing.
func tooLarge(fset *token.FileSet, n ast.Node) string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "init" && n.Recv == nil {
			return "init(): main wires everything"
		}
		if k := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line; k > maxFuncLines {
			return fmt.Sprintf("func %s has %d lines, more than %d", n.Name.Name, k, maxFuncLines)
		}
	case *ast.TypeSpec:
		switch typ := n.Type.(type) {
		case *ast.StructType:
			if k := typ.Fields.NumFields(); k > maxFields {
				return fmt.Sprintf("struct %s has %d fields, more than %d", n.Name.Name, k, maxFields)
			}
		case *ast.InterfaceType:
			if k := typ.Methods.NumFields(); k > maxMethods {
				return fmt.Sprintf("interface %s has %d methods, more than %d", n.Name.Name, k, maxMethods)
			}
		}
	}
	return ""
}

// load parses every Go file of the module.
func load(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "bin") {
			if path == root {
				return nil
			}
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, file{
			pkg: filepath.ToSlash(filepath.Dir(rel)), path: rel, ast: parsed, lines: strings.Count(string(src), "\n"),
			generated: ast.IsGenerated(parsed), test: strings.HasSuffix(path, "_test.go"),
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found: the walk is wrong", len(files))
	}
	return fset, files
}
