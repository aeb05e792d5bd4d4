package metrics

import (
	"strconv"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/latency"
)

// What latencies are, for their help texts.
const (
	ofPublish = "from the read that brought its batch to its being in the queues and, when it is persistent and was to be confirmed, stable on the disk"
	ofAck     = "from its delivery, or basic.get, to the read that brought its acknowledgement"
	ofSamples = "; of samples, the quantiles of the last one to two minutes"
)

// summary writes one sample for each quantile, and the counters. Without recent
// samples there are no quantiles.
func (p *page) summary(name string, labels []byte, m *latency.Summary) {
	if m.Recent() > 0 {
		shares := latency.Shown()
		var at [4]time.Duration
		m.Quantiles(shares[:], at[:])
		for i, q := range shares {
			b := append(p.labels[:0], '{')
			if len(labels) > 0 {
				b = append(append(b[:0], labels[:len(labels)-1]...), ',')
			}
			b = append(b, `quantile="`...)
			b = strconv.AppendFloat(b, q, 'g', -1, 64)
			p.labels = append(b, '"', '}')
			p.value(name, p.labels, at[i].Seconds())
		}
	}
	p.value(name+"_sum", labels, m.Sum.Seconds())
	p.value(name+"_count", labels, float64(m.Count))
}

// latencies writes those of the node as a whole.
func (p *page) latencies() {
	var published, acked latency.Summary
	for _, v := range p.Broker.Vhosts() {
		v.Latency(&published, &acked)
	}
	p.head("publish_latency_seconds", summary, "How long a publish took, "+ofPublish+ofSamples)
	p.summary("publish_latency_seconds", nil, &published)
	p.head("ack_latency_seconds", summary, "How long a client took to acknowledge a message, "+ofAck+ofSamples)
	p.summary("ack_latency_seconds", nil, &acked)
}

// objectLatencies writes those of exchanges and queues, of each that has any.
func (p *page) objectLatencies() {
	if !p.each() {
		return
	}
	if p.wants("exchange_latency_metrics") {
		p.head("exchange_publish_latency_seconds", summary, "How long a publish to an exchange took, "+ofPublish+ofSamples)
		for _, v := range p.vhosts() {
			for _, x := range v.Exchanges() {
				m := &p.times
				if x.Latency(m); m.Count > 0 {
					p.summary("exchange_publish_latency_seconds", appendLabels(nil, "vhost", v.Wire(), "exchange", x.Name), m)
				}
				*m = latency.Summary{}
			}
		}
	}
	if !p.wants("queue_latency_metrics") {
		return
	}
	p.queueLatencies("queue_publish_latency_seconds", "How long a publish to a queue took, "+ofPublish+ofSamples,
		func(q *broker.Queue, m *latency.Summary) bool { return q.Latency(m, nil) })
	p.queueLatencies("queue_ack_latency_seconds", "How long clients took to acknowledge a message of a queue, "+ofAck+ofSamples,
		func(q *broker.Queue, m *latency.Summary) bool { return q.Latency(nil, m) })
}

// queueLatencies writes one latency of each queue that has any.
func (p *page) queueLatencies(name, help string, read func(*broker.Queue, *latency.Summary) bool) {
	p.head(name, summary, help)
	m := &p.times
	var labels []byte
	for _, v := range p.vhosts() {
		for q := range v.EachQueue() {
			if !read(q, m) {
				continue
			}
			if m.Count > 0 {
				labels = appendLabels(labels[:0], "vhost", v.Wire(), "queue", q.Name)
				p.summary(name, labels, m)
			}
			*m = latency.Summary{}
		}
	}
}
