package mgmt

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// toolRequest is a request that a tool makes, and what it reads from the answer.
type toolRequest struct {
	Tool, Method, Path string
	Body               json.RawMessage
	Status             int
	// Reads are fields, by their path in the answer, and their kinds; one with
	// a question mark may be missing.
	Reads map[string]string
	// Location says that the tool takes the properties_key out of the header.
	Location bool
}

// field finds a value by its path.
func field(v any, path string) (any, bool) {
	if path == "" {
		return v, true
	}
	name, rest, _ := strings.Cut(path, ".")
	switch v := v.(type) {
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(v) {
			return nil, false
		}
		return field(v[i], rest)
	case map[string]any:
		inner, ok := v[name]
		if !ok {
			return nil, false
		}
		return field(inner, rest)
	}
	return nil, false
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "null"
}

// TestTools plays what Terraform's provider and KEDA's scaler ask for: an object's
// life from its creation to the 404 that says that it has gone, and a queue's figures.
func TestTools(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	text, err := os.ReadFile("testdata/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []toolRequest
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	key, fields := "", 0
	for i := range list {
		r := &list[i]
		path := strings.ReplaceAll(r.Path, "{properties_key}", key)
		status, body, header := n.do(t, "guest", "guest", r.Method, path, string(r.Body))
		if status != r.Status {
			t.Errorf("%s: %s %s is %d %.300s, want %d", r.Tool, r.Method, path, status, body, r.Status)
			continue
		}
		if r.Location {
			where := header.Get("Location")
			if key = where[strings.LastIndexByte(where, '/')+1:]; key == "" {
				t.Errorf("%s: %s %s gives the location %q", r.Tool, r.Method, path, where)
			}
		}
		if r.Reads == nil {
			continue
		}
		var answer any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s: %s %s: %v in %.300s", r.Tool, r.Method, path, err, body)
		}
		for name, kind := range r.Reads {
			name, optional := strings.CutSuffix(name, "?")
			v, ok := field(answer, name)
			if !ok && !optional || ok && kindOf(v) != kind {
				t.Errorf("%s: %s of %s is %v, want a %s", r.Tool, name, path, v, kind)
			}
			fields++
		}
	}
	t.Logf("%d requests, %d fields that are read", len(list), fields)
}
