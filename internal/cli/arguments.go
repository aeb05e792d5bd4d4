package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// arguments are the --argument flags of a declare: key=value, the value taken
// for a number or true/false when it reads as one; key:=JSON says it exactly.
type arguments []string

func (a *arguments) flag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar((*[]string)(a), "argument", nil, "key=value, or key:=JSON; may be given several times")
}

// object is the arguments as the API wants them.
func (a *arguments) object() (map[string]any, error) {
	m := map[string]any{}
	for _, s := range *a {
		if key, text, ok := strings.Cut(s, ":="); ok {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				return nil, usageError{fmt.Errorf("--argument %s: %q is not JSON", key, text)}
			}
			m[key] = v
			continue
		}
		key, text, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, usageError{fmt.Errorf("--argument %q is not key=value", s)}
		}
		m[key] = guess(text)
	}
	return m, nil
}

func guess(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	switch s {
	case "true":
		return true
	case "false":
		return false
	}
	return s
}

// brief shows arguments in one cell.
func brief(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "?"
	}
	return string(b)
}
