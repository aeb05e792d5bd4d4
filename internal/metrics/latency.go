package metrics

import (
	"strconv"

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
		for _, q := range latency.Shown() {
			value := strconv.FormatFloat(q, 'g', -1, 64)
			p.value(name, appendLabel(labels, "quantile", value), m.Quantile(q).Seconds())
		}
	}
	p.value(name+"_sum", labels, m.Sum.Seconds())
	p.value(name+"_count", labels, float64(m.Count))
}

// appendLabel returns labels with one more.
func appendLabel(labels []byte, name, value string) []byte {
	if len(labels) == 0 {
		return appendLabels(nil, name, value)
	}
	b := append(append(append([]byte(nil), labels[:len(labels)-1]...), ','), name...)
	return append(append(append(b, '=', '"'), value...), '"', '}')
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
				m := &p.summaries[0]
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
	p.queueLatencies("queue_publish_latency_seconds", "How long a publish to a queue took, "+ofPublish+ofSamples, 0)
	p.queueLatencies("queue_ack_latency_seconds", "How long clients took to acknowledge a message of a queue, "+ofAck+ofSamples, 1)
}

// queueLatencies writes, of each queue that has any, how long publishes took,
// which 0, or acknowledgements, which 1.
func (p *page) queueLatencies(name, help string, which int) {
	p.head(name, summary, help)
	for _, v := range p.vhosts() {
		for q := range v.EachQueue() {
			if !q.Latency(&p.summaries[0], &p.summaries[1]) {
				continue
			}
			if m := &p.summaries[which]; m.Count > 0 {
				p.summary(name, appendLabels(nil, "vhost", v.Wire(), "queue", q.Name), m)
			}
			p.summaries = [2]latency.Summary{}
		}
	}
}
