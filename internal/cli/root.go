// Package cli is the command line: `warren serve` runs a node, everything
// else speaks to one. One file a noun.
package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Env is what a command gets from the process.
type Env struct {
	Args           []string
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Version        string
}

// Run runs the command line and returns the exit code: 0 done, 1 it failed, 2
// it was not understood.
func Run(ctx context.Context, env Env) int {
	root := &cobra.Command{
		Use: "warren", Short: "A message broker that speaks AMQP 0-9-1", Version: env.Version,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.AddCommand(serveCommand(&env))
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(env.Stderr, "warren: "+err.Error())
		return 1
	}
	return 0
}
