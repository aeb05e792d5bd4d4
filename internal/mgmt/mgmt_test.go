package mgmt

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/session"
)

// node is an API over an empty in-memory node, with a named cluster in it.
type node struct {
	*API

	cluster string // id of "shop", with vhost "orders"
	boss    string // key of shop's administrator
	worker  string // key of shop's role without tags, granted on orders
}

func newNode(t *testing.T) *node {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	store, err := meta.Open(meta.Options{Log: &meta.MemoryLog{}, Now: time.Now, Rand: rand.Reader, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Options{Definitions: store, Log: broker.MemoryLog{}, NextUID: store.NextUID, Logger: logger})
	open := func(ref meta.VhostRef, wire string) {
		v, err := store.Vhost(ref)
		if err != nil {
			t.Fatal(err)
		}
		b.AddVhost(v, wire)
	}
	c, err := store.CreateCluster("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	store.Watch(func(m meta.Change) {
		wire := m.Vhost
		if m.Cluster == c.ID {
			wire = c.ID + "|" + m.Vhost
		}
		if ref := (meta.VhostRef{Cluster: m.Cluster, Name: m.Vhost}); m.Kind == meta.VhostCreated {
			open(ref, wire)
		} else if m.Kind == meta.VhostDeleted {
			b.RemoveVhost(ref)
		}
	})
	open(meta.VhostRef{Cluster: store.DefaultCluster().ID, Name: "/"}, "/")
	api, err := New(Options{
		Store: store, Broker: b, Registry: session.NewRegistry(), Logger: logger, Version: "test",
		Address: "127.0.0.1:5672", NodeName: "warren@test", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{API: api, cluster: c.ID}
	orders := meta.VhostRef{Cluster: c.ID, Name: "orders"}
	if _, err := store.CreateVhost(orders, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*string{"boss": &n.boss, "worker": &n.worker} {
		var tags []string
		if name == "boss" {
			tags = []string{"administrator"}
		}
		if _, *key, err = store.CreateRole(c.ID, name, meta.RoleOptions{Tags: tags}); err != nil {
			t.Fatal(err)
		}
		if err := store.Grant(orders, name, auth.Grant{Produce: true, Consume: true}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tag := range map[string]string{"plain": "", "manager": "management", "watcher": "monitoring"} {
		var tags []string
		if tag != "" {
			tags = []string{tag}
		}
		if _, err := store.PutUser("", name, meta.UserOptions{Password: name, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// do makes a request as a user and returns status and body.
func (n *node) do(t *testing.T, user, password, method, path, body string) (int, string, http.Header) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, req)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, strings.TrimSpace(string(b)), w.Header()
}

// TestConversation goes through the objects as RabbitMQ's own tools do.
func TestConversation(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string // in the answer
	}{
		{"GET", "/api/overview", "", 200, `"rabbitmq_version":"4.3.6"`},
		{"GET", "/api/whoami", "", 200, `"name":"guest","tags":["administrator"]`},
		{"PUT", "/api/vhosts/v1", "", 201, ""},
		{"PUT", "/api/permissions/v1/guest", `{"configure":"","write":".*","read":".*"}`, 204, ""}, // whoever made it has rights
		{"PUT", "/api/vhosts/v1", "", 204, ""},
		{"GET", "/api/permissions/v1/guest", "", 200, `"configure":"","write":".*"`}, // and keeps what it was given since
		{"PUT", "/api/vhosts/v2", "", 201, ""},
		{"GET", "/api/vhosts/v2/permissions", "", 200, `[{"user":"guest","vhost":"v2","configure":".*","write":".*","read":".*"}]`},
		{"DELETE", "/api/vhosts/v2", "", 204, ""},
		{"GET", "/api/vhosts/v1", "", 200, `"name":"v1"`},
		{"GET", "/api/vhosts/", "", 200, `"name":"/"`},
		{"PUT", "/api/users/ann", `{"password":"x","tags":"monitoring, management"}`, 201, ""},
		{"PUT", "/api/users/ann", `{"password":"x","tags":["monitoring"]}`, 204, ""},
		{"GET", "/api/users/ann", "", 200, `"tags":["monitoring"]`},
		{"PUT", "/api/permissions/v1/ann", `{"configure":".*"}`, 400, `[{key_missing,write},{key_missing,read}]`},
		{"PUT", "/api/permissions/v1/ann", `{"configure":".*","write":".*","read":".*"}`, 201, ""},
		{"PUT", "/api/permissions/v1/ann", `{"configure":".*","write":".*","read":"x"}`, 204, ""},
		{"GET", "/api/permissions/v1/ann", "", 200, `{"user":"ann","vhost":"v1","configure":".*","write":".*","read":"x"}`},
		{"DELETE", "/api/permissions/v1/ann", "", 204, ""},
		{"DELETE", "/api/permissions/v1/ann", "", 404, "Object Not Found"},
		{"PUT", "/api/exchanges/v1/e1", `{"type":"topic"}`, 201, ""},
		{"PUT", "/api/exchanges/v1/e1", `{"type":"topic"}`, 204, ""},
		{"PUT", "/api/exchanges/v1/e1", `{"type":"fanout"}`, 400, "inequivalent arg 'type' for exchange 'e1' in vhost 'v1'"},
		{"PUT", "/api/exchanges/v1/amq.mine", `{"type":"fanout"}`, 401, "not_authorised"},
		{"PUT", "/api/queues/v1/q1", `{"durable":true,"arguments":{"x-note":"n","x-number":7}}`, 201, ""},
		{"PUT", "/api/queues/v1/q1", `{"durable":true,"arguments":{"x-note":"n"}}`, 204, ""},
		{"PUT", "/api/queues/v1/q1", `{"durable":false}`, 400, "inequivalent arg 'durable'"},
		{"GET", "/api/queues/v1/q1", "", 200, `"arguments":{"x-note":"n","x-number":7}`},
		{"PUT", "/api/queues/%2F/q1", `{}`, 201, ""},
		{"GET", "/api/queues/%2f", "", 200, `"vhost":"/"`},
		{"POST", "/api/bindings/v1/e/e1/q/q1", `{"routing_key":"a.#","arguments":{}}`, 201, ""},
		{"GET", "/api/bindings/v1/e/e1/q/q1", "", 200, `"properties_key":"a.%23"`},
		{"GET", "/api/queues/v1/q1/bindings", "", 200, `{"source":"","vhost":"v1","destination":"q1"`},
		{"POST", "/api/exchanges/v1/e1/publish", `{"properties":{"headers":{"h":1}},"routing_key":"a.b","payload":"hello","payload_encoding":"string"}`, 200, `{"routed":true}`},
		{"POST", "/api/exchanges/v1/e1/publish", `{"properties":{},"routing_key":"z","payload":"hello","payload_encoding":"string"}`, 200, `{"routed":false}`},
		{"POST", "/api/exchanges/v1//publish", `{"properties":{},"routing_key":"none","payload":"","payload_encoding":"string"}`, 200, `{"routed":false}`},
		{"GET", "/api/queues//q1", "", 404, ""},
		{"POST", "/api/exchanges/v1/amq.default/publish", `{"properties":{},"routing_key":"q1","payload":"/w==","payload_encoding":"base64"}`, 200, `{"routed":true}`},
		{"POST", "/api/queues/v1/q1/get", `{"count":5,"ackmode":"ack_requeue_true","encoding":"auto"}`, 200, `"headers":{"h":1}`},
		{"POST", "/api/queues/v1/q1/get", `{"count":5,"ackmode":"ack_requeue_false","encoding":"auto"}`, 200, `"payload":"/w==","payload_encoding":"base64"`},
		{"POST", "/api/queues/v1/q1/get", `{"count":5,"ackmode":"ack_requeue_false","encoding":"auto"}`, 200, `[]`},
		{"POST", "/api/queues/v1/q1/get", `{"count":5,"ackmode":"what"}`, 400, "ackmode must be"},
		{"POST", "/api/queues/v1/q1/get", `{`, 400, "not_json"},
		{"DELETE", "/api/queues/v1/q1/contents", "", 204, ""},
		{"DELETE", "/api/bindings/v1/e/e1/q/q1/a.%2523", "", 204, ""},
		{"DELETE", "/api/bindings/v1/e/e1/q/q1/a.%2523", "", 404, ""},
		{"DELETE", "/api/queues/v1/q1", "", 204, ""},
		{"DELETE", "/api/queues/v1/q1", "", 404, ""},
		{"DELETE", "/api/exchanges/v1/e1", "", 204, ""},
		{"DELETE", "/api/exchanges/v1/amq.topic", "", 401, "not_authorised"},
		{"DELETE", "/api/users/ann", "", 204, ""},
		{"DELETE", "/api/vhosts/v1", "", 204, ""},
		{"DELETE", "/api/vhosts/v1", "", 404, ""},
		{"GET", "/api/connections/", "", 200, `[]`},
		{"GET", "/api/nope", "", 404, `{"error":"Object Not Found","reason":"Not Found"}`},
		{"PATCH", "/api/overview", "", 405, ""},
		{"GET", "/api/health/checks/alarms", "", 200, `{"status":"ok"}`},
		{"POST", "/api/clusters", `{"name":"x"}`, 400, "invalid"},
		{"POST", "/api/clusters", `{"name":"market","remark":"r"}`, 201, `"address":"127.0.0.1:5672"`},
		{"GET", "/api/clusters/default/vhosts", "", 200, `"name":"/"`},
		{"PUT", "/api/clusters/" + n.cluster + "/vhosts/new", `{}`, 201, `"name":"` + n.cluster + `|new"`},
		{"POST", "/api/clusters/" + n.cluster + "/roles", `{"name":"w2"}`, 201, `"key":"eyJr`},
		{"PUT", "/api/clusters/" + n.cluster + "/vhosts/new/grants/w2", `{"consume":true}`, 204, ""},
		{"PUT", "/api/clusters/" + n.cluster + "/vhosts/new/grants/w2", `{}`, 400, "grant produce, consume or both"},
		{"GET", "/api/clusters/" + n.cluster + "/roles/w2", "", 200, `"grants":[{"vhost":"new","produce":false,"consume":true`},
		{"POST", "/api/clusters/" + n.cluster + "/roles/w2/reset-key", `{"overlap_seconds":-1}`, 400, "overlap_seconds"},
		{"POST", "/api/clusters/" + n.cluster + "/roles/w2/reset-key", `{}`, 200, `"key":"eyJr`},
		{"POST", "/api/clusters/" + n.cluster + "/roles/w2/disable", ``, 204, ""},
		{"DELETE", "/api/clusters/" + n.cluster + "/vhosts/new/grants/w2", "", 204, ""},
		{"DELETE", "/api/clusters/" + n.cluster + "/roles/w2", "", 204, ""},
		{"PUT", "/api/queues/" + n.cluster + "%7Corders/q", `{}`, 201, ""},
		{"GET", "/api/queues/" + n.cluster + "%7Corders", "", 200, `"vhost":"` + n.cluster + `|orders"`},
		{"DELETE", "/api/clusters/default", "", 400, ""},
		{"DELETE", "/api/clusters/" + n.cluster, "", 204, ""},
		{"PUT", "/api/vhosts/big", `"` + strings.Repeat("x", maxBody) + `"`, 400, "larger than the limit of 1048576 bytes"},
	} {
		status, body, _ := n.do(t, "guest", "guest", c.method, c.path, c.body)
		if status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s %s: %d %s; want %d and %s", c.method, c.path, status, body, c.status, c.has)
		}
	}
}

// fill gives a route's path values.
func (n *node) fill(path, cluster, vhost string) string {
	for name, value := range map[string]string{
		"cluster": cluster, "vhost": vhost, "name": "thing", "role": "worker", "user": "guest", "source": "x", "destination": "y",
		"props": "~", "node": "warren@test", "channel": "c", "component": "vhost-limits", "port": "1", "protocol": "amqp", "within": "1",
		"unit": "weeks", "pattern": "x", "flag": "quorum_queue", "password": "x", "id": "1",
	} {
		path = strings.ReplaceAll(path, "{"+name+"}", strings.ReplaceAll(value, "|", "%7C"))
	}
	return path
}

// eachTag asks every route as a user with each of RabbitMQ's tags, on objects
// that are there and on some that are not, and returns how many checks it made.
func (n *node) eachTag(t *testing.T) (checks int) {
	t.Helper()
	home := n.Store.DefaultCluster().ID
	at := meta.VhostRef{Cluster: home, Name: "/"}
	enough := map[need][]string{
		needLogin: {"management", "policymaker", "monitoring", "administrator"}, needMonitor: {"monitoring", "administrator"},
		needObjects: {"monitoring", "administrator"},
		needVhost:   {"management", "policymaker", "monitoring", "administrator"}, needCluster: {"administrator"}, needAdmin: {"administrator"},
	}
	for _, tag := range []string{"management", "policymaker", "monitoring", "administrator", "impersonator"} {
		// A hash without a password behind it: nobody has to compute it for each request.
		if _, err := n.Store.PutUser("", "t-"+tag, meta.UserOptions{Password: tag, Tags: []string{tag}}); err != nil {
			t.Fatal(err)
		}
		if err := n.Store.SetPermission(meta.Permission{Vhost: at, Role: "t-" + tag, Configure: "^t-", Write: "^t-", Read: "^t-"}); err != nil {
			t.Fatal(err)
		}
		for i := range n.routes {
			r := &n.routes[i]
			if tag == "administrator" && r.method != http.MethodGet {
				continue // what it may, it would do
			}
			path := n.fill(r.path, home, "%2F")
			status, body, _ := n.do(t, "t-"+tag, tag, r.method, path, "{}")
			checks++
			may := slices.Contains(enough[r.need], tag)
			refused := strings.Contains(body, "Not management user") || strings.Contains(body, "Not monitor user") ||
				strings.Contains(body, "Not administrator user")
			switch {
			case !may && status != http.StatusUnauthorized:
				t.Errorf("%s %s with tag %s: %d %.200s", r.method, path, tag, status, body)
			case may && r.method == http.MethodGet && tag == "administrator" && refused:
				t.Errorf("%s %s is refused to an administrator: %d %.200s", r.method, path, status, body)
			case status >= 500 && status != http.StatusServiceUnavailable:
				t.Errorf("%s %s with tag %s: %d %.200s", r.method, path, tag, status, body)
			}
			if r.method != http.MethodGet && status < 300 && tag != "administrator" && !harmless(r) {
				t.Errorf("%s %s with tag %s does it: %d", r.method, path, tag, status)
			}
		}
	}
	return checks
}

// harmless are changes that need no more than to see the object.
func harmless(r *route) bool {
	return r.path == "/api/policies/{vhost}/{name}" || r.path == "/api/parameters/{component}/{vhost}/{name}" ||
		r.path == "/api/connections/username/{user}" || strings.Contains(r.path, "/unbind")
}

// TestAuthorization asks every route of the registry as every kind of caller.
// Who may not gets the same answer whether the object is there or not.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other, err := n.Store.CreateCluster("other", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Store.CreateVhost(meta.VhostRef{Cluster: other.ID, Name: "theirs"}, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	const nowhere = "amqp-000000000000"
	checks := 0
	refusedAlike := func(user, key string, r *route, here, missing string) {
		t.Helper()
		checks++
		s1, b1, _ := n.do(t, user, key, r.method, here, "{}")
		s2, b2, _ := n.do(t, user, key, r.method, missing, "{}")
		if s1 != s2 || b1 != b2 || s1 != http.StatusUnauthorized && s1 != http.StatusNotFound {
			t.Errorf("%s as %s: %s is %d %s, %s is %d %s", r.method, user, here, s1, b1, missing, s2, b2)
		}
	}
	for i := range n.routes {
		r := &n.routes[i]
		if r.need < needLogin || r.need > needAdmin {
			t.Fatalf("%s %s has no permission", r.method, r.path)
		}
		path := n.fill(r.path, n.cluster, n.cluster+"|orders")
		logins := [][2]string{{"", ""}, {"worker", n.boss}, {"guest", "wrong"}, {"nobody", "x"}}
		if i%16 > 0 {
			logins = logins[:2] // a wrong password takes long
		}
		for _, login := range logins {
			checks++
			if status, body, _ := n.do(t, login[0], login[1], r.method, path, "{}"); status != 401 || !strings.Contains(body, "not_authorized") {
				t.Errorf("%s %s with login %q: %d %s", r.method, path, login[0], status, body)
			}
		}
		for _, login := range [][2]string{{"plain", "plain"}, {"worker", n.worker}} { // no tag: no API
			checks++
			if status, body, _ := n.do(t, login[0], login[1], r.method, path, "{}"); status != 401 && status != 404 {
				t.Errorf("%s %s as %s without a tag: %d %s", r.method, path, login[0], status, body)
			}
		}
		if strings.Contains(r.path, "{vhost}") || strings.Contains(r.path, "{cluster}") { // foreign is as missing
			theirs, missing := n.fill(r.path, other.ID, other.ID+"|theirs"), n.fill(r.path, nowhere, nowhere+"|theirs")
			refusedAlike("boss", n.boss, r, theirs, missing)
			refusedAlike("manager", "manager", r, theirs, missing)
		}
		if r.need == needAdmin {
			refusedAlike("boss", n.boss, r, path, path)
			refusedAlike("watcher", "watcher", r, path, path)
		}
	}
	checks += n.eachTag(t)
	t.Logf("%d checks over %d routes", checks, len(n.routes))
	n.bearers(t)
	if s, body, _ := n.do(t, "boss", n.boss, "GET", "/api/clusters/"+n.cluster+"/roles", ""); s != 200 || !strings.Contains(body, `"worker"`) {
		t.Errorf("an administrator does not see its own cluster: %d %s", s, body)
	}
	if _, body, _ := n.do(t, "boss", n.boss, "GET", "/api/clusters", ""); strings.Contains(body, other.ID) {
		t.Errorf("an administrator sees another cluster: %s", body)
	}
	if _, body, _ := n.do(t, "boss", n.boss, "GET", "/api/vhosts", ""); strings.Contains(body, other.ID) || strings.Contains(body, `"/"`) {
		t.Errorf("an administrator sees other clusters' vhosts: %s", body)
	}
	if s, body, _ := n.do(t, "watcher", "watcher", "DELETE", "/api/vhosts/%2F", ""); s != 404 && s != 401 {
		t.Errorf("a monitoring user deletes: %d %s", s, body)
	}
	if _, _, h := n.do(t, "guest", "guest", "GET", "/api/overview", ""); h.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("nosniff is not set")
	}
}

func TestArgumentsKeepTypes(t *testing.T) {
	t.Parallel()
	var a arguments
	in := `{"b":true,"n":7,"f":1.5,"s":"x","l":[1,"y",{"k":null}],"t":{"z":-1}}`
	if err := json.Unmarshal([]byte(in), &a); err != nil {
		t.Fatal(err)
	}
	if n, ok := a[1].Value.(int64); !ok || n != 7 {
		t.Errorf("n is %T %v, want a long", a[1].Value, a[1].Value)
	}
	out, err := json.Marshal(a)
	if err != nil || string(out) != `{"b":true,"f":1.5,"l":[1,"y",{"k":null}],"n":7,"s":"x","t":{"z":-1}}` {
		t.Errorf("round trip: %s, %v", out, err)
	}
	for _, bad := range []string{`[1]`, `"x"`, `7`} {
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s was taken for arguments", bad)
		}
	}
}

// TestParameters goes through topic permissions, parameters and what else the
// definitions hold.
func TestParameters(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"PUT", "/api/topic-permissions/%2F/plain", `{"exchange":"amq.topic","write":"^a"}`, 400, "[{key_missing,read}]"},
		{"PUT", "/api/topic-permissions/%2F/plain", `{"exchange":"amq.topic","write":"(","read":""}`, 400, "pattern"},
		{"PUT", "/api/topic-permissions/%2F/plain", `{"exchange":"amq.topic","write":"^a","read":".*"}`, 201, ""},
		{"PUT", "/api/topic-permissions/%2F/plain", `{"exchange":"amq.topic","write":"^b","read":".*"}`, 204, ""},
		{"GET", "/api/topic-permissions/%2F/plain", "", 200, `[{"user":"plain","vhost":"/","exchange":"amq.topic","write":"^b","read":".*"}]`},
		{"PUT", "/api/topic-permissions/%2F/plain/amq.topic", `{"write":"^c","read":".*"}`, 204, ""},
		{"GET", "/api/topic-permissions/%2F/plain/amq.topic", "", 200, `"write":"^c"`},
		{"GET", "/api/topic-permissions", "", 200, `"exchange":"amq.topic"`},
		{"GET", "/api/vhosts/%2F/topic-permissions", "", 200, `"exchange":"amq.topic"`},
		{"GET", "/api/users/plain/topic-permissions", "", 200, `"exchange":"amq.topic"`},
		{"DELETE", "/api/topic-permissions/%2F/plain/amq.topic", "", 204, ""},
		{"DELETE", "/api/topic-permissions/%2F/plain", "", 404, ""},
		{"GET", "/api/topic-permissions/%2F/plain", "", 404, ""},
		{"GET", "/api/users/without-permissions", "", 200, `"name":"plain"`},
		{"PUT", "/api/global-parameters/gp", `{"value":{"a":[1]}}`, 201, ""},
		{"GET", "/api/global-parameters/gp", "", 200, `{"name":"gp","value":{"a":[1]}}`},
		{"GET", "/api/global-parameters", "", 200, `"name":"internal_cluster_id"`},
		{"DELETE", "/api/global-parameters/gp", "", 204, ""},
		{"DELETE", "/api/global-parameters/gp", "", 404, ""},
		{"PUT", "/api/cluster-name", `{"name":"farm"}`, 204, ""},
		{"GET", "/api/cluster-name", "", 200, `{"name":"farm"}`},
		{"PUT", "/api/parameters/vhost-limits/%2F/limits", `{"value":{"max-queues":5}}`, 201, ""},
		{"GET", "/api/vhost-limits", "", 200, `[{"vhost":"/","value":{"max-queues":5}}]`},
		{"GET", "/api/parameters/vhost-limits", "", 200, `[{"value":{"max-queues":5},"vhost":"/","component":"vhost-limits","name":"limits"}]`},
		{"DELETE", "/api/parameters/vhost-limits/%2F/limits", "", 204, ""},
		{"PUT", "/api/parameters/shovel/%2F/s", `{"value":{}}`, 400, "component shovel not found"},
		{"PUT", "/api/parameters/operator_policy/%2F/o", `{"value":{"pattern":"^q","definition":{"max-length":3}}}`, 201, ""},
		{"GET", "/api/operator-policies/%2F/o", "", 200, `"max-length":3`},
		{"DELETE", "/api/parameters/operator_policy/%2F/o", "", 204, ""},
		{"POST", "/api/vhosts/%2F/deletion/protection", "", 204, ""},
		{"DELETE", "/api/vhosts/%2F", "", 412, "protected from deletion"},
		{"DELETE", "/api/vhosts/%2F/deletion/protection", "", 204, ""},
		{"POST", "/api/users/bulk-delete", `{"users":["manager","nobody"]}`, 204, ""},
		{"GET", "/api/users/manager", "", 404, ""},
		{"PUT", "/api/users/hashed", `{"password_hash":"not a hash","tags":""}`, 400, "password hash"},
		{"PUT", "/api/users/hashed", `{"password":"a","password_hash":"b","tags":""}`, 400, "both_password_and_password_hash"},
		{"PUT", "/api/users/hashed", `{"password_hash":"FPHB/9C/dYFhqD8bztrmws24BuO5Iq7/9vg09JVLlsX0gmZ9","hashing_algorithm":"rabbit_password_hashing_sha256","tags":"management"}`, 201, ""},
		{"PUT", "/api/queues/%2F/q", `{"durable":"true","auto_delete":"false"}`, 201, ""},
		{"GET", "/api/health/checks/port-listener/1", "", 503, `"missing":1`},
		{"GET", "/api/health/checks/certificate-expiration/1/foo", "", 400, "Time unit not recognised"},
		{"GET", "/api/health/checks/ready-to-serve-clients", "", 200, `{"status":"ok"}`},
		{"GET", "/api/aliveness-test/%2F", "", 200, `{"status":"ok"}`},
		{"GET", "/api/connections/username/x", "", 200, "[]"},
		{"GET", "/api/nodes/warren@test/memory", "", 200, `"total"`},
		{"GET", "/api/feature-flags", "", 200, `"quorum_queue"`},
		{"PUT", "/api/feature-flags/quorum_queue/enable", "", 204, ""},
		{"GET", "/api/auth/attempts/warren@test", "", 200, `"protocol":"amqp091"`},
		{"OPTIONS", "/api/queues", "", 405, ""},
	} {
		status, body, _ := n.do(t, "guest", "guest", c.method, c.path, c.body)
		if status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s %s: %d %s; want %d and %s", c.method, c.path, status, body, c.status, c.has)
		}
	}
	if status, body, _ := n.do(t, "hashed", "abc", "GET", "/api/whoami", ""); status != 200 {
		t.Errorf("login with RabbitMQ's hash: %d %s", status, body)
	}
}
