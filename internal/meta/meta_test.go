package meta

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(tb testing.TB, log Log) (*Store, *clock) {
	tb.Helper()
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s, err := Open(Options{Log: log, Now: c.Now, Rand: rand.Reader})
	if err != nil {
		tb.Fatal(err)
	}
	return s, c
}

// tenant makes a cluster with a vhost and a granted role.
func tenant(tb testing.TB, s *Store, name string) (ref VhostRef, key string) {
	tb.Helper()
	c, err := s.CreateCluster(name, "")
	if err != nil {
		tb.Fatal(err)
	}
	ref = VhostRef{Cluster: c.ID, Name: "v"}
	if _, err := s.CreateVhost(ref, VhostOptions{}); err != nil {
		tb.Fatal(err)
	}
	_, key, err = s.CreateRole(c.ID, "worker", RoleOptions{})
	if err == nil {
		err = s.Grant(ref, "worker", auth.Grant{Produce: true, Consume: true})
	}
	if err != nil {
		tb.Fatal(err)
	}
	return ref, key
}

func TestSeed(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	id, err := s.Authenticate("guest", "guest")
	if err != nil || id.Cluster != s.DefaultCluster().ID || !slices.Equal(id.Tags, []string{"administrator"}) || id.KeyID != "" {
		t.Fatalf("guest is %+v, %v", id, err)
	}
	if r := s.Rights(id, "/"); r == nil || !r.Can(auth.Write, "x") || !r.Can(auth.Configure, "x") || !r.Can(auth.Read, "x") {
		t.Error("guest has not all rights on /")
	}
	if v, err := s.Vhost(VhostRef{Name: "/"}); err != nil || v.LenientRedeclare {
		t.Errorf("vhost / is %+v, %v", v, err)
	}
	for _, login := range [][2]string{{"guest", "wrong"}, {"guest", ""}, {"", "guest"}, {"nobody", "guest"}, {"guest", strings.Repeat("x", 10_000)}} {
		if _, err := s.Authenticate(login[0], login[1]); !errors.Is(err, ErrRefused) {
			t.Errorf("login %q: %v", login[0], err)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	ref, _ := tenant(t, s, "shop")
	long := strings.Repeat("x", 65)
	for name, c := range map[string]struct {
		err  error
		kind error
	}{
		"cluster name too short":    {second(s.CreateCluster("ab", "")), ErrInvalid},
		"cluster name too long":     {second(s.CreateCluster(long, "")), ErrInvalid},
		"cluster name with a space": {second(s.CreateCluster("a b c", "")), ErrInvalid},
		"cluster name taken":        {second(s.CreateCluster("shop", "")), ErrExists},
		"cluster remark too long":   {second(s.CreateCluster("fine", strings.Repeat("é", 129))), ErrInvalid},
		"no such cluster":           {second(s.Cluster("amqp-000000000000")), ErrNotFound},
		"default cluster deleted":   {s.DeleteCluster(s.DefaultCluster().ID), ErrInUse},
		"vhost name empty":          {second(s.CreateVhost(VhostRef{Cluster: ref.Cluster}, VhostOptions{})), ErrInvalid},
		"vhost name with a bar":     {second(s.CreateVhost(VhostRef{Cluster: ref.Cluster, Name: "a|b"}, VhostOptions{})), ErrInvalid},
		"vhost name too long":       {second(s.CreateVhost(VhostRef{Cluster: ref.Cluster, Name: long}, VhostOptions{})), ErrInvalid},
		"vhost name taken":          {second(s.CreateVhost(ref, VhostOptions{})), ErrExists},
		"vhost in no cluster":       {second(s.CreateVhost(VhostRef{Cluster: "amqp-000000000000", Name: "v"}, VhostOptions{})), ErrNotFound},
		"role name with a space":    {third(s.CreateRole(ref.Cluster, "a b", RoleOptions{})), ErrInvalid},
		"role name too long":        {third(s.CreateRole(ref.Cluster, long, RoleOptions{})), ErrInvalid},
		"role name taken":           {third(s.CreateRole(ref.Cluster, "worker", RoleOptions{})), ErrExists},
		"user in a named cluster":   {second(s.PutUser(ref.Cluster, "u", UserOptions{Password: "x"})), ErrInvalid},
		"grant of nothing":          {s.Grant(ref, "worker", auth.Grant{}), ErrInvalid},
		"grant to nobody":           {s.Grant(ref, "nobody", auth.Grant{Produce: true}), ErrNotFound},
		"permission not a pattern":  {s.SetPermission(Permission{Vhost: ref, Role: "worker", Configure: "(", Write: "", Read: ""}), ErrInvalid},
		"queue in no vhost":         {s.PutQueue(Queue{Vhost: VhostRef{Cluster: ref.Cluster, Name: "no"}, Name: "q", UID: 99, Durable: true}), ErrNotFound},
		"binding from no exchange":  {s.PutBinding(Binding{Vhost: ref, Source: "no", Destination: "q", DestinationType: ToQueue}), ErrNotFound},
		"policy of nothing":         {second(s.SetPolicy(Policy{Vhost: ref, Policy: policy.Policy{Name: "p", ApplyTo: policy.All}})), ErrInvalid},
		"policy in no vhost":        {second(s.SetPolicy(Policy{Vhost: VhostRef{Name: "no"}, Policy: policy.Policy{Name: "p", ApplyTo: policy.All, Definition: policy.Definition{"max-length": int64(1)}}})), ErrNotFound},
		"no such policy":            {s.ClearPolicy(ref, "p", true), ErrNotFound},
		"overlap too long":          {second(s.ResetKey(ref.Cluster, "worker", 1000*24*time.Hour)), ErrInvalid},
	} {
		if !errors.Is(c.err, c.kind) {
			t.Errorf("%s: %v, want %v", name, c.err, c.kind)
		}
	}
	if v, err := s.Vhost(ref); err != nil || !v.LenientRedeclare {
		t.Errorf("a named cluster's vhost is not lenient: %+v, %v", v, err)
	}
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

// TestDeletingTakesAlong: what is in something goes with it.
func TestDeletingTakesAlong(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	ref, key := tenant(t, s, "shop")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutExchange(Exchange{Vhost: ref, Name: "x", Type: "direct", Durable: true}))
	must(s.PutQueue(Queue{Vhost: ref, Name: "q", UID: s.NextUID(), Durable: true}))
	must(s.PutBinding(Binding{Vhost: ref, Source: "x", Destination: "q", DestinationType: ToQueue, RoutingKey: "k"}))
	must(s.DeleteQueue(ref, "q"))
	if b, err := s.Bindings(ref); err != nil || len(b) != 0 {
		t.Errorf("the deleted queue's bindings are %v, %v", b, err)
	}
	must(s.PutQueue(Queue{Vhost: ref, Name: "q", UID: s.NextUID(), Durable: true}))
	must(s.DeleteVhost(ref))
	if p, err := s.RolePermissions(ref.Cluster, "worker"); err != nil || len(p) != 0 {
		t.Errorf("permissions on the deleted vhost: %v, %v", p, err)
	}
	must(second(s.CreateVhost(ref, VhostOptions{})))
	if q, err := s.Queues(ref); err != nil || len(q) != 0 {
		t.Errorf("a new vhost of the same name has queues %v, %v", q, err)
	}
	must(s.DeleteCluster(ref.Cluster))
	if _, err := s.Authenticate("worker", key); !errors.Is(err, ErrRefused) {
		t.Errorf("a key of a deleted cluster: %v", err)
	}
}

// forge signs any header and payload.
func forge(header, payload string, secret []byte) string {
	enc := base64.RawURLEncoding
	body := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	return body + "." + enc.EncodeToString(mac.Sum(nil))
}

// TestKeyAttacks: no key but the right one is let in, whatever signs it.
func TestKeyAttacks(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	ref, key := tenant(t, s, "shop")
	other, _ := tenant(t, s, "other")
	secret := s.state.clusters[ref.Cluster].Secret
	role, err := s.Role(ref.Cluster, "worker")
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf(`{"keyId":%q,"alg":"HS256"}`, ref.Cluster)
	claims := func(more string) string {
		return fmt.Sprintf(`{"sub":"%s_worker","jti":%q%s}`, ref.Cluster, role.KeyID, more)
	}
	if id, err := s.Authenticate("worker", forge(head, claims(""), secret)); err != nil || id.Cluster != ref.Cluster {
		t.Fatalf("the forgery of a good key is no key, so the attacks prove nothing: %v", err)
	}
	parts := strings.Split(key, ".")
	for name, token := range map[string]string{
		"alg none":                forge(fmt.Sprintf(`{"keyId":%q,"alg":"none"}`, ref.Cluster), claims(""), secret),
		"alg none, no signature":  base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"keyId":%q,"alg":"none"}`, ref.Cluster))) + "." + parts[1] + ".",
		"alg RS256":               forge(fmt.Sprintf(`{"keyId":%q,"alg":"RS256"}`, ref.Cluster), claims(""), secret),
		"alg HS512":               forge(fmt.Sprintf(`{"keyId":%q,"alg":"HS512"}`, ref.Cluster), claims(""), secret),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"signature of nothing":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"empty secret":            forge(head, claims(""), nil),
		"other cluster's secret":  forge(head, claims(""), s.state.clusters[other.Cluster].Secret),
		"swapped keyId":           forge(fmt.Sprintf(`{"keyId":%q,"alg":"HS256"}`, other.Cluster), claims(""), secret),
		"sub of another cluster":  forge(head, fmt.Sprintf(`{"sub":"%s_worker","jti":%q}`, other.Cluster, role.KeyID), secret),
		"sub of another role":     forge(head, fmt.Sprintf(`{"sub":"%s_boss","jti":%q}`, ref.Cluster, role.KeyID), secret),
		"no jti":                  forge(head, fmt.Sprintf(`{"sub":"%s_worker"}`, ref.Cluster), secret),
		"unknown jti":             forge(head, fmt.Sprintf(`{"sub":"%s_worker","jti":"aaaaaaaaaaaaaaaaaaaaaaaa"}`, ref.Cluster), secret),
		"exp in the past":         forge(head, claims(`,"exp":1`), secret),
		"exp negative":            forge(head, claims(`,"exp":-1`), secret),
		"exp a float":             forge(head, claims(`,"exp":99999999999.5`), secret),
		"exp huge":                forge(head, claims(`,"exp":1e300`), secret),
		"exp a text":              forge(head, claims(`,"exp":"99999999999"`), secret),
		"exp null":                forge(head, claims(`,"exp":null`), secret),
		"exp an array":            forge(head, claims(`,"exp":[99999999999]`), secret),
		"truncated":               key[:len(key)-1],
		"longer":                  key + "A",
		"a fourth part":           key + ".x",
		"payload changed":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(" "))) + "." + parts[2],
		"not base64":              parts[0] + ".***." + parts[2],
		"deeply nested":           forge(head, `{"sub":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`}`, secret),
		"a million bytes":         key + strings.Repeat("A", 1_000_000),
		"shaped like a key alone": "eyJrZXlJZCI6",
	} {
		if id, err := s.Authenticate("worker", token); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: let in as %+v", name, id)
		}
	}
	if _, err := s.Authenticate("boss", key); !errors.Is(err, ErrRefused) {
		t.Error("a key opens another role's name")
	}
}

// TestKeyLife: reset, overlap, disable, delete, expiry; and what a living
// connection is told.
func TestKeyLife(t *testing.T) {
	t.Parallel()
	s, clock := open(t, &MemoryLog{})
	ref, first := tenant(t, s, "shop")
	good := func(key string) bool { _, err := s.Authenticate("worker", key); return err == nil }
	id, err := s.Authenticate("worker", first)
	if err != nil || s.Stale(id) {
		t.Fatalf("%v, stale %v", err, s.Stale(id))
	}
	if again, err := s.RoleKey(ref.Cluster, "worker"); err != nil || again != first {
		t.Error("the key that is shown is not the key")
	}
	next, err := s.ResetKey(ref.Cluster, "worker", time.Hour)
	if err != nil || !good(first) || !good(next) || s.Stale(id) {
		t.Fatalf("within the overlap both keys are good: %v", err)
	}
	clock.add(time.Hour + time.Second)
	if good(first) || !good(next) || !s.Stale(id) {
		t.Error("after the overlap the first key is still good")
	}
	last, err := s.ResetKey(ref.Cluster, "worker", 0)
	if err != nil || good(next) || !good(last) {
		t.Errorf("a reset without overlap: %v", err)
	}
	id, _ = s.Authenticate("worker", last)
	if err := s.SetDisabled(ref.Cluster, "worker", true); err != nil || good(last) || !s.Stale(id) {
		t.Errorf("disabled: %v", err)
	}
	if err := s.SetDisabled(ref.Cluster, "worker", false); err != nil || !good(last) || s.Stale(id) {
		t.Errorf("enabled: %v", err)
	}
	if err := s.Revoke(ref, "worker"); err != nil || s.Rights(id, "v") != nil {
		t.Errorf("revoked: %v", err)
	}
	if _, err := s.DeleteRole(ref.Cluster, "worker"); err != nil || good(last) || !s.Stale(id) {
		t.Errorf("deleted: %v", err)
	}
	if _, anew, err := s.CreateRole(ref.Cluster, "worker", RoleOptions{KeyLifetime: time.Minute}); err != nil || good(last) || !good(anew) {
		t.Errorf("made anew: the old key is good, or %v", err)
	} else if clock.add(2 * time.Minute); good(anew) {
		t.Error("an expired key is good")
	}
}

func TestParseVhost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wire, cluster, name string
		explicit            bool
	}{
		{"/", "", "/", false},
		{"prod", "", "prod", false},
		{"", "", "", false},
		{"amqp-abcdefghij12|demo", "amqp-abcdefghij12", "demo", true},
		{"/amqp-abcdefghij12|demo", "amqp-abcdefghij12", "demo", true},
		{"amqp-abcdefghij12|a/b", "amqp-abcdefghij12", "a/b", true},
		{"amqp-test|demo", "", "amqp-test|demo", false},
		{"amqp-ABCDEFGHIJ12|demo", "", "amqp-ABCDEFGHIJ12|demo", false},
		{"//amqp-abcdefghij12|demo", "", "//amqp-abcdefghij12|demo", false},
	} {
		cluster, name, explicit := ParseVhost(c.wire)
		if cluster != c.cluster || name != c.name || explicit != c.explicit {
			t.Errorf("ParseVhost(%q) = %q, %q, %v", c.wire, cluster, name, explicit)
		}
	}
}

func FuzzParseVhost(f *testing.F) {
	f.Add("amqp-abcdefghij12|demo")
	f.Fuzz(func(t *testing.T, wire string) {
		cluster, name, explicit := ParseVhost(wire)
		if explicit != (cluster != "") || explicit && !auth.IsClusterID(cluster) || !explicit && name != wire {
			t.Errorf("ParseVhost(%q) = %q, %q, %v", wire, cluster, name, explicit)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	log := &MemoryLog{}
	s, _ := open(f, log)
	tenant(f, s, "shop")
	for _, r := range log.records {
		for line := range bytes.Lines(r) {
			f.Add(bytes.TrimSpace(line))
		}
	}
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := DecodeRecord(line)
		if err != nil {
			return
		}
		again, err := AppendRecord(nil, r)
		if err != nil {
			t.Fatalf("decoded, but not encoded: %v", err)
		}
		if _, err := DecodeRecord(again); err != nil {
			t.Fatalf("%s: its own encoding is not decoded: %v", again, err)
		}
		_, _ = NewState().Apply(r) // must not panic
	})
}

// export is a state as text.
func export(tb testing.TB, s *State) string {
	tb.Helper()
	var b []byte
	var err error
	for r := range s.Records() {
		if b, err = AppendRecord(b, r); err != nil {
			tb.Fatal(err)
		}
		b = append(b, '\n')
	}
	return string(b)
}

// TestReplay: random changes, then the same log again, give the same state.
func TestReplay(t *testing.T) {
	t.Parallel()
	ops := 0
	rapid.Check(t, func(t *rapid.T) {
		log := &MemoryLog{}
		s, err := Open(Options{Log: log, Now: time.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		var told []Change
		s.Watch(func(c Change) { told = append(told, c) })
		clusters := []string{""}
		name := rapid.SampledFrom([]string{"aaa", "bbb", "ccc"})
		ref := func() VhostRef {
			return VhostRef{Cluster: rapid.SampledFrom(clusters).Draw(t, "cluster"), Name: name.Draw(t, "vhost")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"cluster": func(t *rapid.T) {
				if c, err := s.CreateCluster(name.Draw(t, "name"), ""); err == nil {
					clusters = append(clusters, c.ID)
				}
			},
			"no cluster": func(t *rapid.T) { _ = s.DeleteCluster(rapid.SampledFrom(clusters).Draw(t, "cluster")) },
			"vhost":      func(*rapid.T) { _, _, _ = s.PutVhost(ref(), VhostOptions{Tags: []string{"t"}}) },
			"no vhost":   func(*rapid.T) { _ = s.DeleteVhost(ref()) },
			"role":       func(t *rapid.T) { _, _, _ = s.CreateRole(ref().Cluster, name.Draw(t, "role"), RoleOptions{}) },
			"no role":    func(t *rapid.T) { _, _ = s.DeleteRole(ref().Cluster, name.Draw(t, "role")) },
			"key":        func(t *rapid.T) { _, _ = s.ResetKey(ref().Cluster, name.Draw(t, "role"), time.Hour) },
			"disable":    func(t *rapid.T) { _ = s.SetDisabled(ref().Cluster, name.Draw(t, "role"), rapid.Bool().Draw(t, "off")) },
			"grant":      func(t *rapid.T) { _ = s.Grant(ref(), name.Draw(t, "role"), auth.Grant{Produce: true}) },
			"revoke":     func(t *rapid.T) { _ = s.Revoke(ref(), name.Draw(t, "role")) },
			"exchange": func(t *rapid.T) {
				_ = s.PutExchange(Exchange{Vhost: ref(), Name: name.Draw(t, "x"), Type: "topic", Durable: true})
			},
			"no exchange": func(t *rapid.T) { _ = s.DeleteExchange(ref(), name.Draw(t, "x")) },
			"queue": func(t *rapid.T) {
				args := amqp.Table{{Key: "x-n", Value: int8(rapid.IntRange(-5, 5).Draw(t, "n"))}, {Key: "x-s", Value: "s"}}
				_ = s.PutQueue(Queue{Vhost: ref(), Name: name.Draw(t, "q"), UID: s.NextUID(), Durable: true, Arguments: args})
			},
			"no queue": func(t *rapid.T) { _ = s.DeleteQueue(ref(), name.Draw(t, "q")) },
			"binding": func(t *rapid.T) {
				_ = s.PutBinding(Binding{Vhost: ref(), Source: name.Draw(t, "x"), Destination: name.Draw(t, "q"), DestinationType: ToQueue, RoutingKey: "k"})
			},
			"no binding": func(t *rapid.T) {
				_ = s.DeleteBinding(Binding{Vhost: ref(), Source: name.Draw(t, "x"), Destination: name.Draw(t, "q"), DestinationType: ToQueue, RoutingKey: "k"})
			},
			"policy": func(t *rapid.T) {
				_, _ = s.SetPolicy(Policy{Vhost: ref(), Policy: policy.Policy{
					Name: name.Draw(t, "policy"), Pattern: "^(?!amq).*", ApplyTo: policy.All, Priority: int64(rapid.IntRange(-2, 2).Draw(t, "priority")),
					Definition: policy.Definition{"max-length": int64(1 << 60), "overflow": "drop-head"}, Operator: rapid.Bool().Draw(t, "operator"),
				}})
			},
			"no policy": func(t *rapid.T) {
				_ = s.ClearPolicy(ref(), name.Draw(t, "policy"), rapid.Bool().Draw(t, "operator"))
			},
			"": func(*rapid.T) { ops++ },
		})
		again, err := Open(Options{Log: log, Now: time.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		if want, got := exported(t, s), exported(t, again); got != want {
			t.Fatalf("replayed:\n%s\nwas:\n%s", got, want)
		}
		if again.NextUID() < s.uid.Load() && len(told) > 0 && again.state.lastUID > s.uid.Load() {
			t.Fatal("a number could be given twice")
		}
	})
	t.Logf("%d operations replayed", ops)
}

func exported(t *rapid.T, s *Store) string {
	t.Helper()
	var b []byte
	for r := range s.state.Records() {
		var err error
		if b, err = AppendRecord(b, r); err != nil {
			t.Fatal(err)
		}
		b = append(b, '\n')
	}
	return string(b)
}

// TestSnapshotIsALog: the records of a state lead to it.
func TestSnapshotIsALog(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	tenant(t, s, "shop")
	next := NewState()
	for r := range s.state.Records() {
		if _, err := next.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	if want, got := export(t, s.state), export(t, next); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// failing is a log whose appends fail from some point on.
type failing struct {
	MemoryLog

	left int
	full bool
}

func (f *failing) Append(record []byte) error {
	if f.full {
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	if f.left--; f.left < 0 {
		return errors.New("the disk does not answer")
	}
	return f.MemoryLog.Append(record)
}

// TestFence: after a failed append nothing changes any more, not even in
// memory.
func TestFence(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &failing{left: 2})
	if _, err := s.CreateCluster("fine", ""); err != nil {
		t.Fatal(err)
	}
	before := export(t, s.state)
	if _, err := s.CreateCluster("lost", ""); err == nil {
		t.Fatal("an append that failed was confirmed")
	}
	if _, err := s.CreateCluster("later", ""); !errors.Is(err, ErrFenced) {
		t.Errorf("after the failure: %v", err)
	}
	if export(t, s.state) != before {
		t.Error("the state has what the log may not have")
	}
}

// TestFailed: that nothing can change any more is told once.
func TestFailed(t *testing.T) {
	t.Parallel()
	told := 0
	s, err := Open(Options{Log: &failing{left: 1}, Now: time.Now, Rand: rand.Reader, Failed: func(err error) {
		if told++; !errors.Is(err, ErrFenced) {
			t.Errorf("told %v", err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.CreateCluster("lost", ""); !errors.Is(err, ErrFenced) {
			t.Errorf("after a failed append: %v", err)
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

// TestFull: a full disk refuses a change and nothing else.
func TestFull(t *testing.T) {
	t.Parallel()
	log := &failing{left: 2}
	s, _ := open(t, log)
	before := export(t, s.state)
	log.full = true
	if _, err := s.CreateCluster("shop", ""); !errors.Is(err, ErrFull) {
		t.Errorf("on a full disk: %v", err)
	}
	if export(t, s.state) != before {
		t.Error("the state has what the log has not")
	}
	log.full = false
	if _, err := s.CreateCluster("shop", ""); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

// TestTogether uses a store from many goroutines; the race detector judges.
func TestTogether(t *testing.T) {
	t.Parallel()
	s, _ := open(t, &MemoryLog{})
	ref, key := tenant(t, s, "shop")
	var mu sync.Mutex
	seen := map[ChangeKind]int{}
	s.Watch(func(c Change) {
		mu.Lock()
		defer mu.Unlock()
		seen[c.Kind]++
	})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("q%d-%d", i, j)
				if err := s.PutQueue(Queue{Vhost: ref, Name: name, UID: s.NextUID(), Durable: true}); err != nil {
					t.Error(err)
				}
				if _, _, err := s.CreateRole(ref.Cluster, fmt.Sprintf("r%d-%d", i, j), RoleOptions{}); err != nil {
					t.Error(err)
				}
				id, err := s.Authenticate("worker", key)
				if err != nil || s.Stale(id) || s.Rights(id, "v") == nil {
					t.Errorf("login: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if q, err := s.Queues(ref); err != nil || len(q) != 80 {
		t.Errorf("%d queues, %v", len(q), err)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen[RoleChanged] != 80 {
		t.Errorf("%d role changes were told, want 80", seen[RoleChanged])
	}
}
