package broker

import (
	"slices"

	"github.com/warrenmq/warren/internal/policy"
)

// policies are the policies of a vhost. The set is immutable; merged is guarded by Vhost.mu and
// lets objects with the same policies share what these say.
type policies struct {
	set    *policy.Set
	merged map[[2]*policy.Policy]*policy.Effective
}

func newPolicies(list []policy.Policy) *policies {
	return &policies{set: policy.NewSet(list), merged: map[[2]*policy.Policy]*policy.Effective{}}
}

// merge returns what a policy and an operator policy of the set say together; Vhost.mu is held.
func (p *policies) merge(of, operator *policy.Policy) *policy.Effective {
	if of == nil && operator == nil {
		return nil
	}
	key := [2]*policy.Policy{of, operator}
	e, ok := p.merged[key]
	if !ok {
		e = policy.Merge(of, operator)
		p.merged[key] = e
	}
	return e
}

// effective returns what the vhost's policies say about an object; v.mu is held.
func (v *Vhost) effective(o policy.Object) *policy.Effective {
	p := v.policies.Load()
	return p.merge(p.set.Find(o))
}

// EffectivePolicy returns what policies say about an exchange or queue; nil: nothing, or there is
// no such object.
func (v *Vhost) EffectivePolicy(kind Kind, name string) *policy.Effective {
	if kind == KindExchange {
		if x, ok := v.Exchange(name); ok {
			return x.policy
		}
		return nil
	}
	if q, ok := v.Queue(name); ok {
		return q.policy.Load()
	}
	return nil
}

// RestorePolicies sets the policies while there are but the predeclared exchanges.
func (v *Vhost) RestorePolicies(list []policy.Policy) {
	if len(list) == 0 {
		return
	}
	v.policies.Store(newPolicies(list))
	var names []string
	for _, x := range v.Exchanges() {
		names = append(names, x.Name)
	}
	v.settleExchanges(names)
}

// ChangePolicies makes list the vhost's policies, of which the one called name has changed, come or
// gone. Declares are matched with them from here on; the objects that are there are matched with
// what has changed, once each, and only those that it touches are given other settings. Calls must
// follow one another.
func (v *Vhost) ChangePolicies(list []policy.Policy, name string, operator bool) {
	next := newPolicies(list)
	v.mu.Lock()
	v.policies.Store(next)
	top := v.top.Load()
	v.mu.Unlock()
	touched := func(had *policy.Effective, o policy.Object) bool {
		return had.Names(name, operator) || next.set.Touches(name, operator, o)
	}
	var exchanges []string
	for _, x := range top.exchanges.All() {
		if touched(x.policy, x.object()) {
			exchanges = append(exchanges, x.Name)
		}
	}
	v.settleExchanges(exchanges)
	// Queues go in portions, so that nobody who declares waits for all of them.
	const portion = 256
	var queues []*Queue
	for _, q := range top.queues.All() {
		if !touched(q.policy.Load(), q.object()) {
			continue
		}
		if queues = append(queues, q); len(queues) == portion {
			v.settleQueues(queues)
			queues = queues[:0]
		}
	}
	v.settleQueues(queues)
}

func (v *Vhost) settleExchanges(names []string) {
	if len(names) == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.change(func(t *topology) {
		for _, name := range names {
			x, ok := t.exchanges.Get(name)
			if !ok || name == "" { // the default exchange has no alternate
				continue
			}
			next := *x
			next.settle(v.effective(x.object()))
			t.exchanges = t.exchanges.Set(name, &next)
		}
	})
}

func (v *Vhost) settleQueues(queues []*Queue) {
	effective := make([]*policy.Effective, len(queues))
	v.mu.Lock()
	for i, q := range queues {
		effective[i] = v.effective(q.object())
	}
	v.mu.Unlock()
	for i, q := range slices.All(queues) {
		q.settle(effective[i])
	}
}

// settle makes the queue work by its arguments and by what policies say now.
func (q *Queue) settle(e *policy.Effective) {
	q.mu.Lock()
	q.configure(e)
	if !q.closed {
		q.state.Expire(q.env.now(), &q.fx) // what is too much now goes, the more of it when timers come
	}
	q.unlock()
}

// Policy returns what policies say about the queue; nil: nothing.
func (q *Queue) Policy() *policy.Effective { return q.policy.Load() }

// object is the queue as policies see it.
func (q *Queue) object() policy.Object {
	return policy.Object{Name: q.Name, Type: queueType(q.Arguments())}
}
