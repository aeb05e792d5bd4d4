package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// leastWatch is how often a node may be asked at most.
const leastWatch = 200 * time.Millisecond

// reading is a verb that changes nothing: it can be repeated with --watch.
func (c *client) reading(cmd *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	var every time.Duration
	c.command(cmd, func(ctx context.Context, args []string) error {
		if every == 0 {
			return run(ctx, args)
		}
		if every < leastWatch {
			return usageError{fmt.Errorf("--watch %v is less than %v", every, leastWatch)}
		}
		return c.watch(ctx, every, func(ctx context.Context) error { return run(ctx, args) })
	})
	cmd.Flags().DurationVar(&every, "watch", 0, "show it again that often, such as 2s, until interrupted")
	return cmd
}

// watch runs a command again and again. On a terminal each time is shown in
// the place of the one before; else one follows the other.
func (c *client) watch(ctx context.Context, every time.Duration, run func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	out, live := c.env.Stdout, isTerminal(c.env.Stdout)
	defer func() { c.env.Stdout = out }()
	for again := time.NewTicker(every); ; {
		var shown bytes.Buffer
		c.env.Stdout = &shown
		err := run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if live {
			shown = *bytes.NewBufferString(home + shown.String() + eraseBelow)
		}
		if _, err := io.Copy(out, &shown); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}
