package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

func policyCommand(c *client) *cobra.Command {
	var p place
	var operator bool
	base := func(ctx context.Context, args []string) (string, error) {
		path := "/api/policies"
		if operator {
			path = "/api/operator-policies"
		}
		return c.inVhost(path, &p)(ctx, args)
	}
	columns := []column{
		{"POLICY", "name"}, {"PATTERN", "pattern"}, {"APPLIES TO", "apply-to"}, {"PRIORITY", "priority"}, {"DEFINITION", "definition"},
	}
	var pattern, applyTo string
	var priority int
	var keys arguments
	set := c.sender(&cobra.Command{
		Use: "set NAME", Short: "Make or change a policy", Args: args("NAME"),
		Example: "  warren policy set short-lived --pattern '^tmp\\.' --key message-ttl=60000 --key expires=3600000 --vhost orders --cluster shop",
	}, http.MethodPut, base, func([]string) (any, error) {
		definition, err := keys.object()
		return object{"pattern": pattern, "apply-to": applyTo, "priority": priority, "definition": definition}, err
	}, "policy %s is set")
	f := set.Flags()
	f.StringVar(&pattern, "pattern", "", "regular expression that names must match")
	f.StringVar(&applyTo, "apply-to", "all", "all, queues, classic_queues, quorum_queues or exchanges")
	f.IntVar(&priority, "priority", 0, "of several policies that match, the one with the highest applies")
	f.StringArrayVar((*[]string)(&keys), "key", nil, "key=value, or key:=JSON, of the definition; may be given several times")
	_ = set.MarkFlagRequired("pattern")
	verbs := []*cobra.Command{
		set,
		c.lister(&cobra.Command{
			Use: "list", Short: "List a vhost's policies", Args: args(), Example: "  warren policy list --cluster shop --vhost orders",
		}, base, columns...),
		c.shower(&cobra.Command{
			Use: "show NAME", Short: "Show a policy", Args: args("NAME"), Example: "  warren policy show short-lived --vhost orders",
		}, base, columns...),
		c.sender(&cobra.Command{
			Use: "delete NAME", Short: "Delete a policy", Args: args("NAME"), Example: "  warren policy delete short-lived --vhost orders",
		}, http.MethodDelete, base, nil, "policy %s is deleted"),
	}
	for _, cmd := range verbs {
		p.flags(cmd)
		cmd.Flags().BoolVar(&operator, "operator", false, "of the operator, which limit what others may set")
	}
	return noun("policy", "Arguments for queues and exchanges by pattern, changed while they serve", verbs...)
}
