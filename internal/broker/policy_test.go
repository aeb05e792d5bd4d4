package broker

import (
	"fmt"
	"log/slog"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

// nothing records no definitions.
type nothing struct{}

func (nothing) PutExchange(meta.Exchange) error            { return nil }
func (nothing) DeleteExchange(meta.VhostRef, string) error { return nil }
func (nothing) PutQueue(meta.Queue) error                  { return nil }
func (nothing) DeleteQueue(meta.VhostRef, string) error    { return nil }
func (nothing) PutBinding(meta.Binding) error              { return nil }
func (nothing) DeleteBinding(meta.Binding) error           { return nil }

// TestPoliciesFollow: whatever changes in whatever order, every object has what matching it anew
// would give it.
func TestPoliciesFollow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, a := emptyVhost()
		var list []policy.Policy
		name := rapid.SampledFrom([]string{"a", "b", "ab", "ba", "abc"})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				p := policy.Policy{
					Name: name.Draw(t, "name"), Operator: rapid.Bool().Draw(t, "operator"),
					Pattern:    rapid.SampledFrom([]string{"", "^a", "b$", "^(?!a).*", "c"}).Draw(t, "pattern"),
					ApplyTo:    rapid.SampledFrom([]policy.Target{policy.All, policy.Queues, policy.Exchanges}).Draw(t, "to"),
					Priority:   int64(rapid.IntRange(0, 2).Draw(t, "priority")),
					Definition: policy.Definition{"max-length": int64(rapid.IntRange(0, 9).Draw(t, "length"))},
				}
				list = append(without(list, p.Name, p.Operator), p)
				v.ChangePolicies(list, p.Name, p.Operator)
			},
			"clear": func(t *rapid.T) {
				n, o := name.Draw(t, "name"), rapid.Bool().Draw(t, "operator")
				list = without(list, n, o)
				v.ChangePolicies(list, n, o)
			},
			"declare": func(t *rapid.T) {
				args := amqp.Table{}
				if rapid.Bool().Draw(t, "limited") {
					args = amqp.Table{{Key: "x-max-length", Value: int32(5)}}
				}
				_, _ = v.DeclareQueue(a, QueueDeclare{Name: name.Draw(t, "queue"), Arguments: args})
				_ = v.DeclareExchange(a, ExchangeDeclare{Name: name.Draw(t, "exchange"), Type: "fanout"})
			},
			"delete": func(t *rapid.T) {
				_, _ = v.DeleteQueue(a, name.Draw(t, "queue"), false, false)
				_ = v.DeleteExchange(a, name.Draw(t, "exchange"), false)
			},
			"": func(t *rapid.T) { agree(t, v, list) },
		})
	})
}

// emptyVhost returns a vhost of a broker without a disk, and somebody who may do everything.
func emptyVhost() (*Vhost, *Actor) {
	uid := uint64(0)
	b := New(Options{
		Definitions: nothing{}, Log: MemoryLog{}, Logger: slog.New(slog.DiscardHandler),
		NextUID: func() uint64 { uid++; return uid },
	})
	rights, _ := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	return b.AddVhost(meta.Vhost{Cluster: "c", Name: "/", UID: 1}, "/"), &Actor{User: "u", Rights: rights, Conn: 1}
}

func without(list []policy.Policy, name string, operator bool) (kept []policy.Policy) {
	for _, p := range list {
		if p.Name != name || p.Operator != operator {
			kept = append(kept, p)
		}
	}
	return kept
}

func agree(t *rapid.T, v *Vhost, list []policy.Policy) {
	t.Helper()
	set := policy.NewSet(list)
	for _, q := range v.Queues() {
		want := policy.Merge(set.Find(q.object()))
		if got := v.EffectivePolicy(KindQueue, q.Name); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("queue %s has %+v, want %+v", q.Name, got, want)
		}
		got, want2 := q.Settings().MaxLength, readSettings(want.Arguments(q.Arguments())).MaxLength
		if (got == nil) != (want2 == nil) || got != nil && *got != *want2 {
			t.Fatalf("queue %s is limited to %v, want %v", q.Name, got, want2)
		}
	}
	for _, x := range v.Exchanges() {
		if x.Name == "" {
			continue
		}
		if got, want := x.Policy(), policy.Merge(set.Find(x.object())); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("exchange %s has %+v, want %+v", x.Name, got, want)
		}
	}
}

// TestRestoredPolicies: they apply to the predeclared exchanges as to what is restored after them.
func TestRestoredPolicies(t *testing.T) {
	t.Parallel()
	v, _ := emptyVhost()
	v.RestorePolicies([]policy.Policy{{
		Name: "p", ApplyTo: policy.All, Definition: policy.Definition{"alternate-exchange": "ae", "max-length": int64(3)},
	}})
	v.RestoreExchange(meta.Exchange{Name: "x", Type: "direct"}, Restored{}, Restored{})
	v.RestoreQueue(meta.Queue{Name: "q", UID: 7}, Restored{}, Restored{}, Restored{})
	for _, name := range []string{"x", "amq.topic"} {
		if x, ok := v.Exchange(name); !ok || x.alternate != "ae" {
			t.Errorf("exchange %s has the alternate %q", name, x.alternate)
		}
	}
	if x, _ := v.Exchange(""); x.alternate != "" {
		t.Errorf("the default exchange has the alternate %q", x.alternate)
	}
	if q, _ := v.Queue("q"); q.Policy() == nil || *q.Settings().MaxLength != 3 {
		t.Errorf("the queue has %+v", q.Policy())
	}
}

func BenchmarkChangePolicies(b *testing.B) {
	v, a := emptyVhost()
	for i := range 100_000 {
		if _, err := v.DeclareQueue(a, QueueDeclare{Name: fmt.Sprintf("orders.%d", i)}); err != nil {
			b.Fatal(err)
		}
	}
	var list []policy.Policy
	for i := range 20 {
		list = append(list, policy.Policy{
			Name: strconv.Itoa(i), Pattern: fmt.Sprintf("^tenant%d\\.", i), ApplyTo: policy.All, Definition: policy.Definition{"max-length": int64(i)},
		})
	}
	for b.Loop() {
		v.ChangePolicies(list, "7", false)
	}
}
