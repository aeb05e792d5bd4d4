package mgmt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
)

// rabbitVersion is what clients read that parse RabbitMQ's version: the one
// whose behaviour is followed.
const rabbitVersion = "4.3.6"

func (a *API) overviewRoutes() []route {
	return []route{
		{http.MethodGet, "/api/overview", needLogin, a.overview},
		{http.MethodGet, "/api/version", needLogin, func(*call) (any, error) { return rabbitVersion, nil }},
		{http.MethodGet, "/api/whoami", needLogin, whoami},
		{http.MethodGet, "/api/cluster-name", needLogin, a.clusterName},
		{http.MethodPut, "/api/cluster-name", needAdmin, a.putClusterName},
	}
}

// overviewView is GET /api/overview.
type overviewView struct {
	ManagementVersion string           `json:"management_version"`
	RatesMode         string           `json:"rates_mode"`
	Retention         map[string][]int `json:"sample_retention_policies"`
	ExchangeTypes     []exchangeType   `json:"exchange_types"`
	ProductVersion    string           `json:"product_version"`
	ProductName       string           `json:"product_name"`
	RabbitVersion     string           `json:"rabbitmq_version"`
	ClusterName       string           `json:"cluster_name"`
	ClusterTags       struct{}         `json:"cluster_tags"`
	NodeTags          struct{}         `json:"node_tags"`
	runtimeView
	DisableStats     bool           `json:"disable_stats"`
	QueueTotalsOn    bool           `json:"enable_queue_totals"`
	JSONExtension    bool           `json:"require_definition_json_extension"`
	DefaultQueueType string         `json:"default_queue_type"`
	OperatorPolicies bool           `json:"is_op_policy_updating_enabled"`
	MessageStats     any            `json:"message_stats"`
	Churn            *churnView     `json:"churn_rates"`
	QueueTotals      lengths        `json:"queue_totals"`
	ObjectTotals     map[string]int `json:"object_totals"`
	EventQueue       int            `json:"statistics_db_event_queue"`
	Node             string         `json:"node"`
	Listeners        []listenerView `json:"listeners"`
	Contexts         []contextView  `json:"contexts"`
	Address          string         `json:"address"`
}

type exchangeType struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
}

func exchangeTypes() []exchangeType {
	var list []exchangeType
	for _, name := range broker.ExchangeTypes() {
		text := "AMQP " + name + " exchange, as per the AMQP specification"
		if plain, ok := strings.CutPrefix(name, "x-"); ok {
			text = strings.ReplaceAll(plain, "-", " ") + " exchange"
		}
		list = append(list, exchangeType{name, text, true})
	}
	return list
}

// sum is what several vhosts hold and do.
type sum struct {
	now     broker.VhostSample
	history []history.Sample[broker.VhostSample]
}

// totals adds up vhosts.
func totals(vhosts []*broker.Vhost) sum {
	var all sum
	for _, v := range vhosts {
		now, list := v.Totals()
		all.now.Add(&now)
		if len(list) == 0 {
			continue
		}
		if all.history == nil {
			all.history = list
			continue
		}
		for i, j := len(all.history)-1, len(list)-1; i >= 0; i, j = i-1, j-1 { // all are sampled together
			all.history[i].Value.Add(&list[max(j, 0)].Value)
		}
	}
	return all
}

func (a *API) overview(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	all := totals(vhosts)
	o := overviewView{
		ManagementVersion: rabbitVersion, RabbitVersion: rabbitVersion, ProductName: "Warren", ProductVersion: a.Version,
		ClusterName: a.Store.ClusterName(a.ClusterName), Node: a.NodeName, RatesMode: "basic", DefaultQueueType: "classic",
		Retention:     map[string][]int{"global": {retention}, "basic": {retention}, "detailed": {retention}},
		ExchangeTypes: exchangeTypes(), Address: a.Address, runtimeView: newRuntimeView(), OperatorPolicies: true,
		QueueTotals: newLengths(&all.now.QueueSample, all.history, s.lengths, ofVhostSample), Listeners: []listenerView{}, Contexts: []contextView{},
	}
	queues, exchanges := 0, 0
	for _, v := range vhosts {
		queues += v.QueueCount()
		exchanges += v.ExchangeCount()
	}
	connections := a.connections(c)
	channels := 0
	for _, conn := range connections {
		channels += conn.ChannelCount()
	}
	o.MessageStats = struct{}{}
	if stats := newVhostStats(&all.now, all.history, s.messages); stats != nil {
		o.MessageStats = stats
	}
	o.ObjectTotals = map[string]int{
		"connections": len(connections), "channels": channels, "exchanges": exchanges, "queues": queues,
		"consumers": all.now.Consumers,
	}
	if c.allowed(needMonitor) == nil {
		o.Listeners, o.Contexts = a.listenerViews(), a.contextViews()
		o.Churn = a.churn(s.messages)
	}
	return listing.One(c.req.URL.Query(), o)
}

// retention is for how long samples are kept, in seconds.
const retention = history.Every * (history.Length - 1)

func whoami(c *call) (any, error) {
	tags := c.identity.Tags
	if c.owner {
		tags = []string{"administrator"}
	}
	if tags == nil {
		tags = []string{}
	}
	return map[string]any{"name": c.user(), "tags": tags, "is_internal_user": true}, nil
}

func (a *API) clusterName(*call) (any, error) {
	return map[string]string{"name": a.Store.ClusterName(a.ClusterName)}, nil
}

func (a *API) putClusterName(c *call) (any, error) {
	var in struct{ Name *string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Name == nil {
		return nil, errBad("[{key_missing,name}]")
	}
	text, err := json.Marshal(*in.Name)
	if err != nil {
		return nil, fmt.Errorf("cluster name: %w", err)
	}
	_, err = a.Store.SetParameter(meta.ParamClusterName, text)
	return nil, err
}
