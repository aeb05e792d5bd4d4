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
	"net/url"
	"strings"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
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
}

// API answers requests.
type API struct {
	Options

	all     *auth.Rights // of administrators
	routes  []route
	started time.Time
}

// need says who may call a route.
type need uint8

const (
	needLogin   need = iota + 1 // anybody who can log in and has a management tag
	needMonitor                 // tag monitoring or administrator
	needVhost                   // who may see the vhost in the path; the broker checks the rest
	needCluster                 // an administrator of the cluster in the path
	needAdmin                   // an administrator of the installation
)

// route is one entry of the registry.
type route struct {
	method, path string // path is a pattern of http.ServeMux
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
	for _, list := range [][]route{
		a.overviewRoutes(), a.clusterRoutes(), a.roleRoutes(), a.vhostRoutes(), a.userRoutes(), a.permissionRoutes(),
		a.exchangeRoutes(), a.queueRoutes(), a.bindingRoutes(), a.connectionRoutes(), a.healthRoutes(),
		a.policyRoutes(), a.limitRoutes(), a.delayedRoutes(),
	} {
		a.routes = append(a.routes, list...)
	}
	return a, nil
}

// Handler returns the API for the network: every request logs in.
func (a *API) Handler() http.Handler { return a.mux(a.login) }

// OwnerHandler returns the API for a socket that only the owner of the data
// directory can open: every request may do everything.
func (a *API) OwnerHandler() http.Handler {
	return a.mux(func(*http.Request) (caller, error) { return caller{owner: true}, nil })
}

// mux builds the registry's handler.
func (a *API) mux(login func(*http.Request) (caller, error)) http.Handler {
	m := http.NewServeMux()
	for i := range a.routes {
		r := &a.routes[i]
		m.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) { a.serve(w, req, r, login) })
	}
	return headers(m)
}

// slash stands for a path segment that is a slash, %2F: RabbitMQ's name of the
// default vhost, which http.ServeMux takes for the end of the path.
const slash = "\x00"

// segments gives paths the form that the registry has: without a slash at the
// end, and with slash for %2F.
func segments(r *http.Request) *http.Request {
	escaped := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	parts := strings.Split(escaped, "/")
	for i, p := range parts {
		if strings.EqualFold(p, "%2F") {
			parts[i] = "%00"
		}
	}
	escaped = strings.Join(parts, "/")
	path, err := url.PathUnescape(escaped)
	if err != nil || path == "" {
		return r
	}
	next := *r
	u := *r.URL
	u.Path, u.RawPath = path, escaped
	next.URL = &u
	return &next
}

// value is a named part of the path.
func (c *call) value(name string) string {
	if v := c.req.PathValue(name); v != slash {
		return v
	}
	return "/"
}

// headers sets what every answer carries and gives errors of the mux the
// API's form.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = segments(r)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(&muxErrors{ResponseWriter: w}, r)
	})
}

// muxErrors replaces the mux's own texts: 404 by the API's, 405 by nothing.
type muxErrors struct {
	http.ResponseWriter

	ours     bool // the answer is a handler's
	replaced bool
}

// WriteHeader implements http.ResponseWriter.
func (m *muxErrors) WriteHeader(status int) {
	if m.ours || status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		m.ResponseWriter.WriteHeader(status)
		return
	}
	m.replaced = true
	if status == http.StatusMethodNotAllowed {
		m.Header().Del("Content-Type")
		m.ResponseWriter.WriteHeader(status)
		return
	}
	writeError(m.ResponseWriter, errMissing())
}

// Write implements http.ResponseWriter.
func (m *muxErrors) Write(b []byte) (int, error) {
	if m.replaced {
		return len(b), nil
	}
	return m.ResponseWriter.Write(b)
}
