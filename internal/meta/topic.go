package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warrenmq/warren/internal/auth"
)

// TopicPermission narrows what a role may do with one topic exchange of a vhost: the routing keys
// that it publishes with and binds by. A role without one is not narrowed.
type TopicPermission struct {
	Vhost    VhostRef `json:"vhost"`
	Role     string   `json:"role"` // Of the vhost's cluster.
	Exchange string   `json:"exchange"`
	Write    string   `json:"write"` // "{username}" and "{vhost}" in a pattern stand for the names.
	Read     string   `json:"read"`
}

// topicKey finds a topic permission among those of its role.
type topicKey struct{ vhost, exchange string }

func (p TopicPermission) key() topicKey { return topicKey{p.Vhost.Name, p.Exchange} }

func (p TopicPermission) check(s *State, op Op) error {
	if _, err := s.vhost(p.Vhost); err != nil {
		return err
	}
	role, err := s.role(p.Vhost.Cluster, p.Role)
	if err != nil {
		return err
	}
	if _, ok := role.topics[p.key()]; !ok && op == OpDelete {
		return fmt.Errorf("%w: role %q has no topic permission for exchange %q in vhost %s", ErrNotFound, p.Role, p.Exchange, p.Vhost)
	}
	return nil
}

func (p TopicPermission) put(s *State) []Change {
	r := s.clusters[p.Vhost.Cluster].roles[p.Role]
	if r.topics == nil {
		r.topics = make(map[topicKey]TopicPermission)
	}
	r.topics[p.key()] = p
	return p.changed()
}

func (p TopicPermission) remove(s *State) []Change {
	delete(s.clusters[p.Vhost.Cluster].roles[p.Role].topics, p.key())
	return p.changed()
}

func (p TopicPermission) changed() []Change {
	return []Change{{Kind: PermissionChanged, Cluster: p.Vhost.Cluster, Vhost: p.Vhost.Name, Role: p.Role}}
}

// topicsSorted gives a role's topic permissions by vhost and exchange.
func (r *roleState) topicsSorted() []TopicPermission {
	return slices.SortedFunc(maps.Values(r.topics), func(a, b TopicPermission) int {
		if c := strings.Compare(a.Vhost.Name, b.Vhost.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Exchange, b.Exchange)
	})
}

// forgetVhost takes away what a role may do on a vhost that is gone.
func (r *roleState) forgetVhost(vhost string) {
	delete(r.permissions, vhost)
	maps.DeleteFunc(r.topics, func(k topicKey, _ TopicPermission) bool { return k.vhost == vhost })
}

// SetTopicPermission gives a role its permission on a topic exchange, in place of the one it had,
// and says whether it is new.
func (s *Store) SetTopicPermission(p TopicPermission) (created bool, err error) {
	if len(p.Exchange) > MaxName {
		return false, fmt.Errorf("%w: an exchange's name has up to %d bytes, this one has %d", ErrInvalid, MaxName, len(p.Exchange))
	}
	if _, err := auth.CompileTopics([]auth.Topic{{Exchange: p.Exchange, Write: p.Write, Read: p.Read}}, nil); err != nil {
		return false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = s.mutate(func() (Record, error) {
		p.Vhost = s.resolve(p.Vhost)
		role, err := s.state.role(p.Vhost.Cluster, p.Role)
		if err != nil {
			return Record{}, err
		}
		existing, ok := role.topics[p.key()]
		if created = !ok; ok && existing == p {
			return Record{}, errUnchanged
		}
		if created && len(role.topics) >= MaxTopics {
			return Record{}, fmt.Errorf("%w: role %q has %d topic permissions, which is the limit; clear one first", ErrInvalid, p.Role, MaxTopics)
		}
		return Record{Op: OpPut, Subject: p}, nil
	})
	return created && err == nil, err
}

// ClearTopicPermissions takes a role's topic permissions on a vhost away: that for one exchange, or
// all when exchange is nil.
func (s *Store) ClearTopicPermissions(ref VhostRef, role string, exchange *string) error {
	list, err := s.RoleTopicPermissions(ref.Cluster, role)
	if err != nil {
		return err
	}
	found := false
	for _, p := range list {
		if p.Vhost != s.resolve(ref) || exchange != nil && *exchange != p.Exchange {
			continue
		}
		found = true
		if err := s.mutate(func() (Record, error) { return Record{Op: OpDelete, Subject: p}, nil }); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%w: role %q has no such topic permission on vhost %s", ErrNotFound, role, ref)
	}
	return nil
}

// TopicPermissions gives all topic permissions, ordered by cluster, role, vhost and exchange.
func (s *Store) TopicPermissions() []TopicPermission {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []TopicPermission
	for _, c := range values(s.state.clusters) {
		for _, name := range slices.Sorted(maps.Keys(c.roles)) {
			list = append(list, c.roles[name].topicsSorted()...)
		}
	}
	return list
}

// RoleTopicPermissions gives the topic permissions of a role, or [ErrNotFound].
func (s *Store) RoleTopicPermissions(cluster, role string) ([]TopicPermission, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.state.role(s.clusterID(cluster), role)
	if err != nil {
		return nil, err
	}
	return r.topicsSorted(), nil
}

// topicsOn gives a role's topic permissions on a vhost as they are compiled.
func (r *roleState) topicsOn(vhost string) []auth.Topic {
	var list []auth.Topic
	for k, p := range r.topics {
		if k.vhost == vhost {
			list = append(list, auth.Topic{Exchange: p.Exchange, Write: p.Write, Read: p.Read})
		}
	}
	return list
}
