package mgmt

import (
	"net/http"
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) clusterRoutes() []route {
	return []route{
		{http.MethodGet, "/api/clusters", needLogin, a.listClusters},
		{http.MethodPost, "/api/clusters", needAdmin, a.createCluster},
		{http.MethodGet, "/api/clusters/{cluster}", needCluster, a.getCluster},
		{http.MethodDelete, "/api/clusters/{cluster}", needAdmin, a.deleteCluster},
		{http.MethodGet, "/api/clusters/{cluster}/vhosts", needCluster, a.clusterVhosts},
		{http.MethodGet, "/api/clusters/{cluster}/vhosts/{name}", needCluster, a.getClusterVhost},
		{http.MethodPut, "/api/clusters/{cluster}/vhosts/{name}", needCluster, a.putClusterVhost},
		{http.MethodDelete, "/api/clusters/{cluster}/vhosts/{name}", needCluster, a.deleteClusterVhost},
		{http.MethodPut, "/api/clusters/{cluster}/vhosts/{name}/grants/{role}", needCluster, a.putGrant},
		{http.MethodDelete, "/api/clusters/{cluster}/vhosts/{name}/grants/{role}", needCluster, a.deleteGrant},
	}
}

// clusterView is a cluster as the API shows it.
type clusterView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Remark  string    `json:"remark"`
	Default bool      `json:"default"`
	Address string    `json:"address"`
	Created time.Time `json:"created"`
}

func (a *API) clusterView(c meta.Cluster) clusterView {
	return clusterView{c.ID, c.Name, c.Remark, c.Default, a.Address, c.Created}
}

func (a *API) listClusters(c *call) (any, error) {
	list := []clusterView{}
	for _, m := range a.Store.Clusters() {
		if c.administers(m.ID) || m.ID == c.identity.Cluster {
			list = append(list, a.clusterView(m))
		}
	}
	return list, nil
}

func (a *API) createCluster(c *call) (any, error) {
	var in struct{ Name, Remark string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	m, err := a.Store.CreateCluster(in.Name, in.Remark)
	if err != nil {
		return nil, err
	}
	return created{body: a.clusterView(m)}, nil
}

func (a *API) getCluster(c *call) (any, error) {
	m, err := a.Store.Cluster(c.clusterID())
	return a.clusterView(m), err
}

func (a *API) deleteCluster(c *call) (any, error) { return nil, a.Store.DeleteCluster(c.clusterID()) }

func (c *call) ref() meta.VhostRef {
	return meta.VhostRef{Cluster: c.clusterID(), Name: c.value("name")}
}

func (a *API) clusterVhosts(c *call) (any, error) {
	vhosts, err := a.Store.Vhosts(c.clusterID())
	if err != nil {
		return nil, err
	}
	all := []vhostView{}
	for _, v := range vhosts {
		all = append(all, a.vhostView(v, spans{}))
	}
	slices.SortFunc(all, func(x, y vhostView) int { return compareText(x.Name, y.Name) })
	return listing.Views(c.req.URL.Query(), all, func(v vhostView) string { return v.Vhost })
}

func (a *API) getClusterVhost(c *call) (any, error) {
	v, err := a.Store.Vhost(c.ref())
	if err != nil {
		return nil, err
	}
	return listing.One(c.req.URL.Query(), a.vhostView(v, spans{}))
}

func (a *API) putClusterVhost(c *call) (any, error) { return a.storeVhost(c, c.ref()) }

func (a *API) deleteClusterVhost(c *call) (any, error) { return nil, a.Store.DeleteVhost(c.ref()) }
