package mgmt

import (
	"net/http"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

func (a *API) queueRoutes() []route {
	return []route{
		{http.MethodGet, "/api/queues", needLogin, a.listQueues},
		{http.MethodGet, "/api/queues/{vhost}", needVhost, a.listQueues},
		{http.MethodGet, "/api/queues/{vhost}/{name}", needVhost, a.getQueue},
		{http.MethodPut, "/api/queues/{vhost}/{name}", needVhost, a.putQueue},
		{http.MethodDelete, "/api/queues/{vhost}/{name}", needVhost, a.deleteQueue},
		{http.MethodDelete, "/api/queues/{vhost}/{name}/contents", needVhost, a.purgeQueue},
		{http.MethodPost, "/api/queues/{vhost}/{name}/get", needVhost, a.getMessages},
		{http.MethodGet, "/api/consumers", needLogin, a.listConsumers},
		{http.MethodGet, "/api/consumers/{vhost}", needVhost, a.listConsumers},
	}
}

// messageStats are counters in RabbitMQ's form.
type messageStats struct {
	Publish      uint64 `json:"publish"`
	DeliverGet   uint64 `json:"deliver_get"`
	Deliver      uint64 `json:"deliver"`
	Get          uint64 `json:"get"`
	Redeliver    uint64 `json:"redeliver"`
	Acknowledged uint64 `json:"ack"`
}

func (m *messageStats) add(s broker.QueueStats) {
	m.Publish += s.Published
	m.Deliver += s.Delivered
	m.Get += s.Got
	m.DeliverGet += s.Delivered + s.Got
	m.Redeliver += s.Redelivered
	m.Acknowledged += s.Acked
}

// queueView is a queue in RabbitMQ's form.
type queueView struct {
	Name       string         `json:"name"`
	Vhost      string         `json:"vhost"`
	Type       string         `json:"type"`
	Node       string         `json:"node"`
	State      string         `json:"state"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Exclusive  bool           `json:"exclusive"`
	Arguments  arguments      `json:"arguments"`
	Consumers  int            `json:"consumers"`
	Memory     int64          `json:"memory"`
	Bytes      int64          `json:"message_bytes"`
	ReadyBytes int64          `json:"message_bytes_ready"`
	Stats      messageStats   `json:"message_stats"`
	List       []consumerView `json:"consumer_details,omitempty"`

	policied
	totals
}

func (a *API) queueView(v *broker.Vhost, q *broker.Queue, details bool) queueView {
	s := q.View()
	w := queueView{
		Name: q.Name, Vhost: v.Wire(), Type: q.Type(), Node: a.NodeName, State: "running", Durable: q.Durable,
		AutoDelete: q.AutoDelete, Exclusive: q.Exclusive, Arguments: arguments(q.Arguments), Consumers: s.Consumers,
		Memory: s.Bytes, Bytes: s.Bytes, ReadyBytes: s.ReadyBytes, policied: newPolicied(q.Policy()),
	}
	w.add(&s)
	w.Stats.add(s.Stats)
	if details {
		w.List = a.consumerViews(v, q, &s)
	}
	return w
}

// consumerView is a consumer in RabbitMQ's form.
type consumerView struct {
	Tag            string         `json:"consumer_tag"`
	AckRequired    bool           `json:"ack_required"`
	Exclusive      bool           `json:"exclusive"`
	Active         bool           `json:"active"`
	ActivityStatus string         `json:"activity_status"`
	Prefetch       int            `json:"prefetch_count"`
	Unacked        int            `json:"messages_unacknowledged"`
	Arguments      arguments      `json:"arguments"`
	Queue          map[string]any `json:"queue"`
	Channel        map[string]any `json:"channel_details"`
}

func (a *API) consumerViews(v *broker.Vhost, q *broker.Queue, s *broker.QueueView) []consumerView {
	list := []consumerView{}
	for _, k := range s.List {
		peer, _, _ := strings.Cut(k.Connection, " -> ")
		host, port := splitAddress(peer)
		list = append(list, consumerView{
			Tag: k.Tag, AckRequired: !k.NoAck, Exclusive: k.Exclusive, Active: k.Active, ActivityStatus: activity(q, k.Active),
			Prefetch: k.Prefetch, Unacked: k.Unacked, Arguments: arguments(k.Arguments),
			Queue: map[string]any{"name": q.Name, "vhost": v.Wire()},
			Channel: map[string]any{
				"name": channelName(k.Connection, k.Channel), "number": k.Channel, "connection_name": k.Connection,
				"peer_host": host, "peer_port": port, "user": k.User, "node": a.NodeName,
			},
		})
	}
	return list
}

// activity is what a consumer does, in RabbitMQ's words.
func activity(q *broker.Queue, active bool) string {
	switch {
	case !q.Settings().SingleActive:
		return "up"
	case active:
		return "single_active"
	}
	return "waiting"
}

func (a *API) listConsumers(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	list := []consumerView{}
	for _, v := range vhosts {
		for _, q := range v.Queues() {
			if q.Consumers() > 0 {
				s := q.View()
				list = append(list, a.consumerViews(v, q, &s)...)
			}
		}
	}
	return list, nil
}

func (a *API) listQueues(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	list := []queueView{}
	for _, v := range vhosts {
		from := len(list)
		for _, q := range v.Queues() {
			list = append(list, a.queueView(v, q, false))
		}
		slices.SortFunc(list[from:], func(x, y queueView) int { return strings.Compare(x.Name, y.Name) })
	}
	return list, nil
}

// queue is the queue in the path.
func (c *call) queue() (*broker.Vhost, *broker.Queue, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, nil, err
	}
	q, ok := v.Queue(c.value("name"))
	if !ok {
		return nil, nil, errMissing()
	}
	return v, q, nil
}

func (a *API) getQueue(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	return a.queueView(v, q, true), nil
}

func (a *API) putQueue(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	in := struct {
		Durable    bool
		AutoDelete bool `json:"auto_delete"`
		Exclusive  bool
		Arguments  arguments
	}{Durable: true}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Exclusive {
		return nil, errBad("an exclusive queue belongs to a connection; declare it over AMQP")
	}
	name := c.value("name")
	_, had := v.Queue(name)
	_, e := v.DeclareQueue(c.actor(v), broker.QueueDeclare{
		Name: name, Durable: in.Durable, AutoDelete: in.AutoDelete, Arguments: amqp.Table(in.Arguments),
	})
	return put(!had, amqpError(e))
}

func (a *API) deleteQueue(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	_, e := v.DeleteQueue(c.actor(v), q.Name, c.flag("if-unused"), c.flag("if-empty"))
	return nil, amqpError(e)
}

func (a *API) purgeQueue(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	_, e := v.Purge(c.actor(v), q.Name)
	return nil, amqpError(e)
}
