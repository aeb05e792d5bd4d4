package mgmt

import (
	"net/http"
	"strings"

	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) vhostRoutes() []route {
	return []route{
		{http.MethodGet, "/api/vhosts", needLogin, a.listVhosts},
		{http.MethodGet, "/api/vhosts/{vhost}", needVhost, a.getVhost},
		{http.MethodPut, "/api/vhosts/{vhost}", needLogin, a.putVhost},
		{http.MethodDelete, "/api/vhosts/{vhost}", needVhost, a.deleteVhost},
	}
}

// vhostView is a vhost as the API shows it: RabbitMQ's fields and its place.
type vhostView struct {
	Name             string            `json:"name"`  // as clients address it
	Vhost            string            `json:"vhost"` // inside its cluster
	Cluster          string            `json:"cluster"`
	Description      string            `json:"description"`
	Tags             []string          `json:"tags"`
	DefaultQueueType string            `json:"default_queue_type"`
	LenientRedeclare bool              `json:"lenient_redeclare"`
	Tracing          bool              `json:"tracing"`
	ClusterState     map[string]string `json:"cluster_state"`

	totals
}

func (a *API) vhostView(m meta.Vhost) vhostView {
	w := vhostView{
		Name: m.Name, Vhost: m.Name, Cluster: m.Cluster, Description: m.Description, Tags: m.Tags,
		DefaultQueueType: m.DefaultQueueType, LenientRedeclare: m.LenientRedeclare,
		ClusterState: map[string]string{a.NodeName: "running"},
	}
	if w.Tags == nil {
		w.Tags = []string{}
	}
	if w.DefaultQueueType == "" {
		w.DefaultQueueType = "classic"
	}
	if v, ok := a.Broker.Vhost(m.Ref()); ok {
		w.Name = v.Wire()
		for _, q := range v.Queues() {
			view := q.View()
			w.add(&view)
		}
	}
	return w
}

func (a *API) listVhosts(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	list := []vhostView{}
	for _, v := range vhosts {
		if m, err := a.Store.Vhost(v.Ref()); err == nil {
			list = append(list, a.vhostView(m))
		}
	}
	return list, nil
}

func (a *API) getVhost(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	m, err := a.Store.Vhost(v.Ref())
	if err != nil {
		return nil, err
	}
	return a.vhostView(m), nil
}

func (a *API) putVhost(c *call) (any, error) {
	cluster, name, explicit := meta.ParseVhost(c.value("vhost"))
	if !explicit {
		cluster = a.Store.DefaultCluster().ID
	}
	if !c.administers(cluster) {
		return nil, errForbidden("Not administrator user")
	}
	return a.storeVhost(c, meta.VhostRef{Cluster: cluster, Name: name})
}

func (a *API) storeVhost(c *call, ref meta.VhostRef) (any, error) {
	var in struct {
		Description      string
		Tags             tagList
		DefaultQueueType string `json:"default_queue_type"`
		LenientRedeclare *bool  `json:"lenient_redeclare"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	v, isNew, err := a.Store.PutVhost(ref, meta.VhostOptions{
		Description: in.Description, Tags: in.Tags, DefaultQueueType: in.DefaultQueueType, LenientRedeclare: in.LenientRedeclare,
	})
	if err != nil || !isNew {
		return nil, err
	}
	return created{body: a.vhostView(v)}, nil
}

func (a *API) deleteVhost(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	if !c.administers(v.Ref().Cluster) {
		return nil, errForbidden("Not administrator user")
	}
	return nil, a.Store.DeleteVhost(v.Ref())
}

// tagList is a list of tags: an array, or RabbitMQ's text with commas.
type tagList []string

// UnmarshalText takes the text form.
func (t *tagList) UnmarshalText(b []byte) error {
	*t = nil
	for tag := range strings.SplitSeq(string(b), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			*t = append(*t, tag)
		}
	}
	return nil
}
