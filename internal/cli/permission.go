package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

func permissionCommand(c *client) *cobra.Command {
	var p place
	at := c.inVhost("/api/permissions", &p)
	var configure, write, read string
	set := c.sender(&cobra.Command{
		Use: "set USER", Short: "Say what a user may do in a vhost, by regular expressions over names", Args: args("USER"),
		Example: "  warren permission set alice --configure '^alice\\.' --write '.*' --read '.*' --vhost /",
	}, http.MethodPut, at, func([]string) (any, error) {
		return map[string]string{"configure": configure, "write": write, "read": read}, nil
	}, "permissions of %s are set")
	f := set.Flags()
	f.StringVar(&configure, "configure", "", "queues and exchanges that may be made and deleted")
	f.StringVar(&write, "write", "", "those that may be published to and bound")
	f.StringVar(&read, "read", "", "those that may be consumed from and bound to")
	verbs := []*cobra.Command{
		set,
		c.lister(&cobra.Command{
			Use: "list", Short: "List who may do what in a vhost", Args: args(), Example: "  warren permission list --vhost /",
		}, func(ctx context.Context, _ []string) (string, error) {
			vhost, err := c.wire(ctx, &p)
			return "/api/vhosts/" + vhost + "/permissions", err
		}, column{"USER", "user"}, column{"CONFIGURE", "configure"}, column{"WRITE", "write"}, column{"READ", "read"}),
		c.sender(&cobra.Command{
			Use: "delete USER", Short: "Take a user's permissions in a vhost away", Args: args("USER"),
			Example: "  warren permission delete alice --vhost /",
		}, http.MethodDelete, at, nil, "%s has no permissions any more"),
		topicCommand(c, &p),
	}
	for _, cmd := range verbs[:3] {
		p.flags(cmd)
	}
	return noun("permission", "What users may do in a vhost; roles are granted with 'warren role grant'", verbs...)
}

// topicCommand is about routing keys that a user may publish with or bind.
func topicCommand(c *client, p *place) *cobra.Command {
	at := c.inVhost("/api/topic-permissions", p)
	var exchange, write, read string
	set := c.sender(&cobra.Command{
		Use: "set USER", Short: "Say which routing keys of a topic exchange a user may use", Args: args("USER"),
		Example: "  warren permission topic set alice --exchange events --write '^alice\\.' --read '.*'",
	}, http.MethodPut, at, func([]string) (any, error) {
		return map[string]string{"exchange": exchange, "write": write, "read": read}, nil
	}, "topic permissions of %s are set")
	f := set.Flags()
	f.StringVar(&exchange, "exchange", "amq.topic", "topic exchange")
	f.StringVar(&write, "write", "", "routing keys that may be published with")
	f.StringVar(&read, "read", "", "binding keys that may be bound with")
	verbs := []*cobra.Command{
		set,
		c.lister(&cobra.Command{
			Use: "list", Short: "List the topic permissions of a vhost", Args: args(), Example: "  warren permission topic list --vhost /",
		}, func(ctx context.Context, _ []string) (string, error) {
			vhost, err := c.wire(ctx, p)
			return "/api/vhosts/" + vhost + "/topic-permissions", err
		}, column{"USER", "user"}, column{"EXCHANGE", "exchange"}, column{"WRITE", "write"}, column{"READ", "read"}),
		c.sender(&cobra.Command{
			Use: "delete USER", Short: "Take a user's topic permissions in a vhost away", Args: args("USER"),
			Example: "  warren permission topic delete alice --vhost /",
		}, http.MethodDelete, at, nil, "%s has no topic permissions any more"),
	}
	for _, cmd := range verbs {
		p.flags(cmd)
	}
	return noun("topic", "Which routing keys users may use", verbs...)
}
