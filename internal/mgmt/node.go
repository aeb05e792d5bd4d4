package mgmt

import (
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/process"
)

func (a *API) nodeRoutes() []route {
	return []route{
		{http.MethodGet, "/api/nodes", needMonitor, a.nodes},
		{http.MethodGet, "/api/nodes/{node}", needMonitor, a.node},
		{http.MethodGet, "/api/nodes/{node}/memory", needMonitor, a.nodeMemory},
	}
}

// Listener is a place where the node listens.
type Listener struct {
	Protocol string // as RabbitMQ names it: amqp, amqp/ssl, http…
	Address  net.Addr
	TLS      bool
}

// runtimeView says what the node runs on, where RabbitMQ names its Erlang.
type runtimeView struct {
	Erlang     string `json:"erlang_version"`
	ErlangFull string `json:"erlang_full_version"`
	Crypto     string `json:"crypto_lib_version"`
}

func newRuntimeView() runtimeView {
	version := strings.TrimPrefix(runtime.Version(), "go")
	return runtimeView{version, "Go " + version + " " + runtime.GOOS + "/" + runtime.GOARCH, "Go crypto " + version}
}

type listenerView struct {
	Node     string   `json:"node"`
	Protocol string   `json:"protocol"`
	Host     string   `json:"ip_address"`
	Port     int      `json:"port"`
	Options  struct{} `json:"socket_opts"`
	TLS      bool     `json:"tls"`
}

func (a *API) listeners() []Listener {
	if a.Listeners == nil {
		return nil
	}
	return a.Listeners()
}

func (a *API) listenerViews() []listenerView {
	list := []listenerView{}
	for _, l := range a.listeners() {
		host, port := splitAddress(l.Address.String())
		list = append(list, listenerView{Node: a.NodeName, Protocol: l.Protocol, Host: host, Port: port, TLS: l.TLS})
	}
	return list
}

type contextView struct {
	Node        string   `json:"node"`
	Description string   `json:"description"`
	Path        string   `json:"path"`
	Host        string   `json:"ip"`
	Port        string   `json:"port"`
	SSL         []string `json:"ssl_opts"`
	Cowboy      string   `json:"cowboy_opts"`
}

func (a *API) contextViews() []contextView {
	list := []contextView{}
	for _, l := range a.listeners() {
		if strings.HasPrefix(l.Protocol, "http") {
			host, port := splitAddress(l.Address.String())
			list = append(list, contextView{a.NodeName, "Warren HTTP API", "/api", host, strconv.Itoa(port), []string{}, "[]"})
		}
	}
	return list
}

// nodeSample is what is kept of the node every few seconds.
type nodeSample struct {
	process   process.Stats
	sockets   int
	routines  int
	gcs       uint32
	connected churnSample
}

// churnSample counts what came and went.
type churnSample struct {
	ConnectionsOpened, ConnectionsClosed         uint64
	ChannelsOpened, ChannelsClosed               uint64
	QueuesDeclared, QueuesCreated, QueuesDeleted uint64
}

// nodeHistory is what the node was.
type nodeHistory struct {
	mu   sync.Mutex
	ring history.Ring[nodeSample]
}

// Sample keeps what the node is now; the server calls it every
// [history.Every] seconds.
func (a *API) Sample() {
	s := a.nodeSample()
	a.past.mu.Lock()
	defer a.past.mu.Unlock()
	a.past.ring.Add(a.Now().UnixMilli(), s)
}

func (a *API) nodeSample() nodeSample {
	s := nodeSample{
		process: process.Read(a.Data), routines: runtime.NumGoroutine(), connected: a.churnSample(),
		sockets: a.Registry.Count() + len(a.listeners()),
	}
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	s.gcs = uint32(gc.NumGC & (1<<31 - 1))
	return s
}

func (a *API) churnSample() churnSample {
	c := a.Registry.Churn()
	s := churnSample{
		ConnectionsOpened: c.ConnectionsOpened.Load(), ConnectionsClosed: c.ConnectionsClosed.Load(),
		ChannelsOpened: c.ChannelsOpened.Load(), ChannelsClosed: c.ChannelsClosed.Load(),
	}
	for _, v := range a.Broker.Vhosts() {
		n := v.Counts()
		s.QueuesDeclared += n.QueuesDeclared.Load()
		s.QueuesCreated += n.QueuesCreated.Load()
		s.QueuesDeleted += n.QueuesDeleted.Load()
	}
	return s
}

func (a *API) nodePast() []history.Sample[nodeSample] {
	a.past.mu.Lock()
	defer a.past.mu.Unlock()
	return a.past.ring.Samples()
}

// churnView is what came and went in RabbitMQ's form.
type churnView struct {
	ConnectionCreated        uint64  `json:"connection_created"`
	ConnectionCreatedDetails details `json:"connection_created_details"`
	ConnectionClosed         uint64  `json:"connection_closed"`
	ConnectionClosedDetails  details `json:"connection_closed_details"`
	ChannelCreated           uint64  `json:"channel_created"`
	ChannelCreatedDetails    details `json:"channel_created_details"`
	ChannelClosed            uint64  `json:"channel_closed"`
	ChannelClosedDetails     details `json:"channel_closed_details"`
	QueueDeclared            uint64  `json:"queue_declared"`
	QueueDeclaredDetails     details `json:"queue_declared_details"`
	QueueCreated             uint64  `json:"queue_created"`
	QueueCreatedDetails      details `json:"queue_created_details"`
	QueueDeleted             uint64  `json:"queue_deleted"`
	QueueDeletedDetails      details `json:"queue_deleted_details"`
}

func (a *API) churn(s span) *churnView {
	now, list := a.churnSample(), a.nodePast()
	of := func(part func(*churnSample) uint64) details {
		return changes(list, s, func(n *nodeSample) float64 { return float64(part(&n.connected)) })
	}
	return &churnView{
		now.ConnectionsOpened, of(func(c *churnSample) uint64 { return c.ConnectionsOpened }),
		now.ConnectionsClosed, of(func(c *churnSample) uint64 { return c.ConnectionsClosed }),
		now.ChannelsOpened, of(func(c *churnSample) uint64 { return c.ChannelsOpened }),
		now.ChannelsClosed, of(func(c *churnSample) uint64 { return c.ChannelsClosed }),
		now.QueuesDeclared, of(func(c *churnSample) uint64 { return c.QueuesDeclared }),
		now.QueuesCreated, of(func(c *churnSample) uint64 { return c.QueuesCreated }),
		now.QueuesDeleted, of(func(c *churnSample) uint64 { return c.QueuesDeleted }),
	}
}

// nodeView is the node in RabbitMQ's form. What only Erlang has is not there,
// or 0 where clients read it.
type nodeView struct {
	nodeFacts
	nodeLoad
	nodeZeros
	churnView
}

type nodeFacts struct {
	Name           string         `json:"name"`
	Type           string         `json:"type"`
	Running        bool           `json:"running"`
	Drained        bool           `json:"being_drained"`
	PID            string         `json:"os_pid"`
	Uptime         int64          `json:"uptime"`
	RatesMode      string         `json:"rates_mode"`
	Partitions     []string       `json:"partitions"`
	Processors     int            `json:"processors"`
	NetTick        int            `json:"net_ticktime"`
	MemoryStrategy string         `json:"mem_calculation_strategy"`
	Plugins        []string       `json:"enabled_plugins"`
	ExchangeTypes  []exchangeType `json:"exchange_types"`
	Mechanisms     []exchangeType `json:"auth_mechanisms"`
	Applications   []application  `json:"applications"`
	Contexts       []contextView  `json:"contexts"`
	LogFiles       []string       `json:"log_files"`
	ConfigFiles    []string       `json:"config_files"`
	Directory      string         `json:"db_dir"`
	RabbitVersion  string         `json:"rabbitmq_version"`
	Links          []any          `json:"cluster_links"`
	GCQueues       struct{}       `json:"metrics_gc_queue_length"`
	RaFiles        struct{}       `json:"ra_open_file_metrics"`

	runtimeView
}

type application struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

// nodeLoad is what changes of a node.
type nodeLoad struct {
	Memory          int64   `json:"mem_used"`
	MemoryDetails   details `json:"mem_used_details"`
	MemoryLimit     int64   `json:"mem_limit"`
	MemoryAlarm     bool    `json:"mem_alarm"`
	Resident        uint64  `json:"process_resident_memory"`
	Files           uint64  `json:"fd_used"`
	FilesDetails    details `json:"fd_used_details"`
	MaxFiles        uint64  `json:"fd_total"`
	Sockets         uint64  `json:"sockets_used"`
	SocketsDetails  details `json:"sockets_used_details"`
	MaxSockets      uint64  `json:"sockets_total"`
	DiskFree        uint64  `json:"disk_free"`
	DiskFreeDetails details `json:"disk_free_details"`
	DiskLimit       uint64  `json:"disk_free_limit"`
	DiskAlarm       bool    `json:"disk_free_alarm"`
	Routines        int     `json:"proc_used"`
	RoutinesDetails details `json:"proc_used_details"`
	MaxRoutines     int     `json:"proc_total"`
	RunQueue        int     `json:"run_queue"`
	GCs             uint32  `json:"gc_num"`
	GCDetails       details `json:"gc_num_details"`
}

// nodeZeros are counters of Erlang's that clients read.
type nodeZeros struct {
	Switches       int     `json:"context_switches"`
	Reclaimed      int     `json:"gc_bytes_reclaimed"`
	Reads          int     `json:"io_read_count"`
	ReadBytes      int     `json:"io_read_bytes"`
	ReadTime       float64 `json:"io_read_avg_time"`
	Writes         int     `json:"io_write_count"`
	WriteBytes     int     `json:"io_write_bytes"`
	WriteTime      float64 `json:"io_write_avg_time"`
	Syncs          int     `json:"io_sync_count"`
	SyncTime       float64 `json:"io_sync_avg_time"`
	Seeks          int     `json:"io_seek_count"`
	SeekTime       float64 `json:"io_seek_avg_time"`
	Reopens        int     `json:"io_reopen_count"`
	MnesiaRAM      int     `json:"mnesia_ram_tx_count"`
	MnesiaDisk     int     `json:"mnesia_disk_tx_count"`
	StoreReads     int     `json:"msg_store_read_count"`
	StoreWrites    int     `json:"msg_store_write_count"`
	IndexReads     int     `json:"queue_index_read_count"`
	IndexWrites    int     `json:"queue_index_write_count"`
	IndexWritesOld int     `json:"queue_index_journal_write_count"`
}

// mechanisms are the ways to log in.
func mechanisms() []exchangeType {
	return []exchangeType{
		{"PLAIN", "SASL PLAIN authentication mechanism", true},
		{"AMQPLAIN", "QPid AMQPLAIN mechanism", true},
		{"EXTERNAL", "SASL EXTERNAL, by the client's certificate over TLS", true},
	}
}

func (a *API) nodeView(s span) nodeView {
	now, list := a.nodeSample(), a.nodePast()
	of := func(part func(*nodeSample) float64) details { return changes(list, s, part) }
	memory := a.Broker.Memory()
	reason := a.Broker.Blocked()
	return nodeView{
		nodeFacts: nodeFacts{
			Name: a.NodeName, Type: "disc", Running: true, Drained: a.draining(), PID: strconv.Itoa(os.Getpid()),
			Uptime: a.Now().Sub(a.started).Milliseconds(), RatesMode: "basic", Partitions: []string{},
			Processors: runtime.GOMAXPROCS(0), NetTick: 60, MemoryStrategy: "rss", Plugins: plugins(),
			ExchangeTypes: exchangeTypes(), Mechanisms: mechanisms(), LogFiles: []string{}, ConfigFiles: []string{},
			Applications: []application{{"warren", "Warren", a.Version}}, Contexts: a.contextViews(), Directory: a.Data,
			RabbitVersion: rabbitVersion, Links: []any{}, runtimeView: newRuntimeView(),
		},
		nodeLoad: nodeLoad{
			Memory: memory.Used(), MemoryDetails: of(func(n *nodeSample) float64 { return float64(n.process.Resident) }),
			MemoryLimit: memory.Limit(), MemoryAlarm: memory.Over(), Resident: now.process.Resident,
			Files: now.process.Files, FilesDetails: of(func(n *nodeSample) float64 { return float64(n.process.Files) }),
			MaxFiles: now.process.MaxFiles, Sockets: uint64(now.sockets), //nolint:gosec // a length
			SocketsDetails: of(func(n *nodeSample) float64 { return float64(n.sockets) }), MaxSockets: now.process.MaxFiles,
			DiskFree: now.process.DiskFree, DiskFreeDetails: of(func(n *nodeSample) float64 { return float64(n.process.DiskFree) }),
			DiskAlarm: reason != "" && !memory.Over(), Routines: now.routines,
			RoutinesDetails: of(func(n *nodeSample) float64 { return float64(n.routines) }), MaxRoutines: 1 << 20,
			GCs: now.gcs, GCDetails: of(func(n *nodeSample) float64 { return float64(n.gcs) }),
		},
		churnView: *a.churn(s),
	}
}

// plugins are RabbitMQ's plugins whose work Warren does.
func plugins() []string {
	return []string{
		"rabbitmq_consistent_hash_exchange", "rabbitmq_delayed_message_exchange", "rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_prometheus",
		"rabbitmq_random_exchange", "rabbitmq_recent_history_exchange", "rabbitmq_web_dispatch",
	}
}

func (a *API) nodes(c *call) (any, error) {
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	return listing.Views(c.req.URL.Query(), []nodeView{a.nodeView(s.node)}, func(n nodeView) string { return n.Name })
}

func (a *API) node(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	w := a.nodeView(s.node)
	if !c.flag("memory") {
		return listing.One(c.req.URL.Query(), w)
	}
	return listing.One(c.req.URL.Query(), struct {
		nodeView
		Breakdown map[string]any `json:"memory"`
	}{w, a.memory()})
}

func (a *API) nodeMemory(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	return map[string]any{"memory": a.memory()}, nil
}

// memory says what takes memory, by RabbitMQ's names as far as they fit.
func (a *API) memory() map[string]any {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used := a.Broker.Memory().Used()
	other := max(int64(m.HeapAlloc)-used, 0) //nolint:gosec // below 2^63
	return map[string]any{
		"binary": used, "other_proc": other, "connection_readers": 0, "connection_writers": 0, "connection_channels": 0,
		"connection_other": 0, "queue_procs": 0, "quorum_queue_procs": 0, "plugins": 0, "metrics": 0, "mgmt_db": 0, "mnesia": 0,
		"stream_queue_procs": 0, "stream_queue_replica_reader_procs": 0, "stream_queue_coordinator_procs": 0,
		"quorum_queue_dlx_procs": 0, "metadata_store": 0, "metadata_store_ets": 0, "quorum_ets": 0, "msg_index": 0, "code": 0, "atom": 0, "other_ets": 0, "other_system": m.StackInuse + m.GCSys + m.OtherSys,
		"allocated_unused": m.HeapIdle - m.HeapReleased, "reserved_unallocated": m.HeapReleased, "strategy": "rss",
		"total": map[string]uint64{"erlang": m.HeapAlloc, "rss": process.Read("").Resident, "allocated": m.Sys - m.HeapReleased},
	}
}

// ports are those that the node listens at.
func (a *API) ports() []int {
	var list []int
	for _, l := range a.listeners() {
		if _, port := splitAddress(l.Address.String()); port != 0 && !slices.Contains(list, port) {
			list = append(list, port)
		}
	}
	return list
}
