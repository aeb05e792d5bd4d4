package meta

import (
	"fmt"

	"github.com/warrenmq/warren/internal/policy"
)

// Policy is a policy or operator policy of a vhost. Policies and operator policies have names of
// their own.
type Policy struct {
	Vhost VhostRef `json:"vhost"`

	policy.Policy
}

func (p Policy) check(s *State, op Op) error {
	v, err := s.vhost(p.Vhost)
	if err != nil {
		return err
	}
	if _, ok := v.policiesOf(p.Operator)[p.Name]; !ok && op == OpDelete {
		return fmt.Errorf("%w: vhost %s has no %s %q", ErrNotFound, p.Vhost, policyNoun(p.Operator), p.Name)
	}
	return nil
}

func (p Policy) put(s *State) []Change {
	v := s.clusters[p.Vhost.Cluster].vhosts[p.Vhost.Name]
	p.Vhost = v.Ref()
	v.policiesOf(p.Operator)[p.Name] = p
	return p.changed()
}

func (p Policy) remove(s *State) []Change {
	delete(s.clusters[p.Vhost.Cluster].vhosts[p.Vhost.Name].policiesOf(p.Operator), p.Name)
	return p.changed()
}

func (p Policy) changed() []Change {
	return []Change{{Kind: PolicyChanged, Cluster: p.Vhost.Cluster, Vhost: p.Vhost.Name, Policy: p.Name, Operator: p.Operator}}
}

func (v *vhostState) policiesOf(operator bool) map[string]Policy {
	if operator {
		return v.operators
	}
	return v.policies
}

func policyNoun(operator bool) string {
	if operator {
		return "operator policy"
	}
	return "policy"
}

// SetPolicy sets a policy or operator policy, in place of the one of its name, and says whether it
// is new. What is wrong with it is in a [*policy.Error].
func (s *Store) SetPolicy(p Policy) (created bool, err error) {
	if err := policy.Check(&p.Policy); err != nil {
		return false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = s.mutate(func() (Record, error) {
		p.Vhost = s.resolve(p.Vhost)
		v, err := s.state.vhost(p.Vhost)
		if err != nil {
			return Record{}, err
		}
		existing, ok := v.policiesOf(p.Operator)[p.Name]
		created = !ok
		if created && len(v.policies)+len(v.operators) >= MaxPolicies {
			return Record{}, fmt.Errorf("%w: vhost %s has %d policies, which is the limit; delete one first", ErrInvalid, p.Vhost, MaxPolicies)
		}
		return putUnless(existing, p)
	})
	return created && err == nil, err
}

// ClearPolicy takes a policy or operator policy away.
func (s *Store) ClearPolicy(ref VhostRef, name string, operator bool) error {
	return s.mutate(func() (Record, error) {
		return Record{Op: OpDelete, Subject: Policy{
			Vhost: s.resolve(ref), Policy: policy.Policy{Name: name, Operator: operator},
		}}, nil
	})
}

// Policies gives the policies of a vhost, then its operator policies, each ordered by name, or
// [ErrNotFound].
func (s *Store) Policies(ref VhostRef) ([]Policy, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return nil, err
	}
	return append(values(v.policies), values(v.operators)...), nil
}
