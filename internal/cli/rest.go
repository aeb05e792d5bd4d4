package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// object is any object of the API.
type object = map[string]any

// column is a column of a table: its head, and the field of an object that it
// shows, a path with dots into nested ones.
type column struct{ head, field string }

// tabulate makes a table of objects; the first column is the name.
func tabulate(value any, list []object, columns ...column) table {
	t := table{value: value}
	for _, k := range columns {
		t.head = append(t.head, k.head)
	}
	for _, o := range list {
		row := make([]string, len(columns))
		for i, k := range columns {
			row[i] = cell(field(o, k.field))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// properties makes a table of one object: a row a field.
func properties(o object, columns ...column) table {
	t := table{value: o, head: []string{"FIELD", "VALUE"}}
	for _, k := range columns {
		t.rows = append(t.rows, []string{k.head, cell(field(o, k.field))})
	}
	return t
}

func field(o object, path string) any {
	first, rest, nested := strings.Cut(path, ".")
	v := o[first]
	if !nested {
		return v
	}
	if inner, ok := v.(object); ok {
		return field(inner, rest)
	}
	return nil
}

// cell shows a value in one cell.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.Map(printable, v)
	case bool:
		return yes(v)
	case json.Number:
		return v.String()
	case object:
		if len(v) == 0 {
			return ""
		}
	case []any:
		if len(v) == 0 {
			return ""
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

// printable replaces what would upset a terminal, or show a text as another:
// names are whatever a tenant has chosen.
func printable(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return '·'
	}
	return r
}

// printableLines is printable for a text of several lines.
func printableLines(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	return printable(r)
}

// route returns the path of a request, once it is known where.
type route func(ctx context.Context, args []string) (string, error)

// fixed is a path that depends on nothing.
func fixed(path string) route {
	return func(context.Context, []string) (string, error) { return path, nil }
}

// inVhost is base, the vhost, and the arguments, as a path.
func (c *client) inVhost(base string, p *place) route {
	return func(ctx context.Context, args []string) (string, error) {
		vhost, err := c.wire(ctx, p)
		if err != nil {
			return "", err
		}
		return base + "/" + vhost + escaped(args), nil
	}
}

// below is base and the arguments, as a path.
func below(base string) route {
	return func(_ context.Context, args []string) (string, error) { return base + escaped(args), nil }
}

func escaped(args []string) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString("/" + url.PathEscape(a))
	}
	return b.String()
}

// lister is a verb that shows what a path lists.
func (c *client) lister(cmd *cobra.Command, at route, columns ...column) *cobra.Command {
	return c.reading(cmd, func(ctx context.Context, args []string) error {
		path, err := at(ctx, args)
		if err != nil {
			return err
		}
		list := []object{}
		if err := c.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		return c.show(tabulate(list, list, columns...))
	})
}

// shower is a verb that shows the object at a path.
func (c *client) shower(cmd *cobra.Command, at route, columns ...column) *cobra.Command {
	return c.reading(cmd, func(ctx context.Context, args []string) error {
		path, err := at(ctx, args)
		if err != nil {
			return err
		}
		o := object{}
		if err := c.call(ctx, http.MethodGet, path, nil, &o); err != nil {
			return err
		}
		return c.show(properties(o, columns...))
	})
}

// sender is a verb that sends something to a path and says that it is done.
func (c *client) sender(
	cmd *cobra.Command, method string, at route, body func(args []string) (any, error), said string,
) *cobra.Command {
	return c.command(cmd, func(ctx context.Context, args []string) error {
		path, err := at(ctx, args)
		if err != nil {
			return err
		}
		var in any
		if body != nil {
			if in, err = body(args); err != nil {
				return err
			}
		}
		if err := c.call(ctx, method, path, in, nil); err != nil {
			return err
		}
		if strings.Contains(said, "%s") && len(args) > 0 {
			said = fmt.Sprintf(said, args[0])
		}
		return c.done("%s", said)
	})
}
