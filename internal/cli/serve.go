package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/server"
)

// drainTimeout is how long clients have to take their leave at shutdown.
const drainTimeout = 5 * time.Second

func serveCommand(env *Env) *cobra.Command {
	var file string
	flags := config.Default()
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node",
		Example: "  warren serve --data /var/lib/warren --amqp 0.0.0.0:5672 --http 127.0.0.1:15672",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Read(file, env.Environ)
			if err != nil {
				return err
			}
			overlay(cmd, &c, &flags)
			if err := c.Validate(); err != nil {
				return err
			}
			return serve(cmd.Context(), env, &c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "YAML file")
	f.StringVar(&flags.Data, "data", flags.Data, "data directory")
	f.StringVar(&flags.AMQP, "amqp", flags.AMQP, "address of the AMQP listener")
	f.StringVar(&flags.HTTP, "http", flags.HTTP, "address of the HTTP API, empty for none")
	f.StringVar(&flags.Advertise, "advertise", flags.Advertise, "address that clients are told, if not that of --amqp")
	f.StringVar(&flags.LogLevel, "log-level", flags.LogLevel, "debug, info, warn or error")
	f.StringVar(&flags.LogFormat, "log-format", flags.LogFormat, "text or json")
	return cmd
}

// overlay lets the flags that were given win over file and environment.
func overlay(cmd *cobra.Command, c, flags *config.Config) {
	for name, p := range map[string][2]*string{
		"data": {&c.Data, &flags.Data}, "amqp": {&c.AMQP, &flags.AMQP}, "http": {&c.HTTP, &flags.HTTP},
		"advertise": {&c.Advertise, &flags.Advertise}, "log-level": {&c.LogLevel, &flags.LogLevel},
		"log-format": {&c.LogFormat, &flags.LogFormat},
	} {
		if cmd.Flags().Changed(name) {
			*p[0] = *p[1]
		}
	}
}

// serve runs a node until it is interrupted.
func serve(ctx context.Context, env *Env, c *config.Config) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	lock, err := server.LockDir(c.Data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	l, err := listen(ctx, c.AMQP, "--amqp")
	if err != nil {
		return err
	}
	if c.Advertise == "" {
		c.Advertise = l.Addr().String()
	}
	s, err := server.Open(server.Options{
		Logger: logger(env.Stderr, c), Version: env.Version, ClusterName: "warren", Heartbeat: c.Heartbeat,
		MaxMessageSize: c.MaxMessageSize, MemoryLimit: c.MemoryLimit, MaxConnections: c.MaxConnections, Address: c.Advertise,
	})
	if err != nil {
		_ = l.Close()
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.ServeAMQP(l) }()
	fmt.Fprintf(env.Stdout, "AMQP on %s\n", l.Addr())
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, s.Close(end))
}

// listen opens a listener; flag names the way to choose another address.
func listen(ctx context.Context, address, flag string) (net.Listener, error) { //nolint:ireturn // net gives an interface
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s is in use by another program; stop it or choose another with %s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", address, err, flag)
	}
	return l, nil
}

func logger(w io.Writer, c *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // Validate saw to it
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
