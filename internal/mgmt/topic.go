package mgmt

import (
	"net/http"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) topicRoutes() []route {
	return []route{
		{http.MethodGet, "/api/topic-permissions", needAdmin, a.listTopicPermissions},
		{http.MethodGet, "/api/topic-permissions/{vhost}/{user}", needVhost, a.getTopicPermissions},
		{http.MethodPut, "/api/topic-permissions/{vhost}/{user}", needVhost, a.putTopicPermission},
		{http.MethodDelete, "/api/topic-permissions/{vhost}/{user}", needVhost, a.deleteTopicPermissions},
		{http.MethodGet, "/api/topic-permissions/{vhost}/{user}/{name}", needVhost, a.getTopicPermissions},
		{http.MethodPut, "/api/topic-permissions/{vhost}/{user}/{name}", needVhost, a.putTopicPermission},
		{http.MethodDelete, "/api/topic-permissions/{vhost}/{user}/{name}", needVhost, a.deleteTopicPermissions},
		{http.MethodGet, "/api/vhosts/{vhost}/topic-permissions", needVhost, a.vhostTopicPermissions},
		{http.MethodGet, "/api/users/{user}/topic-permissions", needAdmin, a.userTopicPermissions},
	}
}

// topicView is a topic permission in RabbitMQ's form.
type topicView struct {
	User     string `json:"user"`
	Vhost    string `json:"vhost"`
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

func (a *API) topicViews(list []meta.TopicPermission, wanted func(*meta.TopicPermission) bool) []topicView {
	all := []topicView{}
	for i := range list {
		if p := &list[i]; wanted(p) {
			all = append(all, topicView{p.Role, a.wire(p.Vhost), p.Exchange, p.Write, p.Read})
		}
	}
	return all
}

// wire is what clients call a vhost.
func (a *API) wire(ref meta.VhostRef) string {
	if v, ok := a.Broker.Vhost(ref); ok {
		return v.Wire()
	}
	return ref.Name
}

func (a *API) listTopicPermissions(c *call) (any, error) {
	all := a.topicViews(a.Store.TopicPermissions(), func(*meta.TopicPermission) bool { return true })
	return listing.Views(c.req.URL.Query(), all, func(t topicView) string { return t.User })
}

func (a *API) vhostTopicPermissions(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	return a.topicViews(a.Store.TopicPermissions(), func(p *meta.TopicPermission) bool { return p.Vhost == ref }), nil
}

func (a *API) userTopicPermissions(c *call) (any, error) {
	list, err := a.Store.RoleTopicPermissions("", c.value("user"))
	return a.topicViews(list, func(*meta.TopicPermission) bool { return true }), err
}

func (a *API) getTopicPermissions(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	list, err := a.Store.RoleTopicPermissions(ref.Cluster, c.value("user"))
	if err != nil {
		return nil, err
	}
	exchange := c.value("name")
	all := a.topicViews(list, func(p *meta.TopicPermission) bool {
		return p.Vhost == ref && (exchange == "" || exchange == p.Exchange)
	})
	if len(all) == 0 {
		return nil, errMissing()
	}
	return all, nil
}

func (a *API) putTopicPermission(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	var in struct{ Exchange, Write, Read *string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if name := c.value("name"); in.Exchange == nil && name != "" { // the body has the last word, as with RabbitMQ
		in.Exchange = &name
	}
	if err := mandatory(
		key{"exchange", in.Exchange != nil}, key{"write", in.Write != nil}, key{"read", in.Read != nil},
	); err != nil {
		return nil, err
	}
	return put(a.Store.SetTopicPermission(meta.TopicPermission{
		Vhost: ref, Role: c.value("user"), Exchange: *in.Exchange, Write: *in.Write, Read: *in.Read,
	}))
}

func (a *API) deleteTopicPermissions(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	var exchange *string
	if name := c.value("name"); name != "" {
		exchange = &name
	}
	return nil, a.Store.ClearTopicPermissions(ref, c.value("user"), exchange)
}
