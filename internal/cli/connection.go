package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// connection is a connection as the API shows it.
type connection struct {
	Name     string `json:"name"`
	UserName string `json:"user_provided_name"`
	User     string `json:"user"`
	Vhost    string `json:"vhost"`
	Channels int    `json:"channels"`
	State    string `json:"state"`
}

func connectionCommand(c *client) *cobra.Command {
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List the connections", Args: args(), Example: "  warren connection list",
	}, func(ctx context.Context, _ []string) error {
		list := []connection{}
		if err := c.call(ctx, http.MethodGet, "/api/connections", nil, &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"CONNECTION", "USER", "VHOST", "CHANNELS", "NAME"}}
		for _, x := range list {
			t.rows = append(t.rows, []string{x.Name, x.User, x.Vhost, strconv.Itoa(x.Channels), x.UserName})
		}
		return c.show(t)
	})
	end := c.command(&cobra.Command{
		Use: "close CONNECTION", Short: "End a connection", Args: args("CONNECTION"),
		Example: "  warren connection close '127.0.0.1:50000 -> 127.0.0.1:5672'",
	}, func(ctx context.Context, args []string) error {
		if err := c.call(ctx, http.MethodDelete, "/api/connections/"+url.PathEscape(args[0]), nil, nil); err != nil {
			return err
		}
		return c.done("connection %s is closed", args[0])
	})
	return noun("connection", "Who is connected", list, end)
}
