package mgmt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

func (a *API) parameterRoutes() []route {
	const one = "/api/parameters/{component}/{vhost}/{name}"
	return []route{
		{http.MethodGet, "/api/parameters", needLogin, a.listParameters},
		{http.MethodGet, "/api/parameters/{component}", needLogin, a.listParameters},
		{http.MethodGet, "/api/parameters/{component}/{vhost}", needVhost, a.listParameters},
		{http.MethodGet, one, needVhost, a.getParameter},
		{http.MethodPut, one, needVhost, a.putParameter},
		{http.MethodDelete, one, needVhost, a.deleteParameter},
		{http.MethodGet, "/api/global-parameters", needLogin, a.listGlobals},
		{http.MethodGet, "/api/global-parameters/{name}", needLogin, a.getGlobal},
		{http.MethodPut, "/api/global-parameters/{name}", needAdmin, a.putGlobal},
		{http.MethodDelete, "/api/global-parameters/{name}", needAdmin, a.deleteGlobal},
	}
}

// The components of parameters that there are. What a parameter of them says
// is kept where it belongs: limits with the vhost, policies with policies.
const (
	componentLimits   = "vhost-limits"
	componentOperator = "operator_policy"
	limitsName        = "limits" // of the one parameter of componentLimits
)

// parameterView is a runtime parameter in RabbitMQ's form.
type parameterView struct {
	Value     any    `json:"value"`
	Vhost     string `json:"vhost,omitempty"`
	Component string `json:"component"`
	Name      string `json:"name"`
}

// operatorValue is an operator policy as the value of a parameter.
type operatorValue struct {
	Pattern    string            `json:"pattern"`
	Definition policy.Definition `json:"definition"`
	Priority   int64             `json:"priority"`
	ApplyTo    policy.Target     `json:"apply-to"`
}

// vhostParameters are the parameters of one vhost.
func (a *API) vhostParameters(v *broker.Vhost) []parameterView {
	var list []parameterView
	policies, _ := a.policyViews(v, true) // none of a vhost that is gone
	for _, p := range policies {
		list = append(list, parameterView{
			operatorValue{p.Pattern, p.Definition, p.Priority, p.ApplyTo}, v.Wire(), componentOperator, p.Name,
		})
	}
	if m, err := a.Store.Vhost(v.Ref()); err == nil && m.Limits != nil {
		list = append(list, parameterView{m.Limits, v.Wire(), componentLimits, limitsName})
	}
	return list
}

func (a *API) listParameters(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	all := []parameterView{}
	for _, v := range vhosts {
		for _, p := range a.vhostParameters(v) {
			if of := c.value("component"); of == "" || of == p.Component {
				all = append(all, p)
			}
		}
	}
	return listing.Views(c.req.URL.Query(), all, func(p parameterView) string { return p.Name })
}

func (a *API) getParameter(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	list := a.vhostParameters(v)
	i := slices.IndexFunc(list, func(p parameterView) bool {
		return p.Component == c.value("component") && p.Name == c.value("name")
	})
	if i < 0 {
		return nil, errMissing()
	}
	return list[i], nil
}

func (a *API) putParameter(c *call) (any, error) {
	v, err := c.policymaker(c.value("component") == componentOperator)
	if err != nil {
		return nil, err
	}
	var in struct{ Value json.RawMessage }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(key{"value", in.Value != nil}); err != nil {
		return nil, err
	}
	isNew, err := a.setParameter(v.Ref(), c.value("component"), c.value("name"), in.Value)
	return put(isNew, err)
}

// setParameter sets a parameter of a vhost; an unknown component is refused in
// RabbitMQ's words.
func (a *API) setParameter(ref meta.VhostRef, component, name string, value json.RawMessage) (isNew bool, err error) {
	switch component {
	case componentLimits:
		if name != limitsName {
			return false, errBad("Validation failed\n\n%s has the one parameter %q\n", component, limitsName)
		}
		return a.setLimits(ref, value)
	case componentOperator:
		var in operatorValue
		if err := json.Unmarshal(value, &in); err != nil {
			return false, errBad("not_json")
		}
		p := meta.Policy{Vhost: ref, Policy: policy.Policy{
			Name: name, Pattern: in.Pattern, Definition: in.Definition, Priority: in.Priority, ApplyTo: in.ApplyTo, Operator: true,
		}}
		if p.ApplyTo == "" {
			p.ApplyTo = policy.All
		}
		isNew, err = a.Store.SetPolicy(p)
		if err == nil {
			a.applied()
		}
		return isNew, err
	}
	return false, errBad("Validation failed\n\ncomponent %.80s not found\n", component)
}

// setLimits makes a vhost's limits what value says, and nothing else.
func (a *API) setLimits(ref meta.VhostRef, value json.RawMessage) (isNew bool, err error) {
	var limits map[string]int64
	if err := json.Unmarshal(value, &limits); err != nil {
		return false, errBad("Validation failed\n\nlimits must be numbers\n")
	}
	m, err := a.Store.Vhost(ref)
	if err != nil {
		return false, err
	}
	for name, n := range limits {
		if err := a.Store.SetVhostLimit(ref, name, &n); err != nil {
			return false, err
		}
	}
	for name := range m.Limits {
		if _, ok := limits[name]; !ok {
			if err := a.Store.SetVhostLimit(ref, name, nil); err != nil {
				return false, err
			}
		}
	}
	return m.Limits == nil, nil
}

func (a *API) deleteParameter(c *call) (any, error) {
	component, name := c.value("component"), c.value("name")
	v, err := c.policymaker(component == componentOperator)
	if err != nil {
		return nil, err
	}
	switch {
	case component == componentOperator:
		if err = a.Store.ClearPolicy(v.Ref(), name, true); err == nil {
			a.applied()
		}
		return nil, err
	case component == componentLimits && name == limitsName:
		m, err := a.Store.Vhost(v.Ref())
		if err != nil || m.Limits == nil {
			return nil, errMissing()
		}
		_, err = a.setLimits(v.Ref(), json.RawMessage("{}"))
		return nil, err
	}
	return nil, errMissing()
}

// globalView is a global parameter in RabbitMQ's form.
type globalView struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// globals are the global parameters, those that nobody has set included.
func (a *API) globals() []globalView {
	list := []globalView{
		{"cluster_tags", json.RawMessage("[]")},
		{"internal_cluster_id", json.RawMessage(fmt.Sprintf("%q", "warren-"+a.Store.DefaultCluster().ID))},
	}
	for _, p := range a.Store.Parameters() {
		list = slices.DeleteFunc(list, func(g globalView) bool { return g.Name == p.Name })
		list = append(list, globalView{p.Name, p.Value})
	}
	slices.SortFunc(list, func(a, b globalView) int { return compareText(a.Name, b.Name) })
	return list
}

func (a *API) listGlobals(c *call) (any, error) {
	return listing.Views(c.req.URL.Query(), a.globals(), func(g globalView) string { return g.Name })
}

func (a *API) getGlobal(c *call) (any, error) {
	for _, g := range a.globals() {
		if g.Name == c.value("name") {
			return g, nil
		}
	}
	return nil, errMissing()
}

func (a *API) putGlobal(c *call) (any, error) {
	var in struct{ Value json.RawMessage }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(key{"value", in.Value != nil}); err != nil {
		return nil, err
	}
	return put(a.Store.SetParameter(c.value("name"), in.Value))
}

func (a *API) deleteGlobal(c *call) (any, error) { return nil, a.Store.ClearParameter(c.value("name")) }
