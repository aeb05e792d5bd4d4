package mgmt

import (
	"errors"
	"net/http"
	"strings"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/session"
)

func (a *API) vhostRoutes() []route {
	return []route{
		{http.MethodGet, "/api/vhosts", needLogin, a.listVhosts},
		{http.MethodGet, "/api/vhosts/{vhost}", needVhost, a.getVhost},
		{http.MethodPut, "/api/vhosts/{vhost}", needLogin, a.putVhost},
		{http.MethodDelete, "/api/vhosts/{vhost}", needVhost, a.deleteVhost},
		{http.MethodPost, "/api/vhosts/{vhost}/deletion/protection", needVhost, a.protectVhost(true)},
		{http.MethodDelete, "/api/vhosts/{vhost}/deletion/protection", needVhost, a.protectVhost(false)},
		{http.MethodPost, "/api/vhosts/{vhost}/start/{node}", needVhost, a.startVhost},
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
	Protected        bool              `json:"protected_from_deletion"`
	Metadata         vhostMetadata     `json:"metadata"`
	ClusterState     map[string]string `json:"cluster_state"`

	lengths
	traffic

	Stats *vhostStats `json:"message_stats,omitempty"`
}

// vhostMetadata is what was said of a vhost, in RabbitMQ's form.
type vhostMetadata struct {
	Description      string   `json:"description"`
	Tags             []string `json:"tags"`
	DefaultQueueType string   `json:"default_queue_type"`
}

func (a *API) vhostView(m meta.Vhost, p spans) vhostView {
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
	w.Protected, w.Metadata = m.Protected, vhostMetadata{w.Description, w.Tags, w.DefaultQueueType}
	if v, ok := a.Broker.Vhost(m.Ref()); ok {
		w.Name = v.Wire()
		now, list := v.Totals()
		w.lengths = newLengths(&now.QueueSample, list, p.lengths, ofVhostSample)
		w.Stats = newVhostStats(&now, list, p.messages)
	}
	return w
}

// vhostTraffic adds up what went over the connections of vhosts.
func (a *API) vhostTraffic() map[meta.VhostRef]*session.Traffic {
	all := map[meta.VhostRef]*session.Traffic{}
	for _, conn := range a.Registry.Living() {
		_, _, ref := conn.Owner()
		if all[ref] == nil {
			all[ref] = &session.Traffic{}
		}
		t := conn.Traffic()
		all[ref].Add(&t)
	}
	return all
}

func (a *API) listVhosts(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	p, err := c.spans()
	if err != nil {
		return nil, err
	}
	octets := a.vhostTraffic()
	return listing.List(c.req.URL.Query(), vhosts, &listing.Lister[*broker.Vhost]{
		Name:  (*broker.Vhost).Wire,
		Order: func(a, b *broker.Vhost) int { return strings.Compare(a.Wire(), b.Wire()) },
		View: func(v *broker.Vhost) any {
			m, err := a.Store.Vhost(v.Ref())
			if err != nil { // it has just gone
				m = meta.Vhost{Name: v.Ref().Name, Cluster: v.Ref().Cluster}
			}
			return a.withTraffic(a.vhostView(m, p), octets[v.Ref()])
		},
	})
}

func (a *API) withTraffic(w vhostView, t *session.Traffic) vhostView {
	if t != nil {
		w.traffic = newTraffic(t, nil, span{})
	}
	return w
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
	p, err := c.spans()
	if err != nil {
		return nil, err
	}
	return listing.One(c.req.URL.Query(), a.withTraffic(a.vhostView(m, p), a.vhostTraffic()[v.Ref()]))
}

func (a *API) putVhost(c *call) (any, error) {
	cluster, name, explicit := meta.ParseVhost(c.value("vhost"))
	if !explicit {
		cluster = a.Store.DefaultCluster().ID
	}
	if !c.administers(cluster) {
		return nil, errForbidden("Not administrator user")
	}
	ref := meta.VhostRef{Cluster: cluster, Name: name}
	answer, err := a.storeVhost(c, ref)
	if _, isNew := answer.(created); err != nil || !isNew {
		return answer, err
	}
	return answer, a.grantCreator(c, ref)
}

// grantCreator gives whoever made a vhost all rights to it, as RabbitMQ does: clients make
// one and connect to it. An operator of another cluster, or the socket's, has no role in it.
func (a *API) grantCreator(c *call, ref meta.VhostRef) error {
	if c.identity.Cluster != ref.Cluster {
		return nil
	}
	err := a.Store.SetPermission(meta.Permission{
		Vhost: ref, Role: c.identity.Role, Configure: ".*", Write: ".*", Read: ".*",
	})
	if errors.Is(err, meta.ErrNotFound) {
		return nil
	}
	return err
}

func (a *API) storeVhost(c *call, ref meta.VhostRef) (any, error) {
	var in struct {
		Description      string
		Tags             tagList
		DefaultQueueType string `json:"default_queue_type"`
		LenientRedeclare *bool  `json:"lenient_redeclare"`
		Tracing          truth
		Protected        *truth `json:"protected_from_deletion"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Tracing {
		return nil, errBad("tracing is not supported: bind a queue to the exchange whose messages you want to see")
	}
	v, isNew, err := a.Store.PutVhost(ref, meta.VhostOptions{
		Description: in.Description, Tags: in.Tags, DefaultQueueType: in.DefaultQueueType, LenientRedeclare: in.LenientRedeclare,
	})
	if err == nil && in.Protected != nil {
		err = a.Store.ProtectVhost(ref, bool(*in.Protected))
	}
	if err != nil || !isNew {
		return nil, err
	}
	return created{body: a.vhostView(v, spans{})}, nil
}

func (a *API) protectVhost(protected bool) func(*call) (any, error) {
	return func(c *call) (any, error) {
		ref, err := c.administered()
		if err != nil {
			return nil, err
		}
		return nil, a.Store.ProtectVhost(ref, protected)
	}
}

// startVhost has nothing to do: a vhost that is there runs.
func (a *API) startVhost(c *call) (any, error) {
	if _, err := c.administered(); err != nil {
		return nil, err
	}
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	return nil, nil
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
