package mgmt

import (
	"strings"
	"testing"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
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
