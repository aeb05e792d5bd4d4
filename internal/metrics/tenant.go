package metrics

// Tenant is what a vhost takes of what it may.
type Tenant struct {
	Cluster, Name, Vhost   string // id and name of the cluster, the vhost's name on the wire
	Connections, Queues    int
	MaxConnections, MaxQue int64 // negative: no limit
}

// tenant writes what a cluster's administrator may see.
func (p *page) tenant() {
	p.queues()
	p.connections()
	p.exchanges()
	p.own("warren_", p.objectLatencies)
	if p.req.View == PerObject && p.Tenants != nil {
		var own []Tenant
		for _, t := range p.Tenants() {
			if p.cluster(t.Cluster) {
				own = append(own, t)
			}
		}
		p.own("warren_", func() { p.vhostUse(own) })
	}
}

// vhostUse writes what vhosts take of what they may.
func (p *page) vhostUse(tenants []Tenant) {
	for _, f := range []struct {
		name, help string
		of         func(*Tenant) float64
	}{
		{"vhost_connections", "Connections to a vhost", func(t *Tenant) float64 { return float64(t.Connections) }},
		{"vhost_connections_limit", "Limit of connections to a vhost, -1 for none", func(t *Tenant) float64 { return float64(t.MaxConnections) }},
		{"vhost_queues", "Queues of a vhost", func(t *Tenant) float64 { return float64(t.Queues) }},
		{"vhost_queues_limit", "Limit of queues of a vhost, -1 for none", func(t *Tenant) float64 { return float64(t.MaxQue) }},
	} {
		p.head(f.name, gauge, f.help)
		for i := range tenants {
			p.value(f.name, appendLabels(nil, "cluster", tenants[i].Cluster, "vhost", tenants[i].Vhost), f.of(&tenants[i]))
		}
	}
}

// clusterFigures are what the vhosts of a cluster take together.
type clusterFigures struct {
	Tenant

	messages int
	labels   []byte
}

// addLimit adds the limits of two vhosts: none, if one has none.
func addLimit(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}

// readClusters adds up vhosts.
func (p *page) readClusters(tenants []Tenant) []clusterFigures {
	var list []clusterFigures
	at := map[string]int{}
	for i := range tenants {
		t := &tenants[i]
		k, ok := at[t.Cluster]
		if !ok {
			at[t.Cluster] = len(list)
			list = append(list, clusterFigures{*t, p.messages[t.Vhost], appendLabels(nil, "cluster", t.Cluster, "name", t.Name)})
			continue
		}
		c := &list[k]
		c.Connections += t.Connections
		c.Queues += t.Queues
		c.messages += p.messages[t.Vhost]
		c.MaxConnections, c.MaxQue = addLimit(c.MaxConnections, t.MaxConnections), addLimit(c.MaxQue, t.MaxQue)
	}
	return list
}

// clusterUse writes what clusters take, and what they may where each of their
// vhosts has a limit. There is no limit of messages but those of queues.
func (p *page) clusterUse(tenants []Tenant) {
	clusters := p.readClusters(tenants)
	for _, f := range []struct {
		name, help string
		of         func(*clusterFigures) int64
	}{
		{"cluster_connections", "Connections to the vhosts of a cluster", func(c *clusterFigures) int64 { return int64(c.Connections) }},
		{"cluster_connections_limit", "Limits of connections to the vhosts of a cluster, if each has one", func(c *clusterFigures) int64 { return c.MaxConnections }},
		{"cluster_queues", "Queues of a cluster", func(c *clusterFigures) int64 { return int64(c.Queues) }},
		{"cluster_queues_limit", "Limits of queues of the vhosts of a cluster, if each has one", func(c *clusterFigures) int64 { return c.MaxQue }},
		{"cluster_messages", "Ready and unacknowledged messages of a cluster", func(c *clusterFigures) int64 { return int64(c.messages) }},
	} {
		p.head(f.name, gauge, f.help)
		for i := range clusters {
			if v := f.of(&clusters[i]); v >= 0 {
				p.value(f.name, clusters[i].labels, float64(v))
			}
		}
	}
}
