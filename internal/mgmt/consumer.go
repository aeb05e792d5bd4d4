package mgmt

import (
	"net/http"
	"strings"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
)

func (a *API) consumerRoutes() []route {
	return []route{
		{http.MethodGet, "/api/consumers", needLogin, a.listConsumers},
		{http.MethodGet, "/api/consumers/{vhost}", needVhost, a.listConsumers},
	}
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
	all := []consumerView{}
	for _, v := range vhosts {
		for _, q := range v.Queues() {
			if q.Consumers() > 0 {
				s := q.View()
				all = append(all, a.consumerViews(v, q, &s)...)
			}
		}
	}
	return listing.Views(c.req.URL.Query(), all, func(k consumerView) string { return k.Tag })
}
