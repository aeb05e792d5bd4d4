package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// reference writes the page about all commands.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# The command line\n\nMade from the commands themselves; `go test ./internal/cli -run Reference -update` writes it.\n\n")
	b.WriteString(root.Long + "\n\n| command | what it does |\n|---|---|\n")
	list := leaves(root)
	for _, cmd := range list {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", path(cmd), strings.ReplaceAll(path(cmd), " ", "-"), strings.ReplaceAll(cmd.Short, "|", "\\|"))
	}
	for _, cmd := range list {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n```\n\n", path(cmd), strings.TrimSuffix(cmd.Short, "."), cmd.UseLine())
		if cmd.Long != "" {
			if _, rest, ok := strings.Cut(cmd.Long, "\n\n"); ok {
				b.WriteString(rest + "\n\n")
			}
		}
		fmt.Fprintf(&b, "```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		flagTable(&b, cmd)
	}
	return b.String()
}

// path is a command without the program's name.
func path(cmd *cobra.Command) string {
	_, p, _ := strings.Cut(cmd.CommandPath(), " ")
	return p
}

// leaves are the commands that do something.
func leaves(root *cobra.Command) (list []*cobra.Command) {
	for _, cmd := range commands(root) {
		if cmd != root && !cmd.HasSubCommands() && !cmd.Hidden && cmd.Name() != "help" && !strings.Contains(cmd.CommandPath(), " completion") {
			list = append(list, cmd)
		}
	}
	return list
}

func flagTable(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.Flags().HasFlags() {
		return
	}
	b.WriteString("\n| flag | default | meaning |\n|---|---|---|\n")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(f)
		if name != "" {
			name = " " + name
		}
		value := f.DefValue
		if value == "[]" || value == "false" || value == "0s" {
			value = ""
		}
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| `--%s%s` | %s | %s |\n", f.Name, name, value, strings.ReplaceAll(usage, "|", "\\|"))
	})
}
