package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// profile is one installation that commands can speak to.
type profile struct {
	Data    string `json:"data,omitempty"    yaml:"data,omitempty"`
	URL     string `json:"url,omitempty"     yaml:"url,omitempty"`
	Cluster string `json:"cluster,omitempty" yaml:"cluster,omitempty"`
	Vhost   string `json:"vhost,omitempty"   yaml:"vhost,omitempty"`
}

// variable returns a variable of the environment.
func (e *Env) variable(name string) string {
	for _, kv := range slices.Backward(e.Environ) {
		if key, value, _ := strings.Cut(kv, "="); key == name {
			return value
		}
	}
	return ""
}

// profilesPath is where the profiles are: WARREN_PROFILES, or in the user's
// configuration directory.
func (c *client) profilesPath() (string, error) {
	if path := c.env.variable("WARREN_PROFILES"); path != "" {
		return path, nil
	}
	dir := c.env.variable("XDG_CONFIG_HOME")
	if home := c.env.variable("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return "", errors.New("it is not known where profiles are: neither WARREN_PROFILES nor HOME is set")
	}
	return filepath.Join(dir, "warren", "profiles.yaml"), nil
}

// profiles reads all profiles; none when there is no file.
func (c *client) profiles() (map[string]profile, error) {
	path, err := c.profilesPath()
	if err != nil {
		return nil, err
	}
	all := map[string]profile{}
	b, err := os.ReadFile(path) //nolint:gosec // the user's own file
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = yaml.UnmarshalWithOptions(b, &all, yaml.Strict())
	}
	if err != nil {
		return nil, fmt.Errorf("profiles in %s: %w", path, err)
	}
	return all, nil
}

func (c *client) saveProfiles(all map[string]profile) error {
	path, err := c.profilesPath()
	if err != nil {
		return err
	}
	b, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil { // it may hold a password
		return err
	}
	return os.Rename(path+".new", path) //nolint:forbidigo // the user's own file, of no node
}

// useProfile lets a profile say what no flag and no variable says.
func (c *client) useProfile(cmd *cobra.Command) error {
	if c.profile == "" {
		return nil
	}
	all, err := c.profiles()
	if err != nil {
		return err
	}
	p, ok := all[c.profile]
	if !ok {
		return usageError{fmt.Errorf("there is no profile %q; 'warren profile list' shows them", c.profile)}
	}
	where := cmd.Flags().Changed("data") || cmd.Flags().Changed("url")
	for name, value := range map[string]string{"data": p.Data, "url": p.URL, "cluster": p.Cluster, "vhost": p.Vhost} {
		f := cmd.Flags().Lookup(name)
		if value == "" || f == nil || f.Changed || where && (name == "data" || name == "url") {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			return err
		}
	}
	return nil
}

func profileCommand(c *client) *cobra.Command {
	var p profile
	set := c.local(&cobra.Command{
		Use: "set NAME", Short: "Remember an installation by a name", Args: args("NAME"),
		Example: "  warren profile set prod --url https://admin:secret@warren.example:15671 --cluster shop\n  warren queue list --profile prod --vhost orders",
	}, func(_ context.Context, args []string) error {
		if p.Data == "" && p.URL == "" {
			return usageError{errors.New("a profile needs --data or --url")}
		}
		all, err := c.profiles()
		if err != nil {
			return err
		}
		all[args[0]] = p
		if err := c.saveProfiles(all); err != nil {
			return err
		}
		return c.done("profile %s is set", args[0])
	})
	f := set.Flags()
	f.StringVar(&p.Data, "data", "", "data directory of the node")
	f.StringVar(&p.URL, "url", "", "or its API, http://user:password@host:15672")
	f.StringVar(&p.Cluster, "cluster", "", "cluster that commands are about when they do not say")
	f.StringVar(&p.Vhost, "vhost", "", "vhost that commands are about when they do not say")
	list := c.local(&cobra.Command{
		Use: "list", Short: "List the profiles", Args: args(), Example: "  warren profile list",
	}, func(context.Context, []string) error {
		all, err := c.profiles()
		if err != nil {
			return err
		}
		shown := map[string]profile{}
		t := table{value: shown, head: []string{"PROFILE", "DATA", "URL", "CLUSTER", "VHOST"}}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			p := all[name]
			if p.URL != "" {
				p.URL = redact(p.URL)
			}
			shown[name] = p
			t.rows = append(t.rows, []string{name, p.Data, p.URL, p.Cluster, p.Vhost})
		}
		return c.show(t)
	})
	remove := c.local(&cobra.Command{
		Use: "delete NAME", Short: "Forget a profile", Args: args("NAME"), Example: "  warren profile delete prod",
	}, func(_ context.Context, args []string) error {
		all, err := c.profiles()
		if err != nil {
			return err
		}
		if _, ok := all[args[0]]; !ok {
			return fmt.Errorf("there is no profile %q", args[0])
		}
		delete(all, args[0])
		if err := c.saveProfiles(all); err != nil {
			return err
		}
		return c.done("profile %s is deleted", args[0])
	})
	return noun("profile", "Installations that commands speak to with --profile", set, list, remove)
}
