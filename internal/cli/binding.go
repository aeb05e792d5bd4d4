package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// binding is a binding as the API shows it.
type binding struct {
	Source      string         `json:"source"`
	Destination string         `json:"destination"`
	Type        string         `json:"destination_type"`
	Key         string         `json:"routing_key"`
	Arguments   map[string]any `json:"arguments"`
	Properties  string         `json:"properties_key"`
}

// bindings is the noun's commands.
type bindings struct {
	*client
	place
	binding
	arguments
}

func bindingCommand(c *client) *cobra.Command {
	b := &bindings{client: c}
	create, list, remove := b.create(), b.listAll(), b.remove()
	for _, cmd := range []*cobra.Command{create, list, remove} {
		b.flags(cmd)
	}
	for _, cmd := range []*cobra.Command{create, remove} {
		f := cmd.Flags()
		f.StringVar(&b.Source, "source", "", "exchange that messages come from")
		f.StringVar(&b.Destination, "destination", "", "queue or exchange that they go to")
		f.StringVar(&b.Type, "destination-type", "queue", "queue or exchange")
		f.StringVar(&b.Key, "key", "", "binding key")
	}
	b.flag(create)
	return noun("binding", "Which messages of an exchange go where", create, list, remove)
}

// path is the API's path of the bindings between the two ends.
func (b *bindings) path(ctx context.Context) (string, error) {
	letter := map[string]string{"queue": "q", "exchange": "e"}[b.Type]
	switch {
	case b.Source == "":
		return "", usageError{errors.New("--source is missing: name the exchange that messages come from")}
	case b.Destination == "":
		return "", usageError{errors.New("--destination is missing: name the queue or exchange that messages go to")}
	case letter == "":
		return "", usageError{fmt.Errorf("--destination-type %s is neither queue nor exchange", b.Type)}
	}
	vhost, err := b.wire(ctx, &b.place)
	return "/api/bindings/" + vhost + "/e/" + url.PathEscape(b.Source) + "/" + letter + "/" + url.PathEscape(b.Destination), err
}

func (b *bindings) create() *cobra.Command {
	return b.command(&cobra.Command{
		Use: "create", Short: "Bind a queue or an exchange to an exchange", Args: args(),
		Example: "  warren binding create --vhost orders --cluster shop --source orders --destination billing --key 'order.*'",
	}, func(ctx context.Context, _ []string) error {
		path, err := b.path(ctx)
		if err != nil {
			return err
		}
		a, err := b.object()
		if err != nil {
			return err
		}
		in := map[string]any{"routing_key": b.Key, "arguments": a}
		if err := b.call(ctx, http.MethodPost, path, in, nil); err != nil {
			return err
		}
		return b.done("%s is bound to %s with key %q", b.Destination, b.Source, b.Key)
	})
}

func (b *bindings) listAll() *cobra.Command {
	return b.command(&cobra.Command{
		Use: "list", Short: "List a vhost's bindings", Args: args(), Example: "  warren binding list --cluster shop --vhost orders",
	}, func(ctx context.Context, _ []string) error {
		list := []binding{}
		if err := b.list(ctx, &b.place, "bindings", &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"SOURCE", "KEY", "DESTINATION", "TYPE", "ARGUMENTS"}}
		for _, x := range list {
			if x.Source != "" { // every queue's own binding to the default exchange is not worth a line
				t.rows = append(t.rows, []string{x.Source, x.Key, x.Destination, x.Type, brief(x.Arguments)})
			}
		}
		return b.show(t)
	})
}

func (b *bindings) remove() *cobra.Command {
	return b.command(&cobra.Command{
		Use: "delete", Short: "Remove the bindings with this key between the two ends", Args: args(),
		Example: "  warren binding delete --cluster shop --vhost orders --source orders --destination billing --key 'order.*'",
	}, func(ctx context.Context, _ []string) error {
		path, err := b.path(ctx)
		if err != nil {
			return err
		}
		list := []binding{}
		if err := b.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		n := 0
		for _, x := range list {
			if x.Key == b.Key {
				if err := b.call(ctx, http.MethodDelete, path+"/"+url.PathEscape(x.Properties), nil, nil); err != nil {
					return err
				}
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("%s is not bound to %s with key %q", b.Destination, b.Source, b.Key)
		}
		return b.done("%s is no longer bound to %s with key %q", b.Destination, b.Source, b.Key)
	})
}
