package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func definitionsCommand(c *client) *cobra.Command {
	var p place
	whole := true
	path := func(ctx context.Context) (string, error) {
		if whole {
			return "/api/definitions", nil
		}
		return c.inVhost("/api/definitions", &p)(ctx, nil)
	}
	export := c.command(&cobra.Command{
		Use: "export [FILE]", Short: "Write all definitions as JSON, in RabbitMQ's form", Args: cobra.MaximumNArgs(1),
		Example: "  warren definitions export backup.json\n  warren definitions export --vhost orders --cluster shop > orders.json",
	}, func(ctx context.Context, args []string) error {
		at, err := path(ctx)
		if err != nil {
			return err
		}
		var all json.RawMessage
		if err := c.call(ctx, http.MethodGet, at, nil, &all); err != nil {
			return err
		}
		return c.writeFile(args, append(all, '\n'))
	})
	load := c.command(&cobra.Command{
		Use: "import FILE", Short: "Make what a file defines: Warren's or RabbitMQ's; - reads standard input", Args: args("FILE"),
		Example: "  warren definitions import rabbitmq-export.json",
	}, func(ctx context.Context, args []string) error {
		b, err := c.readFile(args[0])
		if err != nil {
			return err
		}
		if !json.Valid(b) {
			return fmt.Errorf("%s is not JSON", args[0])
		}
		at, err := path(ctx)
		if err != nil {
			return err
		}
		var answer any
		if err := c.call(ctx, http.MethodPost, at, json.RawMessage(b), &answer); err != nil {
			return err
		}
		if answer == nil { // all was taken as it is
			answer = object{"objects": []any{}}
		}
		return c.show(imported(answer))
	})
	diff := c.command(&cobra.Command{
		Use: "diff FILE [OTHER]", Short: "Compare a file with the node, or with another file; exit code 1 when they differ",
		Args: cobra.RangeArgs(1, 2), Example: "  warren definitions diff backup.json",
	}, func(ctx context.Context, args []string) error {
		return c.diffDefinitions(ctx, path, args)
	})
	verbs := []*cobra.Command{export, load, diff}
	for _, cmd := range verbs {
		p.flags(cmd)
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			whole = !cmd.Flags().Changed("vhost") && !cmd.Flags().Changed("cluster")
			return run(cmd, args)
		}
	}
	return noun("definitions", "Vhosts, users, queues, exchanges, bindings, policies: all but messages", verbs...)
}

// imported shows what became of the objects of a file.
func imported(answer any) table {
	t := table{value: answer, head: []string{"KIND", "NAME", "VHOST", "RESULT", "REASON"}}
	o, _ := answer.(object)
	list, _ := o["objects"].([]any)
	for _, e := range list {
		if e, ok := e.(object); ok {
			t.rows = append(t.rows, []string{cell(e["kind"]), cell(e["name"]), cell(e["vhost"]), cell(e["result"]), cell(e["reason"])})
		}
	}
	return t
}

// readFile reads a file, or standard input for -.
func (c *client) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.env.Stdin)
	}
	return os.ReadFile(name) //nolint:gosec // the user names the file
}

// writeFile writes to the file that is given, if one is, or standard output.
func (c *client) writeFile(args []string, b []byte) error {
	if len(args) == 0 || args[0] == "-" {
		_, err := c.env.Stdout.Write(b)
		return err
	}
	if err := os.WriteFile(args[0], b, 0o600); err != nil {
		return err
	}
	return c.done("%s is written", args[0])
}

// difference is one object that two sets of definitions do not have alike.
type difference struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Change string `json:"change"` // added, removed, changed: from the first to the second
	From   object `json:"from,omitempty"`
	To     object `json:"to,omitempty"`
}

func (c *client) diffDefinitions(ctx context.Context, path func(ctx context.Context) (string, error), args []string) error {
	var sides [2]map[string][]object
	for i, name := range args {
		b, err := c.readFile(name)
		if err != nil {
			return err
		}
		if sides[i], err = definitionsOf(b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(args) == 1 {
		at, err := path(ctx)
		if err != nil {
			return err
		}
		var all json.RawMessage
		if err := c.call(ctx, http.MethodGet, at, nil, &all); err != nil {
			return err
		}
		if sides[1], err = definitionsOf(all); err != nil {
			return err
		}
	}
	list := differences(sides[0], sides[1])
	t := table{value: list, head: []string{"CHANGE", "KIND", "NAME", "FROM", "TO"}}
	for _, d := range list {
		from, to := unlike(d.From, d.To)
		t.rows = append(t.rows, []string{d.Change, d.Kind, d.Name, cell(from), cell(to)})
	}
	if err := c.show(t); err != nil {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("%d objects differ", len(list))
	}
	return nil
}

// definitionsOf reads a file of definitions: lists of objects by kind.
func definitionsOf(b []byte) (map[string][]object, error) {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("it is not a file of definitions: %w", err)
	}
	kinds := map[string][]object{}
	for kind, v := range all {
		list, ok := v.([]any)
		if !ok {
			continue
		}
		for _, e := range list {
			if o, ok := e.(object); ok {
				kinds[kind] = append(kinds[kind], o)
			}
		}
	}
	return kinds, nil
}

// identity are the fields that name an object of any kind.
func identity() []string {
	return []string{"vhost", "component", "name", "user", "exchange", "source", "destination_type", "destination", "routing_key"}
}

// differences lists what a and b do not have alike, by kind and name.
func differences(a, b map[string][]object) []difference {
	list := []difference{}
	kinds := maps.Clone(a)
	maps.Copy(kinds, b)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		from, to := byName(kind, a[kind]), byName(kind, b[kind])
		names := maps.Clone(from)
		maps.Copy(names, to)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			x, y := from[name], to[name]
			d := difference{Kind: kind, Name: name, From: x, To: y}
			switch {
			case x == nil:
				d.Change = "added"
			case y == nil:
				d.Change = "removed"
			case cell(x) != cell(y): // JSON of maps has its keys in order
				d.Change = "changed"
			default:
				continue
			}
			list = append(list, d)
		}
	}
	return list
}

func byName(kind string, list []object) map[string]object {
	m := map[string]object{}
	for _, o := range list {
		var parts []string
		for _, f := range identity() {
			if s, ok := o[f].(string); ok && (f != "exchange" || kind == "topic_permissions") {
				parts = append(parts, s)
			}
		}
		if kind == "bindings" {
			parts = append(parts, cell(o["arguments"]))
		}
		m[strings.Join(parts, " ")] = o
	}
	return m
}

// unlike returns the fields that two objects do not have alike.
func unlike(a, b object) (from, to object) {
	if a == nil || b == nil {
		return nil, nil
	}
	from, to = object{}, object{}
	for k := range a {
		if cell(a[k]) != cell(b[k]) {
			from[k], to[k] = a[k], b[k]
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			to[k] = b[k]
		}
	}
	return from, to
}
