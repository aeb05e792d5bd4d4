package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table is what a command shows: the rows for people and scripts that want
// names, the value for those that want JSON.
type table struct {
	value any
	head  []string
	rows  [][]string // the first column is the name
}

// show writes a table in the chosen form.
func (c *client) show(t table) error {
	w := c.env.Stdout
	switch c.output {
	case "json":
		return writeJSON(w, t.value)
	case "name":
		for _, r := range t.rows {
			if _, err := fmt.Fprintln(w, r[0]); err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, r := range append([][]string{t.head}, t.rows...) {
		if i == 0 && len(t.rows) == 0 {
			break
		}
		if _, err := fmt.Fprintln(tw, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// done says that something was done, for people; scripts see nothing but
// JSON when they want it.
func (c *client) done(format string, a ...any) error {
	if c.output == "json" {
		return writeJSON(c.env.Stdout, map[string]string{"status": "ok"})
	}
	if c.output == "name" {
		return nil
	}
	_, err := fmt.Fprintf(c.env.Stdout, format+"\n", a...)
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
