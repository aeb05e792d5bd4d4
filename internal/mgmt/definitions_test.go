package mgmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fixture(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decodeMap(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return m
}

// TestImportRabbitMQ takes in a file that RabbitMQ 4.3.6 has exported, twice,
// and compares what is exported then.
func TestImportRabbitMQ(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	file := fixture(t, "definitions-4.3.6.json")
	for range 2 {
		status, body, _ := n.do(t, "guest", "guest", "POST", "/api/definitions", file)
		var r importReport
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		if status != 200 || r.Taken != 24 || r.Changed != 0 || r.Left != 1 || r.Refused != 0 ||
			r.Objects[0].Name != "amq.rabbitmq.log" {
			t.Fatalf("import: %d %s", status, body)
		}
		// guest's password has become that of the file: the same one.
	}
	_, body, h := n.do(t, "guest", "guest", "GET", "/api/definitions", "")
	if !strings.Contains(h.Get("Content-Disposition"), "definitions.json") {
		t.Error("the export has no file name")
	}
	theirs, ours := decodeMap(t, file), decodeMap(t, body)
	for _, key := range []string{"policies", "topic_permissions", "parameters", "queues", "bindings"} {
		for _, o := range theirs[key].([]any) {
			found := false
			for _, mine := range ours[key].([]any) {
				found = found || reflect.DeepEqual(o, mine)
			}
			if !found {
				t.Errorf("%s: %v is not exported", key, o)
			}
		}
	}
	status, again, _ := n.do(t, "guest", "guest", "POST", "/api/definitions", body)
	if status != 204 {
		t.Errorf("our own export comes back: %d %s", status, again)
	}
	if status, report, _ := n.do(t, "guest", "guest", "POST", "/api/definitions?report=true", body); status != 200 || !strings.Contains(report, `"kind":"queue","vhost":"hg","name":"gq","result":"taken"`) {
		t.Errorf("with a report: %d %.500s", status, report)
	}
}

// TestImportReport: every object is answered for.
func TestImportReport(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const file = `{
		"vhosts":[{"name":"v","default_queue_type":"rabbit_quorum_queue","limits":[]}],
		"users":[{"name":"old","password_hash":"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","hashing_algorithm":"rabbit_password_hashing_md5","tags":"administrator"},
			{"name":"new","password_hash":"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","tags":"administrator"}],
		"permissions":[{"user":"new","vhost":"v","configure":"(?<x","write":".*","read":".*"}],
		"parameters":[{"component":"shovel","name":"s","vhost":"v","value":{}}],
		"policies":[{"vhost":"v","name":"p","pattern":"","apply-to":"all","definition":{"ha-mode":"all","max-length":5},"priority":0},
			{"vhost":"v","name":"m","pattern":"","apply-to":"all","definition":{"ha-mode":"all"},"priority":0}],
		"queues":[{"name":"q","vhost":"v","durable":true,"auto_delete":false,"arguments":{"x-ha-policy":"all"}},
			{"name":"q","vhost":"nowhere","durable":true,"auto_delete":false,"arguments":{}},
			{"name":"bad","vhost":"v","durable":true,"auto_delete":false,"arguments":{"x-max-length":"five"}}],
		"exchanges":[{"name":"x","vhost":"v","type":"x-jms-topic","durable":true,"auto_delete":false,"internal":false,"arguments":{}}],
		"bindings":[{"source":"x","vhost":"v","destination":"q","destination_type":"queue","routing_key":"","arguments":{}}]}`
	status, body, _ := n.do(t, "guest", "guest", "POST", "/api/definitions", file)
	var r importReport
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != 400 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	want := map[string]string{
		"user old": "refused hashing_algorithm", "permission new": "refused", "parameter shovel s": "refused Validation failed\n\ncomponent shovel not found",
		"policy p": "changed ha-mode dropped", "policy m": "left out", "queue q": "changed x-ha-policy dropped",
		"queue bad": "refused", "exchange x": "refused", "binding x -> q by ''": "refused no exchange 'x'",
	}
	for _, o := range r.Objects {
		w, ok := want[o.Kind+" "+o.Name]
		if o.Vhost == "nowhere" {
			w, ok = "refused there is no vhost 'nowhere'", true
		}
		if !ok || !strings.HasPrefix(o.Result+" "+o.Detail, w) {
			t.Errorf("%s %s: %s %s, want %s", o.Kind, o.Name, o.Result, o.Detail, w)
		}
	}
	if r.Taken != 2 || len(r.Objects) != 10 {
		t.Errorf("%d taken, %d listed", r.Taken, len(r.Objects))
	}
	if s, b, _ := n.do(t, "guest", "guest", "GET", "/api/policies/v/p", ""); s != 200 || !strings.Contains(b, `"definition":{"max-length":5}`) {
		t.Errorf("the policy: %d %s", s, b)
	}
}

// TestVhostDefinitions: a tenant's administrator moves a vhost.
func TestVhostDefinitions(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	at := "/api/definitions/" + n.cluster + "%7Corders"
	status, body, _ := n.do(t, "boss", n.boss, "POST", at, fixture(t, "vhost-4.3.6.json"))
	if status != 204 {
		t.Errorf("import: %d %s", status, body)
	}
	if status, body, _ = n.do(t, "boss", n.boss, "GET", at, ""); status != 200 || !strings.Contains(body, `"name":"gqq","type":"quorum"`) {
		t.Errorf("export: %d %s", status, body)
	}
	for _, who := range [][2]string{{"worker", n.worker}, {"manager", "manager"}} {
		if status, _, _ := n.do(t, who[0], who[1], "GET", at, ""); status != 401 && status != 404 {
			t.Errorf("%s may export: %d", who[0], status)
		}
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "d.json")
	if err == nil {
		_, err = part.Write([]byte(`{"queues":[{"name":"uploaded","durable":true,"auto_delete":false,"arguments":{}}]}`))
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), "POST", at, &form)
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.SetBasicAuth("boss", n.boss)
	answer := httptest.NewRecorder()
	n.Handler().ServeHTTP(answer, req)
	if answer.Code != 204 {
		t.Errorf("upload: %d %s", answer.Code, answer.Body)
	}
}

// TestImportMany measures a large file.
func TestImportMany(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	d := n.newDefinitions()
	for i := range 4000 {
		d.Queues = append(d.Queues, queueDefinition{Name: fmt.Sprint("q", i), Vhost: "/", Durable: true})
		d.Bindings = append(d.Bindings, bindingDefinition{Source: "amq.topic", Vhost: "/", Destination: fmt.Sprint("q", i), DestinationType: "queue", RoutingKey: fmt.Sprint("k.", i)})
		if i%2 == 0 {
			d.Exchanges = append(d.Exchanges, exchangeDefinition{Name: fmt.Sprint("x", i), Vhost: "/", Type: "topic", Durable: true})
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	status, body, _ := n.do(t, "guest", "guest", "POST", "/api/definitions?report=true", string(b))
	took := time.Since(start)
	var r importReport
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != 200 || r.Taken != 10_000 {
		t.Fatalf("%d, %d taken, %.200s", status, r.Taken, body)
	}
	t.Logf("10000 objects in %d ms", took.Milliseconds())
}

// TestLoad: what a node takes in at its start.
func TestLoad(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	notes, err := n.Load(strings.NewReader(fixture(t, "definitions-4.3.6.json")))
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "amq.rabbitmq.log") {
		t.Errorf("%v, %v", notes, err)
	}
	_, err = n.Load(strings.NewReader(`{"queues":[{"name":"q","vhost":"nowhere"}],"parameters":[{"vhost":"/","component":"shovel","name":"s","value":{}}]}`))
	if err == nil || !strings.Contains(err.Error(), "there is no vhost 'nowhere'") || !strings.Contains(err.Error(), "component shovel not found") {
		t.Errorf("refusals: %v", err)
	}
	if _, err := n.Load(strings.NewReader("")); err == nil {
		t.Error("an empty file is taken")
	}
}
