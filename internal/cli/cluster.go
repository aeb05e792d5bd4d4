package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

// cluster is a tenant as the API shows it.
type cluster struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Remark  string `json:"remark"`
	Default bool   `json:"default"`
	Address string `json:"address"`
	Created string `json:"created"`
}

func clusterCommand(c *client) *cobra.Command {
	var remark string
	create := c.command(&cobra.Command{
		Use: "create NAME", Short: "Make a cluster", Args: args("NAME"),
		Example: "  warren cluster create shop --output json",
	}, func(ctx context.Context, args []string) error {
		var m cluster
		in := map[string]string{"name": args[0], "remark": remark}
		if err := c.call(ctx, http.MethodPost, "/api/clusters", in, &m); err != nil {
			return err
		}
		return c.show(clusters(m, m))
	})
	create.Flags().StringVar(&remark, "remark", "", "a note, up to 128 characters")
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List the clusters", Args: args(), Example: "  warren cluster list",
	}, func(ctx context.Context, _ []string) error {
		list := []cluster{}
		if err := c.call(ctx, http.MethodGet, "/api/clusters", nil, &list); err != nil {
			return err
		}
		return c.show(clusters(list, list...))
	})
	show := c.reading(&cobra.Command{
		Use: "show CLUSTER", Short: "Show a cluster", Args: args("CLUSTER"), Example: "  warren cluster show shop",
	}, func(ctx context.Context, args []string) error {
		id, err := c.clusterID(ctx, &place{cluster: args[0]})
		if err != nil {
			return err
		}
		var m cluster
		if err := c.call(ctx, http.MethodGet, "/api/clusters/"+id, nil, &m); err != nil {
			return err
		}
		return c.show(clusters(m, m))
	})
	remove := c.command(&cobra.Command{
		Use: "delete CLUSTER", Short: "Delete a cluster with everything in it", Args: args("CLUSTER"),
		Example: "  warren cluster delete shop",
	}, func(ctx context.Context, args []string) error {
		id, err := c.clusterID(ctx, &place{cluster: args[0]})
		if err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodDelete, "/api/clusters/"+id, nil, nil); err != nil {
			return err
		}
		return c.done("cluster %s is deleted with everything in it", args[0])
	})
	return noun("cluster", "Tenants: each has its own vhosts and roles", create, list, show, remove)
}

func clusters(value any, list ...cluster) table {
	t := table{value: value, head: []string{"ID", "NAME", "ADDRESS", "DEFAULT", "REMARK"}}
	for _, m := range list {
		t.rows = append(t.rows, []string{m.ID, m.Name, m.Address, yes(m.Default), m.Remark})
	}
	return t
}
