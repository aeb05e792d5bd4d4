package mgmt

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEndpoints compares the registry with the list of RabbitMQ's paths: each is
// answered, or left out with a reason, and nothing that is answered is called
// left out.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/endpoints-4.3.6.txt")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\{[^}]*\}`)
	flat := func(method, path string) string { return method + " " + name.ReplaceAllString(path, "{}") }
	ours := map[string]bool{}
	for _, e := range Registry() {
		ours[flat(e.Method, strings.TrimPrefix(e.Path, "/api/"))] = true
	}
	answered, left, reasons := 0, 0, map[string]int{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		at, reason, _ := strings.Cut(line, "  ")
		methods, path, ok := strings.Cut(at, " ")
		if !ok {
			t.Fatalf("%q is no line of the list", line)
		}
		for method := range strings.SplitSeq(methods, ",") {
			switch is := ours[flat(method, path)]; {
			case is && reason != "":
				t.Errorf("%s %s is answered and called left out: %s", method, path, reason)
			case !is && reason == "":
				t.Errorf("%s %s is not answered", method, path)
			case is:
				answered++
			default:
				left++
				reasons[reason]++
			}
		}
	}
	if answered < 140 {
		t.Errorf("the list has %d paths that are answered", answered)
	}
	t.Logf("%d methods of RabbitMQ's paths are answered, %d are left out: %v; %d routes in all", answered, left, reasons, len(Registry()))
}
