package cli

import (
	"bytes"
	_ "embed" // the greeting
	"errors"
	"fmt"
	"io"
	"net"
	"text/template"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/server"
)

//go:embed demo.txt
var greeting string

// demoName is the name of the demo's cluster, vhost and role.
const demoName = "demo"

// tenant is what a client needs to connect.
type tenant struct {
	Host, Port, Vhost, Role, Key string
	API, Data                    string
}

// greet tells where the node listens and, with demo, prints programs that can
// be pasted.
func greet(w io.Writer, s *server.Server, c *config.Config, ls *listeners, demo bool) error {
	api := "none"
	if ls.http != nil {
		api = "http://" + ls.http.Addr().String() + "/api"
	}
	if !demo {
		_, err := fmt.Fprintf(w, "AMQP on %s, API %s, data in %s\n", ls.amqp.Addr(), api, c.Data)
		return err
	}
	t, err := demoTenant(s.Store())
	if err != nil {
		return fmt.Errorf("demo tenant: %w", err)
	}
	t.API, t.Data = api, c.Data
	if t.Host, t.Port, err = net.SplitHostPort(c.Advertise); err != nil {
		return fmt.Errorf("advertise: %w", err)
	}
	page, err := template.New("demo").Parse(greeting)
	if err != nil {
		return err
	}
	var b bytes.Buffer // one write: who reads along gets all of it at once
	if err := page.Execute(&b, t); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// demoTenant makes the demo's cluster, vhost and role, if they are not there.
func demoTenant(store *meta.Store) (tenant, error) {
	var cluster meta.Cluster
	for _, c := range store.Clusters() {
		if c.Name == demoName {
			cluster = c
		}
	}
	if cluster.ID == "" {
		var err error
		if cluster, err = store.CreateCluster(demoName, ""); err != nil {
			return tenant{}, err
		}
	}
	ref := meta.VhostRef{Cluster: cluster.ID, Name: demoName}
	if _, _, err := store.PutVhost(ref, meta.VhostOptions{}); err != nil {
		return tenant{}, err
	}
	if _, _, err := store.CreateRole(cluster.ID, demoName, meta.RoleOptions{}); err != nil && !errors.Is(err, meta.ErrExists) {
		return tenant{}, err
	}
	if err := store.Grant(ref, demoName, auth.Grant{Produce: true, Consume: true}); err != nil {
		return tenant{}, err
	}
	key, err := store.RoleKey(cluster.ID, demoName)
	return tenant{Vhost: cluster.ID + "|" + demoName, Role: demoName, Key: key}, err
}
