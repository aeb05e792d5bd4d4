package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual pages; packages run it.
func manCommand(c *client, root *cobra.Command) *cobra.Command {
	return c.local(&cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into a directory", Hidden: true, Args: args("DIR"), Example: "  warren man /tmp/man",
	}, func(_ context.Context, args []string) error {
		for _, cmd := range append([]*cobra.Command{root}, leaves(root)...) {
			name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
			if err := os.WriteFile(filepath.Join(args[0], name+".1"), []byte(manual(cmd, name)), 0o644); err != nil { //nolint:gosec // for everybody to read
				return err
			}
		}
		return c.done("the manual pages are in %s", args[0])
	})
}

// manual is the manual page of a command, for man(7).
func manual(cmd *cobra.Command, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n", strings.ToUpper(name), name, roff(cmd.Short), roff(cmd.UseLine()))
	if cmd.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(roff(cmd.Long), "\n\n", "\n.PP\n"))
	}
	if list := cmd.Commands(); len(list) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range leaves(cmd.Root()) {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(path(sub)), roff(sub.Short))
		}
	}
	if cmd.Flags().HasFlags() {
		b.WriteString(".SH OPTIONS\n")
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			fmt.Fprintf(&b, ".TP\n.B \\-\\-%s\n%s\n", roff(f.Name), roff(f.Usage))
		})
	}
	fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	b.WriteString(".SH EXIT STATUS\n0 done, 1 failed, 2 not understood\n")
	return b.String()
}

// roff escapes what man(7) would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
