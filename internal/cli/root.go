// Package cli is the command line: `warren serve` runs a node, everything
// else speaks to one. One file a noun.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the command was understood and could not be done
	exitUsage  = 2 // the command was not understood
)

// usageError is a command that was not understood.
type usageError struct{ error }

// Run runs the command line and returns the exit code: 0 done, 1 it failed, 2
// it was not understood.
func Run(ctx context.Context, env Env) int {
	root := newRoot(&env) //nolint:contextcheck // cobra hands the context to the commands
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintln(env.Stderr, "warren: "+strings.Map(printableLines, err.Error()))
	if _, ok := errors.AsType[usageError](err); ok {
		_, _ = fmt.Fprintln(env.Stderr, "Run 'warren --help' for the commands, or add --help to one of them.")
		return exitUsage
	}
	return exitFailed
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use: "warren", Short: "A multi-tenant message broker that speaks AMQP 0-9-1", Version: env.Version,
		Long: "Warren is a message broker that RabbitMQ's clients use unchanged.\n\n" +
			"serve runs a node, inspect looks at a stopped one, bench loads any broker; every other command speaks to a running one,\n" +
			"found by --data (its data directory, no password needed) or --url. Exit codes: 0 done, 1 failed, 2 not understood.",
		Example: "  warren serve --demo\n  warren cluster create shop\n  warren queue list --cluster shop --vhost orders",
		Args:    cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c := newClient(env)
	root.AddCommand(
		serveCommand(env), clusterCommand(c), vhostCommand(c), roleCommand(c), userCommand(c),
		exchangeCommand(c), queueCommand(c), bindingCommand(c), connectionCommand(c),
		channelCommand(c), consumerCommand(c), delayedCommand(c), policyCommand(c), permissionCommand(c), limitCommand(c), parameterCommand(c),
		publishCommand(c), getCommand(c), consumeCommand(c), messageCommand(c), definitionsCommand(c),
		overviewCommand(c), topCommand(c), nodeCommand(c), apiCommand(c), drainCommand(c), profileCommand(c), configCommand(c),
		benchCommand(env), inspectCommand(env),
	)
	root.AddCommand(manCommand(c, root))
	c.completes(root)
	return root
}

// noun is a command that only groups others.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%s has no command %q", use, args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// args wants exactly these arguments.
func args(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, given []string) error {
		if len(given) < len(names) {
			return usageError{fmt.Errorf("%s is missing", names[len(given)])}
		}
		if len(given) > len(names) {
			return usageError{fmt.Errorf("%q is one argument too many", given[len(names)])}
		}
		return nil
	}
}
