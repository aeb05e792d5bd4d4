package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
)

// outputs are the forms in which a command shows what it has.
func outputs() []string { return []string{"table", "json", "yaml", "name"} }

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
	case "yaml":
		return writeYAML(w, t.value)
	case "name":
		for _, r := range t.rows {
			name := r[0]
			if isTerminal(w) {
				name = strings.Map(printable, name)
			}
			if _, err := fmt.Fprintln(w, name); err != nil {
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
		cells := make([]string, len(r))
		for i := range r {
			cells[i] = strings.Map(printable, r[i])
		}
		if _, err := fmt.Fprintln(tw, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// done says that something was done, for people; scripts see nothing but
// JSON when they want it.
func (c *client) done(format string, a ...any) error {
	switch c.output {
	case "json":
		return writeJSON(c.env.Stdout, map[string]string{"status": "ok"})
	case "yaml":
		return writeYAML(c.env.Stdout, map[string]string{"status": "ok"})
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

// writeYAML writes a value with the names that it has in JSON.
func writeYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		b, err = yaml.JSONToYAML(b)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
