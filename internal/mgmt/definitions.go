package mgmt

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// maxDefinitions bounds a file of definitions, in bytes, and
// maxVhostDefinitions one that a cluster's administrator sends.
const (
	maxDefinitions      = 256 << 20
	maxVhostDefinitions = 64 << 20
)

func (a *API) definitionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/definitions", needAdmin, a.exportAll},
		{http.MethodPost, "/api/definitions", needAdmin, a.importAll},
		{http.MethodPut, "/api/definitions", needAdmin, a.importAll},
		{http.MethodGet, "/api/all-configuration", needAdmin, a.exportAll},
		{http.MethodPost, "/api/all-configuration", needAdmin, a.importAll},
		{http.MethodGet, "/api/definitions/{vhost}", needVhost, a.exportVhost},
		{http.MethodPost, "/api/definitions/{vhost}", needVhost, a.importVhost},
		{http.MethodPut, "/api/definitions/{vhost}", needVhost, a.importVhost},
	}
}

// definitions are a file of definitions in RabbitMQ's form. In one of a single
// vhost the objects have no vhost.
type definitions struct {
	RabbitVersion  string `json:"rabbit_version,omitempty"`
	RabbitVersion2 string `json:"rabbitmq_version,omitempty"`
	Product        string `json:"product_name,omitempty"`
	ProductVersion string `json:"product_version,omitempty"`
	Format         string `json:"rabbitmq_definition_format,omitempty"`
	Explanation    string `json:"explanation,omitempty"`
	ClusterName    string `json:"original_cluster_name,omitempty"`
	VhostName      string `json:"original_vhost_name,omitempty"`

	Description      string         `json:"description,omitempty"` // of a single vhost
	Metadata         *vhostMetadata `json:"metadata,omitempty"`
	Limits           limits         `json:"limits,omitempty"`
	DefaultQueueType string         `json:"default_queue_type,omitempty"`

	Users            []userDefinition      `json:"users,omitempty"`
	Vhosts           []vhostDefinition     `json:"vhosts,omitempty"`
	Permissions      []permissionView      `json:"permissions,omitempty"`
	TopicPermissions []topicView           `json:"topic_permissions,omitempty"`
	GlobalParameters []globalView          `json:"global_parameters,omitempty"`
	Parameters       []parameterDefinition `json:"parameters"`
	Policies         []policyDefinition    `json:"policies"`
	Queues           []queueDefinition     `json:"queues"`
	Exchanges        []exchangeDefinition  `json:"exchanges"`
	Bindings         []bindingDefinition   `json:"bindings"`
}

type userDefinition struct {
	Name         string          `json:"name"`
	PasswordHash string          `json:"password_hash"`
	Algorithm    string          `json:"hashing_algorithm,omitempty"`
	Tags         json.RawMessage `json:"tags"`
	Limits       limits          `json:"limits"`
}

// limits are those of a vhost or user; older versions of RabbitMQ write none as
// an empty list.
type limits meta.Quota

// UnmarshalJSON reads either form.
func (l *limits) UnmarshalJSON(b []byte) error {
	if string(b) == "[]" {
		*l = nil
		return nil
	}
	return json.Unmarshal(b, (*meta.Quota)(l))
}

type vhostDefinition struct {
	Name             string         `json:"name"`
	Description      string         `json:"description,omitempty"`
	Tags             tagList        `json:"tags,omitempty"`
	DefaultQueueType string         `json:"default_queue_type,omitempty"`
	Metadata         *vhostMetadata `json:"metadata,omitempty"`
	Limits           limits         `json:"limits"`
	Protected        bool           `json:"protected_from_deletion,omitempty"`
}

type parameterDefinition struct {
	Vhost     string          `json:"vhost,omitempty"`
	Component string          `json:"component"`
	Name      string          `json:"name"`
	Value     json.RawMessage `json:"value"`
}

type policyDefinition struct {
	Vhost      string          `json:"vhost,omitempty"`
	Name       string          `json:"name"`
	Pattern    string          `json:"pattern"`
	ApplyTo    string          `json:"apply-to"`
	Definition json.RawMessage `json:"definition"`
	Priority   int64           `json:"priority"`
}

type queueDefinition struct {
	Name       string    `json:"name"`
	Vhost      string    `json:"vhost,omitempty"`
	Type       string    `json:"type,omitempty"`
	Durable    bool      `json:"durable"`
	AutoDelete bool      `json:"auto_delete"`
	Arguments  arguments `json:"arguments"`
}

type exchangeDefinition struct {
	Name       string    `json:"name"`
	Vhost      string    `json:"vhost,omitempty"`
	Type       string    `json:"type"`
	Durable    bool      `json:"durable"`
	AutoDelete bool      `json:"auto_delete"`
	Internal   bool      `json:"internal,omitempty"`
	Arguments  arguments `json:"arguments"`
}

type bindingDefinition struct {
	Source          string    `json:"source"`
	Vhost           string    `json:"vhost,omitempty"`
	Destination     string    `json:"destination"`
	DestinationType string    `json:"destination_type"`
	RoutingKey      string    `json:"routing_key"`
	Arguments       arguments `json:"arguments"`
}

// newDefinitions is a file without objects.
func (a *API) newDefinitions() *definitions {
	return &definitions{
		RabbitVersion: rabbitVersion, RabbitVersion2: rabbitVersion, Product: "Warren", ProductVersion: a.Version,
		Parameters: []parameterDefinition{}, Policies: []policyDefinition{}, Queues: []queueDefinition{},
		Exchanges: []exchangeDefinition{}, Bindings: []bindingDefinition{},
	}
}

// exportAll gives the definitions of the default cluster: what a RabbitMQ
// cluster is. Those of the others are exported vhost by vhost.
func (a *API) exportAll(c *call) (any, error) {
	d := a.newDefinitions()
	name := a.Store.ClusterName(a.ClusterName)
	d.Format, d.ClusterName, d.Explanation = "cluster", name, "Definitions of cluster '"+name+"'"
	d.Users, d.Vhosts, d.Permissions, d.TopicPermissions = []userDefinition{}, []vhostDefinition{}, []permissionView{}, []topicView{}
	users, err := a.userViews(func(*meta.Role) bool { return true })
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		tags, _ := json.Marshal(u.Tags) //nolint:errchkjson // texts
		d.Users = append(d.Users, userDefinition{u.Name, u.PasswordHash, u.Algorithm, tags, limits(u.Limits)})
	}
	home := a.Store.DefaultCluster().ID
	for _, p := range a.Store.Permissions() {
		if p.Vhost.Cluster == home {
			d.Permissions = append(d.Permissions, a.permissionViews([]meta.Permission{p})...)
		}
	}
	d.TopicPermissions = a.topicViews(a.Store.TopicPermissions(), func(p *meta.TopicPermission) bool { return p.Vhost.Cluster == home })
	d.GlobalParameters = slices.DeleteFunc(a.globals(), func(g globalView) bool { return g.Name == "internal_cluster_id" })
	vhosts, err := a.Store.Vhosts("")
	if err != nil {
		return nil, err
	}
	for _, m := range vhosts {
		w := vhostDefinition{Name: m.Name, Metadata: newMetadata(&m), Limits: limits(m.Limits), Protected: m.Protected}
		if w.Limits == nil {
			w.Limits = limits{}
		}
		d.Vhosts = append(d.Vhosts, w)
		if v, ok := a.Broker.Vhost(m.Ref()); ok {
			a.exportObjects(d, v, m.Name)
		}
	}
	c.download("definitions.json")
	return d, nil
}

func newMetadata(m *meta.Vhost) *vhostMetadata {
	w := vhostMetadata{m.Description, m.Tags, m.DefaultQueueType}
	if w.Tags == nil {
		w.Tags = []string{}
	}
	if w.DefaultQueueType == "" {
		w.DefaultQueueType = "classic"
	}
	return &w
}

// download names the file that a browser saves the answer as, when the
// request asks for it.
func (c *call) download(name string) {
	if wanted := c.req.URL.Query().Get("download"); wanted != "" {
		name = wanted
	}
	c.header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

func (a *API) exportVhost(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	m, err := a.Store.Vhost(ref)
	if err != nil {
		return nil, err
	}
	v, ok := a.Broker.Vhost(ref)
	if !ok {
		return nil, errMissing()
	}
	d := a.newDefinitions()
	d.Format, d.VhostName, d.Explanation = "single_virtual_host", v.Wire(), "Definitions of virtual host '"+v.Wire()+"'"
	d.Description, d.Metadata, d.Limits, d.DefaultQueueType = m.Description, newMetadata(&m), limits(m.Limits), m.DefaultQueueType
	a.exportObjects(d, v, "")
	return d, nil
}

// exportObjects adds what is in a vhost and lasts: durable objects that the
// broker did not make.
func (a *API) exportObjects(d *definitions, v *broker.Vhost, name string) {
	for _, p := range a.vhostParameters(v) {
		value, _ := json.Marshal(p.Value) //nolint:errchkjson // numbers and texts
		d.Parameters = append(d.Parameters, parameterDefinition{name, p.Component, p.Name, value})
	}
	policies, _ := a.policyViews(v, false) // none of a vhost that has just gone
	for _, p := range policies {
		text, _ := json.Marshal(p.Definition) //nolint:errchkjson // numbers and texts
		d.Policies = append(d.Policies, policyDefinition{name, p.Name, p.Pattern, string(p.ApplyTo), text, p.Priority})
	}
	durable := map[string]bool{}
	queues := v.Queues()
	slices.SortFunc(queues, func(a, b *broker.Queue) int { return compareText(a.Name, b.Name) })
	for _, q := range queues {
		if durable["q"+q.Name] = q.Durable && !q.Exclusive; durable["q"+q.Name] {
			d.Queues = append(d.Queues, queueDefinition{q.Name, name, q.Type(), true, q.AutoDelete, arguments(q.Arguments())})
		}
	}
	exchanges := v.Exchanges()
	slices.SortFunc(exchanges, func(a, b *broker.Exchange) int { return compareText(a.Name, b.Name) })
	for _, x := range exchanges {
		if durable["e"+x.Name] = x.Durable; x.Durable && !predeclared(x.Name) {
			d.Exchanges = append(d.Exchanges, exchangeDefinition{
				x.Name, name, x.Type, true, x.AutoDelete, x.Internal, arguments(x.Arguments),
			})
		}
	}
	for _, b := range v.Bindings() {
		if durable["e"+b.Source] && durable[string(b.DestinationKind[0])+b.Destination] {
			d.Bindings = append(d.Bindings, bindingDefinition{
				b.Source, name, b.Destination, string(b.DestinationKind), b.Key, arguments(b.Arguments),
			})
		}
	}
}

// readDefinitions reads a file of definitions: the body, or the part of a form
// called file.
func (c *call) readDefinitions() (*definitions, error) {
	most := int64(maxVhostDefinitions)
	if c.installation() {
		most = maxDefinitions
	}
	if err := c.takeBody(most); err != nil {
		return nil, err
	}
	d := &definitions{}
	kind, params, _ := mime.ParseMediaType(c.req.Header.Get("Content-Type")) // without one it is JSON
	if kind != "multipart/form-data" {
		return d, decodeDefinitions(c.req.Body, d, most)
	}
	form := multipart.NewReader(c.req.Body, params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, errBad("the form has no part called file")
		}
		if err != nil {
			return nil, errBad("the form cannot be read: %v", err)
		}
		if part.FormName() == "file" {
			return d, decodeDefinitions(part, d, most)
		}
	}
}

// decodeDefinitions says more of what is wrong with a file than RabbitMQ does.
func decodeDefinitions(r io.Reader, d *definitions, most int64) error {
	var text json.RawMessage
	if err := decodeUpTo(r, &text, most); err != nil {
		return err
	}
	if len(text) == 0 {
		return errBad("not_json: the file is empty")
	}
	if err := json.Unmarshal(text, d); err != nil {
		return errBad("not_json: %v", err)
	}
	return nil
}
