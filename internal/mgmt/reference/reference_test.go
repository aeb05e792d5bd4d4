package reference

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestUpToDate: the documents are what go generate makes of the registry.
func TestUpToDate(t *testing.T) {
	t.Parallel()
	openapi, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"openapi.json": openapi, "http.md": Markdown()} {
		got, err := os.ReadFile("../../../doc/reference/" + name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("doc/reference/%s is not up to date: run go generate ./internal/mgmt (%v)", name, err)
		}
	}
}

// TestOpenAPI: the description is whole.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	b, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Parameters  []struct {
				Name, In string
				Required bool
				Ref      string `json:"$ref"`
			}
			Responses map[string]any
		}
		Components struct{ Parameters map[string]any }
	}
	if err := json.Unmarshal(b, &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Fatal(err, d.OpenAPI)
	}
	ids, n := map[string]bool{}, 0
	for path, operations := range d.Paths {
		for method, o := range operations {
			n++
			if ids[o.OperationID] || o.Summary == "" || len(o.Responses) < 2 {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			ids[o.OperationID] = true
			for _, p := range o.Parameters {
				if ref, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok && d.Components.Parameters[ref] == nil {
					t.Errorf("%s %s refers to %s", method, path, p.Ref)
				}
				if p.In == "path" && (!p.Required || !strings.Contains(path, "{"+p.Name+"}")) {
					t.Errorf("%s %s has a parameter %s", method, path, p.Name)
				}
			}
		}
	}
	if n != len(all()) {
		t.Errorf("%d operations of %d routes", n, len(all()))
	}
	undescribed := 0
	for _, r := range all() {
		if r.text == "Not described yet." {
			undescribed++
			t.Logf("%s %s is not described in routes.txt", r.Method, r.Path)
		}
	}
	t.Logf("%d routes, %d not described", n, undescribed)
}
