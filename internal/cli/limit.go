package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// limited is whose limit a command is about.
type limited struct {
	place

	user, role string
}

func (l *limited) flags(cmd *cobra.Command) {
	l.place.flags(cmd)
	cmd.Flags().StringVar(&l.user, "user", "", "the limit is a user's, not the vhost's")
	cmd.Flags().StringVar(&l.role, "role", "", "the limit is that of a role of the cluster")
}

// path returns where the limit called name is.
func (c *client) limitPath(ctx context.Context, l *limited, name []string) (string, error) {
	switch {
	case l.user != "" && l.role != "":
		return "", usageError{errors.New("a limit is a user's or a role's: give --user or --role")}
	case l.user != "":
		return "/api/user-limits/" + url.PathEscape(l.user) + escaped(name), nil
	case l.role != "":
		id, err := c.clusterID(ctx, &l.place)
		return "/api/clusters/" + id + "/roles/" + url.PathEscape(l.role) + "/limits" + escaped(name), err
	}
	return c.inVhost("/api/vhost-limits", &l.place)(ctx, name)
}

func limitCommand(c *client) *cobra.Command {
	var l limited
	set := c.command(&cobra.Command{
		Use: "set NAME NUMBER", Short: "Set a limit of a vhost, a user or a role", Args: args("NAME", "NUMBER"),
		Example: "  warren limit set max-queues 100 --cluster shop --vhost orders\n  warren limit set max-connections 10 --cluster shop --role worker",
	}, func(ctx context.Context, args []string) error {
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("NUMBER %q is not a number", args[1])}
		}
		path, err := c.limitPath(ctx, &l, args[:1])
		if err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodPut, path, map[string]int64{"value": n}, nil); err != nil {
			return err
		}
		return c.done("%s is %d", args[0], n)
	})
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List limits", Args: args(), Example: "  warren limit list --cluster shop --vhost orders",
	}, func(ctx context.Context, _ []string) error {
		if l.role != "" {
			return usageError{errors.New("the limits of a role are shown by 'warren role show'")}
		}
		path, err := c.limitPath(ctx, &l, nil)
		if err != nil {
			return err
		}
		list := []object{}
		if err := c.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		return c.show(tabulate(list, list, column{"OF", "vhost"}, column{"USER", "user"}, column{"LIMITS", "value"}))
	})
	remove := c.sender(&cobra.Command{
		Use: "delete NAME", Short: "Remove a limit", Args: args("NAME"),
		Example: "  warren limit delete max-queues --cluster shop --vhost orders",
	}, http.MethodDelete, func(ctx context.Context, args []string) (string, error) {
		return c.limitPath(ctx, &l, args)
	}, nil, "%s is not limited any more")
	verbs := []*cobra.Command{set, list, remove}
	for _, cmd := range verbs {
		l.flags(cmd)
	}
	return noun("limit", "How many connections, channels and queues there may be", verbs...)
}
