package mgmt

import (
	"testing"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
)

// TestPolicymaker: who may set policies, and that operator policies take an administrator.
func TestPolicymaker(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	orders := meta.VhostRef{Cluster: n.cluster, Name: "orders"}
	_, maker, err := n.Store.CreateRole(n.cluster, "maker", meta.RoleOptions{Tags: []string{"policymaker"}})
	if err == nil {
		err = n.Store.Grant(orders, "maker", auth.Grant{Produce: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"pattern":"","priority":3,"definition":{"max-length":5}}`
	at := "/" + n.cluster + "%7Corders/p"
	for _, c := range []struct {
		user, key, path string
		status          int
	}{
		{"maker", maker, "/api/policies" + at, 201},
		{"maker", maker, "/api/policies" + at, 204},
		{"maker", maker, "/api/operator-policies" + at, 401},
		{"maker", maker, "/api/policies/%2F/p", 404},
		{"worker", n.worker, "/api/policies" + at, 401},
		{"boss", n.boss, "/api/policies" + at, 204},
		{"boss", n.boss, "/api/operator-policies" + at, 201},
		{"guest", "guest", "/api/operator-policies" + at, 204},
	} {
		if status, answer, _ := n.do(t, c.user, c.key, "PUT", c.path, body); status != c.status {
			t.Errorf("%s at %s: %d %s, want %d", c.user, c.path, status, answer, c.status)
		}
	}
	if status, answer, _ := n.do(t, "guest", "guest", "PUT", "/api/policies/%2F/p", `{"pattern":"","priority":"x","definition":{"max-length":5}}`); status != 400 {
		t.Errorf("a priority that is no number: %d %s", status, answer)
	}
}
