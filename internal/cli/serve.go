package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/systemd"
)

// drainTimeout is how long clients have to take their leave at shutdown.
const drainTimeout = 5 * time.Second

func serveCommand(env *Env) *cobra.Command {
	var file string
	var demo bool
	flags := config.Default()
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node",
		Example: "  warren serve --data /var/lib/warren --amqp 0.0.0.0:5672 --http 127.0.0.1:15672",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read := func() (config.Config, error) {
				c, err := config.Read(file, env.Environ)
				if err != nil {
					return c, err
				}
				overlay(cmd, &c, &flags)
				return c, c.Validate()
			}
			c, err := read()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), env, &c, read, demo)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "YAML file")
	f.StringVar(&flags.Data, "data", flags.Data, "data directory")
	f.StringVar(&flags.AMQP, "amqp", flags.AMQP, "address of the AMQP listener")
	f.StringVar(&flags.AMQPS, "amqps", flags.AMQPS, "address of the AMQP listener with TLS, used with --tls-cert and --tls-key")
	f.StringVar(&flags.TLSCert, "tls-cert", "", "certificate with its chain, a PEM file")
	f.StringVar(&flags.TLSKey, "tls-key", "", "its key, a PEM file")
	f.StringVar(&flags.WS, "ws", "", "address of a listener for AMQP over WebSocket, empty for none")
	f.StringVar(&flags.HTTP, "http", flags.HTTP, "address of the HTTP API, empty for none")
	f.StringVar(&flags.Metrics, "metrics", flags.Metrics, "address of the metrics for Prometheus, empty for none")
	f.StringVar(&flags.Advertise, "advertise", flags.Advertise, "address that clients are told, if not that of --amqp")
	f.BoolVar(&demo, "demo", false, "make a demo tenant and print programs that use it")
	f.StringVar(&flags.LogLevel, "log-level", flags.LogLevel, "debug, info, warn or error")
	f.StringVar(&flags.LogFormat, "log-format", flags.LogFormat, "text or json")
	return cmd
}

// overlay lets the flags that were given win over file and environment.
func overlay(cmd *cobra.Command, c, flags *config.Config) {
	for name, p := range map[string][2]*string{
		"data": {&c.Data, &flags.Data}, "amqp": {&c.AMQP, &flags.AMQP}, "http": {&c.HTTP, &flags.HTTP}, "metrics": {&c.Metrics, &flags.Metrics},
		"amqps": {&c.AMQPS, &flags.AMQPS}, "tls-cert": {&c.TLSCert, &flags.TLSCert}, "tls-key": {&c.TLSKey, &flags.TLSKey},
		"ws": {&c.WS, &flags.WS}, "advertise": {&c.Advertise, &flags.Advertise}, "log-level": {&c.LogLevel, &flags.LogLevel},
		"log-format": {&c.LogFormat, &flags.LogFormat},
	} {
		if cmd.Flags().Changed(name) {
			*p[0] = *p[1]
		}
	}
}

// serve runs a node until it is interrupted.
func serve(ctx context.Context, env *Env, c *config.Config, read func() (config.Config, error), demo bool) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	lock, err := server.LockDir(c.Data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	level := &slog.LevelVar{}
	log, flush := logger(env.Stderr, c, level)
	defer flush()
	manager := systemd.New(env.Environ)
	passed, err := systemd.Listeners(env.Environ)
	if err != nil {
		return err
	}
	ls, err := listenAll(ctx, c, log, passed)
	if err != nil {
		return err
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = config.DefaultMemoryLimit()
	}
	if c.Advertise == "" {
		c.Advertise = ls.amqp.Addr().String()
	}
	collector, stopPacing := context.WithCancel(ctx)
	defer stopPacing()
	go pace(collector, env.Environ)
	broken := make(chan error, 2)
	s, err := open(env, c, log, func(err error) { //nolint:contextcheck // what it starts ends with Close
		select {
		case broken <- err:
		default:
		}
	})
	if err != nil {
		ls.close()
		return err
	}
	if err := load(s, c.LoadDefinitions, log); err != nil {
		ls.close()
		return errors.Join(err, s.Close(ctx))
	}
	failed := ls.serve(s)
	flush() // who waits for the node may read it there
	if err = greet(env.Stdout, s, c, ls, demo); err == nil {
		again := &reloader{read: read, running: *c, level: level, log: log, manager: manager}
		err = again.wait(ctx, failed, broken)
	}
	tell(log, manager.Stopping())
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, s.Close(end))
}

// open opens the node in its data directory; failed is told what ends it.
func open(env *Env, c *config.Config, log *slog.Logger, failed func(error)) (*server.Server, error) {
	st, err := server.OpenStorage(c.Data, log, failed)
	if err != nil {
		return nil, err
	}
	s, err := server.Open(server.Options{
		Logger: log, Storage: st, Failed: failed, Version: env.Version, ClusterName: "warren", Heartbeat: c.Heartbeat,
		MaxMessageSize: c.MaxMessageSize, MemoryLimit: c.MemoryLimit, HotWindow: c.HotWindow, MaxConnections: c.MaxConnections, Address: c.Advertise,
		Data:             c.Data,
		Effective:        c.Map(),
		CertificateLogin: auth.CertificateLogin(c.TLSLogin),
		Export:           server.Export{Endpoint: c.OTLPEndpoint, Headers: c.Headers(), Interval: time.Duration(c.OTLPInterval) * time.Second},
	})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return s, nil
}

// load takes in the file of definitions that the configuration names.
func load(s *server.Server, path string, log *slog.Logger) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path) //nolint:gosec,forbidigo // the operator names the file, which is only read
	if err != nil {
		return fmt.Errorf("load_definitions: %w", err)
	}
	defer func() { _ = f.Close() }()
	notes, err := s.Load(f)
	for _, n := range notes {
		log.Info("definitions", slog.String("file", path), slog.String("note", n))
	}
	if err != nil {
		return fmt.Errorf("load_definitions %s: %w", path, err)
	}
	return nil
}
