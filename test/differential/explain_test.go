package differential_test

import (
	"regexp"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

var (
	numbers = regexp.MustCompile(`\d+`)
	quoted  = regexp.MustCompile(`"[^"]*"`)
)

// kind names a difference by the step and by the first line that differs.
func (d *difference) kind() string {
	what := "at the end"
	if d.op != nil {
		switch o := d.op.do.(type) {
		case amqp.Method:
			what = o.ID().String()
		case publish:
			what = "basic.publish"
		case settle:
			what = o.how
		default:
			what = strings.Fields(d.op.String())[0]
		}
	}
	a, b := strings.Split(d.warren, "\n"), strings.Split(d.rabbit, "\n")
	for i := range max(len(a), len(b)) {
		if x, y := at(a, i), at(b, i); x != y {
			return what + ": " + brief(x) + " / " + brief(y)
		}
	}
	return what
}

// brief shortens a line to what does not depend on the script.
func brief(s string) string {
	if text, ok := strings.CutPrefix(s, "  0/"); ok {
		s = text
	}
	if strings.Contains(s, "close") {
		s = numbers.ReplaceAllString(s, "N")
	} else {
		s = numbers.ReplaceAllString(quoted.ReplaceAllString(s, `""`), "N")
	}
	return s[:min(len(s), 160)]
}

// explain names a difference that is meant, or returns "".
func explain(*difference) string { return "" }
