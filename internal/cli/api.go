package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func apiCommand(c *client) *cobra.Command {
	methods := []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete}
	return c.command(&cobra.Command{
		Use: "api METHOD PATH [BODY]", Short: "Make any request of the HTTP API and print the answer", Args: cobra.RangeArgs(2, 3),
		Example: "  warren api GET /api/overview\n  warren api PUT /api/global-parameters/owner '{\"value\":\"shop\"}'",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return methods, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}, func(ctx context.Context, args []string) error {
		method := strings.ToUpper(args[0])
		if !slices.Contains(methods, method) {
			return usageError{fmt.Errorf("METHOD %q is none of %s", args[0], strings.Join(methods, ", "))}
		}
		if !strings.HasPrefix(args[1], "/") {
			return usageError{fmt.Errorf("PATH %q does not begin with a slash", args[1])}
		}
		var in any
		if len(args) > 2 {
			if !json.Valid([]byte(args[2])) {
				return usageError{fmt.Errorf("BODY %q is not JSON", args[2])}
			}
			in = json.RawMessage(args[2])
		}
		var out any
		if err := c.call(ctx, method, args[1], in, &out); err != nil {
			return err
		}
		if out == nil {
			return c.done("done")
		}
		if c.output == "yaml" {
			return c.show(table{value: out})
		}
		e := json.NewEncoder(c.env.Stdout)
		e.SetEscapeHTML(false)
		if c.output != "json" {
			e.SetIndent("", "  ")
		}
		return e.Encode(out)
	})
}
