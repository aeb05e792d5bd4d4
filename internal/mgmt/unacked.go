package mgmt

import (
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/session"
)

// maxUnacked bounds how many deliveries one request looks at.
const maxUnacked = 100_000

// unackedView is a message that is with a client, and for how long.
type unackedView struct {
	Tag         uint64  `json:"delivery_tag"`
	ConsumerTag *string `json:"consumer_tag"` // null: of basic.get
	Channel     string  `json:"channel_name"`
	Connection  string  `json:"connection_name"`
	User        string  `json:"user"`
	Since       string  `json:"delivered_at"`
	Seconds     float64 `json:"unacked_for_seconds"`
}

// unacked lists what of a queue is with clients, the oldest first.
func (a *API) unacked(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	held := a.Registry.Unacked(v, q, maxUnacked)
	slices.SortStableFunc(held, func(a, b session.Held) int { return a.Since.Compare(b.Since) })
	now := a.Now()
	list := make([]unackedView, len(held))
	for i := range held {
		h := &held[i]
		list[i] = unackedView{
			Tag: h.Tag, Channel: channelName(h.Connection, h.Channel), Connection: h.Connection, User: h.User,
			Since: h.Since.UTC().Format("2006-01-02T15:04:05.000Z"), Seconds: max(now.Sub(h.Since), 0).Truncate(time.Millisecond).Seconds(),
		}
		if h.Consumer != "" {
			list[i].ConsumerTag = &h.Consumer
		}
	}
	return listing.Views(c.req.URL.Query(), list, func(w unackedView) string { return w.Channel })
}

// pauseQueue stops a queue's deliveries, or lets them go on.
func (a *API) pauseQueue(c *call, on bool) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	return nil, amqpError(v.PauseQueue(c.actor(v), q.Name, on))
}
