package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// user is a user of the default cluster: a role with a password.
type user struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func userCommand(c *client) *cobra.Command {
	var password string
	var tags []string
	add := c.command(&cobra.Command{
		Use: "add USER", Short: "Make a user of the default cluster, or change its password and tags", Args: args("USER"),
		Example: "  warren user add ann --password secret --tag administrator",
	}, func(ctx context.Context, args []string) error {
		in := map[string]any{"password": password, "tags": append([]string{}, tags...)}
		if err := c.call(ctx, http.MethodPut, "/api/users/"+url.PathEscape(args[0]), in, nil); err != nil {
			return err
		}
		return c.done("user %s is there", args[0])
	})
	add.Flags().StringVar(&password, "password", "", "password")
	add.Flags().StringSliceVar(&tags, "tag", nil, "tag: administrator, monitoring, policymaker, management, impersonator")
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List the users of the default cluster", Args: args(), Example: "  warren user list",
	}, func(ctx context.Context, _ []string) error {
		list := []user{}
		if err := c.call(ctx, http.MethodGet, "/api/users", nil, &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"USER", "TAGS"}}
		for _, u := range list {
			t.rows = append(t.rows, []string{u.Name, strings.Join(u.Tags, ",")})
		}
		return c.show(t)
	})
	remove := c.command(&cobra.Command{
		Use: "delete USER", Short: "Delete a user; its connections end", Args: args("USER"), Example: "  warren user delete ann",
	}, func(ctx context.Context, args []string) error {
		if err := c.call(ctx, http.MethodDelete, "/api/users/"+url.PathEscape(args[0]), nil, nil); err != nil {
			return err
		}
		return c.done("user %s is deleted", args[0])
	})
	return noun("user", "Users with passwords, of the default cluster", add, list, remove, permitCommand(c))
}

func permitCommand(c *client) *cobra.Command {
	var vhost string
	p := map[string]*string{"configure": new(string), "write": new(string), "read": new(string)}
	cmd := c.command(&cobra.Command{
		Use: "permit USER", Short: "Set a user's permissions on a vhost: three regular expressions", Args: args("USER"),
		Example: "  warren user permit ann --vhost / --configure '^ann\\.' --write '.*' --read '.*'",
	}, func(ctx context.Context, args []string) error {
		path := "/api/permissions/" + url.PathEscape(vhost) + "/" + url.PathEscape(args[0])
		if err := c.call(ctx, http.MethodPut, path, p, nil); err != nil {
			return err
		}
		return c.done("user %s has permissions on vhost %s", args[0], vhost)
	})
	cmd.Flags().StringVar(&vhost, "vhost", "/", "vhost")
	cmd.Flags().StringVar(p["configure"], "configure", ".*", "what may be declared and deleted")
	cmd.Flags().StringVar(p["write"], "write", ".*", "what may be published to")
	cmd.Flags().StringVar(p["read"], "read", ".*", "what may be consumed from")
	return cmd
}
