package mgmt

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/session"
)

// maxPoints bounds the points of one series.
const maxPoints = 1000

// details is how a counter or length changed: RabbitMQ's X_details.
type details struct {
	Rate    float64  `json:"rate"`
	Avg     *float64 `json:"avg,omitempty"`
	AvgRate *float64 `json:"avg_rate,omitempty"`
	Samples []point  `json:"samples,omitempty"`
}

type point struct {
	Sample    float64 `json:"sample"`
	Timestamp int64   `json:"timestamp"`
}

// span is which series a request wants: points from some time back up to now.
type span struct{ from, to, step int64 } // Unix milliseconds; step 0: none

// spans are the kinds of series that can be asked for.
type spans struct{ messages, lengths, data, node span }

// spans reads the parameters X_age and X_incr, in seconds.
func (c *call) spans() (s spans, err error) {
	now := c.api.Now().UnixMilli()
	for name, to := range map[string]*span{
		"msg_rates": &s.messages, "lengths": &s.lengths, "data_rates": &s.data, "node_stats": &s.node,
	} {
		q := c.req.URL.Query()
		if !q.Has(name+"_age") || !q.Has(name+"_incr") {
			continue
		}
		age, bad := strconv.ParseInt(q.Get(name+"_age"), 10, 32)
		step, worse := strconv.ParseInt(q.Get(name+"_incr"), 10, 32)
		if bad != nil || worse != nil || age < 0 || step < 1 || age/step > maxPoints {
			return s, &statusError{
				http.StatusBadRequest, "bad_request",
				fmt.Sprintf("Invalid range parameters: %s: age and incr are seconds, with up to %d points", name, maxPoints),
			}
		}
		unit := time.Second.Milliseconds()
		end := now / (step * unit) * step * unit
		*to = span{end - age*unit, end, step * unit}
	}
	return s, nil
}

// changes makes details of a part of what is sampled.
func changes[T comparable](list []history.Sample[T], s span, part func(*T) float64) details {
	d := details{Rate: history.Rate(list, part)}
	if s.step == 0 {
		return d
	}
	sum := 0.0
	for _, p := range history.Series(list, s.from, s.to, s.step, part) {
		d.Samples = append(d.Samples, point{p.Value, p.At})
		sum += p.Value
	}
	if n := len(d.Samples); n > 0 {
		avg, rate := sum/float64(n), 0.0
		if first, last := d.Samples[n-1], d.Samples[0]; last.Timestamp > first.Timestamp {
			rate = (last.Sample - first.Sample) * 1000 / float64(last.Timestamp-first.Timestamp)
		}
		d.Avg, d.AvgRate = &avg, &rate
	}
	return d
}

// messageStats are counters in RabbitMQ's form.
type messageStats struct {
	Publish          uint64  `json:"publish"`
	PublishDetails   details `json:"publish_details"`
	Deliver          uint64  `json:"deliver"`
	DeliverDetails   details `json:"deliver_details"`
	DeliverNow       uint64  `json:"deliver_no_ack"`
	DeliverNowRate   details `json:"deliver_no_ack_details"`
	Get              uint64  `json:"get"`
	GetDetails       details `json:"get_details"`
	GetNow           uint64  `json:"get_no_ack"`
	GetNowDetails    details `json:"get_no_ack_details"`
	GetEmpty         uint64  `json:"get_empty"`
	GetEmptyDetails  details `json:"get_empty_details"`
	DeliverGet       uint64  `json:"deliver_get"`
	DeliverGetRate   details `json:"deliver_get_details"`
	Redeliver        uint64  `json:"redeliver"`
	RedeliverDetails details `json:"redeliver_details"`
	Acknowledged     uint64  `json:"ack"`
	AckDetails       details `json:"ack_details"`
}

// delivered counts all ways in which messages left for clients.
func delivered(s *broker.QueueSample) float64 { return float64(s.All()) }

// newMessageStats shows the counters of a queue or a vhost; sample is where they
// lie in what is kept of it.
func newMessageStats[T comparable](
	s *broker.QueueSample, list []history.Sample[T], p span, sample func(*T) *broker.QueueSample,
) *messageStats {
	if s.QueueStats == (broker.QueueStats{}) {
		return nil
	}
	m := countersOf(s.Published, &s.Deliveries, list, p,
		func(v *T) uint64 { return sample(v).Published }, func(v *T) *broker.Deliveries { return &sample(v).Deliveries })
	return &m
}

// countersOf shows what was published and delivered; the functions say where
// that lies in what is kept of it.
func countersOf[T comparable](
	published uint64, d *broker.Deliveries, list []history.Sample[T], p span, publishedOf func(*T) uint64, deliveriesOf func(*T) *broker.Deliveries,
) messageStats {
	of := func(part func(*broker.Deliveries) uint64) details {
		return changes(list, p, func(v *T) float64 { return float64(part(deliveriesOf(v))) })
	}
	type c = broker.Deliveries
	return messageStats{
		Publish: published, PublishDetails: changes(list, p, func(v *T) float64 { return float64(publishedOf(v)) }),
		Deliver: d.Delivered, DeliverDetails: of(func(d *c) uint64 { return d.Delivered }),
		DeliverNow: d.DeliveredNow, DeliverNowRate: of(func(d *c) uint64 { return d.DeliveredNow }),
		Get: d.Got, GetDetails: of(func(d *c) uint64 { return d.Got }),
		GetNow: d.GotNow, GetNowDetails: of(func(d *c) uint64 { return d.GotNow }),
		GetEmpty: d.GetEmpty, GetEmptyDetails: of(func(d *c) uint64 { return d.GetEmpty }),
		DeliverGet: d.All(), DeliverGetRate: of(func(d *c) uint64 { return d.All() }),
		Redeliver: d.Redelivered, RedeliverDetails: of(func(d *c) uint64 { return d.Redelivered }),
		Acknowledged: d.Acked, AckDetails: of(func(d *c) uint64 { return d.Acked }),
	}
}

// lengths are the message counts of a queue or of several.
type lengths struct {
	Messages        int     `json:"messages"`
	MessagesDetails details `json:"messages_details"`
	Ready           int     `json:"messages_ready"`
	ReadyDetails    details `json:"messages_ready_details"`
	Unacked         int     `json:"messages_unacknowledged"`
	UnackedDetails  details `json:"messages_unacknowledged_details"`
}

func newLengths[T comparable](
	s *broker.QueueSample, list []history.Sample[T], p span, sample func(*T) *broker.QueueSample,
) lengths {
	return lengths{
		Messages:        s.Ready + s.Unacked,
		MessagesDetails: changes(list, p, func(v *T) float64 { return float64(sample(v).Ready + sample(v).Unacked) }),
		Ready:           s.Ready, ReadyDetails: changes(list, p, func(v *T) float64 { return float64(sample(v).Ready) }),
		Unacked: s.Unacked, UnackedDetails: changes(list, p, func(v *T) float64 { return float64(sample(v).Unacked) }),
	}
}

// Where the counters lie in what is kept of a queue and of a vhost.
func ofQueueSample(s *broker.QueueSample) *broker.QueueSample { return s }

func ofVhostSample(s *broker.VhostSample) *broker.QueueSample { return &s.QueueSample }

// vhostStats are the counters of vhosts in RabbitMQ's form.
type vhostStats struct {
	messageStats

	Confirm        uint64  `json:"confirm"`
	ConfirmDetails details `json:"confirm_details"`
	Returned       uint64  `json:"return_unroutable"`
	ReturnDetails  details `json:"return_unroutable_details"`
	Dropped        uint64  `json:"drop_unroutable"`
	DropDetails    details `json:"drop_unroutable_details"`
}

func newVhostStats(s *broker.VhostSample, list []history.Sample[broker.VhostSample], p span) *vhostStats {
	m := newMessageStats(&s.QueueSample, list, p, ofVhostSample)
	if m == nil {
		return nil
	}
	of := func(part func(*broker.VhostSample) uint64) details {
		return changes(list, p, func(s *broker.VhostSample) float64 { return float64(part(s)) })
	}
	return &vhostStats{
		messageStats: *m,
		Confirm:      s.Confirmed, ConfirmDetails: of(func(s *broker.VhostSample) uint64 { return s.Confirmed }),
		Returned: s.Returned, ReturnDetails: of(func(s *broker.VhostSample) uint64 { return s.Returned }),
		Dropped: s.Dropped, DropDetails: of(func(s *broker.VhostSample) uint64 { return s.Dropped }),
	}
}

// channelStatsView are a channel's counters in RabbitMQ's form.
type channelStatsView struct {
	messageStats

	Confirm        uint64  `json:"confirm"`
	ConfirmDetails details `json:"confirm_details"`
	Returned       uint64  `json:"return_unroutable"`
	ReturnDetails  details `json:"return_unroutable_details"`
	Dropped        uint64  `json:"drop_unroutable"`
	DropDetails    details `json:"drop_unroutable_details"`
}

func newChannelStats(s *session.ChannelStats, list []history.Sample[session.ChannelStats], p span) *channelStatsView {
	if *s == (session.ChannelStats{}) {
		return nil
	}
	type stats = session.ChannelStats
	of := func(part func(*stats) uint64) details {
		return changes(list, p, func(s *stats) float64 { return float64(part(s)) })
	}
	return &channelStatsView{
		messageStats: countersOf(s.Published, &s.Deliveries, list, p,
			func(s *stats) uint64 { return s.Published }, func(s *stats) *broker.Deliveries { return &s.Deliveries }),
		Confirm: s.Confirmed, ConfirmDetails: of(func(s *stats) uint64 { return s.Confirmed }),
		Returned: s.Returned, ReturnDetails: of(func(s *stats) uint64 { return s.Returned }),
		Dropped: s.Dropped, DropDetails: of(func(s *stats) uint64 { return s.Dropped }),
	}
}

// exchangeStatsView are an exchange's counters in RabbitMQ's form.
type exchangeStatsView struct {
	In         uint64  `json:"publish_in"`
	InDetails  details `json:"publish_in_details"`
	Out        uint64  `json:"publish_out"`
	OutDetails details `json:"publish_out_details"`
}

func newExchangeStats(s broker.ExchangeStats, list []history.Sample[broker.ExchangeStats], p span) *exchangeStatsView {
	if s == (broker.ExchangeStats{}) {
		return nil
	}
	return &exchangeStatsView{
		In: s.In, InDetails: changes(list, p, func(s *broker.ExchangeStats) float64 { return float64(s.In) }),
		Out: s.Out, OutDetails: changes(list, p, func(s *broker.ExchangeStats) float64 { return float64(s.Out) }),
	}
}
