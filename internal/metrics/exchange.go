package metrics

import "github.com/warrenmq/warren/internal/broker"

// exchanges writes the metrics of exchanges and vhosts.
func (p *page) exchanges() {
	if p.wants("exchange_metrics") {
		p.exchangeTotals()
	}
	if p.req.View != Detailed {
		return
	}
	p.own("rabbitmq_cluster_", func() {
		if p.wants("vhost_status") {
			p.head("vhost_status", gauge, "Whether a given vhost is running")
			for _, v := range p.vhosts() {
				p.value("vhost_status", appendLabels(nil, "vhost", v.Wire()), 1)
			}
		}
		if p.wants("exchange_bindings") {
			p.exchangeBindings()
		}
		if p.wants("exchange_names") {
			p.head("exchange_name", gauge, "Enumerates exchanges without any additional info")
			for _, v := range p.vhosts() {
				for _, x := range v.Exchanges() {
					p.value("exchange_name", appendLabels(nil, "vhost", v.Wire(), "exchange", x.Name, "type", x.Type), 1)
				}
			}
		}
	})
}

// vhosts are those whose objects are written.
func (p *page) vhosts() []*broker.Vhost {
	var list []*broker.Vhost
	for _, v := range p.Broker.Vhosts() {
		if p.vhost(v) {
			list = append(list, v)
		}
	}
	return list
}

func (p *page) exchangeTotals() {
	vhosts := p.vhosts()
	for _, m := range []struct {
		name, help string
		of         func(x *broker.Exchange) float64
		all        func(c *broker.VhostCounts) float64
	}{
		{
			"exchange_messages_published_total", "Total number of messages published into an exchange",
			func(x *broker.Exchange) float64 { s, _ := x.Stats(); return float64(s.In) },
			func(c *broker.VhostCounts) float64 { return float64(c.Received.Load()) },
		},
		{
			"exchange_messages_unroutable_dropped_total", "Total number of messages published into an exchange that went to no queue",
			func(x *broker.Exchange) float64 { n, _ := x.Unroutable(); return float64(n) },
			func(c *broker.VhostCounts) float64 { return float64(c.Unroutable.Load()) },
		},
	} {
		p.head(m.name, counter, m.help)
		sum := 0.0
		for _, v := range vhosts {
			if !p.each() {
				sum += m.all(v.Counts())
				continue
			}
			for _, x := range v.Exchanges() {
				p.value(m.name, appendLabels(nil, "vhost", v.Wire(), "exchange", x.Name), m.of(x))
			}
		}
		if !p.each() {
			p.value(m.name, nil, sum)
		}
	}
}

func (p *page) exchangeBindings() {
	p.head("exchange_bindings", gauge, "Number of bindings for an exchange")
	for _, v := range p.vhosts() {
		n := map[string]int{}
		for _, b := range v.Bindings() {
			n[b.Source]++
		}
		for _, x := range v.Exchanges() {
			p.value("exchange_bindings", appendLabels(nil, "vhost", v.Wire(), "exchange", x.Name, "type", x.Type), float64(n[x.Name]))
		}
	}
}
