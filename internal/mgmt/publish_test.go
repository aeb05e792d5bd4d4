package mgmt

import (
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/metrics"
	"github.com/warrenmq/warren/internal/session"
)

// TestPublishAsClientsDo: what a role may not publish over AMQP it may not publish here.
func TestPublishAsClientsDo(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	orders := meta.VhostRef{Cluster: n.cluster, Name: "orders"}
	_, key, err := n.Store.CreateRole(n.cluster, "narrow", meta.RoleOptions{Tags: []string{"management"}})
	if err == nil {
		err = n.Store.Grant(orders, "narrow", auth.Grant{Produce: true, Consume: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	path := "/api/exchanges/" + n.cluster + "%7Corders/amq.topic/publish"
	publish := func(want int, key2, properties string) {
		t.Helper()
		status, text, _ := n.do(t, "narrow", key, "POST", path,
			`{"properties":`+properties+`,"routing_key":"`+key2+`","payload":"x","payload_encoding":"string"}`)
		if status != want {
			t.Errorf("%s with %.60s: %d %.200s, want %d", key2, properties, status, text, want)
		}
	}
	publish(200, "b.1", `{}`)
	status, text, _ := n.do(t, "boss", n.boss, "PUT", "/api/topic-permissions/"+n.cluster+"%7Corders/narrow",
		`{"exchange":"amq.topic","write":"^a\\.","read":".*"}`)
	if status != 201 {
		t.Fatal(status, text)
	}
	publish(200, "a.1", `{}`)
	publish(401, "b.1", `{}`)
	publish(401, "a.1", `{"headers":{"CC":["b.1"]}}`)
	publish(401, "a.1", `{"headers":{"BCC":["b.1"]}}`)
	publish(200, "a.1", `{"user_id":"narrow"}`)
	publish(400, "a.1", `{"user_id":"boss"}`)
	publish(400, "a.1", `{"headers":{"h":"`+strings.Repeat("c", 200_000)+`"}}`)
}

// TestPublishHeldBack: what holds clients back, and how large their messages may
// be, holds here too.
func TestPublishHeldBack(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	store, err := meta.Open(meta.Options{Log: &meta.MemoryLog{}, Now: time.Now, Rand: rand.Reader, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Options{
		Definitions: store, Log: broker.MemoryLog{}, NextUID: store.NextUID, Logger: logger, MemoryLimit: 1 << 20,
	})
	m, err := store.Vhost(meta.VhostRef{Name: "/"})
	if err != nil {
		t.Fatal(err)
	}
	b.AddVhost(m, "/")
	a, err := New(Options{
		Store: store, Broker: b, Registry: session.NewRegistry(), Logger: logger, NodeName: "warren@test", Now: time.Now, MaxMessageSize: 400_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		a.OwnerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	publish := func(size int) (int, string) {
		return do("POST", "/api/exchanges/%2F/amq.default/publish",
			`{"properties":{},"routing_key":"q","payload":"`+strings.Repeat("x", size)+`","payload_encoding":"string"}`)
	}
	if code, text := do("PUT", "/api/queues/%2F/q", "{}"); code != 201 {
		t.Fatal(code, text)
	}
	if code, text := publish(400_001); code != 400 || !strings.Contains(text, "larger than configured max size 400000") {
		t.Errorf("one that is too large: %d %s", code, text)
	}
	taken := 0
	for code := 200; code == 200 && taken < 10; {
		var text string
		if code, text = publish(400_000); code == 200 {
			taken++
		} else if code != 503 || !strings.Contains(text, "low on memory") {
			t.Fatal(code, text)
		}
	}
	if taken != 3 { // the third is one too many, which is known then
		t.Errorf("%d messages of 400000 bytes are taken, the limit is %d", taken, 1<<20)
	}
	if code, text := do("GET", "/api/aliveness-test/%2F", ""); code != 503 {
		t.Errorf("is it alive: %d %s", code, text)
	}
	if code, text := do("DELETE", "/api/queues/%2F/q/contents", ""); code != 204 {
		t.Fatal(code, text)
	}
	if code, text := publish(400_000); code != 200 {
		t.Errorf("when there is room again: %d %s", code, text)
	}
}

// TestCertificatesFarOff: what ends within any time that may be asked for is
// told.
func TestCertificatesFarOff(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Certificates = func() []metrics.Certificate {
		return []metrics.Certificate{{File: "cert.pem", Until: time.Now().Add(time.Hour)}}
	}
	for _, within := range []string{"1/days", "1/months", "292/years", "1000/years"} {
		if code, text, _ := n.do(t, "guest", "guest", "GET", "/api/health/checks/certificate-expiration/"+within, ""); code != 503 {
			t.Errorf("%s: %d %s", within, code, text)
		}
	}
}
