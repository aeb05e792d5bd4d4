package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// The files in the repository are what the generator makes, however often it runs.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := run([]string{"-spec", "../../../spec/amqp0-9-1.json", "-out", dir}, io.Discard); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"codes_gen.go", "methods_gen.go"} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("../..", name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what the generator makes of the specification: run go generate", name)
			}
		}
	}
}

func TestSpecIsChecked(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"syntax", `{`, "json"},
		{"unknown member", `{"colour": 1}`, "colour"},
		{"scope", `{"replyCodes": [{"name": "a", "code": 1, "scope": "world"}]}`, `scope "world"`},
		{"sender", `{"classes": [{"name": "c", "id": 1, "methods": [{"name": "m", "id": 1, "from": "me", "doc": "x"}]}]}`, `c.m: unknown sender "me"`},
		{"doc", `{"classes": [{"name": "c", "id": 1, "methods": [{"name": "m", "id": 1, "from": "both"}]}]}`, "c.m: no doc"},
		{"type", `{"classes": [{"name": "c", "id": 1, "methods": [{"name": "m", "id": 1, "from": "both", "doc": "x", "fields": [{"name": "f", "type": "text"}]}]}]}`, `field f: unknown type "text"`},
		{"nine bits", bits("bit", "bit", "bit", "bit", "bit", "bit", "bit", "bit", "bit"), "one octet"},
		{"bits apart", bits("bit", "octet", "bit"), "one octet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := fstest.MapFS{"s.json": &fstest.MapFile{Data: []byte(tt.src)}}
			if _, err := generate(dir, "s.json"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("generate: %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := generate(fstest.MapFS{}, "s.json"); err == nil {
		t.Error("generate without a specification: no error")
	}
}

// bits returns a specification of one method that has fields of these types.
func bits(types ...string) string {
	var fields []string
	for _, typ := range types {
		fields = append(fields, `{"name": "f", "type": "`+typ+`"}`)
	}
	return `{"classes": [{"name": "c", "id": 1, "methods": [{"name": "m", "id": 1, "from": "both", "doc": "x", "fields": [` +
		strings.Join(fields, ",") + `]}]}]}`
}

func TestNames(t *testing.T) {
	if got := goName("class-id"); got != "ClassID" {
		t.Errorf("goName = %s", got)
	}
	if got := constName("not-found"); got != "NOT_FOUND" {
		t.Errorf("constName = %s", got)
	}
}
