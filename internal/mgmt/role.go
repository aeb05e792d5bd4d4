package mgmt

import (
	"net/http"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
)

// maxOverlap is how long a replaced key may stay good.
const maxOverlap = 30 * 24 * time.Hour

func (a *API) roleRoutes() []route {
	return []route{
		{http.MethodGet, "/api/clusters/{cluster}/roles", needCluster, a.listRoles},
		{http.MethodPost, "/api/clusters/{cluster}/roles", needCluster, a.createRole},
		{http.MethodGet, "/api/clusters/{cluster}/roles/{role}", needCluster, a.getRole},
		{http.MethodDelete, "/api/clusters/{cluster}/roles/{role}", needCluster, a.deleteRole},
		{http.MethodPost, "/api/clusters/{cluster}/roles/{role}/reset-key", needCluster, a.resetKey},
		{http.MethodPost, "/api/clusters/{cluster}/roles/{role}/disable", needCluster, a.setDisabled(true)},
		{http.MethodPost, "/api/clusters/{cluster}/roles/{role}/enable", needCluster, a.setDisabled(false)},
	}
}

// roleView is a role as the API shows it; its key only where one is asked for.
type roleView struct {
	Name     string      `json:"name"`
	Remark   string      `json:"remark"`
	Tags     []string    `json:"tags"`
	Disabled bool        `json:"disabled"`
	Created  time.Time   `json:"created"`
	Updated  time.Time   `json:"updated"`
	Grants   []grantView `json:"grants"`
	Key      string      `json:"key,omitempty"`
}

type grantView struct {
	Vhost     string `json:"vhost"`
	Produce   bool   `json:"produce"`
	Consume   bool   `json:"consume"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

func (a *API) roleView(r meta.Role) (roleView, error) {
	v := roleView{
		Name: r.Name, Remark: r.Remark, Tags: r.Tags, Disabled: r.Disabled, Created: r.Created, Updated: r.Updated,
		Grants: []grantView{},
	}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	permissions, err := a.Store.RolePermissions(r.Cluster, r.Name)
	for _, p := range permissions {
		g := auth.GrantOf(p.Patterns())
		v.Grants = append(v.Grants, grantView{p.Vhost.Name, g.Produce, g.Consume, p.Configure, p.Write, p.Read})
	}
	return v, err
}

func (a *API) listRoles(c *call) (any, error) {
	roles, err := a.Store.Roles(c.clusterID())
	if err != nil {
		return nil, err
	}
	list := []roleView{}
	for _, r := range roles {
		v, err := a.roleView(r)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (a *API) createRole(c *call) (any, error) {
	var in struct {
		Name, Remark string
		Tags         []string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	r, key, err := a.Store.CreateRole(c.clusterID(), in.Name, meta.RoleOptions{Remark: in.Remark, Tags: in.Tags})
	if err != nil {
		return nil, err
	}
	v, err := a.roleView(r)
	v.Key = key
	return created{body: v}, err
}

func (a *API) getRole(c *call) (any, error) {
	r, err := a.Store.Role(c.clusterID(), c.value("role"))
	if err != nil {
		return nil, err
	}
	v, err := a.roleView(r)
	if err != nil {
		return nil, err
	}
	if r.KeyID != "" {
		v.Key, err = a.Store.RoleKey(r.Cluster, r.Name)
	}
	return v, err
}

func (a *API) deleteRole(c *call) (any, error) {
	_, err := a.Store.DeleteRole(c.clusterID(), c.value("role"))
	return nil, err
}

func (a *API) resetKey(c *call) (any, error) {
	var in struct {
		OverlapSeconds int64 `json:"overlap_seconds"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	overlap := time.Duration(in.OverlapSeconds) * time.Second
	if in.OverlapSeconds < 0 || in.OverlapSeconds > int64(maxOverlap/time.Second) {
		return nil, errBad("overlap_seconds must be between 0 and %d", int64(maxOverlap/time.Second))
	}
	name := c.value("role")
	key, err := a.Store.ResetKey(c.clusterID(), name, overlap)
	return map[string]string{"name": name, "key": key}, err
}

func (a *API) setDisabled(disabled bool) func(*call) (any, error) {
	return func(c *call) (any, error) {
		return nil, a.Store.SetDisabled(c.clusterID(), c.value("role"), disabled)
	}
}

func (a *API) putGrant(c *call) (any, error) {
	var g struct{ Produce, Consume bool }
	if err := c.read(&g); err != nil {
		return nil, err
	}
	if !g.Produce && !g.Consume {
		return nil, errBad("grant produce, consume or both; to take a grant away, delete it")
	}
	return nil, a.Store.Grant(c.ref(), c.value("role"), auth.Grant{Produce: g.Produce, Consume: g.Consume})
}

func (a *API) deleteGrant(c *call) (any, error) {
	return nil, a.Store.Revoke(c.ref(), c.value("role"))
}
