package metrics

import (
	"github.com/warrenmq/warren/internal/broker"
)

// queueFigures are what a scrape keeps of one queue.
type queueFigures struct {
	broker.QueueSample

	memory, readyBytes        int64
	persistent, hot           int64 // messages
	persistentBytes, hotBytes int64 // of their bodies

	labels [2]int // where they lie among all labels
}

// queueMetric is one metric that every queue has.
type queueMetric struct {
	family, name, kind, help string
	of                       func(*queueFigures) float64
	alone                    bool // it cannot be added up
}

func queueMetrics() []queueMetric {
	const coarse, count, full, delivery = "queue_coarse_metrics", "queue_consumer_count", "queue_metrics", "queue_delivery_metrics"
	type f = queueFigures
	return []queueMetric{
		{coarse, "queue_messages_ready", gauge, "Messages ready to be delivered to consumers", func(q *f) float64 { return float64(q.Ready) }, false},
		{coarse, "queue_messages_unacked", gauge, "Messages delivered to consumers but not yet acknowledged", func(q *f) float64 { return float64(q.Unacked) }, false},
		{coarse, "queue_messages", gauge, "Sum of ready and unacknowledged messages - total queue depth", func(q *f) float64 { return float64(q.Ready + q.Unacked) }, false},
		{count, "queue_consumers", gauge, "Consumers on a queue", func(q *f) float64 { return float64(q.Consumers) }, false},
		{full, "queue_process_memory_bytes", gauge, "Memory in bytes used by the messages of the queue", func(q *f) float64 { return float64(q.memory) }, false},
		{full, "queue_messages_ram_bytes", gauge, "Size of ready and unacknowledged messages stored in memory", func(q *f) float64 { return float64(q.hotBytes) }, false},
		{full, "queue_messages_persistent", gauge, "Persistent messages, by their share of the bytes", func(q *f) float64 { return float64(q.persistent) }, false},
		{full, "queue_messages_ram", gauge, "Ready and unacknowledged messages stored in memory, by their share of the bytes", func(q *f) float64 { return float64(q.hot) }, false},
		{full, "queue_messages_persistent_bytes", gauge, "Size in bytes of persistent messages", func(q *f) float64 { return float64(q.persistentBytes) }, false},
		{full, "queue_messages_bytes", gauge, "Size in bytes of ready and unacknowledged messages", func(q *f) float64 { return float64(q.Bytes) }, false},
		{full, "queue_messages_ready_bytes", gauge, "Size in bytes of ready messages", func(q *f) float64 { return float64(q.readyBytes) }, false},
		{full, "queue_messages_unacked_bytes", gauge, "Size in bytes of all unacknowledged messages", func(q *f) float64 { return float64(q.Bytes - q.readyBytes) }, false},
		{full, "queue_consumer_capacity", gauge, "Whether consumers could take a message at once", (*queueFigures).idle, true},
		{full, "queue_consumer_utilisation", gauge, "Same as consumer capacity", (*queueFigures).idle, true},
		{delivery, "queue_get_ack_total", counter, "Total number of messages fetched from a queue with basic.get in manual acknowledgement mode", func(q *f) float64 { return float64(q.Got) }, false},
		{delivery, "queue_get_total", counter, "Total number of messages fetched from a queue with basic.get in automatic acknowledgement mode", func(q *f) float64 { return float64(q.GotNow) }, false},
		{delivery, "queue_messages_delivered_ack_total", counter, "Total number of messages delivered from a queue to consumers in manual acknowledgement mode", func(q *f) float64 { return float64(q.Delivered) }, false},
		{delivery, "queue_messages_delivered_total", counter, "Total number of messages delivered from a queue to consumers in automatic acknowledgement mode", func(q *f) float64 { return float64(q.DeliveredNow) }, false},
		{delivery, "queue_messages_redelivered_total", counter, "Total number of messages redelivered from a queue to consumers", func(q *f) float64 { return float64(q.Redelivered) }, false},
		{delivery, "queue_messages_acked_total", counter, "Total number of messages acknowledged by consumers on a queue", func(q *f) float64 { return float64(q.Acked) }, false},
		{delivery, "queue_get_empty_total", counter, "Total number of times basic.get operations fetched no message on a queue", func(q *f) float64 { return float64(q.GetEmpty) }, false},
		{"channel_queue_exchange_metrics", "queue_messages_published_total", counter, "Total number of messages published to queues", func(q *f) float64 { return float64(q.Published) }, false},
	}
}

// idle is 1 when consumers wait for messages, which over many scrapes makes the
// share of time in which they do.
func (q *queueFigures) idle() float64 {
	if q.Consumers > 0 && q.Ready == 0 {
		return 1
	}
	return 0
}

func (q *queueFigures) add(o *queueFigures) {
	q.Add(&o.QueueSample)
	q.memory += o.memory
	q.readyBytes += o.readyBytes
	q.persistent += o.persistent
	q.hot += o.hot
	q.persistentBytes += o.persistentBytes
	q.hotBytes += o.hotBytes
}

// queues writes the metrics of queues.
func (p *page) queues() {
	var wanted []queueMetric
	for _, m := range queueMetrics() {
		if m.alone && !p.each() {
			continue
		}
		if p.wants(m.family) || m.family == "queue_consumer_count" && p.wants("queue_metrics") {
			wanted = append(wanted, m)
		}
	}
	if wanted == nil {
		return
	}
	list, labels := p.readQueues()
	for i := range wanted {
		m := &wanted[i]
		p.head(m.name, m.kind, m.help)
		for k := range list {
			q := &list[k]
			p.value(m.name, labels[q.labels[0]:q.labels[1]], m.of(q))
		}
	}
}

// readQueues reads all queues, or their sum when nobody wants to see each; what
// queues did that are gone is part of the sum.
func (p *page) readQueues() (list []queueFigures, labels []byte) {
	var sum queueFigures
	for _, v := range p.Broker.Vhosts() {
		if !p.vhost(v) {
			continue
		}
		for q := range v.EachQueue() {
			f := figuresOf(q)
			if !p.each() {
				sum.add(&f)
				continue
			}
			f.labels[0] = len(labels)
			labels = appendLabels(labels, "vhost", v.Wire(), "queue", q.Name)
			f.labels[1] = len(labels)
			list = append(list, f)
		}
		if !p.each() {
			past := v.PastQueues()
			sum.QueueStats.Add(&past)
		}
	}
	if !p.each() {
		list = []queueFigures{sum}
	}
	return list, labels
}

func figuresOf(q *broker.Queue) queueFigures {
	v := q.Measure()
	n := int64(v.Ready + v.Unacked)
	return queueFigures{
		QueueSample: v.QueueSample, memory: v.HotBytes, readyBytes: v.ReadyBytes,
		persistent: v.Portion(n, v.PersistentBytes), hot: v.Portion(n, v.HotBytes),
		persistentBytes: v.Portion(v.Bytes, v.PersistentBytes), hotBytes: v.Portion(v.Bytes, v.HotBytes),
	}
}
