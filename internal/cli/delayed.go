package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// delayedPage is how many waiting messages are asked for at once.
const delayedPage = 1000

// delayedCommand is about messages that wait in an exchange of type
// x-delayed-message.
func delayedCommand(c *client) *cobra.Command {
	var p place
	at := func(ctx context.Context, args []string) (string, error) {
		vhost, err := c.wire(ctx, &p)
		return "/api/exchanges/" + vhost + "/" + url.PathEscape(args[0]) + "/delayed" + escaped(args[1:]), err
	}
	most := 100
	list := c.reading(&cobra.Command{
		Use: "list EXCHANGE", Short: "List what waits in a delayed exchange", Args: args("EXCHANGE"),
		Example: "  warren delayed list reminders --cluster shop --vhost orders --count 1000",
	}, func(ctx context.Context, args []string) error {
		path, err := at(ctx, args)
		if err != nil {
			return err
		}
		all := []object{}
		for from := ""; len(all) < most; {
			var page struct {
				Items []object
				Next  string
			}
			query := "?limit=" + strconv.Itoa(min(most-len(all), delayedPage))
			if from != "" {
				query += "&from=" + url.QueryEscape(from)
			}
			if err := c.call(ctx, http.MethodGet, path+query, nil, &page); err != nil {
				return err
			}
			all = append(all, page.Items...)
			if from = page.Next; from == "" {
				break
			}
		}
		return c.show(tabulate(all, all, column{"ID", "id"}, column{"DUE", "due"}, column{"KEY", "routing_key"},
			column{"BYTES", "payload_bytes"}))
	})
	list.Flags().IntVar(&most, "count", most, "how many at most")
	cancel := c.sender(&cobra.Command{
		Use: "cancel EXCHANGE ID", Short: "Cancel one message that waits", Args: args("EXCHANGE", "ID"),
		Example: "  warren delayed cancel reminders 17 --cluster shop --vhost orders",
	}, http.MethodDelete, at, nil, "the message is cancelled")
	purge := c.sender(&cobra.Command{
		Use: "purge EXCHANGE", Short: "Cancel all that waits in a delayed exchange", Args: args("EXCHANGE"),
		Example: "  warren delayed purge reminders --cluster shop --vhost orders",
	}, http.MethodDelete, at, nil, "nothing waits in %s any more")
	verbs := []*cobra.Command{list, cancel, purge}
	for _, cmd := range verbs {
		p.flags(cmd)
	}
	return noun("delayed", "Messages that wait in exchanges of type x-delayed-message", verbs...)
}
