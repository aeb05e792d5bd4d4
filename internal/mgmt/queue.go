package mgmt

import (
	"net/http"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/listing"
)

func (a *API) queueRoutes() []route {
	return []route{
		{http.MethodGet, "/api/queues", needLogin, a.listQueues},
		{http.MethodGet, "/api/queues/detailed", needLogin, a.listQueues},
		{http.MethodGet, "/api/queues/{vhost}", needVhost, a.listQueues},
		{http.MethodGet, "/api/queues/{vhost}/{name}", needVhost, a.getQueue},
		{http.MethodPut, "/api/queues/{vhost}/{name}", needVhost, a.putQueue},
		{http.MethodPut, "/api/queues/{vhost}/{name}/arguments", needVhost, a.changeQueue},
		{http.MethodDelete, "/api/queues/{vhost}/{name}", needVhost, a.deleteQueue},
		{http.MethodDelete, "/api/queues/{vhost}/{name}/contents", needVhost, a.purgeQueue},
		{http.MethodPut, "/api/queues/{vhost}/{name}/pause", needVhost, func(c *call) (any, error) { return a.pauseQueue(c, true) }},
		{http.MethodPut, "/api/queues/{vhost}/{name}/resume", needVhost, func(c *call) (any, error) { return a.pauseQueue(c, false) }},
		{http.MethodGet, "/api/queues/{vhost}/{name}/unacked", needVhost, a.unacked},
		{http.MethodPost, "/api/queues/{vhost}/{name}/get", needVhost, a.getMessages},
		{http.MethodPost, "/api/queues/{vhost}/{name}/actions", needVhost, a.queueAction},
		{http.MethodGet, "/api/queues/quorum/{vhost}/{name}/status", needVhost, a.quorumStatus},
		{http.MethodPost, "/api/rebalance/queues", needAdmin, a.rebalance},
	}
}

// queueView is a queue in RabbitMQ's form.
type queueView struct {
	Name          string    `json:"name"`
	Vhost         string    `json:"vhost"`
	Type          string    `json:"type"`
	Node          string    `json:"node"`
	State         string    `json:"state"`
	Durable       bool      `json:"durable"`
	AutoDelete    bool      `json:"auto_delete"`
	Exclusive     bool      `json:"exclusive"`
	Internal      bool      `json:"internal"`
	InternalOwner bool      `json:"internal_owner"`
	Arguments     arguments `json:"arguments"`

	policied
	*queueLoad
	*quorumView
	*queueDetails
}

// queueLoad is what a queue holds and does.
type queueLoad struct {
	lengths

	Consumers       int           `json:"consumers"`
	Capacity        float64       `json:"consumer_capacity"`
	Utilisation     float64       `json:"consumer_utilisation"`
	Memory          int64         `json:"memory"`
	Bytes           int64         `json:"message_bytes"`
	ReadyBytes      int64         `json:"message_bytes_ready"`
	UnackedBytes    int64         `json:"message_bytes_unacknowledged"`
	HotBytes        int64         `json:"message_bytes_ram"`
	PersistentBytes int64         `json:"message_bytes_persistent"`
	Persistent      int           `json:"messages_persistent"` // these four by their share of the bytes
	Hot             int           `json:"messages_ram"`
	HotReady        int           `json:"messages_ready_ram"`
	HotUnacked      int           `json:"messages_unacknowledged_ram"`
	Waiting         int           `json:"messages_waiting,omitempty"` // to be delivered again
	Storage         int           `json:"storage_version,omitempty"`  // of classic queues
	IdleSince       string        `json:"idle_since,omitempty"`
	Stats           *messageStats `json:"message_stats,omitempty"`
}

// quorumView is what only quorum queues have.
type quorumView struct {
	Leader        string   `json:"leader"`
	Members       []string `json:"members"`
	Online        []string `json:"online"`
	DeliveryLimit any      `json:"delivery_limit"`
}

// queueDetails are shown of a single queue, or where they are asked for.
type queueDetails struct {
	Owner      map[string]any  `json:"owner_pid_details,omitempty"`
	Exclusive  *string         `json:"exclusive_consumer_tag"`
	Single     *string         `json:"single_active_consumer_tag"`
	HeadTime   *int64          `json:"head_message_timestamp"`
	List       *[]consumerView `json:"consumer_details,omitempty"`
	Incoming   *[]any          `json:"incoming,omitempty"`
	Deliveries *[]any          `json:"deliveries,omitempty"`
	Latency    *latencies      `json:"latency,omitempty"` // of a single queue
}

// queueHandle is a queue and where it is.
type queueHandle struct {
	v    *broker.Vhost
	q    *broker.Queue
	name string // of q: comparing need not look there
}

// queueWant is how much of a queue a request wants to see.
type queueWant struct {
	spans
	load, details, list bool
}

func (a *API) queueView(v *broker.Vhost, q *broker.Queue, want *queueWant) queueView {
	w := queueView{
		Name: q.Name, Vhost: v.Wire(), Type: q.Type(), Node: a.NodeName, State: "running", Durable: q.Durable,
		AutoDelete: q.AutoDelete, Exclusive: q.Exclusive, Arguments: arguments(q.Arguments()), policied: newPolicied(q.Policy()),
	}
	if q.Paused() {
		w.State = "paused"
	}
	if q.Quorum {
		w.quorumView = &quorumView{Leader: a.NodeName, Members: []string{a.NodeName}, Online: []string{a.NodeName}, DeliveryLimit: deliveryLimit(q)}
	}
	if !want.load {
		return w
	}
	s := q.Glance()
	w.queueLoad = newQueueLoad(q, &s, want)
	if want.details {
		w.queueDetails = a.queueDetails(v, q, &s, want.list)
	}
	return w
}

// deliveryLimit is how often a quorum queue delivers a message: RabbitMQ's
// default, a number, or "unlimited".
func deliveryLimit(q *broker.Queue) any {
	const usual = 20
	limit := q.Settings().DeliveryLimit
	switch {
	case limit == nil:
		return usual
	case *limit < 0:
		return "unlimited"
	}
	return *limit
}

func newQueueLoad(q *broker.Queue, s *broker.QueueView, want *queueWant) *queueLoad {
	share := capacity(&s.QueueSample, s.History)
	l := &queueLoad{
		lengths: newLengths(&s.QueueSample, s.History, want.lengths, ofQueueSample), Consumers: s.Consumers, Capacity: share, Utilisation: share,
		Memory: s.HotBytes, Bytes: s.Bytes, ReadyBytes: s.ReadyBytes, UnackedBytes: s.Bytes - s.ReadyBytes,
		HotBytes: s.Portion(s.Bytes, s.HotBytes), PersistentBytes: s.Portion(s.Bytes, s.PersistentBytes), Waiting: q.Waiting(), Stats: newMessageStats(&s.QueueSample, s.History, want.messages, ofQueueSample),
	}
	l.Persistent, l.Hot = int(s.Portion(int64(l.Messages), s.PersistentBytes)), int(s.Portion(int64(l.Messages), s.HotBytes))
	l.HotUnacked = min(s.Unacked, l.Hot) // what is delivered is in memory
	l.HotReady = l.Hot - l.HotUnacked
	if !q.Quorum {
		l.Storage = 2
	}
	if n := len(s.History); n >= 2 && s.History[n-1].Value == s.History[n-2].Value && s.History[n-1].Value == s.QueueSample {
		l.IdleSince = time.UnixMilli(s.History[n-2].At).UTC().Format("2006-01-02T15:04:05.000-07:00")
	}
	return l
}

// capacity is the share of time in which consumers could have taken a message
// at once: that of the last minute's samples in which none waited.
func capacity(now *broker.QueueSample, list []history.Sample[broker.QueueSample]) float64 {
	if now.Consumers == 0 {
		return 0
	}
	idle, n := 0, 1
	if now.Ready == 0 {
		idle++
	}
	for i := range list {
		if v := &list[i].Value; v.Consumers > 0 {
			if n++; v.Ready == 0 {
				idle++
			}
		}
	}
	return float64(idle) / float64(n)
}

func (a *API) queueDetails(v *broker.Vhost, q *broker.Queue, s *broker.QueueView, list bool) *queueDetails {
	d := &queueDetails{}
	if s.Exclusive != "" {
		d.Exclusive = &s.Exclusive
	}
	if s.Single != "" {
		d.Single = &s.Single
	}
	if s.Owner != 0 {
		if i, ok := a.Registry.Numbered(s.Owner); ok {
			host, port := splitAddress(i.Peer.String())
			d.Owner = map[string]any{"name": i.Name, "peer_host": host, "peer_port": port}
		}
	}
	if list {
		whole := q.View()
		consumers := a.consumerViews(v, q, &whole)
		d.List, d.Incoming, d.Deliveries = &consumers, &[]any{}, &[]any{}
		d.Latency = queueLatencies(q)
	}
	return d
}

// queueLister lists queues.
func (a *API) queueLister(want *queueWant) *listing.Lister[queueHandle] {
	sample := func(part func(*broker.QueueSample) float64) func(queueHandle) float64 {
		return func(h queueHandle) float64 {
			s := h.q.Sample()
			return part(&s)
		}
	}
	rate := func(part func(*broker.QueueSample) float64) func(queueHandle) float64 {
		return func(h queueHandle) float64 { return h.q.Rate(part) }
	}
	type s = broker.QueueSample
	return &listing.Lister[queueHandle]{
		Name: func(h queueHandle) string { return h.name },
		Order: func(a, b queueHandle) int {
			if a.v != b.v {
				return strings.Compare(a.v.Wire(), b.v.Wire())
			}
			return strings.Compare(a.name, b.name)
		},
		View: func(h queueHandle) any { return a.queueView(h.v, h.q, want) },
		Texts: map[string]func(queueHandle) string{
			"name": func(h queueHandle) string { return h.name }, "vhost": func(h queueHandle) string { return h.v.Wire() },
			"type": func(h queueHandle) string { return h.q.Type() },
		},
		Keys: map[string]func(queueHandle) float64{
			"messages":                               func(h queueHandle) float64 { return float64(h.q.Ready() + h.q.Unacked()) },
			"messages_ready":                         func(h queueHandle) float64 { return float64(h.q.Ready()) },
			"messages_unacknowledged":                func(h queueHandle) float64 { return float64(h.q.Unacked()) },
			"message_bytes":                          sample(func(s *s) float64 { return float64(s.Bytes) }),
			"consumers":                              func(h queueHandle) float64 { return float64(h.q.Consumers()) },
			"message_stats.publish":                  sample(func(s *s) float64 { return float64(s.Published) }),
			"message_stats.ack":                      sample(func(s *s) float64 { return float64(s.Acked) }),
			"message_stats.deliver_get":              sample(delivered),
			"message_stats.publish_details.rate":     rate(func(s *s) float64 { return float64(s.Published) }),
			"message_stats.deliver_get_details.rate": rate(delivered),
			"message_stats.ack_details.rate":         rate(func(s *s) float64 { return float64(s.Acked) }),
			"messages_details.rate":                  rate(func(s *s) float64 { return float64(s.Ready + s.Unacked) }),
		},
	}
}

func (a *API) listQueues(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	want, err := c.queueWant()
	if err != nil {
		return nil, err
	}
	want.details = strings.HasSuffix(c.req.URL.Path, "/queues/detailed")
	var items []queueHandle
	for _, v := range vhosts {
		queues := v.Queues()
		if items == nil {
			items = make([]queueHandle, 0, len(queues))
		}
		for _, q := range queues {
			items = append(items, queueHandle{v, q, q.Name})
		}
	}
	return listing.List(c.req.URL.Query(), items, a.queueLister(want))
}

// queueWant reads disable_stats, enable_queue_totals and the spans.
func (c *call) queueWant() (*queueWant, error) {
	s, err := c.spans()
	return &queueWant{spans: s, load: !c.flag("disable_stats") || c.flag("enable_queue_totals")}, err
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
	want, err := c.queueWant()
	if err != nil {
		return nil, err
	}
	want.details, want.list = true, want.load
	return listing.One(c.req.URL.Query(), a.queueView(v, q, want))
}

func (a *API) putQueue(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	in := struct {
		Durable    truth
		AutoDelete truth `json:"auto_delete"`
		Exclusive  truth
		Arguments  arguments
		Node       string
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
		Name: name, Durable: bool(in.Durable), AutoDelete: bool(in.AutoDelete), Arguments: amqp.Table(in.Arguments),
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

// changeQueue gives a queue other arguments while it serves.
func (a *API) changeQueue(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	var in struct{ Arguments arguments }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return nil, amqpError(v.ChangeQueue(c.actor(v), q.Name, amqp.Table(in.Arguments)))
}

// queueAction knows what RabbitMQ's does; on one node there is nothing to
// move or to synchronise.
func (a *API) queueAction(c *call) (any, error) {
	if _, _, err := c.queue(); err != nil {
		return nil, err
	}
	var in struct{ Action string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	switch in.Action {
	case "sync", "cancel_sync":
		return nil, nil
	}
	return nil, errBad("unknown action %.80q: sync and cancel_sync are known, and do nothing on one node", in.Action)
}

func (a *API) quorumStatus(c *call) (any, error) {
	_, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	if !q.Quorum {
		return nil, errMissing()
	}
	return []map[string]any{{"Node Name": a.NodeName, "Raft State": "leader", "Membership": "voter"}}, nil
}

func (a *API) rebalance(*call) (any, error) { return nil, nil }
