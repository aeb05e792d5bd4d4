package mgmt

import (
	"net/http"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
)

func (a *API) exchangeRoutes() []route {
	return []route{
		{http.MethodGet, "/api/exchanges", needLogin, a.listExchanges},
		{http.MethodGet, "/api/exchanges/{vhost}", needVhost, a.listExchanges},
		{http.MethodGet, "/api/exchanges/{vhost}/{name}", needVhost, a.getExchange},
		{http.MethodPut, "/api/exchanges/{vhost}/{name}", needVhost, a.putExchange},
		{http.MethodDelete, "/api/exchanges/{vhost}/{name}", needVhost, a.deleteExchange},
		{http.MethodPost, "/api/exchanges/{vhost}/{name}/publish", needVhost, a.publish},
	}
}

// exchangeView is an exchange in RabbitMQ's form.
type exchangeView struct {
	Name       string    `json:"name"`
	Vhost      string    `json:"vhost"`
	Type       string    `json:"type"`
	Durable    bool      `json:"durable"`
	AutoDelete bool      `json:"auto_delete"`
	Internal   bool      `json:"internal"`
	Arguments  arguments `json:"arguments"`

	User string `json:"user_who_performed_action"`

	policied

	Stats      *exchangeStatsView `json:"message_stats,omitempty"`
	Unroutable *unroutableView    `json:"unroutable,omitempty"`       // of a single exchange
	Latency    *latencies         `json:"latency,omitempty"`          // the same
	Delayed    *int               `json:"messages_delayed,omitempty"` // of type x-delayed-message
	Incoming   *[]any             `json:"incoming,omitempty"`         // of a single exchange
	Outgoing   *[]any             `json:"outgoing,omitempty"`         // the same
}

// unroutableView is what an exchange could not route to any queue.
type unroutableView struct {
	Total uint64        `json:"total"`
	Last  []lostMessage `json:"last"` // oldest first
}

type lostMessage struct {
	RoutingKey string    `json:"routing_key"`
	Headers    arguments `json:"headers"`
	Bytes      int       `json:"payload_bytes"`
	Payload    string    `json:"payload"`
	Encoding   string    `json:"payload_encoding"`
}

// newUnroutableView shows messages to those who may read them.
func newUnroutableView(x *broker.Exchange, readable bool) *unroutableView {
	total, last := x.Unroutable()
	w := &unroutableView{Total: total, Last: []lostMessage{}}
	if !readable {
		return w
	}
	for i := range last {
		c := &last[i]
		payload, encoding := encodePayload(c.Body, false)
		w.Last = append(w.Last, lostMessage{c.Key, arguments(c.Properties.Headers), len(c.Body), payload, encoding})
	}
	return w
}

func newExchangeView(v *broker.Vhost, x *broker.Exchange, want span) exchangeView {
	stats, list := x.Stats()
	w := exchangeView{
		Name: x.Name, Vhost: v.Wire(), Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete, Internal: x.Internal,
		Arguments: arguments(x.Arguments), User: internalUser, policied: newPolicied(x.Policy()), Stats: newExchangeStats(stats, list, want),
	}
	if n, ok := x.Pending(); ok {
		w.Delayed = &n
	}
	return w
}

// internalUser is who made what nobody in particular made.
const internalUser = "rmq-internal"

// exchangeHandle is an exchange and where it is.
type exchangeHandle struct {
	v *broker.Vhost
	x *broker.Exchange
}

func (a *API) listExchanges(c *call) (any, error) {
	vhosts, err := c.vhosts()
	if err != nil {
		return nil, err
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	var items []exchangeHandle
	for _, v := range vhosts {
		for _, x := range v.Exchanges() {
			items = append(items, exchangeHandle{v, x})
		}
	}
	return listing.List(c.req.URL.Query(), items, &listing.Lister[exchangeHandle]{
		Name: func(h exchangeHandle) string { return h.x.Name },
		Order: func(a, b exchangeHandle) int {
			if a.v != b.v {
				return strings.Compare(a.v.Wire(), b.v.Wire())
			}
			return strings.Compare(a.x.Name, b.x.Name)
		},
		View: func(h exchangeHandle) any { return newExchangeView(h.v, h.x, s.messages) },
	})
}

// exchangeName is the exchange in the path; amq.default is the default one.
func (c *call) exchangeName() string {
	if name := c.value("name"); name != "amq.default" {
		return name
	}
	return ""
}

func (a *API) getExchange(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	x, ok := v.Exchange(c.exchangeName())
	if !ok {
		return nil, errMissing()
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	w := newExchangeView(v, x, s.messages)
	w.Latency = exchangeLatencies(x)
	w.Unroutable = newUnroutableView(x, v.Check(c.actor(v), auth.Read, broker.KindExchange, x.Name) == nil)
	w.Incoming, w.Outgoing = &[]any{}, &[]any{}
	return listing.One(c.req.URL.Query(), w)
}

func (a *API) putExchange(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	in := struct {
		Type       string
		Durable    truth
		AutoDelete truth `json:"auto_delete"`
		Internal   truth
		Arguments  arguments
	}{Type: "direct", Durable: true}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	_, had := v.Exchange(c.exchangeName())
	return put(!had, amqpError(v.DeclareExchange(c.actor(v), broker.ExchangeDeclare{
		Name: c.exchangeName(), Type: in.Type, Durable: bool(in.Durable), AutoDelete: bool(in.AutoDelete), Internal: bool(in.Internal),
		Arguments: amqp.Table(in.Arguments),
	})))
}

func (a *API) deleteExchange(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	if _, ok := v.Exchange(c.exchangeName()); !ok {
		return nil, errMissing()
	}
	return nil, amqpError(v.DeleteExchange(c.actor(v), c.exchangeName(), c.flag("if-unused")))
}

// flag reads a boolean of the query.
func (c *call) flag(name string) bool { return c.req.URL.Query().Get(name) == "true" }

func compareText(a, b string) int { return strings.Compare(a, b) }
