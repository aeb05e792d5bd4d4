// Command gen writes the generated files of package amqp from the machine-readable specification.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run reads the specification that args name and writes the generated files.
func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	specPath := flags.String("spec", "", "the specification, a JSON file")
	out := flags.String("out", ".", "the directory to write to")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	files, err := generate(os.DirFS(filepath.Dir(*specPath)), filepath.Base(*specPath))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(*out, f.name), f.content, 0o600); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// file is a generated file.
type file struct {
	name    string
	content []byte
}

// generate returns the files made from the specification of this name.
func generate(dir fs.FS, name string) ([]file, error) {
	src, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	s, err := parseSpec(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	codes, err := render(codesTemplate, s)
	if err != nil {
		return nil, fmt.Errorf("codes: %w", err)
	}
	methods, err := render(methodsTemplate, s)
	if err != nil {
		return nil, fmt.Errorf("methods: %w", err)
	}
	return []file{{"codes_gen.go", codes}, {"methods_gen.go", methods}}, nil
}
