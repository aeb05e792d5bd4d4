package mgmt

import (
	"net/http"
	"strconv"
	"time"

	"github.com/warrenmq/warren/internal/broker"
)

// How many waiting messages a page shows, and how many bytes of them.
const (
	pendingPage    = 100
	maxPendingPage = 1000
	pendingBytes   = 4 << 20
)

func (a *API) delayedRoutes() []route {
	return []route{
		{http.MethodGet, "/api/exchanges/{vhost}/{name}/delayed", needVhost, a.listPending},
		{http.MethodDelete, "/api/exchanges/{vhost}/{name}/delayed", needVhost, a.purgePending},
		{http.MethodDelete, "/api/exchanges/{vhost}/{name}/delayed/{id}", needVhost, a.cancelPending},
	}
}

// pendingView is what waits in an exchange of type x-delayed-message: one page
// of it.
type pendingView struct {
	Messages int              `json:"messages"`
	Items    []pendingMessage `json:"items"`
	Next     string           `json:"next,omitempty"` // the value of from for the next page
}

type pendingMessage struct {
	ID         string     `json:"id"`
	Due        time.Time  `json:"due"`
	Exchange   string     `json:"exchange"`
	RoutingKey string     `json:"routing_key"`
	Properties properties `json:"properties"`
	Bytes      int        `json:"payload_bytes"`
	Payload    string     `json:"payload"`
	Encoding   string     `json:"payload_encoding"`
}

func (a *API) listPending(c *call) (any, error) {
	v, x, err := c.delaying()
	if err != nil {
		return nil, err
	}
	query := c.req.URL.Query()
	from, most := uint64(0), pendingPage
	if s := query.Get("from"); s != "" {
		if from, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, errBad("from is not the id of a message: %.40q", s)
		}
	}
	if s := query.Get("limit"); s != "" {
		if most, err = strconv.Atoi(s); err != nil || most < 1 || most > maxPendingPage {
			return nil, errBad("limit has to be from 1 to %d, not %.40q", maxPendingPage, s)
		}
	}
	if err := c.take(pendingBytes); err != nil {
		return nil, err
	}
	list, next, refused := v.ListPending(c.actor(v), x.Name, from, most, pendingBytes)
	if refused != nil {
		return nil, refused
	}
	w := pendingView{Items: []pendingMessage{}}
	w.Messages, _ = x.Pending()
	for i := range list {
		m := &list[i]
		payload, encoding := encodePayload(m.Body, false)
		w.Items = append(w.Items, pendingMessage{
			strconv.FormatUint(m.ID, 10), time.UnixMilli(m.Due).UTC(), m.Exchange, m.Key, propertiesOf(&m.Properties), len(m.Body), payload, encoding,
		})
	}
	if next > 0 {
		w.Next = strconv.FormatUint(next, 10)
	}
	return w, nil
}

func (a *API) cancelPending(c *call) (any, error) {
	v, x, err := c.delaying()
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(c.value("id"), 10, 64)
	if err != nil {
		return nil, errMissing()
	}
	ok, refused := v.CancelPending(c.actor(v), x.Name, id)
	if refused != nil {
		return nil, refused
	}
	if !ok {
		return nil, errMissing()
	}
	return nil, nil
}

func (a *API) purgePending(c *call) (any, error) {
	v, x, err := c.delaying()
	if err != nil {
		return nil, err
	}
	n, refused := v.PurgePending(c.actor(v), x.Name)
	if refused != nil {
		return nil, refused
	}
	return map[string]int{"cancelled": n}, nil
}

// delaying is the exchange in the path, in which messages wait.
func (c *call) delaying() (*broker.Vhost, *broker.Exchange, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, nil, err
	}
	x, ok := v.Exchange(c.exchangeName())
	if !ok {
		return nil, nil, errMissing()
	}
	if _, ok := x.Pending(); !ok {
		return nil, nil, errMissing()
	}
	return v, x, nil
}
