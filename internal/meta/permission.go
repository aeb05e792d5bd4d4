package meta

import (
	"fmt"
	"maps"
	"slices"

	"github.com/warrenmq/warren/internal/auth"
)

// Permission is what a role may do on a vhost: RabbitMQ's three patterns.
type Permission struct {
	Vhost     VhostRef `json:"vhost"`
	Role      string   `json:"role"` // Of the vhost's cluster.
	Configure string   `json:"configure"`
	Write     string   `json:"write"`
	Read      string   `json:"read"`
}

// Patterns is the permission without whose and where.
func (p Permission) Patterns() auth.Permission {
	return auth.Permission{Configure: p.Configure, Write: p.Write, Read: p.Read}
}

func (p Permission) check(s *State, op Op) error {
	if _, err := s.vhost(p.Vhost); err != nil {
		return err
	}
	role, err := s.role(p.Vhost.Cluster, p.Role)
	if err != nil {
		return err
	}
	if _, ok := role.permissions[p.Vhost.Name]; !ok && op == OpDelete {
		return fmt.Errorf("%w: role %q has no permission on vhost %s", ErrNotFound, p.Role, p.Vhost)
	}
	return nil
}

func (p Permission) put(s *State) []Change {
	s.clusters[p.Vhost.Cluster].roles[p.Role].permissions[p.Vhost.Name] = p
	return []Change{{Kind: PermissionChanged, Cluster: p.Vhost.Cluster, Vhost: p.Vhost.Name, Role: p.Role}}
}

func (p Permission) remove(s *State) []Change {
	delete(s.clusters[p.Vhost.Cluster].roles[p.Role].permissions, p.Vhost.Name)
	return []Change{{Kind: PermissionChanged, Cluster: p.Vhost.Cluster, Vhost: p.Vhost.Name, Role: p.Role}}
}

// SetPermission gives a role its permission on a vhost, in place of the one it had.
func (s *Store) SetPermission(p Permission) error {
	if _, err := auth.Compile(p.Patterns()); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.mutate(func() (Record, error) {
		p.Vhost = s.resolve(p.Vhost)
		if role, err := s.state.role(p.Vhost.Cluster, p.Role); err == nil && role.permissions[p.Vhost.Name] == p {
			return Record{}, errUnchanged
		}
		return Record{Op: OpPut, Subject: p}, nil
	})
}

// ClearPermission takes a role's permission on a vhost away.
func (s *Store) ClearPermission(ref VhostRef, role string) error {
	return s.mutate(func() (Record, error) {
		return Record{Op: OpDelete, Subject: Permission{Vhost: s.resolve(ref), Role: role}}, nil
	})
}

// Grant sets a role's permission on a vhost to what producing or consuming needs.
func (s *Store) Grant(ref VhostRef, role string, g auth.Grant) error {
	if g == (auth.Grant{}) {
		return fmt.Errorf("%w: a grant is to produce, to consume, or both; revoke it instead of granting nothing", ErrInvalid)
	}
	p := g.Permission()
	return s.SetPermission(Permission{Vhost: ref, Role: role, Configure: p.Configure, Write: p.Write, Read: p.Read})
}

// Revoke is [Store.ClearPermission] by its other name.
func (s *Store) Revoke(ref VhostRef, role string) error { return s.ClearPermission(ref, role) }

// Permissions gives all permissions, ordered by cluster, role and vhost.
func (s *Store) Permissions() []Permission {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Permission
	for _, c := range values(s.state.clusters) {
		for _, name := range slices.Sorted(maps.Keys(c.roles)) {
			list = append(list, values(c.roles[name].permissions)...)
		}
	}
	return list
}

// VhostPermissions gives the permissions on a vhost, ordered by role, or [ErrNotFound].
func (s *Store) VhostPermissions(ref VhostRef) ([]Permission, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return nil, err
	}
	var list []Permission
	for _, r := range values(s.state.clusters[v.Cluster].roles) {
		if p, ok := r.permissions[v.Name]; ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// RolePermissions gives the permissions of a role, ordered by vhost, or [ErrNotFound].
func (s *Store) RolePermissions(cluster, role string) ([]Permission, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.state.role(s.clusterID(cluster), role)
	if err != nil {
		return nil, err
	}
	return values(r.permissions), nil
}
