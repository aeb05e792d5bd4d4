package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// drainLook is how often a drain is looked at.
const drainLook = 200 * time.Millisecond

func drainCommand(c *client) *cobra.Command {
	var seconds int
	var end, wait bool
	cmd := c.command(&cobra.Command{
		Use: "drain", Short: "Send the clients away, a part a second, and take no new ones until 'drain --end'", Args: args(),
		Example: "  warren drain --seconds 30 && systemctl stop warren\n  warren drain --end",
	}, func(ctx context.Context, _ []string) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if end {
			if err := c.call(ctx, http.MethodDelete, "/api/drain", nil, nil); err != nil {
				return err
			}
			return c.done("the node takes clients again")
		}
		if err := c.call(ctx, http.MethodPost, "/api/drain", map[string]int{"seconds": seconds}, nil); err != nil {
			return err
		}
		if !wait {
			return c.done("the clients are being sent away")
		}
		return c.drained(ctx)
	})
	f := cmd.Flags()
	f.IntVar(&seconds, "seconds", 10, "how long it may take")
	f.BoolVar(&wait, "wait", true, "wait until all have gone, and show how far it is")
	f.BoolVar(&end, "end", false, "take clients again")
	return cmd
}

// drained waits until no client is left.
func (c *client) drained(ctx context.Context) error {
	var p *progress
	for again := time.NewTicker(drainLook); ; {
		var now struct {
			Draining    bool
			Connections int
		}
		if err := c.call(ctx, http.MethodGet, "/api/drain", nil, &now); err != nil {
			return err
		}
		if p == nil {
			p = c.newProgress("connections gone", now.Connections)
			defer p.end()
		}
		p.total = max(p.total, now.Connections)
		p.add(p.total - now.Connections - p.done)
		switch {
		case now.Connections == 0:
			return c.done("all clients have gone")
		case !now.Draining:
			return errors.New("the drain was ended by somebody else")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted; the node goes on to send its clients away, %d are left", now.Connections)
		case <-again.C:
		}
	}
}
