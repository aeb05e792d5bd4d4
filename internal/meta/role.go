package meta

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/internal/auth"
)

// Role is an identity inside a cluster. Its credential is a key, or a password, or both; one with a
// password is what RabbitMQ calls a user and lives in the default cluster.
type Role struct {
	Cluster      string        `json:"cluster"` // Id.
	Name         string        `json:"name"`
	Remark       string        `json:"remark,omitempty"`
	Tags         []string      `json:"tags,omitempty"`
	KeyID        string        `json:"key_id,omitempty"` // The jti of the current key; empty: no key.
	KeyExpires   time.Time     `json:"key_expires,omitzero"`
	KeyLifetime  time.Duration `json:"key_lifetime,omitempty"` // Of the next keys, nanoseconds; zero: they never expire.
	OldKeys      []OldKey      `json:"old_keys,omitempty"`     // Replaced keys that are good for a while.
	Disabled     bool          `json:"disabled,omitempty"`
	PasswordHash string        `json:"password_hash,omitempty"` // See auth.CheckPassword; empty: no password.
	Limits       Quota         `json:"limits,omitempty"`        // max-connections, max-channels.
	Created      time.Time     `json:"created,omitzero"`
	Updated      time.Time     `json:"updated,omitzero"`
}

// OldKey is a replaced key.
type OldKey struct {
	ID    string    `json:"id"`
	Until time.Time `json:"until"` // Good before it.
}

// GoodKey reports whether the key with this id is the current one or in its overlap, and until when
// (zero: no end).
func (r Role) goodKey(id string, now time.Time) (until time.Time, ok bool) {
	if id == "" {
		return time.Time{}, false
	}
	if id == r.KeyID {
		return r.KeyExpires, r.KeyExpires.IsZero() || now.Before(r.KeyExpires)
	}
	for _, old := range r.OldKeys {
		if old.ID == id {
			return old.Until, now.Before(old.Until)
		}
	}
	return time.Time{}, false
}

func (r Role) check(s *State, op Op) error {
	if op == OpDelete {
		_, err := s.role(r.Cluster, r.Name)
		return err
	}
	if r.Name == "" {
		return fmt.Errorf("%w: a role needs a name", ErrInvalid)
	}
	_, err := s.cluster(r.Cluster)
	return err
}

func (r Role) put(s *State) []Change {
	c := s.clusters[r.Cluster]
	existing, ok := c.roles[r.Name]
	if !ok {
		existing = &roleState{permissions: make(map[string]Permission)}
		c.roles[r.Name] = existing
	}
	existing.Role = r
	existing.version = s.applied
	return []Change{{Kind: RoleChanged, Cluster: r.Cluster, Role: r.Name}}
}

func (r Role) remove(s *State) []Change {
	delete(s.clusters[r.Cluster].roles, r.Name)
	return []Change{{Kind: RoleChanged, Cluster: r.Cluster, Role: r.Name}}
}

// RoleOptions is what may be chosen about a role.
type RoleOptions struct {
	Remark      string
	Tags        []string
	KeyLifetime time.Duration // Whole seconds; zero: keys never expire.
}

// CreateRole makes a role and its first key. A name has 1 to 32 letters, digits or any of "_.-".
func (s *Store) CreateRole(cluster, name string, o RoleOptions) (Role, string, error) {
	var created Role
	var key string
	err := s.mutate(func() (Record, error) {
		if err := auth.CheckRoleName(name); err != nil {
			return Record{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := checkRoleOptions(o); err != nil {
			return Record{}, err
		}
		c, err := s.roomForRole(s.clusterID(cluster), name)
		if err != nil {
			return Record{}, err
		}
		now := s.moment()
		created = Role{Cluster: c.ID, Name: name, Remark: o.Remark, Tags: o.Tags, KeyLifetime: o.KeyLifetime, Created: now, Updated: now}
		if err := s.giveKey(&created, now); err != nil {
			return Record{}, err
		}
		key, err = signRole(c.Secret, created)
		return Record{Op: OpPut, Subject: created}, err
	})
	if err != nil {
		return Role{}, "", err
	}
	return created, key, nil
}

// RoleKey gives the current key of a role again: it is not stored but signed anew, always alike.
// A user without a key has none to show: [ErrNotFound].
func (s *Store) RoleKey(cluster, name string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.state.cluster(s.clusterID(cluster))
	if err != nil {
		return "", err
	}
	r, err := s.state.role(c.ID, name)
	if err != nil {
		return "", err
	}
	if r.KeyID == "" {
		return "", fmt.Errorf("%w: user %q logs in with a password and has no key; reset the key to make one", ErrNotFound, name)
	}
	return signRole(c.Secret, r.Role)
}

// ResetKey replaces the key of a role, or makes the first key of a user. With an overlap the
// replaced key stays good for that long, and those replaced before it as long as they were to;
// without, every earlier key is revoked at once.
func (s *Store) ResetKey(cluster, name string, overlap time.Duration) (string, error) {
	var key string
	err := s.mutate(func() (Record, error) {
		if overlap < 0 || overlap > MaxKeyOverlap {
			return Record{}, fmt.Errorf("%w: keys overlap for 0 to %s, not %s", ErrInvalid, MaxKeyOverlap, overlap)
		}
		c, err := s.state.cluster(s.clusterID(cluster))
		if err != nil {
			return Record{}, err
		}
		existing, err := s.state.role(c.ID, name)
		if err != nil {
			return Record{}, err
		}
		now := s.moment()
		changed := existing.Role
		changed.OldKeys = overlapping(existing.Role, overlap, now)
		if len(changed.OldKeys) > MaxOldKeys {
			return Record{}, fmt.Errorf("%w: %d replaced keys of role %q are still good, which is the limit; reset without an overlap to revoke them", ErrInvalid, MaxOldKeys, name)
		}
		changed.Updated = now
		if err := s.giveKey(&changed, now); err != nil {
			return Record{}, err
		}
		key, err = signRole(c.Secret, changed)
		return Record{Op: OpPut, Subject: changed}, err
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// Overlapping is the replaced keys that stay good when the current one is replaced too.
func overlapping(r Role, overlap time.Duration, now time.Time) []OldKey {
	if overlap == 0 {
		return nil
	}
	var kept []OldKey
	for _, old := range r.OldKeys {
		if now.Before(old.Until) {
			kept = append(kept, old)
		}
	}
	until := now.Add(overlap)
	if !r.KeyExpires.IsZero() && r.KeyExpires.Before(until) {
		until = r.KeyExpires
	}
	if r.KeyID != "" && now.Before(until) {
		kept = append(kept, OldKey{ID: r.KeyID, Until: until})
	}
	return kept
}

// UpdateRole gives a role or user another remark and other tags.
func (s *Store) UpdateRole(cluster, name, remark string, tags []string) error {
	return s.changeRole(cluster, name, func(r *Role) error {
		r.Remark, r.Tags = remark, tags
		return checkRoleOptions(RoleOptions{Remark: remark, Tags: tags})
	})
}

// SetDisabled stops a role from logging in, or lets it again. Its keys and password stay.
func (s *Store) SetDisabled(cluster, name string, disabled bool) error {
	return s.changeRole(cluster, name, func(r *Role) error {
		r.Disabled = disabled
		return nil
	})
}

// ChangeRole has change edit a copy and writes it if it differs.
func (s *Store) changeRole(cluster, name string, change func(*Role) error) error {
	return s.mutate(func() (Record, error) {
		existing, err := s.state.role(s.clusterID(cluster), name)
		if err != nil {
			return Record{}, err
		}
		changed := existing.Role
		if err := change(&changed); err != nil {
			return Record{}, err
		}
		if same(existing.Role, changed) {
			return Record{}, errUnchanged
		}
		changed.Updated = s.moment()
		return Record{Op: OpPut, Subject: changed}, nil
	})
}

// UserOptions is what may be chosen about a user. At most one of Password and PasswordHash is set;
// with neither, the user cannot log in with a password.
type UserOptions struct {
	Password     string   // Is hashed here.
	PasswordHash string   // See auth.CheckPasswordHash.
	Tags         []string // RabbitMQ's: administrator, monitoring, policymaker, management, impersonator.
}

// PutUser makes a user of the default cluster, or gives an existing user or role this password and
// these tags. Its key, if it has one, stays. Other clusters have roles with keys instead:
// [ErrInvalid]. A name is 1 to 255 bytes of UTF-8 without control characters.
func (s *Store) PutUser(cluster, name string, o UserOptions) (created bool, err error) {
	if err := s.checkUser(cluster, name, o); err != nil {
		return false, err
	}
	hash := o.PasswordHash
	if o.Password != "" { // Outside the lock: it takes long.
		if hash, err = s.logins.hash(s.rand, o.Password); err != nil {
			return false, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	err = s.mutate(func() (Record, error) {
		now := s.moment()
		changed := Role{Cluster: s.defaultCluster, Name: name, Created: now}
		existing, lookup := s.state.role(s.defaultCluster, name)
		if lookup == nil {
			changed = existing.Role
		} else if _, full := s.roomForRole(s.defaultCluster, name); full != nil {
			return Record{}, full
		}
		created = lookup != nil
		changed.PasswordHash, changed.Tags, changed.Updated = hash, o.Tags, now
		return Record{Op: OpPut, Subject: changed}, nil
	})
	return created && err == nil, err
}

func (s *Store) checkUser(cluster, name string, o UserOptions) error {
	if s.clusterID(cluster) != s.defaultCluster {
		return fmt.Errorf("%w: users with passwords live in the default cluster; create a role in %s and use its key", ErrInvalid, cluster)
	}
	if err := auth.CheckUserName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if o.Password != "" && o.PasswordHash != "" {
		return fmt.Errorf("%w: give a password or its hash, not both", ErrInvalid)
	}
	if _, isKey := auth.PeekKey(o.Password); isKey {
		return fmt.Errorf("%w: the password is shaped like a role's key and would be read as one; choose another", ErrInvalid)
	}
	if o.PasswordHash != "" {
		if err := auth.CheckPasswordHash(o.PasswordHash); err != nil {
			return fmt.Errorf("%w: password hash: %w", ErrInvalid, err)
		}
	}
	return checkTags(o.Tags)
}

// DeleteRole deletes a role or user. A role that is granted something can be deleted: its
// permissions go with it, and revoked names the vhosts they were on, for the caller to tell.
func (s *Store) DeleteRole(cluster, name string) (revoked []string, err error) {
	err = s.mutate(func() (Record, error) {
		existing, lookup := s.state.role(s.clusterID(cluster), name)
		if lookup != nil {
			return Record{}, lookup
		}
		for _, p := range values(existing.permissions) {
			revoked = append(revoked, p.Vhost.Name)
		}
		return Record{Op: OpDelete, Subject: Role{Cluster: existing.Cluster, Name: name}}, nil
	})
	if err != nil {
		return nil, err
	}
	return revoked, nil
}

// Roles gives the roles and users of a cluster, ordered by name, or [ErrNotFound].
func (s *Store) Roles(cluster string) ([]Role, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.state.cluster(s.clusterID(cluster))
	if err != nil {
		return nil, err
	}
	list := make([]Role, 0, len(c.roles))
	for _, r := range c.roles {
		list = append(list, r.Role)
	}
	slices.SortFunc(list, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Role gives one role or user, or [ErrNotFound].
func (s *Store) Role(cluster, name string) (Role, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.state.role(s.clusterID(cluster), name)
	if err != nil {
		return Role{}, err
	}
	return r.Role, nil
}

// RoomForRole checks that the cluster exists, has no such role and has room for one.
func (s *Store) roomForRole(cluster, name string) (*clusterState, error) {
	c, err := s.state.cluster(cluster)
	if err != nil {
		return nil, err
	}
	if _, ok := c.roles[name]; ok {
		return nil, fmt.Errorf("%w: cluster %s has a role or user %q; choose another name", ErrExists, cluster, name)
	}
	if len(c.roles) >= MaxRoles {
		return nil, fmt.Errorf("%w: cluster %s has %d roles, which is the limit; delete one first", ErrInvalid, cluster, MaxRoles)
	}
	return c, nil
}

// GiveKey draws a new key id. 24 characters are 124 bits.
func (s *Store) giveKey(r *Role, now time.Time) error {
	const length = 24
	id, err := s.randomText(length)
	if err != nil {
		return err
	}
	r.KeyID, r.KeyExpires = id, time.Time{}
	if r.KeyLifetime > 0 {
		r.KeyExpires = now.Add(r.KeyLifetime).Truncate(time.Second)
	}
	return nil
}

func signRole(secret []byte, r Role) (string, error) {
	return auth.SignKey(secret, auth.Key{Cluster: r.Cluster, Role: r.Name, ID: r.KeyID, Expires: r.KeyExpires})
}

func checkRoleOptions(o RoleOptions) error {
	if o.KeyLifetime < 0 || o.KeyLifetime > MaxKeyLifetime || o.KeyLifetime%time.Second != 0 {
		return fmt.Errorf("%w: a key lives for whole seconds up to %s, or for ever with 0, not %s", ErrInvalid, MaxKeyLifetime, o.KeyLifetime)
	}
	if err := checkText("remark", o.Remark, MaxRemark); err != nil {
		return err
	}
	return checkTags(o.Tags)
}
