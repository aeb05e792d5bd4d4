package mgmt

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
)

func (a *API) bindingRoutes() []route {
	list := []route{
		{http.MethodGet, "/api/bindings", needLogin, a.listBindings(everything)},
		{http.MethodGet, "/api/bindings/{vhost}", needVhost, a.listBindings(everything)},
		{http.MethodGet, "/api/queues/{vhost}/{name}/bindings", needVhost, a.listBindings(ofQueue)},
		{http.MethodGet, "/api/exchanges/{vhost}/{name}/bindings/source", needVhost, a.listBindings(fromExchange)},
		{http.MethodGet, "/api/exchanges/{vhost}/{name}/bindings/destination", needVhost, a.listBindings(toExchange)},
	}
	for _, p := range []struct{ letter, kind string }{{"q", "queue"}, {"e", "exchange"}} {
		path := "/api/bindings/{vhost}/e/{source}/" + p.letter + "/{destination}"
		kind := broker.Kind(p.kind)
		list = append(list,
			route{http.MethodGet, path, needVhost, a.listBindings(between(kind))},
			route{http.MethodPost, path, needVhost, a.bind(kind)},
			route{http.MethodGet, path + "/{props}", needVhost, a.getBinding(kind)},
			route{http.MethodDelete, path + "/{props}", needVhost, a.unbind(kind)},
		)
	}
	return list
}

// bindingView is a binding in RabbitMQ's form.
type bindingView struct {
	Source          string    `json:"source"`
	Vhost           string    `json:"vhost"`
	Destination     string    `json:"destination"`
	DestinationType string    `json:"destination_type"`
	RoutingKey      string    `json:"routing_key"`
	Arguments       arguments `json:"arguments"`
	PropertiesKey   string    `json:"properties_key"`
}

// propertiesKey names one of the bindings between two ends.
func propertiesKey(b *broker.Binding) string {
	if len(b.Arguments) == 0 && b.Key == "" {
		return "~"
	}
	key := strings.ReplaceAll(url.QueryEscape(b.Key), "~", "%7E")
	if len(b.Arguments) == 0 {
		return key
	}
	sum := sha256.Sum256(amqp.AppendTable(nil, b.Arguments))
	return key + "~" + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// chosen says which bindings of a vhost a route lists.
type chosen func(c *call, b *broker.Binding) bool

func everything(*call, *broker.Binding) bool { return true }

func ofQueue(c *call, b *broker.Binding) bool {
	return b.DestinationKind == broker.KindQueue && b.Destination == c.value("name")
}

func fromExchange(c *call, b *broker.Binding) bool { return b.Source == c.exchangeName() }

func toExchange(c *call, b *broker.Binding) bool {
	return b.DestinationKind == broker.KindExchange && b.Destination == c.exchangeName()
}

func between(kind broker.Kind) chosen {
	return func(c *call, b *broker.Binding) bool {
		return b.DestinationKind == kind && b.Source == c.sourceName() && b.Destination == c.value("destination")
	}
}

func (c *call) sourceName() string {
	if name := c.value("source"); name != "amq.default" {
		return name
	}
	return ""
}

// all are the bindings of a vhost with the implicit ones: every queue is bound
// to the default exchange by its name.
func all(v *broker.Vhost) []broker.Binding {
	list := v.Bindings()
	for _, q := range v.Queues() {
		list = append(list, broker.Binding{Destination: q.Name, DestinationKind: broker.KindQueue, Key: q.Name})
	}
	return list
}

func (a *API) listBindings(which chosen) func(*call) (any, error) {
	return func(c *call) (any, error) {
		vhosts, err := c.vhosts()
		if err != nil {
			return nil, err
		}
		items := []bindingHandle{}
		for _, v := range vhosts {
			for _, b := range all(v) {
				if which(c, &b) {
					items = append(items, bindingHandle{v, b})
				}
			}
		}
		return listing.List(c.req.URL.Query(), items, &listing.Lister[bindingHandle]{
			Name:  func(h bindingHandle) string { return h.b.Source },
			Order: compareBindings,
			View:  func(h bindingHandle) any { return newBindingView(h.v, &h.b) },
		})
	}
}

// bindingHandle is a binding and where it is.
type bindingHandle struct {
	v *broker.Vhost
	b broker.Binding
}

func compareBindings(a, b bindingHandle) int {
	return cmp.Or(
		compareText(a.v.Wire(), b.v.Wire()), compareText(a.b.Source, b.b.Source), compareText(a.b.Destination, b.b.Destination),
		compareText(a.b.Key, b.b.Key), len(a.b.Arguments)-len(b.b.Arguments),
	)
}

func newBindingView(v *broker.Vhost, b *broker.Binding) bindingView {
	return bindingView{
		b.Source, v.Wire(), b.Destination, string(b.DestinationKind), b.Key, arguments(b.Arguments), propertiesKey(b),
	}
}

func (a *API) bind(kind broker.Kind) func(*call) (any, error) {
	return func(c *call) (any, error) {
		v, err := c.vhost()
		if err != nil {
			return nil, err
		}
		var in struct {
			RoutingKey string `json:"routing_key"`
			Arguments  arguments
		}
		if err := c.read(&in); err != nil {
			return nil, err
		}
		b := broker.Binding{
			Source: c.sourceName(), Destination: c.value("destination"), DestinationKind: kind,
			Key: in.RoutingKey, Arguments: amqp.Table(in.Arguments),
		}
		if e := v.Bind(c.actor(v), b); e != nil {
			return nil, e
		}
		return created{location: url.PathEscape(b.Destination) + "/" + url.QueryEscape(propertiesKey(&b))}, nil
	}
}

// binding finds the binding that the path names.
func (c *call) binding(kind broker.Kind) (*broker.Vhost, broker.Binding, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, broker.Binding{}, err
	}
	which := between(kind)
	for _, b := range all(v) {
		if which(c, &b) && samePropertiesKey(&b, c.value("props")) {
			return v, b, nil
		}
	}
	return nil, broker.Binding{}, errMissing()
}

// samePropertiesKey compares with what a client sent, which may have escaped
// the key once more than the path's own escaping.
func samePropertiesKey(b *broker.Binding, sent string) bool {
	key := propertiesKey(b)
	once, err := url.QueryUnescape(key)
	return sent == key || err == nil && sent == once
}

func (a *API) getBinding(kind broker.Kind) func(*call) (any, error) {
	return func(c *call) (any, error) {
		v, b, err := c.binding(kind)
		if err != nil {
			return nil, err
		}
		return newBindingView(v, &b), nil
	}
}

func (a *API) unbind(kind broker.Kind) func(*call) (any, error) {
	return func(c *call) (any, error) {
		v, b, err := c.binding(kind)
		if err != nil {
			return nil, err
		}
		return nil, amqpError(v.Unbind(c.actor(v), b))
	}
}
