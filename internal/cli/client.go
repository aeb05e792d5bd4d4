package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/server"
)

// client speaks to a running node over its HTTP API.
type client struct {
	env     *Env
	data    string // data directory whose socket is used
	url     string // or where the API is
	output  string
	profile string // that says where, when no flag does
}

func newClient(env *Env) *client {
	c := &client{env: env, data: "data", output: "table"}
	for _, kv := range env.Environ {
		switch key, value, _ := strings.Cut(kv, "="); key {
		case "WARREN_DATA":
			c.data = value
		case "WARREN_URL":
			c.url = value
		case "WARREN_PROFILE":
			c.profile = value
		}
	}
	return c
}

// command is a verb that speaks to a node: it gets the flags for finding one.
func (c *client) command(cmd *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&c.data, "data", c.data, "data directory of the running node")
	f.StringVar(&c.url, "url", c.url, "or its API, http://user:password@host:15672")
	f.StringVar(&c.profile, "profile", c.profile, "installation that 'warren profile set' has named")
	c.local(cmd, run)
	return cmd
}

// local is a verb that shows something and needs no node.
func (c *client) local(cmd *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	cmd.Flags().StringVarP(&c.output, "output", "o", c.output, strings.Join(outputs(), ", "))
	return c.offline(cmd, run)
}

// offline is a verb that needs no node.
func (c *client) offline(cmd *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(outputs(), c.output) {
			return usageError{fmt.Errorf("--output %s is none of %s", c.output, strings.Join(outputs(), ", "))}
		}
		if err := c.useProfile(cmd); err != nil {
			return err
		}
		return run(cmd.Context(), args)
	}
	return cmd
}

// call makes a request and decodes the answer into out, if that is not nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	base, transport := c.where()
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return usageError{fmt.Errorf("--url %s: %w", c.url, err)}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		return failure(resp)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the node's answer is not understood: %w", err)
	}
	return nil
}

// where returns the API's base URL and how to get there.
func (c *client) where() (string, *http.Transport) {
	if c.url != "" {
		return strings.TrimSuffix(strings.TrimSuffix(c.url, "/"), "/api"), &http.Transport{DisableKeepAlives: true}
	}
	return "http://node", &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(c.data, server.SocketName))
		},
	}
}

// unreachable says what to do when no node answers.
func (c *client) unreachable(err error) error {
	if c.url != "" {
		return fmt.Errorf("no node answers at %s: %w", redact(c.url), errors.Unwrap(err))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no node is running on the data directory %q; start one with 'warren serve --data %s', "+
			"or name another with --data or --url", c.data, c.data)
	}
	return err
}

func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "the given URL"
	}
	return u.Redacted()
}

// failure turns an error answer into a sentence.
func failure(resp *http.Response) error {
	var e struct{ Error, Reason string }
	_ = json.NewDecoder(resp.Body).Decode(&e) // an answer without a body is one without a reason
	switch {
	case resp.StatusCode == http.StatusUnauthorized && e.Error == "not_authorized":
		return errors.New("the node does not accept the login; give --url http://user:password@host:port")
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("not allowed: %s", e.Reason)
	case resp.StatusCode == http.StatusNotFound:
		return errors.New("there is no such object, or it is not yours to see")
	case e.Reason != "":
		return errors.New(e.Reason)
	}
	return fmt.Errorf("the node answers %s", resp.Status)
}

// place is the cluster and vhost that a command is about.
type place struct {
	cluster, vhost string
}

// flags adds --cluster and --vhost.
func (p *place) flags(cmd *cobra.Command) {
	p.clusterFlag(cmd)
	cmd.Flags().StringVar(&p.vhost, "vhost", "/", "vhost inside the cluster")
}

func (p *place) clusterFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.cluster, "cluster", "", "cluster, by id or name; the default cluster when not given")
}

// clusterID resolves an id or a name.
func (c *client) clusterID(ctx context.Context, p *place) (string, error) {
	if p.cluster == "" || p.cluster == "default" {
		return "default", nil
	}
	var list []cluster
	if err := c.call(ctx, http.MethodGet, "/api/clusters", nil, &list); err != nil {
		return "", err
	}
	for _, m := range list {
		if m.ID == p.cluster {
			return m.ID, nil
		}
	}
	for _, m := range list {
		if m.Name == p.cluster {
			return m.ID, nil
		}
	}
	return "", fmt.Errorf("there is no cluster %q; 'warren cluster list' shows them", p.cluster)
}

// wire is the vhost's name as clients and paths have it, escaped.
func (c *client) wire(ctx context.Context, p *place) (string, error) {
	id, err := c.clusterID(ctx, p)
	if err != nil {
		return "", err
	}
	if id == "default" {
		return url.PathEscape(p.vhost), nil
	}
	return url.PathEscape(id + "|" + p.vhost), nil
}
