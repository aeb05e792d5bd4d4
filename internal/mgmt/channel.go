package mgmt

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/session"
)

func (a *API) channelRoutes() []route {
	return []route{
		{http.MethodGet, "/api/channels", needLogin, a.listChannels},
		{http.MethodGet, "/api/channels/{channel}", needLogin, a.getChannel},
		{http.MethodGet, "/api/vhosts/{vhost}/channels", needVhost, a.listChannels},
	}
}

// channelView is a channel in RabbitMQ's form.
type channelView struct {
	Name            string            `json:"name"`
	Number          int               `json:"number"`
	User            string            `json:"user"`
	Actor           string            `json:"user_who_performed_action"`
	Vhost           string            `json:"vhost"`
	Node            string            `json:"node"`
	State           string            `json:"state"`
	Confirm         bool              `json:"confirm"`
	Transactional   bool              `json:"transactional"`
	ConsumerCount   int               `json:"consumer_count"`
	Unacked         int               `json:"messages_unacknowledged"`
	Unconfirmed     uint64            `json:"messages_unconfirmed"`
	Uncommitted     int               `json:"messages_uncommitted"`
	AcksUncommitted int               `json:"acks_uncommitted"`
	Prefetch        int               `json:"prefetch_count"`
	GlobalPrefetch  int               `json:"global_prefetch_count"`
	Connection      map[string]any    `json:"connection_details"`
	Stats           *channelStatsView `json:"message_stats,omitempty"`

	*channelMore
}

// channelMore is shown of a single channel.
type channelMore struct {
	Consumers  []consumerView `json:"consumer_details"`
	Deliveries []any          `json:"deliveries"`
	Publishes  []any          `json:"publishes"`
}

func channelName(connection string, number uint16) string {
	return fmt.Sprintf("%s (%d)", connection, number)
}

// channelHandle is a channel of a connection that was described.
type channelHandle struct {
	conn *session.Info
	ch   *session.ChannelInfo
}

func channelHandles(all []*session.Conn) []channelHandle {
	list := []channelHandle{}
	for _, conn := range all {
		i := conn.Info()
		for k := range i.Channels {
			list = append(list, channelHandle{&i, &i.Channels[k]})
		}
	}
	return list
}

func (a *API) channelView(h channelHandle, s span) channelView {
	wire := h.conn.Vhost.Name
	if v, ok := a.Broker.Vhost(h.conn.Vhost); ok {
		wire = v.Wire()
	}
	host, port := splitAddress(h.conn.Peer.String())
	return channelView{
		Name: channelName(h.conn.Name, h.ch.Number), Number: int(h.ch.Number), User: h.conn.User, Actor: h.conn.User, Vhost: wire,
		Node: a.NodeName, State: "running", Confirm: h.ch.Confirm, Transactional: h.ch.Tx, ConsumerCount: h.ch.Consumers,
		Unacked: h.ch.Unacked, Unconfirmed: h.ch.Unconfirmed, Uncommitted: h.ch.Uncommitted,
		AcksUncommitted: h.ch.AcksUncommitted, Prefetch: h.ch.Prefetch, GlobalPrefetch: h.ch.Global,
		Connection: map[string]any{"name": h.conn.Name, "peer_host": host, "peer_port": port},
		Stats:      newChannelStats(&h.ch.Stats, h.ch.History, s),
	}
}

func (a *API) answerChannels(c *call, all []*session.Conn) (any, error) {
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	return listing.List(c.req.URL.Query(), channelHandles(all), &listing.Lister[channelHandle]{
		Name: func(h channelHandle) string { return channelName(h.conn.Name, h.ch.Number) },
		Order: func(a, b channelHandle) int {
			return cmp.Or(compareText(a.conn.Name, b.conn.Name), cmp.Compare(a.ch.Number, b.ch.Number))
		},
		View: func(h channelHandle) any { return a.channelView(h, s.messages) },
	})
}

func (a *API) listChannels(c *call) (any, error) {
	all, err := a.ofVhost(c)
	if err != nil {
		return nil, err
	}
	return a.answerChannels(c, all)
}

func (a *API) connectionChannels(c *call) (any, error) {
	conn, err := a.connection(c)
	if err != nil {
		return nil, err
	}
	return a.answerChannels(c, []*session.Conn{conn})
}

func (a *API) getChannel(c *call) (any, error) {
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	for _, h := range channelHandles(a.connections(c)) {
		if channelName(h.conn.Name, h.ch.Number) != c.value("channel") {
			continue
		}
		w := a.channelView(h, s.messages)
		w.channelMore = &channelMore{Consumers: a.consumersOf(h), Deliveries: []any{}, Publishes: []any{}}
		return listing.One(c.req.URL.Query(), w)
	}
	return nil, errMissing()
}

// consumersOf finds the consumers of a channel among those of its vhost.
func (a *API) consumersOf(h channelHandle) []consumerView {
	list := []consumerView{}
	v, ok := a.Broker.Vhost(h.conn.Vhost)
	if !ok || h.ch.Consumers == 0 {
		return list
	}
	for _, q := range v.Queues() {
		if q.Consumers() == 0 {
			continue
		}
		s := q.View()
		kept := s.List[:0]
		for _, k := range s.List {
			if k.Connection == h.conn.Name && k.Channel == h.ch.Number {
				kept = append(kept, k)
			}
		}
		s.List = kept
		list = append(list, a.consumerViews(v, q, &s)...)
	}
	return list
}
