package meta

import (
	"fmt"
	"maps"
	"slices"
)

// Unlimited is the value of a limit that is none, as RabbitMQ writes it.
const Unlimited = -1

// The names of the limits that can be set, as RabbitMQ writes them.
const (
	LimitConnections = "max-connections" // of a vhost, of a role
	LimitQueues      = "max-queues"      // of a vhost
	LimitChannels    = "max-channels"    // of a role, over all its connections
)

// Quota is the limits that were set for one vhost or role, by name. It is replaced, never changed.
type Quota map[string]int64

// Get gives a limit, or [Unlimited].
func (q Quota) Get(name string) int64 {
	if n, ok := q[name]; ok && n >= 0 {
		return n
	}
	return Unlimited
}

// with gives the quota with one limit set, or cleared when value is nil.
func (q Quota) with(name string, value *int64, allowed []string) (Quota, error) {
	if !slices.Contains(allowed, name) {
		return nil, fmt.Errorf("%w: there is no limit %.80q here, only %v", ErrInvalid, name, allowed)
	}
	next := Quota{}
	maps.Copy(next, q)
	delete(next, name)
	if value != nil {
		if *value < Unlimited {
			return nil, fmt.Errorf("%w: a limit is 0 or more, or -1 for none, not %d", ErrInvalid, *value)
		}
		next[name] = *value
	}
	if len(next) == 0 {
		return nil, nil
	}
	return next, nil
}

// SetVhostLimit sets max-connections or max-queues of a vhost; nil clears it.
func (s *Store) SetVhostLimit(ref VhostRef, name string, value *int64) error {
	return s.mutate(func() (Record, error) {
		existing, err := s.state.vhost(s.resolve(ref))
		if err != nil {
			return Record{}, err
		}
		changed := existing.Vhost
		changed.Limits, err = existing.Limits.with(name, value, []string{LimitConnections, LimitQueues})
		if err != nil {
			return Record{}, err
		}
		return putUnless(existing.Vhost, changed)
	})
}

// SetRoleLimit sets max-connections or max-channels of a role or user; nil clears it.
func (s *Store) SetRoleLimit(cluster, role, name string, value *int64) error {
	return s.changeRole(cluster, role, func(r *Role) (err error) {
		r.Limits, err = r.Limits.with(name, value, []string{LimitConnections, LimitChannels})
		return err
	})
}

// Limits gives what was set for a vhost and for the role of an identity.
func (s *Store) Limits(identity Identity, vhost string) (ofVhost, ofRole Quota) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v, err := s.state.vhost(VhostRef{Cluster: identity.Cluster, Name: vhost}); err == nil {
		ofVhost = v.Limits
	}
	if r, err := s.state.role(identity.Cluster, identity.Role); err == nil {
		ofRole = r.Limits
	}
	return ofVhost, ofRole
}
