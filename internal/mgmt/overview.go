package mgmt

import (
	"net/http"

	"github.com/warrenmq/warren/internal/broker"
)

// rabbitVersion is what clients read that parse RabbitMQ's version: the one
// whose behaviour is followed.
const rabbitVersion = "4.3.6"

func (a *API) overviewRoutes() []route {
	return []route{
		{http.MethodGet, "/api/overview", needLogin, a.overview},
		{http.MethodGet, "/api/whoami", needLogin, whoami},
		{http.MethodGet, "/api/nodes", needMonitor, a.nodes},
		{http.MethodGet, "/api/nodes/{node}", needMonitor, a.node},
	}
}

// totals are the message counts of several queues.
type totals struct {
	Messages int `json:"messages"`
	Ready    int `json:"messages_ready"`
	Unacked  int `json:"messages_unacknowledged"`
}

func (t *totals) add(v *broker.QueueView) {
	t.Ready += v.Ready
	t.Unacked += v.Unacked
	t.Messages += v.Ready + v.Unacked
}

// overviewView is GET /api/overview.
type overviewView struct {
	ManagementVersion string         `json:"management_version"`
	RabbitVersion     string         `json:"rabbitmq_version"`
	ProductName       string         `json:"product_name"`
	ProductVersion    string         `json:"product_version"`
	ClusterName       string         `json:"cluster_name"`
	Node              string         `json:"node"`
	RatesMode         string         `json:"rates_mode"`
	DefaultQueueType  string         `json:"default_queue_type"`
	ExchangeTypes     []exchangeType `json:"exchange_types"`
	ObjectTotals      map[string]int `json:"object_totals"`
	QueueTotals       totals         `json:"queue_totals"`
	MessageStats      messageStats   `json:"message_stats"`
	Address           string         `json:"address"`
}

type exchangeType struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
}

func exchangeTypes() []exchangeType {
	var list []exchangeType
	for _, name := range []string{"direct", "fanout", "headers", "topic"} {
		list = append(list, exchangeType{name, "AMQP " + name + " exchange, as per the AMQP specification", true})
	}
	return list
}

func (a *API) overview(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	o := overviewView{
		ManagementVersion: rabbitVersion, RabbitVersion: rabbitVersion, ProductName: "Warren", ProductVersion: a.Version,
		ClusterName: "warren", Node: a.NodeName, RatesMode: "none", DefaultQueueType: "classic",
		ExchangeTypes: exchangeTypes(), Address: a.Address,
	}
	consumers, queues, exchanges := 0, 0, 0
	for _, v := range vhosts {
		exchanges += len(v.Exchanges())
		for _, q := range v.Queues() {
			w := q.View()
			o.QueueTotals.add(&w)
			o.MessageStats.add(w.Stats)
			consumers += w.Consumers
			queues++
		}
	}
	connections, channels := 0, 0
	for _, i := range a.connections(c) {
		connections++
		channels += len(i.Channels)
	}
	o.ObjectTotals = map[string]int{
		"connections": connections, "channels": channels, "exchanges": exchanges, "queues": queues, "consumers": consumers,
	}
	return o, nil
}

func whoami(c *call) (any, error) {
	tags := c.identity.Tags
	if c.owner {
		tags = []string{"administrator"}
	}
	if tags == nil {
		tags = []string{}
	}
	return map[string]any{"name": c.user(), "tags": tags}, nil
}

func (a *API) nodeView() map[string]any {
	return map[string]any{
		"name": a.NodeName, "type": "disc", "running": true, "uptime": a.Now().Sub(a.started).Milliseconds(),
		"mem_used": a.Broker.Memory().Used(), "mem_limit": a.Broker.Memory().Limit(), "mem_alarm": a.Broker.Memory().Over(),
		"disk_free_alarm": false, "partitions": []string{}, "rates_mode": "none", "exchange_types": exchangeTypes(),
	}
}

func (a *API) nodes(*call) (any, error) { return []any{a.nodeView()}, nil }

func (a *API) node(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	return a.nodeView(), nil
}
