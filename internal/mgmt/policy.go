package mgmt

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

func (a *API) policyRoutes() []route {
	var list []route
	for path, operator := range map[string]bool{"/api/policies": false, "/api/operator-policies": true} {
		bind := func(f func(*call, bool) (any, error)) func(*call) (any, error) {
			return func(c *call) (any, error) { return f(c, operator) }
		}
		list = append(list,
			route{http.MethodGet, path, needLogin, bind(a.listPolicies)},
			route{http.MethodGet, path + "/{vhost}", needVhost, bind(a.listPolicies)},
			route{http.MethodGet, path + "/{vhost}/{name}", needVhost, bind(a.getPolicy)},
			route{http.MethodPut, path + "/{vhost}/{name}", needVhost, bind(a.putPolicy)},
			route{http.MethodDelete, path + "/{vhost}/{name}", needVhost, bind(a.deletePolicy)},
		)
	}
	return list
}

// policyView is a policy in RabbitMQ's form.
type policyView struct {
	Vhost      string            `json:"vhost"`
	Name       string            `json:"name"`
	Pattern    string            `json:"pattern"`
	ApplyTo    policy.Target     `json:"apply-to"`
	Definition policy.Definition `json:"definition"`
	Priority   int64             `json:"priority"`
}

func (a *API) policyViews(v *broker.Vhost, operator bool) ([]policyView, error) {
	list, err := a.Store.Policies(v.Ref())
	if err != nil {
		return nil, err
	}
	views := make([]policyView, 0, len(list))
	for i := range list {
		if p := &list[i]; p.Operator == operator {
			views = append(views, policyView{v.Wire(), p.Name, p.Pattern, p.ApplyTo, p.Definition, p.Priority})
		}
	}
	return views, nil
}

// policymaker checks that the caller may set policies in the vhost of the path, or operator
// policies.
func (c *call) policymaker(operator bool) (*broker.Vhost, error) {
	v, err := c.vhost()
	switch {
	case err != nil:
		return nil, err
	case c.administers(v.Ref().Cluster) || !operator && c.tag("policymaker") && c.identity.Cluster == v.Ref().Cluster:
		return v, nil
	case operator:
		return nil, errForbidden("Not administrator user")
	}
	return nil, errForbidden("Not policymaker user")
}

func (a *API) listPolicies(c *call, operator bool) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	all := []policyView{}
	for _, v := range vhosts {
		list, err := a.policyViews(v, operator)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return nil, err
		}
		all = append(all, list...)
	}
	return listing.Views(c.req.URL.Query(), all, func(p policyView) string { return p.Name })
}

func (a *API) getPolicy(c *call, operator bool) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	views, err := a.policyViews(v, operator)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(views, func(p policyView) bool { return p.Name == c.value("name") })
	if i < 0 {
		return nil, errMissing()
	}
	return views[i], nil
}

func (a *API) putPolicy(c *call, operator bool) (any, error) {
	v, err := c.policymaker(operator)
	if err != nil {
		return nil, err
	}
	var in struct {
		Pattern    *string
		ApplyTo    policy.Target `json:"apply-to"`
		Definition *policy.Definition
		Priority   json.RawMessage
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(key{"pattern", in.Pattern != nil}, key{"definition", in.Definition != nil}); err != nil {
		return nil, err
	}
	p := meta.Policy{Vhost: v.Ref(), Policy: policy.Policy{
		Name: c.value("name"), Pattern: *in.Pattern, ApplyTo: in.ApplyTo, Definition: *in.Definition, Operator: operator,
	}}
	if p.ApplyTo == "" {
		p.ApplyTo = policy.All
	}
	if in.Priority != nil && json.Unmarshal(in.Priority, &p.Priority) != nil {
		return nil, errBad("Validation failed\n\npriority should be a number, actually was %.80s\n", in.Priority)
	}
	isNew, err := a.Store.SetPolicy(p)
	if err == nil {
		a.applied()
	}
	return put(isNew, err)
}

func (a *API) deletePolicy(c *call, operator bool) (any, error) {
	v, err := c.policymaker(operator)
	if err != nil {
		return nil, err
	}
	err = a.Store.ClearPolicy(v.Ref(), c.value("name"), operator)
	if err == nil {
		a.applied()
	}
	return nil, err
}

// applied waits until the node works by what the definitions have become.
func (a *API) applied() {
	if a.Applied != nil {
		a.Applied()
	}
}

// policied is what policies say about an object, in RabbitMQ's form.
type policied struct {
	Policy     *string           `json:"policy"`
	Operator   *string           `json:"operator_policy"`
	Definition policy.Definition `json:"effective_policy_definition"`
}

func newPolicied(e *policy.Effective) policied {
	w := policied{Definition: policy.Definition{}}
	if e == nil {
		return w
	}
	w.Definition = e.Definition
	if e.Policy != "" {
		w.Policy = &e.Policy
	}
	if e.Operator != "" {
		w.Operator = &e.Operator
	}
	return w
}
