package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTime is how long a shell waits for names.
const completionTime = 2 * time.Second

// completes adds what shells propose: names of clusters and vhosts for the
// flags, and for the first argument those of what the command is about.
func (c *client) completes(root *cobra.Command) {
	for _, cmd := range commands(root) {
		for flag, f := range map[string]func(ctx context.Context, cmd *cobra.Command) []string{
			"cluster": c.clusterNames, "vhost": c.vhostNames, "profile": c.profileNames,
			"output": func(context.Context, *cobra.Command) []string { return outputs() },
		} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, completion(f))
			}
		}
		if f := c.argumentNames(cmd); f != nil && cmd.ValidArgsFunction == nil {
			complete := completion(f)
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveDefault
				}
				return complete(cmd, args, begun)
			}
		}
	}
}

// commands are root and all below it.
func commands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		list = append(list, commands(cmd)...)
	}
	return list
}

func completion(f func(ctx context.Context, cmd *cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		list := slices.DeleteFunc(f(ctx, cmd), func(s string) bool { return !strings.HasPrefix(s, begun) })
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// argumentNames returns what names the first argument of a command may have.
func (c *client) argumentNames(cmd *cobra.Command) func(ctx context.Context, cmd *cobra.Command) []string {
	verb, first, _ := strings.Cut(cmd.Use, " ")
	if cmd.Parent() == nil || verb == "create" || verb == "set" {
		return nil
	}
	for noun, path := range map[string]string{"QUEUE": "queues", "EXCHANGE": "exchanges"} {
		if strings.HasPrefix(first, noun) {
			return c.namesIn(path)
		}
	}
	if !strings.HasPrefix(first, "NAME") && !strings.HasPrefix(first, strings.ToUpper(cmd.Parent().Name())) {
		return nil
	}
	switch cmd.Parent().Name() {
	case "queue":
		return c.namesIn("queues")
	case "exchange":
		return c.namesIn("exchanges")
	case "policy":
		return c.namesIn("policies")
	case "cluster":
		return c.clusterNames
	case "vhost":
		return c.vhostNames
	case "connection":
		return func(ctx context.Context, _ *cobra.Command) []string { return c.names(ctx, "/api/connections", "name") }
	case "channel":
		return func(ctx context.Context, _ *cobra.Command) []string { return c.names(ctx, "/api/channels", "name") }
	case "user":
		return func(ctx context.Context, _ *cobra.Command) []string { return c.names(ctx, "/api/users", "name") }
	case "profile":
		return c.profileNames
	}
	return nil
}

// namesIn are the names of what a vhost has: the one that the flags say.
func (c *client) namesIn(path string) func(ctx context.Context, cmd *cobra.Command) []string {
	return func(ctx context.Context, cmd *cobra.Command) []string {
		if c.useProfile(cmd) != nil {
			return nil
		}
		p := place{flagOf(cmd, "cluster"), flagOf(cmd, "vhost")}
		vhost, err := c.wire(ctx, &p)
		if err != nil {
			return nil
		}
		return c.names(ctx, "/api/"+path+"/"+vhost, "name")
	}
}

func flagOf(cmd *cobra.Command, name string) string {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// names are a field of what a path lists; none when the node does not answer.
func (c *client) names(ctx context.Context, path, field string) []string {
	var list []object
	if c.call(ctx, http.MethodGet, path, nil, &list) != nil {
		return nil
	}
	var names []string
	for _, o := range list {
		if s, ok := o[field].(string); ok && s != "" {
			names = append(names, s)
		}
	}
	return names
}

func (c *client) clusterNames(ctx context.Context, cmd *cobra.Command) []string {
	if c.useProfile(cmd) != nil {
		return nil
	}
	return append(c.names(ctx, "/api/clusters", "name"), c.names(ctx, "/api/clusters", "id")...)
}

func (c *client) vhostNames(ctx context.Context, cmd *cobra.Command) []string {
	if c.useProfile(cmd) != nil {
		return nil
	}
	id, err := c.clusterID(ctx, &place{cluster: flagOf(cmd, "cluster")})
	if err != nil {
		return nil
	}
	return c.names(ctx, "/api/clusters/"+id+"/vhosts", "vhost")
}

func (c *client) profileNames(context.Context, *cobra.Command) []string {
	all, err := c.profiles()
	if err != nil {
		return nil
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
