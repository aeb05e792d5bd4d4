package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// vhost is a vhost as the API shows it.
type vhost struct {
	Name             string `json:"name"`
	Vhost            string `json:"vhost"`
	Cluster          string `json:"cluster"`
	Description      string `json:"description"`
	LenientRedeclare bool   `json:"lenient_redeclare"`
	Messages         int    `json:"messages"`
}

func vhostCommand(c *client) *cobra.Command {
	var p place
	path := func(ctx context.Context, name string) (string, error) {
		id, err := c.clusterID(ctx, &p)
		return "/api/clusters/" + id + "/vhosts/" + url.PathEscape(name), err
	}
	var description string
	create := c.command(&cobra.Command{
		Use: "create VHOST", Short: "Make a vhost", Args: args("VHOST"),
		Example: "  warren vhost create orders --cluster shop",
	}, func(ctx context.Context, args []string) error {
		at, err := path(ctx, args[0])
		if err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodPut, at, map[string]string{"description": description}, nil); err != nil {
			return err
		}
		return c.showVhost(ctx, at)
	})
	create.Flags().StringVar(&description, "description", "", "a note")
	show := c.reading(&cobra.Command{
		Use: "show VHOST", Short: "Show a vhost", Args: args("VHOST"), Example: "  warren vhost show orders --cluster shop",
	}, func(ctx context.Context, args []string) error {
		at, err := path(ctx, args[0])
		if err != nil {
			return err
		}
		return c.showVhost(ctx, at)
	})
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List a cluster's vhosts", Args: args(), Example: "  warren vhost list --cluster shop",
	}, func(ctx context.Context, _ []string) error {
		id, err := c.clusterID(ctx, &p)
		if err != nil {
			return err
		}
		list := []vhost{}
		if err := c.call(ctx, http.MethodGet, "/api/clusters/"+id+"/vhosts", nil, &list); err != nil {
			return err
		}
		return c.show(vhosts(list, list...))
	})
	remove := c.command(&cobra.Command{
		Use: "delete VHOST", Short: "Delete a vhost with everything in it", Args: args("VHOST"),
		Example: "  warren vhost delete orders --cluster shop",
	}, func(ctx context.Context, args []string) error {
		at, err := path(ctx, args[0])
		if err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodDelete, at, nil, nil); err != nil {
			return err
		}
		return c.done("vhost %s is deleted with everything in it", args[0])
	})
	for _, cmd := range []*cobra.Command{create, list, show, remove} {
		p.clusterFlag(cmd)
	}
	return noun("vhost", "Isolated sets of exchanges and queues inside a cluster", create, list, show, remove)
}

func (c *client) showVhost(ctx context.Context, path string) error {
	var v vhost
	if err := c.call(ctx, http.MethodGet, path, nil, &v); err != nil {
		return err
	}
	return c.show(vhosts(v, v))
}

func vhosts(value any, list ...vhost) table {
	t := table{value: value, head: []string{"VHOST", "CLIENTS USE", "MESSAGES", "LENIENT", "DESCRIPTION"}}
	for _, v := range list {
		t.rows = append(t.rows, []string{v.Vhost, v.Name, strconv.Itoa(v.Messages), yes(v.LenientRedeclare), v.Description})
	}
	return t
}
