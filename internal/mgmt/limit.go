package mgmt

import (
	"net/http"

	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) limitRoutes() []route {
	return []route{
		{http.MethodGet, "/api/vhost-limits", needLogin, a.listVhostLimits},
		{http.MethodGet, "/api/vhost-limits/{vhost}", needVhost, a.listVhostLimits},
		{http.MethodPut, "/api/vhost-limits/{vhost}/{name}", needVhost, a.putVhostLimit},
		{http.MethodDelete, "/api/vhost-limits/{vhost}/{name}", needVhost, a.deleteVhostLimit},
		{http.MethodGet, "/api/user-limits", needAdmin, a.listUserLimits},
		{http.MethodGet, "/api/user-limits/{user}", needAdmin, a.listUserLimits},
		{http.MethodPut, "/api/user-limits/{user}/{name}", needAdmin, a.putUserLimit},
		{http.MethodDelete, "/api/user-limits/{user}/{name}", needAdmin, a.deleteUserLimit},
		{http.MethodPut, "/api/clusters/{cluster}/roles/{role}/limits/{name}", needCluster, a.putRoleLimit},
		{http.MethodDelete, "/api/clusters/{cluster}/roles/{role}/limits/{name}", needCluster, a.deleteRoleLimit},
	}
}

// limitsView is what was set for a vhost or user, in RabbitMQ's form.
type limitsView struct {
	Vhost string     `json:"vhost,omitempty"`
	User  string     `json:"user,omitempty"`
	Value meta.Quota `json:"value"`
}

func (a *API) listVhostLimits(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	list := []limitsView{}
	for _, v := range vhosts {
		if m, err := a.Store.Vhost(v.Ref()); err == nil && m.Limits != nil {
			list = append(list, limitsView{Vhost: v.Wire(), Value: m.Limits})
		}
	}
	return list, nil
}

func (a *API) listUserLimits(c *call) (any, error) {
	roles, err := a.Store.Roles("")
	if err != nil {
		return nil, err
	}
	name := c.value("user")
	list := []limitsView{}
	for _, r := range roles {
		if r.Limits != nil && (name == "" || name == r.Name) {
			list = append(list, limitsView{User: r.Name, Value: r.Limits})
		}
	}
	return list, nil
}

// limit reads the body of a PUT.
func (c *call) limit() (*int64, error) {
	var in struct{ Value *int64 }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(key{"value", in.Value != nil}); err != nil {
		return nil, err
	}
	return in.Value, nil
}

func (a *API) putVhostLimit(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	n, err := c.limit()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.SetVhostLimit(ref, c.value("name"), n)
}

func (a *API) deleteVhostLimit(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.SetVhostLimit(ref, c.value("name"), nil)
}

func (a *API) putUserLimit(c *call) (any, error) {
	n, err := c.limit()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.SetRoleLimit("", c.value("user"), c.value("name"), n)
}

func (a *API) deleteUserLimit(c *call) (any, error) {
	return nil, a.Store.SetRoleLimit("", c.value("user"), c.value("name"), nil)
}

func (a *API) putRoleLimit(c *call) (any, error) {
	n, err := c.limit()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.SetRoleLimit(c.clusterID(), c.value("role"), c.value("name"), n)
}

func (a *API) deleteRoleLimit(c *call) (any, error) {
	return nil, a.Store.SetRoleLimit(c.clusterID(), c.value("role"), c.value("name"), nil)
}
