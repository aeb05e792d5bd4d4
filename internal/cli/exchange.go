package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// exchange is an exchange as the API shows it.
type exchange struct {
	Name       string         `json:"name"`
	Vhost      string         `json:"vhost"`
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

func exchangeCommand(c *client) *cobra.Command {
	var p place
	var x exchange
	var a arguments
	create := c.command(&cobra.Command{
		Use: "create NAME", Short: "Make an exchange", Args: args("NAME"),
		Example: "  warren exchange create orders --cluster shop --vhost orders --type topic --durable",
	}, func(ctx context.Context, args []string) error {
		return c.declare(ctx, &p, "exchanges", args[0], &a, map[string]any{
			"type": x.Type, "durable": x.Durable, "auto_delete": x.AutoDelete, "internal": x.Internal,
		})
	})
	f := create.Flags()
	f.StringVar(&x.Type, "type", "direct", "direct, fanout, topic or headers")
	f.BoolVar(&x.Durable, "durable", false, "survives a restart")
	f.BoolVar(&x.AutoDelete, "auto-delete", false, "goes with its last binding")
	f.BoolVar(&x.Internal, "internal", false, "clients cannot publish to it")
	a.flag(create)
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List a vhost's exchanges", Args: args(), Example: "  warren exchange list --cluster shop --vhost orders",
	}, func(ctx context.Context, _ []string) error {
		list := []exchange{}
		if err := c.list(ctx, &p, "exchanges", &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"EXCHANGE", "TYPE", "DURABLE", "AUTO-DELETE", "INTERNAL", "ARGUMENTS"}}
		for _, x := range list {
			name := x.Name
			if name == "" && c.output == "table" {
				name = "(default)"
			}
			t.rows = append(t.rows, []string{name, x.Type, yes(x.Durable), yes(x.AutoDelete), yes(x.Internal), brief(x.Arguments)})
		}
		return c.show(t)
	})
	remove := c.deleteCommand(&p, "exchange", "exchanges")
	for _, cmd := range []*cobra.Command{create, list, remove} {
		p.flags(cmd)
	}
	return noun("exchange", "What publishers send to", create, list, remove)
}

// declare makes an exchange or a queue.
func (c *client) declare(ctx context.Context, p *place, kind, name string, a *arguments, in map[string]any) error {
	vhost, err := c.wire(ctx, p)
	if err != nil {
		return err
	}
	if in["arguments"], err = a.object(); err != nil {
		return err
	}
	path := "/api/" + kind + "/" + vhost + "/" + url.PathEscape(name)
	if err := c.call(ctx, http.MethodPut, path, in, nil); err != nil {
		return err
	}
	return c.done("%s is there", name)
}

// list gets the objects of one kind in a vhost.
func (c *client) list(ctx context.Context, p *place, kind string, out any) error {
	vhost, err := c.wire(ctx, p)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodGet, "/api/"+kind+"/"+vhost, nil, out)
}

// deleteCommand deletes an exchange or a queue.
func (c *client) deleteCommand(p *place, noun, kind string) *cobra.Command {
	var unused bool
	cmd := c.command(&cobra.Command{
		Use: "delete NAME", Short: "Delete a " + noun + " with its bindings", Args: args("NAME"),
		Example: "  warren " + noun + " delete NAME --cluster shop --vhost orders",
	}, func(ctx context.Context, args []string) error {
		vhost, err := c.wire(ctx, p)
		if err != nil {
			return err
		}
		path := "/api/" + kind + "/" + vhost + "/" + url.PathEscape(args[0])
		if unused {
			path += "?if-unused=true"
		}
		if err := c.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		return c.done("%s %s is deleted", noun, args[0])
	})
	cmd.Flags().BoolVar(&unused, "if-unused", false, "only when nobody uses it")
	return cmd
}
