package mgmt

import (
	"encoding/base64"
	"net/http"
	"unicode/utf8"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/queue"
)

const (
	// maxGet bounds how many messages one request may look at.
	maxGet = 10_000
	// maxGetBytes bounds the bodies of one answer.
	maxGetBytes = 64 << 20
	// frameMax is the frame size that messages from here are stored in.
	frameMax = 131072
)

// properties are a message's in RabbitMQ's JSON form.
type properties struct {
	ContentType     string    `json:"content_type,omitempty"`
	ContentEncoding string    `json:"content_encoding,omitempty"`
	Headers         arguments `json:"headers,omitempty"`
	DeliveryMode    uint8     `json:"delivery_mode,omitempty"`
	Priority        uint8     `json:"priority,omitempty"`
	CorrelationID   string    `json:"correlation_id,omitempty"`
	ReplyTo         string    `json:"reply_to,omitempty"`
	Expiration      string    `json:"expiration,omitempty"`
	MessageID       string    `json:"message_id,omitempty"`
	Timestamp       uint64    `json:"timestamp,omitempty"`
	Type            string    `json:"type,omitempty"`
	UserID          string    `json:"user_id,omitempty"`
	AppID           string    `json:"app_id,omitempty"`
	ClusterID       string    `json:"cluster_id,omitempty"`
}

func (p *properties) amqp() amqp.Properties {
	return amqp.Properties{
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, Headers: amqp.Table(p.Headers),
		DeliveryMode: p.DeliveryMode, Priority: p.Priority, CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo,
		Expiration: p.Expiration, MessageID: p.MessageID, Timestamp: p.Timestamp, Type: p.Type, UserID: p.UserID,
		AppID: p.AppID, ClusterID: p.ClusterID,
	}
}

func propertiesOf(p *amqp.Properties) properties {
	return properties{
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, Headers: arguments(p.Headers),
		DeliveryMode: p.DeliveryMode, Priority: p.Priority, CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo,
		Expiration: p.Expiration, MessageID: p.MessageID, Timestamp: p.Timestamp, Type: p.Type, UserID: p.UserID,
		AppID: p.AppID, ClusterID: p.ClusterID,
	}
}

func (a *API) publish(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	var in struct {
		Properties properties
		RoutingKey string `json:"routing_key"`
		Payload    string
		Encoding   string `json:"payload_encoding"`
	}
	if err := c.readUpTo(&in, maxPublish); err != nil {
		return nil, err
	}
	body := []byte(in.Payload)
	if in.Encoding == "base64" {
		if body, err = base64.StdEncoding.DecodeString(in.Payload); err != nil {
			return nil, errBad("payload is not base64")
		}
	}
	if most := a.MaxMessageSize; most > 0 && len(body) > most {
		return nil, errBad("message size %d is larger than configured max size %d", len(body), most)
	}
	name := c.exchangeName()
	if e := v.Check(c.actor(v), auth.Write, broker.KindExchange, name); e != nil {
		return nil, e
	}
	content := broker.Content{Exchange: name, Key: in.RoutingKey, Properties: in.Properties.amqp(), Body: body}
	m, err := broker.Compose(&content, frameMax)
	if err != nil {
		return nil, errBad("%v", err)
	}
	if err := c.mayPublish(v, &m, in.Properties.UserID); err != nil {
		return nil, err
	}
	routed, err := a.publishOne(v, &m)
	return map[string]bool{"routed": routed}, err
}

// mayPublish checks what a client's channel checks of a message besides the right
// to write to its exchange: its routing keys, if the role's topic permissions
// narrow them, and whose it says it is.
func (c *call) mayPublish(v *broker.Vhost, m *broker.Message, user string) error {
	a := c.actor(v)
	for _, key := range append([][]byte{m.Key}, m.Extra...) {
		if e := v.CheckTopic(a, auth.Write, string(m.Exchange), string(key)); e != nil {
			return e
		}
	}
	if user != "" && user != c.user() && !c.tag("impersonator") {
		return errBad("user_id property set to '%s' but authenticated user was '%s'", user, c.user())
	}
	return nil
}

// publishOne publishes a message and waits until it is on stable storage if it
// must be. While the node holds its publishers back it refuses: who waits here
// would take memory with the message.
func (a *API) publishOne(v *broker.Vhost, m *broker.Message) (bool, error) {
	if reason := a.Broker.Blocked(); reason != "" {
		return false, &statusError{http.StatusServiceUnavailable, "blocked", "publishers are held back: the node is " + reason}
	}
	p := v.NewPublisher()
	n, e := p.Publish(m)
	if e != nil {
		return false, e
	}
	done := make(chan error, 1)
	if _, logged := p.Flush(func(err error) { done <- err }, false); !logged {
		return n > 0, p.Err()
	}
	return n > 0, <-done
}

// messageView is a message in RabbitMQ's form.
type messageView struct {
	PayloadBytes int        `json:"payload_bytes"`
	Redelivered  bool       `json:"redelivered"`
	Exchange     string     `json:"exchange"`
	RoutingKey   string     `json:"routing_key"`
	MessageCount int        `json:"message_count"`
	Properties   properties `json:"properties"`
	Payload      string     `json:"payload"`
	Encoding     string     `json:"payload_encoding"`
}

func newMessageView(d *queue.Delivery, left, truncate int, asBase64 bool) (messageView, error) {
	m, err := broker.Open(d)
	w := messageView{
		PayloadBytes: len(m.Body), Redelivered: d.Redelivered, Exchange: m.Exchange, RoutingKey: m.Key, MessageCount: left,
		Properties: propertiesOf(&m.Properties),
	}
	if truncate > 0 && len(m.Body) > truncate {
		m.Body = m.Body[:truncate]
	}
	w.Payload, w.Encoding = encodePayload(m.Body, asBase64)
	return w, err
}

// encodePayload gives a body the form that JSON can have.
func encodePayload(body []byte, asBase64 bool) (payload, encoding string) {
	if asBase64 || !utf8.Valid(body) {
		return base64.StdEncoding.EncodeToString(body), "base64"
	}
	return string(body), "string"
}

// getRequest is the body of POST …/get.
type getRequest struct {
	Count    whole
	AckMode  string `json:"ackmode"`
	Encoding string
	Truncate whole
}

func (g *getRequest) requeue() (bool, error) {
	switch g.AckMode {
	case "ack_requeue_true", "reject_requeue_true":
		return true, nil
	case "ack_requeue_false", "reject_requeue_false":
		return false, nil
	}
	return false, errBad("ackmode must be ack_requeue_true, ack_requeue_false, reject_requeue_true or reject_requeue_false")
}

func (a *API) getMessages(c *call) (any, error) {
	v, q, err := c.queue()
	if err != nil {
		return nil, err
	}
	var in getRequest
	if err := c.read(&in); err != nil {
		return nil, err
	}
	requeue, err := in.requeue()
	if err != nil {
		return nil, err
	}
	if in.Count < 1 || in.Count > maxGet {
		return nil, errBad("count must be between 1 and %d", maxGet)
	}
	list, seqs, err := c.gather(v, q, &in)
	switch {
	case in.AckMode == "reject_requeue_true" && err == nil:
		q.Fail(nil, seqs)
	case requeue || err != nil:
		q.Return(nil, seqs)
	case in.AckMode == "reject_requeue_false":
		q.Reject(nil, seqs)
	default:
		q.Settle(nil, seqs)
	}
	if err != nil {
		return nil, err
	}
	return listing.Stream{Len: len(list), At: func(i int) any { return list[i] }}, nil
}

// gather gets as many messages as are asked for and there is memory for.
func (c *call) gather(v *broker.Vhost, q *broker.Queue, in *getRequest) (list []messageView, seqs []uint64, err error) {
	for bytes := 0; len(list) < int(in.Count) && bytes < maxGetBytes; {
		_, d, left, ok, e := v.Get(c.actor(v), q.Name, false, nil)
		if e != nil {
			err = e
		}
		if !ok {
			break
		}
		seqs = append(seqs, d.Seq)
		if busy := c.take(int64(len(d.Image))); busy != nil {
			if len(list) == 0 {
				return nil, seqs, busy
			}
			q.Return(nil, seqs[len(list):])
			return list, seqs[:len(list)], nil
		}
		w, bad := newMessageView(&d, left, int(in.Truncate), in.Encoding == "base64")
		if bad != nil {
			return nil, seqs, bad
		}
		bytes += len(w.Payload)
		list = append(list, w)
	}
	return list, seqs, err
}
