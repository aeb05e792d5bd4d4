package cli

import (
	"context"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/config"
)

func configCommand(c *client) *cobra.Command {
	var file string
	check := c.local(&cobra.Command{
		Use: "check", Short: "Check a configuration file and the environment", Args: args(),
		Example: "  warren config check --config /etc/warren/warren.yaml",
	}, func(context.Context, []string) error {
		o, err := config.Read(file, c.env.Environ)
		if err == nil {
			err = o.Validate()
		}
		if err != nil {
			return err
		}
		return c.done("the configuration is sound")
	})
	show := c.local(&cobra.Command{
		Use: "print", Short: "Print the configuration that 'serve' would have, as YAML", Args: args(),
		Example: "  warren config print > warren.yaml",
	}, func(context.Context, []string) error {
		o, err := config.Read(file, c.env.Environ)
		if err != nil {
			return err
		}
		b, err := yaml.Marshal(o)
		if err == nil && c.output == "json" {
			b, err = yaml.YAMLToJSON(b)
		}
		if err != nil {
			return err
		}
		_, err = c.env.Stdout.Write(b)
		return err
	})
	schema := c.local(&cobra.Command{
		Use: "schema", Short: "Print the JSON schema of the configuration file, for editors", Args: args(),
		Example: "  warren config schema > warren.schema.json",
	}, func(context.Context, []string) error {
		b, err := config.Schema()
		if err != nil {
			return err
		}
		_, err = c.env.Stdout.Write(b)
		return err
	})
	for _, cmd := range []*cobra.Command{check, show} {
		cmd.Flags().StringVar(&file, "config", "", "YAML file")
	}
	return noun("config", "The configuration of a node", check, show, schema)
}
