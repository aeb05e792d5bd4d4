package mgmt

import (
	"errors"
	"net/http"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) permissionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/permissions", needAdmin, a.listPermissions},
		{http.MethodGet, "/api/permissions/{vhost}/{user}", needVhost, a.getPermission},
		{http.MethodPut, "/api/permissions/{vhost}/{user}", needVhost, a.putPermission},
		{http.MethodDelete, "/api/permissions/{vhost}/{user}", needVhost, a.deletePermission},
		{http.MethodGet, "/api/vhosts/{vhost}/permissions", needVhost, a.vhostPermissions},
		{http.MethodGet, "/api/users/{user}/permissions", needAdmin, a.userPermissions},
	}
}

// permissionView is one permission in RabbitMQ's form.
type permissionView struct {
	User      string `json:"user"`
	Vhost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

func (a *API) permissionViews(list []meta.Permission) []permissionView {
	views := []permissionView{}
	for _, p := range list {
		views = append(views, permissionView{p.Role, a.wire(p.Vhost), p.Configure, p.Write, p.Read})
	}
	return views
}

func (a *API) listPermissions(c *call) (any, error) {
	return listing.Views(c.req.URL.Query(), a.permissionViews(a.Store.Permissions()), func(p permissionView) string { return p.User })
}

func (a *API) vhostPermissions(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	list, err := a.Store.VhostPermissions(ref)
	return a.permissionViews(list), err
}

func (a *API) userPermissions(c *call) (any, error) {
	list, err := a.Store.RolePermissions("", c.value("user"))
	return a.permissionViews(list), err
}

// administered is the vhost in the path, if the caller administers its
// cluster.
func (c *call) administered() (meta.VhostRef, error) {
	v, err := c.vhost()
	if err != nil {
		return meta.VhostRef{}, err
	}
	if !c.administers(v.Ref().Cluster) {
		return meta.VhostRef{}, errForbidden("Not administrator user")
	}
	return v.Ref(), nil
}

func (a *API) find(c *call) (meta.Permission, error) {
	ref, err := c.administered()
	if err != nil {
		return meta.Permission{}, err
	}
	list, err := a.Store.VhostPermissions(ref)
	for _, p := range list {
		if p.Role == c.value("user") {
			return p, nil
		}
	}
	return meta.Permission{}, errors.Join(err, errMissing())
}

func (a *API) getPermission(c *call) (any, error) {
	p, err := a.find(c)
	if err != nil {
		return nil, err
	}
	return a.permissionViews([]meta.Permission{p})[0], nil
}

func (a *API) putPermission(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	var in struct{ Configure, Write, Read *string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(
		key{"configure", in.Configure != nil}, key{"write", in.Write != nil}, key{"read", in.Read != nil},
	); err != nil {
		return nil, err
	}
	_, err = a.find(c)
	isNew := err != nil
	err = a.Store.SetPermission(meta.Permission{
		Vhost: ref, Role: c.value("user"), Configure: *in.Configure, Write: *in.Write, Read: *in.Read,
	})
	return put(isNew, err)
}

func (a *API) deletePermission(c *call) (any, error) {
	if _, err := a.find(c); err != nil {
		return nil, err
	}
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.ClearPermission(v.Ref(), c.value("user"))
}
