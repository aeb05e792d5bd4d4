package metrics

import (
	"slices"

	"github.com/warrenmq/warren/internal/session"
)

// channelFigures are what a scrape keeps of one channel.
type channelFigures struct {
	session.ChannelInfo

	labels []byte
}

type channelMetric struct {
	family, name, kind, help string
	of                       func(*session.ChannelInfo) float64
}

func channelMetrics() []channelMetric {
	const state, exchange, queue = "channel_metrics", "channel_exchange_metrics", "channel_queue_metrics"
	type c = session.ChannelInfo
	return []channelMetric{
		{state, "channel_consumers", gauge, "Consumers on a channel", func(c *c) float64 { return float64(c.Consumers) }},
		{state, "channel_messages_unacked", gauge, "Delivered but not yet acknowledged messages", func(c *c) float64 { return float64(c.Unacked) }},
		{state, "channel_messages_unconfirmed", gauge, "Published but not yet confirmed messages", func(c *c) float64 { return float64(c.Unconfirmed) }},
		{state, "channel_messages_uncommitted", gauge, "Messages received in a transaction but not yet committed", func(c *c) float64 { return float64(c.Uncommitted) }},
		{state, "channel_acks_uncommitted", gauge, "Message acknowledgements in a transaction not yet committed", func(c *c) float64 { return float64(c.AcksUncommitted) }},
		{state, "consumer_prefetch", gauge, "Limit of unacknowledged messages for each consumer", func(c *c) float64 { return float64(c.Prefetch) }},
		{state, "channel_prefetch", gauge, "Total limit of unacknowledged messages for all consumers on a channel", func(c *c) float64 { return float64(c.Global) }},
		{exchange, "channel_messages_published_total", counter, "Total number of messages published into an exchange on a channel", func(c *c) float64 { return float64(c.Stats.Published) }},
		{exchange, "channel_messages_confirmed_total", counter, "Total number of messages published into an exchange and confirmed on the channel", func(c *c) float64 { return float64(c.Stats.Confirmed) }},
		{exchange, "channel_messages_unroutable_returned_total", counter, "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable", func(c *c) float64 { return float64(c.Stats.Returned) }},
		{exchange, "channel_messages_unroutable_dropped_total", counter, "Total number of messages published as non-mandatory into an exchange and dropped as unroutable", func(c *c) float64 { return float64(c.Stats.Dropped) }},
		{queue, "channel_get_ack_total", counter, "Total number of messages fetched with basic.get in manual acknowledgement mode", func(c *c) float64 { return float64(c.Stats.Got) }},
		{queue, "channel_get_total", counter, "Total number of messages fetched with basic.get in automatic acknowledgement mode", func(c *c) float64 { return float64(c.Stats.GotNow) }},
		{queue, "channel_messages_delivered_ack_total", counter, "Total number of messages delivered to consumers in manual acknowledgement mode", func(c *c) float64 { return float64(c.Stats.Delivered) }},
		{queue, "channel_messages_delivered_total", counter, "Total number of messages delivered to consumers in automatic acknowledgement mode", func(c *c) float64 { return float64(c.Stats.DeliveredNow) }},
		{queue, "channel_messages_redelivered_total", counter, "Total number of messages redelivered to consumers", func(c *c) float64 { return float64(c.Stats.Redelivered) }},
		{queue, "channel_messages_acked_total", counter, "Total number of messages acknowledged by consumers", func(c *c) float64 { return float64(c.Stats.Acked) }},
		{queue, "channel_get_empty_total", counter, "Total number of times basic.get operations fetched no message", func(c *c) float64 { return float64(c.Stats.GetEmpty) }},
	}
}

// connFigures are what a scrape keeps of one connection.
type connFigures struct {
	session.Traffic

	channels int
	labels   []byte
}

type connMetric struct {
	families         []string
	name, kind, help string
	of               func(*connFigures) float64
}

func connMetrics() []connMetric {
	coarse, full := []string{"connection_coarse_metrics"}, []string{"connection_metrics"}
	return []connMetric{
		{coarse, "connection_incoming_bytes_total", counter, "Total number of bytes received on a connection", func(c *connFigures) float64 { return float64(c.Received) }},
		{coarse, "connection_outgoing_bytes_total", counter, "Total number of bytes sent on a connection", func(c *connFigures) float64 { return float64(c.Sent) }},
		{full, "connection_incoming_packets_total", counter, "Total number of packets received on a connection", func(c *connFigures) float64 { return float64(c.Reads) }},
		{full, "connection_outgoing_packets_total", counter, "Total number of packets sent on a connection", func(c *connFigures) float64 { return float64(c.Writes) }},
		{full, "connection_channels", gauge, "Channels on a connection", func(c *connFigures) float64 { return float64(c.channels) }},
	}
}

// connections writes the metrics of connections and channels.
func (p *page) connections() {
	conns, channels := slices.DeleteFunc(connMetrics(), func(m connMetric) bool { return !slices.ContainsFunc(m.families, p.wants) }),
		slices.DeleteFunc(channelMetrics(), func(m channelMetric) bool { return !p.wants(m.family) })
	if len(conns)+len(channels) == 0 {
		return
	}
	cs, chs := p.readConnections()
	for i := range channels {
		m := &channels[i]
		p.head(m.name, m.kind, m.help)
		for k := range chs {
			p.value(m.name, chs[k].labels, m.of(&chs[k].ChannelInfo))
		}
	}
	for i := range conns {
		m := &conns[i]
		p.head(m.name, m.kind, m.help)
		for k := range cs {
			p.value(m.name, cs[k].labels, m.of(&cs[k]))
		}
	}
}

// readConnections reads all connections and channels, or their sums when nobody
// wants to see each; what those that are gone did is part of the sums.
func (p *page) readConnections() (conns []connFigures, channels []channelFigures) {
	var all connFigures
	var sum channelFigures
	for _, c := range p.Registry.Living() {
		if _, _, v := c.Owner(); !p.cluster(v.Cluster) {
			continue
		}
		i := c.Info()
		if p.each() {
			conns = append(conns, connFigures{i.Traffic, len(i.Channels), appendLabels(nil, "connection", i.Name)})
		}
		all.channels += len(i.Channels)
		for k := range i.Channels {
			ch := &i.Channels[k]
			if p.each() {
				number := formatInt(int(ch.Number))
				channels = append(channels, channelFigures{*ch, appendLabels(nil, "connection", i.Name, "channel", i.Name+" ("+number+")")})
			}
			sum.Consumers += ch.Consumers
			sum.Unacked += ch.Unacked
			sum.Unconfirmed += ch.Unconfirmed
			sum.Uncommitted += ch.Uncommitted
			sum.AcksUncommitted += ch.AcksUncommitted
			sum.Prefetch += ch.Prefetch
			sum.Global += ch.Global
		}
	}
	if p.each() {
		return conns, channels
	}
	sum.Stats, all.Traffic = p.Registry.Totals()
	return []connFigures{all}, []channelFigures{sum}
}
