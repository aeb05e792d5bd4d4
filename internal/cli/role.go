package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// role is a role as the API shows it.
type role struct {
	Name     string   `json:"name"`
	Remark   string   `json:"remark"`
	Tags     []string `json:"tags"`
	Disabled bool     `json:"disabled"`
	Grants   []grant  `json:"grants"`
	Key      string   `json:"key,omitempty"`
}

type grant struct {
	Vhost   string `json:"vhost"`
	Produce bool   `json:"produce"`
	Consume bool   `json:"consume"`
}

// roles is the noun's commands: they share a place.
type roles struct {
	*client
	place
}

func roleCommand(c *client) *cobra.Command {
	r := &roles{client: c}
	verbs := []*cobra.Command{
		r.create(), r.list(), r.show(), r.remove(), r.resetKey(), r.disable("disable"), r.disable("enable"),
		r.grant(), r.revoke(),
	}
	for _, cmd := range verbs {
		r.clusterFlag(cmd)
	}
	return noun("role", "Who may connect: a name and a key, granted per vhost", verbs...)
}

// path is the API's path of a role.
func (r *roles) path(ctx context.Context, name, more string) (string, error) {
	id, err := r.clusterID(ctx, &r.place)
	return "/api/clusters/" + id + "/roles/" + url.PathEscape(name) + more, err
}

func (r *roles) create() *cobra.Command {
	var remark string
	var tags []string
	cmd := r.command(&cobra.Command{
		Use: "create ROLE", Short: "Make a role and its key", Args: args("ROLE"),
		Example: "  warren role create worker --cluster shop --output json",
	}, func(ctx context.Context, args []string) error {
		id, err := r.clusterID(ctx, &r.place)
		if err != nil {
			return err
		}
		var v role
		in := map[string]any{"name": args[0], "remark": remark, "tags": tags}
		if err := r.call(ctx, http.MethodPost, "/api/clusters/"+id+"/roles", in, &v); err != nil {
			return err
		}
		return r.client.show(roleTable(v, true, v))
	})
	cmd.Flags().StringVar(&remark, "remark", "", "a note")
	cmd.Flags().StringSliceVar(&tags, "tag", nil, "tag: administrator, monitoring, management")
	return cmd
}

func (r *roles) list() *cobra.Command {
	return r.command(&cobra.Command{
		Use: "list", Short: "List a cluster's roles", Args: args(), Example: "  warren role list --cluster shop",
	}, func(ctx context.Context, _ []string) error {
		id, err := r.clusterID(ctx, &r.place)
		if err != nil {
			return err
		}
		list := []role{}
		if err := r.call(ctx, http.MethodGet, "/api/clusters/"+id+"/roles", nil, &list); err != nil {
			return err
		}
		return r.client.show(roleTable(list, false, list...))
	})
}

func (r *roles) show() *cobra.Command {
	return r.command(&cobra.Command{
		Use: "show ROLE", Short: "Show a role and its key", Args: args("ROLE"),
		Example: "  warren role show worker --cluster shop",
	}, func(ctx context.Context, args []string) error {
		path, err := r.path(ctx, args[0], "")
		if err != nil {
			return err
		}
		var v role
		if err := r.call(ctx, http.MethodGet, path, nil, &v); err != nil {
			return err
		}
		return r.client.show(roleTable(v, true, v))
	})
}

// do runs a request about a role that answers nothing.
func (r *roles) do(ctx context.Context, method, name, more, said string) error {
	path, err := r.path(ctx, name, more)
	if err != nil {
		return err
	}
	if err := r.call(ctx, method, path, nil, nil); err != nil {
		return err
	}
	return r.done("role %s is %s", name, said)
}

func (r *roles) remove() *cobra.Command {
	return r.command(&cobra.Command{
		Use: "delete ROLE", Short: "Delete a role with its grants; its connections end", Args: args("ROLE"),
		Example: "  warren role delete worker --cluster shop",
	}, func(ctx context.Context, args []string) error {
		return r.do(ctx, http.MethodDelete, args[0], "", "deleted")
	})
}

func (r *roles) disable(verb string) *cobra.Command {
	short := map[string]string{
		"disable": "Refuse a role until it is enabled; its connections end", "enable": "Accept a disabled role again",
	}[verb]
	return r.command(&cobra.Command{
		Use: verb + " ROLE", Short: short, Args: args("ROLE"), Example: "  warren role " + verb + " worker --cluster shop",
	}, func(ctx context.Context, args []string) error {
		return r.do(ctx, http.MethodPost, args[0], "/"+verb, verb+"d")
	})
}

func (r *roles) resetKey() *cobra.Command {
	var overlap time.Duration
	cmd := r.command(&cobra.Command{
		Use: "reset-key ROLE", Short: "Give a role a new key", Args: args("ROLE"),
		Example: "  warren role reset-key worker --cluster shop --overlap 1h",
	}, func(ctx context.Context, args []string) error {
		path, err := r.path(ctx, args[0], "/reset-key")
		if err != nil {
			return err
		}
		var v role
		in := map[string]int64{"overlap_seconds": int64(overlap / time.Second)}
		if err := r.call(ctx, http.MethodPost, path, in, &v); err != nil {
			return err
		}
		out := map[string]string{"name": v.Name, "key": v.Key}
		return r.client.show(table{out, []string{"ROLE", "KEY"}, [][]string{{v.Name, v.Key}}})
	})
	cmd.Flags().DurationVar(&overlap, "overlap", 0, "how long the old key stays good; 0 ends its connections now")
	return cmd
}

func (r *roles) grantPath(ctx context.Context, vhost, name string) (string, error) {
	if vhost == "" {
		return "", usageError{errors.New("--vhost is missing: a grant is for one vhost")}
	}
	id, err := r.clusterID(ctx, &r.place)
	return "/api/clusters/" + id + "/vhosts/" + url.PathEscape(vhost) + "/grants/" + url.PathEscape(name), err
}

func (r *roles) grant() *cobra.Command {
	var vhost string
	var g grant
	cmd := r.command(&cobra.Command{
		Use: "grant ROLE", Short: "Let a role produce and/or consume in a vhost", Args: args("ROLE"),
		Example: "  warren role grant worker --cluster shop --vhost orders --produce --consume",
	}, func(ctx context.Context, args []string) error {
		path, err := r.grantPath(ctx, vhost, args[0])
		if err != nil {
			return err
		}
		in := map[string]bool{"produce": g.Produce, "consume": g.Consume}
		if err := r.call(ctx, http.MethodPut, path, in, nil); err != nil {
			return err
		}
		return r.done("role %s may %s in vhost %s", args[0], may(g), vhost)
	})
	cmd.Flags().StringVar(&vhost, "vhost", "", "vhost inside the cluster")
	cmd.Flags().BoolVar(&g.Produce, "produce", false, "publish, and declare and bind what that needs")
	cmd.Flags().BoolVar(&g.Consume, "consume", false, "consume, and declare and bind what that needs")
	return cmd
}

func (r *roles) revoke() *cobra.Command {
	var vhost string
	cmd := r.command(&cobra.Command{
		Use: "revoke ROLE", Short: "Take a role's grant on a vhost away; its connections to it end", Args: args("ROLE"),
		Example: "  warren role revoke worker --cluster shop --vhost orders",
	}, func(ctx context.Context, args []string) error {
		path, err := r.grantPath(ctx, vhost, args[0])
		if err != nil {
			return err
		}
		if err := r.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		return r.done("role %s may do nothing in vhost %s any more", args[0], vhost)
	})
	cmd.Flags().StringVar(&vhost, "vhost", "", "vhost inside the cluster")
	return cmd
}

// may is a grant in words.
func may(g grant) string {
	var list []string
	if g.Produce {
		list = append(list, "produce")
	}
	if g.Consume {
		list = append(list, "consume")
	}
	if list == nil {
		return "-"
	}
	return strings.Join(list, "+")
}

func roleTable(value any, keys bool, list ...role) table {
	t := table{value: value, head: []string{"ROLE", "GRANTS", "DISABLED", "TAGS", "REMARK"}}
	if keys {
		t.head = append(t.head, "KEY")
	}
	for _, v := range list {
		var grants []string
		for _, g := range v.Grants {
			grants = append(grants, g.Vhost+":"+may(g))
		}
		row := []string{v.Name, strings.Join(grants, " "), yes(v.Disabled), strings.Join(v.Tags, ","), v.Remark}
		if keys {
			row = append(row, v.Key)
		}
		t.rows = append(t.rows, row)
	}
	return t
}
