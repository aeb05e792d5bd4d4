package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// topRows is how many queues are shown where it is not known how many fit.
const topRows = 20

func topCommand(c *client) *cobra.Command {
	var p place
	by, every, once := "rate", time.Second, false
	cmd := c.command(&cobra.Command{
		Use: "top", Short: "Watch rates, queues and connections live", Args: args(),
		Example: "  warren top\n  warren top --by ready --every 5s",
	}, func(ctx context.Context, _ []string) error {
		if by != "rate" && by != "ready" && by != "unacked" && by != "name" {
			return usageError{fmt.Errorf("--by %s is none of rate, ready, unacked, name", by)}
		}
		if every < leastWatch {
			return usageError{fmt.Errorf("--every %v is less than %v", every, leastWatch)}
		}
		return c.top(ctx, by, every, once)
	})
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&by, "by", by, "order of the queues: rate, ready, unacked or name")
	f.DurationVar(&every, "every", every, "how often it is shown again")
	f.BoolVar(&once, "once", false, "show it once and end")
	return cmd
}

// topQueue is a queue as top shows it.
type topQueue struct {
	Name, Vhost string
	Ready       int `json:"messages_ready"`
	Unacked     int `json:"messages_unacknowledged"`
	Consumers   int
	Stats       struct {
		Publish rate `json:"publish_details"`
		Deliver rate `json:"deliver_get_details"`
		Ack     rate `json:"ack_details"`
	} `json:"message_stats"`
}

type rate struct{ Rate float64 }

// topView is what top shows at one moment.
type topView struct {
	Overview struct {
		Node   string
		Totals struct{ Connections, Channels, Queues, Consumers int } `json:"object_totals"`
		Depth  struct {
			Ready   int `json:"messages_ready"`
			Unacked int `json:"messages_unacknowledged"`
		} `json:"queue_totals"`
		Stats struct {
			Publish rate `json:"publish_details"`
			Deliver rate `json:"deliver_get_details"`
			Ack     rate `json:"ack_details"`
		} `json:"message_stats"`
	} `json:"overview"`
	Queues []topQueue `json:"queues"`
}

func (c *client) top(ctx context.Context, by string, every time.Duration, once bool) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	live := isTerminal(c.env.Stdout) && !once && c.output == "table"
	if live {
		_, _ = fmt.Fprint(c.env.Stdout, otherPage)
		defer func() { _, _ = fmt.Fprint(c.env.Stdout, firstPage) }()
	}
	for again := time.NewTicker(every); ; {
		v, err := c.look(ctx, by)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.showTop(v, live); err != nil || once {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// look asks the node.
func (c *client) look(ctx context.Context, by string) (*topView, error) {
	var v topView
	if err := c.call(ctx, http.MethodGet, "/api/overview", nil, &v.Overview); err != nil {
		return nil, err
	}
	sort := map[string]string{
		"ready": "messages_ready&sort_reverse=true", "unacked": "messages_unacknowledged&sort_reverse=true", "name": "name",
		"rate": "message_stats.publish_details.rate&sort_reverse=true",
	}[by]
	var page struct{ Items []topQueue }
	if err := c.call(ctx, http.MethodGet, "/api/queues?page=1&page_size=200&sort="+sort, nil, &page); err != nil {
		return nil, err
	}
	v.Queues = page.Items
	if by == "rate" {
		slices.SortStableFunc(v.Queues, func(x, y topQueue) int {
			return cmp.Compare(y.Stats.Publish.Rate+y.Stats.Deliver.Rate, x.Stats.Publish.Rate+x.Stats.Deliver.Rate)
		})
	}
	return &v, nil
}

// showTop writes one view: on a terminal as many lines as it has.
func (c *client) showTop(v *topView, live bool) error {
	if c.output != "table" {
		return c.show(table{value: v, rows: names(v.Queues)})
	}
	width, rows := 0, topRows
	begin, end, heavy, normal := "", "", "", ""
	if live {
		w, h, _ := terminalSize(c.env.Stdout)
		width, rows = w, max(h-6, 1)
		begin, end, heavy, normal = home, eraseBelow, bold, plain
	}
	o := &v.Overview
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s%s  %d connections, %d channels, %d consumers, %d queues\n", heavy, o.Node, normal,
		o.Totals.Connections, o.Totals.Channels, o.Totals.Consumers, o.Totals.Queues)
	fmt.Fprintf(&b, "%.0f/s published, %.0f/s delivered, %.0f/s acknowledged; %d ready, %d unacknowledged\n\n",
		o.Stats.Publish.Rate, o.Stats.Deliver.Rate, o.Stats.Ack.Rate, o.Depth.Ready, o.Depth.Unacked)
	tw := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "QUEUE\tVHOST\tREADY\tUNACKED\tCONSUMERS\tIN/S\tOUT/S\tACK/S")
	for i, q := range v.Queues {
		if i == rows {
			break
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%.0f\t%.0f\t%.0f\n", cell(q.Name), cell(q.Vhost), q.Ready, q.Unacked, q.Consumers,
			q.Stats.Publish.Rate, q.Stats.Deliver.Rate, q.Stats.Ack.Rate)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(c.env.Stdout, begin+fitted(b.String(), width)+end)
	return err
}

// fitted cuts lines to the width of a terminal, and clears what is behind them.
func fitted(s string, width int) string {
	if width == 0 {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if r := []rune(line); len(r) > width {
			line = string(r[:width])
		}
		b.WriteString(line + eraseLine + "\n")
	}
	return b.String()
}

func names(list []topQueue) (rows [][]string) {
	for _, q := range list {
		rows = append(rows, []string{q.Name})
	}
	return rows
}
