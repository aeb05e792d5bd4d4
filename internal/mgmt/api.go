// Package mgmt is the HTTP API: RabbitMQ's paths and shapes under /api where
// RabbitMQ has them, and Warren's own for clusters, roles and grants.
//
// Every path is an entry of one registry, and every entry names who may call
// it; a path that is not in the registry does not exist. Handlers read
// snapshots and never hold a lock that publishing needs while they encode.
package mgmt

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/metrics"
	"github.com/warrenmq/warren/internal/session"
)

// Limits of requests, in bytes.
const (
	maxBody    = 1 << 20
	maxPublish = 32 << 20
)

// Options are what an API is made of.
type Options struct {
	Store    *meta.Store
	Broker   *broker.Broker
	Registry *session.Registry
	Logger   *slog.Logger
	Version  string
	// Address is what clients are told to connect to, host:port.
	Address string
	// NodeName names this node, as in rabbit@host.
	NodeName string
	Now      func() time.Time
	// Applied waits until the node works by the definitions as they are; nil:
	// it always does.
	Applied func()
	// ClusterName is the installation's name as long as nobody sets another.
	ClusterName string
	// Data is the data directory; empty: none.
	Data string
	// Listeners tells where the node listens.
	Listeners func() []Listener
	// MaxConnections is the node's limit; 0: none.
	MaxConnections int
	// MaxMessageSize bounds a message's body, in bytes; 0: nothing else does but
	// that of the request.
	MaxMessageSize int
	// Ready tells whether the node serves; nil: it does.
	Ready func() bool
	// Certificates tells when those of TLS end; nil: there are none.
	Certificates func() []metrics.Certificate
	// Journal tells what the journal takes; nil: there is none.
	Journal func() metrics.Journal
	// Effective is the configuration in force, by its keys, to show.
	Effective map[string]any
	// LoggedIn is told of each request that somebody has logged in with; nil:
	// nobody is.
	LoggedIn func(*http.Request)
	// Drainer sends the clients away; nil: nobody can.
	Drainer Drainer
}

//go:generate go run ./gen

// API answers requests.
type API struct {
	Options

	all     *auth.Rights // of administrators
	routes  []route
	started time.Time

	source   *metrics.Source
	attempts attempts
	shares   shares
	past     nodeHistory
}

// need says who may call a route.
type need uint8

const (
	needLogin   need = iota + 1 // anybody who can log in and has a management tag
	needMonitor                 // tag monitoring or administrator
	needObjects                 // as needMonitor, or an administrator of a cluster, who sees what is in it
	needVhost                   // who may see the vhost in the path; the broker checks the rest
	needCluster                 // an administrator of the cluster in the path
	needAdmin                   // an administrator of the installation
)

// route is one entry of the registry.
type route struct {
	method, path string // parts of path in braces are names
	need         need
	handle       func(*call) (any, error)
}

// New returns an API.
func New(o Options) (*API, error) {
	all, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		return nil, err
	}
	a := &API{Options: o, all: all, started: o.Now()}
	a.source = a.newSource()
	a.routes = a.registry()
	return a, nil
}

// registry lists all routes.
func (a *API) registry() []route {
	var all []route
	for _, list := range [][]route{
		a.overviewRoutes(), a.clusterRoutes(), a.roleRoutes(), a.vhostRoutes(), a.userRoutes(), a.permissionRoutes(),
		a.exchangeRoutes(), a.queueRoutes(), a.bindingRoutes(), a.connectionRoutes(), a.healthRoutes(),
		a.policyRoutes(), a.limitRoutes(), a.nodeRoutes(), a.channelRoutes(), a.consumerRoutes(), a.parameterRoutes(),
		a.topicRoutes(), a.staticRoutes(), a.definitionRoutes(), a.metricRoutes(), a.delayedRoutes(), a.drainRoutes(),
	} {
		all = append(all, list...)
	}
	return all
}

// Handler returns the API for the network: every request logs in.
func (a *API) Handler() http.Handler { return a.mux(a.login) }

// OwnerHandler returns the API for a socket that only the owner of the data
// directory can open: every request may do everything.
func (a *API) OwnerHandler() http.Handler {
	return a.mux(func(*http.Request) (caller, error) { return caller{owner: true}, nil })
}
