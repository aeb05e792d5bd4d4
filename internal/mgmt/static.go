package mgmt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/warrenmq/warren/internal/listing"
)

func (a *API) staticRoutes() []route {
	return []route{
		{http.MethodGet, "/api/extensions", needLogin, func(*call) (any, error) { return []any{}, nil }},
		{http.MethodGet, "/api/auth", needLogin, func(*call) (any, error) { return map[string]bool{"oauth_enabled": false}, nil }},
		{http.MethodGet, "/api/feature-flags", needMonitor, a.featureFlags},
		{http.MethodPut, "/api/feature-flags/{flag}/enable", needAdmin, a.enableFlag},
		{http.MethodGet, "/api/deprecated-features", needMonitor, a.deprecated},
		{http.MethodGet, "/api/deprecated-features/used", needMonitor, func(*call) (any, error) { return []any{}, nil }},
		{http.MethodGet, "/api/auth/attempts/{node}", needAdmin, a.authAttempts},
		{http.MethodDelete, "/api/auth/attempts/{node}", needAdmin, a.resetAttempts},
		{http.MethodGet, "/api/auth/attempts/{node}/source", needAdmin, a.attemptSources},
		{http.MethodDelete, "/api/auth/attempts/{node}/source", needAdmin, a.resetAttempts},
		{http.MethodGet, "/api/config/effective", needAdmin, a.effective},
		{http.MethodGet, "/api/auth/hash_password/{password}", needAdmin, hashPassword},
	}
}

// flagNames are RabbitMQ 4.3's feature flags, all of them on: tools that look
// for one find it.
func flagNames() []string {
	return []string{
		"classic_mirrored_queue_version", "classic_queue_type_delivery_support", "detailed_queues_endpoint",
		"direct_exchange_routing_v2", "drop_unroutable_metric", "empty_basic_get_metric", "feature_flags_v2",
		"implicit_default_bindings", "listener_records_in_ets", "maintenance_mode_status", "message_containers",
		"message_containers_deaths_v2", "quorum_queue", "rabbit_exchange_type_local_random", "rabbitmq_4.0.0", "rabbitmq_4.1.0",
		"rabbitmq_4.2.0", "rabbitmq_4.3.0", "tracking_records_in_ets", "user_limits", "virtual_host_metadata",
	}
}

// featureFlag is a feature flag in RabbitMQ's form.
type featureFlag struct {
	Name       string   `json:"name"`
	Desc       string   `json:"desc"`
	URL        string   `json:"doc_url"`
	State      string   `json:"state"`
	Stability  string   `json:"stability"`
	Require    string   `json:"require_level"`
	Experiment string   `json:"experiment_level"`
	Callbacks  []string `json:"callbacks"`
	Provider   string   `json:"provided_by"`
}

func (a *API) featureFlags(c *call) (any, error) {
	list := []featureFlag{}
	for _, name := range flagNames() {
		list = append(list, featureFlag{
			Name: name, State: "enabled", Stability: "required", Require: "hard", Experiment: "supported", Callbacks: []string{},
			Provider: "warren",
		})
	}
	return listing.Views(c.req.URL.Query(), list, func(f featureFlag) string { return f.Name })
}

// enableFlag has nothing to do: what there is, is on.
func (a *API) enableFlag(c *call) (any, error) {
	if name := c.value("flag"); name != "all" && !slices.Contains(flagNames(), name) {
		return nil, errBad("unsupported: there is no feature flag %.80q", name)
	}
	return nil, nil
}

func (a *API) deprecated(c *call) (any, error) {
	type feature struct {
		Name     string `json:"name"`
		State    string `json:"state"`
		Desc     string `json:"desc"`
		Phase    string `json:"deprecation_phase"`
		URL      string `json:"doc_url"`
		Provider string `json:"provided_by"`
	}
	list := []feature{}
	for _, f := range [][3]string{
		{"global_qos", "permitted", "permitted_by_default"},
		{"transient_nonexcl_queues", "permitted", "permitted_by_default"},
		{"management_metrics_collection", "permitted", "permitted_by_default"},
		{"queue_master_locator", "denied", "removed"},
		{"classic_queue_mirroring", "denied", "removed"},
	} {
		list = append(list, feature{Name: f[0], State: f[1], Phase: f[2], Provider: "warren"})
	}
	return listing.Views(c.req.URL.Query(), list, func(f feature) string { return f.Name })
}

// effective is the configuration that is in force.
func (a *API) effective(*call) (any, error) {
	if a.Effective == nil {
		return map[string]any{}, nil
	}
	return a.Effective, nil
}

// attempts counts logins at the API.
type attempts struct{ good, bad atomic.Uint64 }

func (a *API) authAttempts(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	type view struct {
		Protocol string `json:"protocol"`
		All      uint64 `json:"auth_attempts"`
		Bad      uint64 `json:"auth_attempts_failed"`
		Good     uint64 `json:"auth_attempts_succeeded"`
	}
	churn := a.Registry.Churn()
	amqp := view{Protocol: "amqp091", Good: churn.Logins.Load(), Bad: churn.LoginsRefused.Load()}
	web := view{Protocol: "http", Good: a.attempts.good.Load(), Bad: a.attempts.bad.Load()}
	amqp.All, web.All = amqp.Good+amqp.Bad, web.Good+web.Bad
	return []view{web, amqp}, nil
}

func (a *API) attemptSources(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	return []any{}, nil
}

func (a *API) resetAttempts(c *call) (any, error) {
	if c.value("node") != a.NodeName {
		return nil, errMissing()
	}
	churn := a.Registry.Churn()
	for _, n := range []*atomic.Uint64{&churn.Logins, &churn.LoginsRefused, &a.attempts.good, &a.attempts.bad} {
		n.Store(0)
	}
	return nil, nil
}

// hashPassword makes RabbitMQ's hash of a password: base64 of a salt and the
// SHA-256 of salt and password.
func hashPassword(c *call) (any, error) {
	var salt [4]byte
	_, _ = rand.Read(salt[:]) // never fails
	sum := sha256.Sum256(append(salt[:], c.value("password")...))
	return map[string]string{"ok": base64.StdEncoding.EncodeToString(append(salt[:], sum[:]...))}, nil
}
