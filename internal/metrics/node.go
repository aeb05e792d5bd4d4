package metrics

import (
	"math"
	"runtime"
	"runtime/metrics"
	"strconv"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/process"
	"github.com/warrenmq/warren/internal/queue"
)

func formatInt(n int) string { return strconv.Itoa(n) }

// nodeMetrics writes what the node counts as a whole.
func (p *page) nodeMetrics() {
	if p.wants("connection_churn_metrics") {
		p.churn()
	}
	s := process.Read(p.Data)
	if p.wants("node_coarse_metrics") {
		p.single("process_open_fds", gauge, "Open file descriptors", float64(s.Files))
		p.single("process_resident_memory_bytes", gauge, "Memory used in bytes", float64(s.Resident))
		p.single("disk_space_available_bytes", gauge, "Disk space available in bytes", float64(s.DiskFree))
		p.single("erlang_processes_used", gauge, "Goroutines, where RabbitMQ counts processes", float64(runtime.NumGoroutine()))
	}
	if p.wants("node_metrics") {
		p.single("process_max_fds", gauge, "Open file descriptors limit", float64(s.MaxFiles))
		p.single("resident_memory_limit_bytes", gauge, "Memory high watermark in bytes: of messages", float64(p.Broker.Memory().Limit()))
		p.single("disk_space_available_limit_bytes", gauge, "Free disk space low watermark in bytes", 0)
		p.single("erlang_uptime_seconds", gauge, "Node uptime", p.Now().Sub(p.Started).Seconds())
	}
	if p.wants("auth_attempt_metrics") {
		p.logins()
	}
}

func (p *page) churn() {
	c := p.Registry.Churn()
	var declared, made, deleted uint64
	for _, v := range p.Broker.Vhosts() {
		n := v.Counts()
		declared += n.QueuesDeclared.Load()
		made += n.QueuesCreated.Load()
		deleted += n.QueuesDeleted.Load()
	}
	p.single("connections_opened_total", counter, "Total number of connections opened", float64(c.ConnectionsOpened.Load()))
	p.single("connections_closed_total", counter, "Total number of connections closed or terminated", float64(c.ConnectionsClosed.Load()))
	p.single("channels_opened_total", counter, "Total number of channels opened", float64(c.ChannelsOpened.Load()))
	p.single("channels_closed_total", counter, "Total number of channels closed", float64(c.ChannelsClosed.Load()))
	p.single("queues_declared_total", counter, "Total number of queues declared", float64(declared))
	p.single("queues_created_total", counter, "Total number of queues created", float64(made))
	p.single("queues_deleted_total", counter, "Total number of queues deleted", float64(deleted))
}

func (p *page) logins() {
	c := p.Registry.Churn()
	good, bad := c.Logins.Load(), c.LoginsRefused.Load()
	var webGood, webBad uint64
	if p.Logins != nil {
		webGood, webBad = p.Logins()
	}
	for _, m := range []struct {
		name, help string
		amqp, http uint64
	}{
		{"auth_attempts_total", "Total number of authorization attempts", good + bad, webGood + webBad},
		{"auth_attempts_succeeded_total", "Total number of successful authentication attempts", good, webGood},
		{"auth_attempts_failed_total", "Total number of failed authentication attempts", bad, webBad},
	} {
		p.head(m.name, counter, m.help)
		p.value(m.name, []byte(`{protocol="http"}`), float64(m.http))
		p.value(m.name, []byte(`{protocol="amqp091"}`), float64(m.amqp))
	}
}

// totals writes how many objects there are, and the alarms.
func (p *page) totals() {
	queues, consumers := 0, 0
	for _, v := range p.Broker.Vhosts() {
		queues += v.QueueCount()
		for q := range v.EachQueue() {
			consumers += q.Consumers()
		}
	}
	conns := p.Registry.Living()
	channels := 0
	for _, c := range conns {
		channels += c.ChannelCount()
	}
	p.single("connections", gauge, "Connections currently open", float64(len(conns)))
	p.single("channels", gauge, "Channels currently open", float64(channels))
	p.single("consumers", gauge, "Consumers currently connected", float64(consumers))
	p.single("queues", gauge, "Queues available", float64(queues))
	memory, disk := 0.0, 0.0
	switch reason := p.Broker.Blocked(); {
	case p.Broker.Memory().Over():
		memory = 1
	case reason != "":
		disk = 1
	}
	p.single("alarms_free_disk_space_watermark", gauge, "is 1 if free disk space watermark alarm is in effect", disk)
	p.single("alarms_memory_used_watermark", gauge, "is 1 if VM memory watermark alarm is in effect", memory)
}

// ours are metrics that RabbitMQ has not.
func (p *page) ours() {
	m := p.Broker.Memory()
	p.single("messages_memory_bytes", gauge, "Bytes of messages in memory", float64(m.Used()))
	p.single("messages_memory_limit_bytes", gauge, "Bytes of messages in memory from which publishers wait, 0 for no limit", float64(m.Limit()))
	p.single("journal_live_bytes", gauge, "Bytes of messages that the journal has to keep", float64(m.Logged()))
	p.journal()
	p.latencies()
	p.certificates()
	if p.Tenants != nil {
		tenants := p.Tenants()
		p.vhostUse(tenants)
		p.clusterUse(tenants)
	}
}

// certificates writes when those of TLS end.
func (p *page) certificates() {
	if p.Certificates == nil {
		return
	}
	list := p.Certificates()
	if len(list) == 0 {
		return
	}
	p.head("certificate_expiry_timestamp_seconds", gauge, "When the first of a file's certificates ends: the node's own (use server), or those that verify clients (use client_ca)")
	for _, c := range list {
		use := "server"
		if c.Clients {
			use = "client_ca"
		}
		p.value("certificate_expiry_timestamp_seconds", appendLabels(nil, "use", use, "file", c.File), float64(c.Until.Unix()))
	}
}

// journal writes what the journal takes.
func (p *page) journal() {
	if p.Journal == nil {
		return
	}
	j := p.Journal()
	p.single("journal_disk_bytes", gauge, "Bytes of the journal on the disk, without files that are kept ready", float64(j.Disk))
	p.head("journal_sync_seconds", histogram, "How long the disk took to make a commit of the journal stable")
	n := uint64(0)
	for i, count := range j.Counts {
		n += count
		le := "+Inf"
		if i < len(j.Bounds) {
			le = strconv.FormatFloat(j.Bounds[i].Seconds(), 'g', -1, 64)
		}
		p.value("journal_sync_seconds_bucket", appendLabels(nil, "le", le), float64(n))
	}
	p.value("journal_sync_seconds_sum", nil, j.Sum.Seconds())
	p.value("journal_sync_seconds_count", nil, float64(n))
}

// typed are the counters of one type of queue.
type typed struct {
	label string
	broker.QueueStats
}

// global writes RabbitMQ's counters by protocol and type of queue.
func (p *page) global() {
	classic, quorum := typed{label: "rabbit_classic_queue"}, typed{label: "rabbit_quorum_queue"}
	var received, routed, unroutable, confirmed, returned uint64
	dead := map[queue.Reason]uint64{}
	p.messages = map[string]int{}
	for _, v := range p.Broker.Vhosts() {
		for q := range v.EachQueue() {
			s := q.Sample()
			p.messages[v.Wire()] += s.Ready + s.Unacked
			if q.Quorum {
				quorum.Add(&s.QueueStats)
			} else {
				classic.Add(&s.QueueStats)
			}
		}
		past := v.PastQueues() // of which type they were is not kept
		classic.Add(&past)
		c := v.Counts()
		received += c.Received.Load()
		routed += c.Routed.Load()
		unroutable += c.Unroutable.Load()
		confirmed += c.Confirmed.Load()
		returned += c.Returned.Load()
		for _, r := range []queue.Reason{queue.Rejected, queue.Expired, queue.MaxLen, queue.Undeliverable} {
			dead[r] += c.Dead(r)
		}
	}
	p.own("rabbitmq_global_", func() {
		p.protocol("messages_received_total", "Total number of messages received from publishers", received)
		p.protocol("messages_received_confirm_total", "Total number of messages received from publishers expecting confirmations", confirmed)
		p.protocol("messages_routed_total", "Total number of messages routed to queues or streams", routed)
		p.protocol("messages_unroutable_returned_total", "Total number of messages that could not be routed and were returned to the publisher", returned)
		p.protocol("messages_unroutable_dropped_total", "Total number of messages that could not be routed and were dropped", unroutable-min(unroutable, returned))
		p.protocol("messages_confirmed_total", "Total number of messages confirmed to publishers", confirmed)
		p.globalQueues([]typed{classic, quorum})
		p.clients()
		for _, d := range []struct {
			name   string
			reason queue.Reason
		}{{"rejected", queue.Rejected}, {"expired", queue.Expired}, {"maxlen", queue.MaxLen}, {"delivery_limit", queue.Undeliverable}} {
			name := "messages_dead_lettered_" + d.name + "_total"
			p.head(name, counter, "Total number of messages dead-lettered: "+d.name)
			p.value(name, []byte(`{queue_type="rabbit_classic_queue",dead_letter_strategy="at_most_once"}`), float64(dead[d.reason]))
		}
	})
}

func (p *page) protocol(name, help string, n uint64) {
	p.head(name, counter, help)
	p.value(name, []byte(`{protocol="amqp091"}`), float64(n))
}

// clients writes how many channels have published, and how many consumers
// there are.
func (p *page) clients() {
	publishers, consumers := 0, 0
	for _, c := range p.Registry.Living() {
		i := c.Info()
		for k := range i.Channels {
			consumers += i.Channels[k].Consumers
			if i.Channels[k].Stats.Published > 0 {
				publishers++
			}
		}
	}
	p.head("publishers", gauge, "Current number of publishers")
	p.value("publishers", []byte(`{protocol="amqp091"}`), float64(publishers))
	p.head("consumers", gauge, "Current number of consumers")
	p.value("consumers", []byte(`{protocol="amqp091"}`), float64(consumers))
}

func (p *page) globalQueues(types []typed) {
	for _, m := range []struct {
		name, help string
		of         func(*typed) uint64
	}{
		{"messages_delivered_total", "Total number of messages delivered to consumers", func(t *typed) uint64 { return t.All() }},
		{"messages_delivered_consume_manual_ack_total", "Total number of messages delivered to consumers using basic.consume with manual acknowledgment", func(t *typed) uint64 { return t.Delivered }},
		{"messages_delivered_consume_auto_ack_total", "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment", func(t *typed) uint64 { return t.DeliveredNow }},
		{"messages_delivered_get_manual_ack_total", "Total number of messages delivered to consumers using basic.get with manual acknowledgment", func(t *typed) uint64 { return t.Got }},
		{"messages_delivered_get_auto_ack_total", "Total number of messages delivered to consumers using basic.get with automatic acknowledgment", func(t *typed) uint64 { return t.GotNow }},
		{"messages_get_empty_total", "Total number of times basic.get operations fetched no message", func(t *typed) uint64 { return t.GetEmpty }},
		{"messages_redelivered_total", "Total number of messages redelivered to consumers", func(t *typed) uint64 { return t.Redelivered }},
		{"messages_acknowledged_total", "Total number of message acknowledgements received from consumers", func(t *typed) uint64 { return t.Acked }},
	} {
		p.head(m.name, counter, m.help)
		for i := range types {
			p.value(m.name, appendLabels(nil, "protocol", "amqp091", "queue_type", types[i].label), float64(m.of(&types[i])))
		}
	}
}

// runtime writes Go's own figures, by the names that other Go programs use.
func (p *page) runtime() {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}
	metrics.Read(samples)
	number := func(i int) float64 {
		switch v := samples[i].Value; v.Kind() {
		case metrics.KindUint64:
			return float64(v.Uint64())
		case metrics.KindFloat64:
			return v.Float64()
		case metrics.KindBad, metrics.KindFloat64Histogram:
		}
		return math.NaN()
	}
	s := process.Read("")
	p.own("", func() {
		p.single("go_goroutines", gauge, "Number of goroutines that currently exist", number(0))
		p.single("go_memstats_alloc_bytes", gauge, "Number of bytes in heap allocated and currently in use", number(1))
		p.single("go_memstats_sys_bytes", gauge, "Number of bytes obtained from system", number(2))
		p.single("go_gc_cycles_total", counter, "Number of completed garbage collections", number(3))
		p.single("go_memstats_alloc_bytes_total", counter, "Total number of bytes allocated in heap until now", number(4))
		p.single("go_gc_cpu_seconds_total", counter, "Processor time spent on garbage collection", number(5))
		p.single("process_cpu_seconds_total", counter, "Total user and system CPU time spent in seconds", s.CPU.Seconds())
		p.single("process_start_time_seconds", gauge, "Start time of the process since unix epoch in seconds", float64(p.Started.Unix()))
	})
}
