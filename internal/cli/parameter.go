package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func parameterCommand(c *client) *cobra.Command {
	value := func(args []string) (any, error) {
		text := args[len(args)-1]
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, usageError{fmt.Errorf("VALUE %q is not JSON", text)}
		}
		return object{"value": v}, nil
	}
	but := func(at route) route { // the last argument is the value
		return func(ctx context.Context, args []string) (string, error) { return at(ctx, args[:len(args)-1]) }
	}
	global := below("/api/global-parameters")
	columns := []column{{"PARAMETER", "name"}, {"VALUE", "value"}}
	return noun("parameter", "Values that the node keeps for tools and plugins",
		c.lister(&cobra.Command{
			Use: "list", Short: "List the global parameters", Args: args(), Example: "  warren parameter list",
		}, fixed("/api/global-parameters"), columns...),
		c.shower(&cobra.Command{
			Use: "show NAME", Short: "Show a global parameter", Args: args("NAME"), Example: "  warren parameter show cluster_name",
		}, global, columns...),
		c.sender(&cobra.Command{
			Use: "set NAME VALUE", Short: "Set a global parameter to a value in JSON", Args: args("NAME", "VALUE"),
			Example: "  warren parameter set owner '{\"team\":\"shop\"}'",
		}, http.MethodPut, but(global), value, "parameter %s is set"),
		c.sender(&cobra.Command{
			Use: "delete NAME", Short: "Delete a global parameter", Args: args("NAME"), Example: "  warren parameter delete owner",
		}, http.MethodDelete, global, nil, "parameter %s is deleted"),
	)
}
