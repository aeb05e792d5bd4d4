package mgmt

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
)

func (a *API) healthRoutes() []route {
	const base = "/api/health/checks/"
	ok := func(*call) (any, error) { return healthy(nil), nil }
	return []route{
		{http.MethodGet, base + "alarms", needLogin, a.alarms},
		{http.MethodGet, base + "local-alarms", needLogin, a.alarms},
		{http.MethodGet, base + "virtual-hosts", needLogin, ok},
		{http.MethodGet, base + "node-is-mirror-sync-critical", needLogin, a.alone},
		{http.MethodGet, base + "node-is-quorum-critical", needLogin, a.alone},
		{http.MethodGet, base + "quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", needLogin, ok},
		{http.MethodGet, base + "quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", needVhost, ok},
		{http.MethodGet, base + "metadata-store/initialized", needLogin, ok},
		{http.MethodGet, base + "metadata-store/initialized/with-data", needLogin, ok},
		{http.MethodGet, base + "reached-target-cluster-size", needLogin, ok},
		{http.MethodGet, base + "port-listener/{port}", needLogin, a.portListener},
		{http.MethodGet, base + "protocol-listener/{protocol}", needLogin, a.protocolListener},
		{http.MethodGet, base + "certificate-expiration/{within}/{unit}", needLogin, a.certificateExpiration},
		{http.MethodGet, base + "is-in-service", needLogin, a.inService},
		{http.MethodGet, base + "below-node-connection-limit", needLogin, a.belowLimit},
		{http.MethodGet, base + "ready-to-serve-clients", needLogin, a.ready},
		{http.MethodGet, "/api/aliveness-test/{vhost}", needVhost, a.aliveness},
		{http.MethodGet, "/api/healthchecks/node", needLogin, a.alarms},
		{http.MethodGet, "/api/healthchecks/node/{node}", needLogin, a.alarms},
	}
}

// failed is the answer of a health check that fails: 503.
type failed struct {
	reason string
	more   map[string]any
}

func (f *failed) Error() string { return f.reason }

// MarshalJSON writes RabbitMQ's form.
func (f *failed) MarshalJSON() ([]byte, error) {
	all := map[string]any{"status": "failed", "reason": f.reason}
	maps.Copy(all, f.more)
	return json.Marshal(all)
}

func healthy(more map[string]any) map[string]any {
	all := map[string]any{"status": "ok"}
	maps.Copy(all, more)
	return all
}

// alarms fails while publishers wait for memory or disk.
func (a *API) alarms(*call) (any, error) {
	if reason := a.Broker.Blocked(); reason != "" {
		resource := "disk"
		if a.Broker.Memory().Over() {
			resource = "memory"
		}
		return nil, &failed{"There are alarms in effect in the cluster", map[string]any{
			"alarms": []map[string]string{{"node": a.NodeName, "resource": resource}},
		}}
	}
	return healthy(nil), nil
}

func (a *API) alone(*call) (any, error) {
	return healthy(map[string]any{"reason": "single node cluster"}), nil
}

func (a *API) portListener(c *call) (any, error) {
	port, err := strconv.Atoi(c.value("port"))
	if err != nil {
		return nil, errBad("%.80q is not a port", c.value("port"))
	}
	if ports := a.ports(); !slices.Contains(ports, port) {
		return nil, &failed{"No active listener", map[string]any{"missing": port, "ports": ports}}
	}
	return healthy(map[string]any{"port": port}), nil
}

func (a *API) protocolListener(c *call) (any, error) {
	asked := c.value("protocol")
	protocols := []string{}
	for _, l := range a.listeners() {
		if !slices.Contains(protocols, l.Protocol) {
			protocols = append(protocols, l.Protocol)
		}
	}
	name := asked
	switch asked {
	case "amqp091", "amqp0.9.1", "amqp10", "amqp1.0":
		name = "amqp"
	case "amqps", "tls", "ssl":
		name = "amqp/ssl"
	}
	if !slices.Contains(protocols, name) || asked == "amqp10" || asked == "amqp1.0" {
		return nil, &failed{"No active listener", map[string]any{"missing": []string{asked}, "protocols": protocols}}
	}
	return healthy(map[string]any{"protocols": protocols}), nil
}

// certificateExpiration fails when a certificate ends within a time: one that
// the node shows, or one that verifies clients.
func (a *API) certificateExpiration(c *call) (any, error) {
	units := map[string]int{"days": 1, "weeks": 7, "months": 30, "years": 365}
	unit, ok := units[c.value("unit")]
	if !ok {
		return nil, errBad("Time unit not recognised. Supported units: days, weeks, months, years.")
	}
	n, err := strconv.Atoi(c.value("within"))
	if err != nil || n < 0 || n > 1000 {
		return nil, errBad("Invalid expiration date requested.")
	}
	if a.Certificates == nil {
		return healthy(nil), nil
	}
	var ending []map[string]any
	for _, c := range a.Certificates() {
		if !c.Until.Before(a.Now().AddDate(0, 0, n*unit)) {
			continue
		}
		name := "certfile"
		if c.Clients {
			name = "cacertfile"
		}
		ending = append(ending, map[string]any{
			"node": a.NodeName, "protocol": "amqp/ssl", name + "_expires_on": c.Until.UTC().Format(time.RFC3339),
		})
	}
	if ending != nil {
		return nil, &failed{"Certificates expiring", map[string]any{"expired": ending}}
	}
	return healthy(nil), nil
}

func (a *API) inService(*call) (any, error) {
	if a.draining() {
		return nil, &failed{reason: "Node is being put in maintenance"}
	}
	return healthy(nil), nil
}

func (a *API) belowLimit(*call) (any, error) {
	n := a.Registry.Count()
	if a.MaxConnections > 0 && n >= a.MaxConnections {
		return nil, &failed{"Node connection limit is reached", map[string]any{"limit": a.MaxConnections, "connections": n}}
	}
	return healthy(nil), nil
}

// ready is all that a client needs: the node serves, has room for another
// connection, and takes messages.
func (a *API) ready(c *call) (any, error) {
	for _, check := range []func(*call) (any, error){a.inService, a.belowLimit} {
		if _, err := check(c); err != nil {
			return nil, err
		}
	}
	if a.Ready != nil && !a.Ready() {
		return nil, &failed{reason: "The node is starting"}
	}
	return healthy(nil), nil
}

// aliveness publishes a message to a queue of its own and gets it back.
func (a *API) aliveness(c *call) (any, error) {
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	const name = "aliveness-test"
	actor := c.actor(v)
	q, e := v.DeclareQueue(actor, broker.QueueDeclare{Name: name})
	if e != nil {
		return nil, e
	}
	if e := v.Check(actor, auth.Write, broker.KindExchange, ""); e != nil {
		return nil, e
	}
	m, err := broker.Compose(&broker.Content{Key: name, Body: []byte("test_message")}, frameMax)
	if err != nil {
		return nil, err
	}
	if _, err := a.publishOne(v, &m); err != nil {
		return nil, err
	}
	_, _, _, ok, e := v.Get(actor, q.Name, true, nil)
	if e != nil {
		return nil, e
	}
	if !ok {
		return nil, &failed{reason: "a message that was published did not come back"}
	}
	return healthy(nil), nil
}
