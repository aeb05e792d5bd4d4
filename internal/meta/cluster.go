package meta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/warrenmq/warren/internal/auth"
)

// Cluster is a tenant.
type Cluster struct {
	ID      string    `json:"id"`   // "amqp-" and 12 lower-case letters or digits; see auth.IsClusterID.
	Name    string    `json:"name"` // Unique in the installation.
	Remark  string    `json:"remark,omitempty"`
	Default bool      `json:"default,omitempty"` // Serves clients that name no cluster; there is exactly one.
	Created time.Time `json:"created"`
	// Secret signs the keys of the cluster's roles. Only records have it: what a Store's readers
	// return has none.
	Secret []byte `json:"secret,omitempty"`
}

func (c Cluster) check(s *State, op Op) error {
	if op == OpDelete {
		existing, err := s.cluster(c.ID)
		if err != nil {
			return err
		}
		if existing.Default {
			return fmt.Errorf("%w: %s is the default cluster, which serves clients that name no cluster; it cannot be deleted", ErrInUse, c.ID)
		}
		return nil
	}
	if !auth.IsClusterID(c.ID) {
		return fmt.Errorf("%w: %q is not a cluster id", ErrInvalid, c.ID)
	}
	if c.Default && s.defaultCluster != "" && s.defaultCluster != c.ID {
		return fmt.Errorf("%w: %s is the default cluster, there cannot be another", ErrExists, s.defaultCluster)
	}
	if existing, ok := s.clusters[c.ID]; ok && existing.Default != c.Default {
		return fmt.Errorf("%w: whether %s is the default cluster cannot be changed", ErrInvalid, c.ID)
	}
	return nil
}

func (c Cluster) put(s *State) []Change {
	if c.Default {
		s.defaultCluster = c.ID
	}
	if existing, ok := s.clusters[c.ID]; ok {
		existing.Cluster = c
		return []Change{{Kind: ClusterChanged, Cluster: c.ID}}
	}
	s.clusters[c.ID] = &clusterState{Cluster: c, vhosts: make(map[string]*vhostState), roles: make(map[string]*roleState)}
	return []Change{{Kind: ClusterCreated, Cluster: c.ID}}
}

func (c Cluster) remove(s *State) []Change {
	existing := s.clusters[c.ID]
	changes := make([]Change, 0, len(existing.vhosts)+len(existing.roles)+1)
	for _, name := range slices.Sorted(maps.Keys(existing.vhosts)) {
		changes = append(changes, Change{Kind: VhostDeleted, Cluster: c.ID, Vhost: name})
	}
	for _, name := range slices.Sorted(maps.Keys(existing.roles)) {
		changes = append(changes, Change{Kind: RoleChanged, Cluster: c.ID, Role: name})
	}
	delete(s.clusters, c.ID)
	return append(changes, Change{Kind: ClusterDeleted, Cluster: c.ID})
}

// CreateCluster makes a cluster, without vhosts or roles. Its name must be free.
func (s *Store) CreateCluster(name, remark string) (Cluster, error) {
	var created Cluster
	err := s.mutate(func() (Record, error) {
		if err := s.checkClusterName("", name, remark); err != nil {
			return Record{}, err
		}
		if len(s.state.clusters) >= MaxClusters {
			return Record{}, fmt.Errorf("%w: there are %d clusters, which is the limit; delete one first", ErrInvalid, MaxClusters)
		}
		var err error
		created, err = s.newCluster(name, remark)
		return Record{Op: OpPut, Subject: created}, err
	})
	if err != nil {
		return Cluster{}, err
	}
	return withoutSecret(created), nil
}

// UpdateCluster gives a cluster another name and remark.
func (s *Store) UpdateCluster(id, name, remark string) error {
	return s.mutate(func() (Record, error) {
		existing, err := s.state.cluster(s.clusterID(id))
		if err != nil {
			return Record{}, err
		}
		if err := s.checkClusterName(existing.ID, name, remark); err != nil {
			return Record{}, err
		}
		changed := existing.Cluster
		changed.Name, changed.Remark = name, remark
		return putUnless(existing.Cluster, changed)
	})
}

// DeleteCluster deletes a cluster and everything in it. The default cluster stays: [ErrInUse].
func (s *Store) DeleteCluster(id string) error {
	return s.mutate(func() (Record, error) {
		return Record{Op: OpDelete, Subject: Cluster{ID: s.clusterID(id)}}, nil
	})
}

// Clusters gives all clusters, ordered by name.
func (s *Store) Clusters() []Cluster {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Cluster, 0, len(s.state.clusters))
	for _, c := range s.state.clusters {
		list = append(list, withoutSecret(c.Cluster))
	}
	slices.SortFunc(list, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Cluster gives one cluster, or [ErrNotFound].
func (s *Store) Cluster(id string) (Cluster, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.state.cluster(s.clusterID(id))
	if err != nil {
		return Cluster{}, err
	}
	return withoutSecret(c.Cluster), nil
}

// DefaultCluster gives the cluster of clients that name none. It always exists.
func (s *Store) DefaultCluster() Cluster {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return withoutSecret(s.state.clusters[s.defaultCluster].Cluster)
}

// NewCluster draws the id and the secret.
func (s *Store) newCluster(name, remark string) (Cluster, error) {
	const suffix = auth.ClusterIDLength - len("amqp-")
	text, err := s.randomText(suffix)
	if err != nil {
		return Cluster{}, err
	}
	id := "amqp-" + text
	if _, taken := s.state.clusters[id]; taken {
		return Cluster{}, fmt.Errorf("%w: the id %s was drawn twice; try again", ErrExists, id)
	}
	secret, err := s.randomSecret()
	if err != nil {
		return Cluster{}, err
	}
	return Cluster{ID: id, Name: name, Remark: remark, Created: s.moment(), Secret: secret}, nil
}

// CheckClusterName checks what a cluster, whose id is own or not drawn yet, is to be called.
func (s *Store) checkClusterName(own, name, remark string) error {
	if len(name) < MinClusterName || len(name) > MaxClusterName {
		return fmt.Errorf("%w: a cluster's name has %d to %d characters, this one has %d", ErrInvalid, MinClusterName, MaxClusterName, len(name))
	}
	if !onlyNameBytes(name, "") {
		return fmt.Errorf("%w: a cluster's name is made of letters, digits, '_', '.' and '-', %q is not", ErrInvalid, name)
	}
	for id, c := range s.state.clusters {
		if c.Name == name && id != own {
			return fmt.Errorf("%w: cluster %s is called %q; choose another name", ErrExists, id, name)
		}
	}
	return checkText("remark", remark, MaxRemark)
}

func withoutSecret(c Cluster) Cluster {
	c.Secret = nil
	return c
}

// PutUnless is the record that makes now out of before, if they differ.
func putUnless(before, now Subject) (Record, error) {
	if same(before, now) {
		return Record{}, errUnchanged
	}
	return Record{Op: OpPut, Subject: now}, nil
}

// OnlyNameBytes reports whether name is made of letters, digits, "_", ".", "-" and more.
func onlyNameBytes(name, more string) bool {
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("_.-"+more, rune(c)) {
			return false
		}
	}
	return true
}

// CheckText checks what people write to people: limit counts characters.
func checkText(what, text string, limit int) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: a %s is UTF-8, this one is not", ErrInvalid, what)
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return fmt.Errorf("%w: a %s has at most %d characters, this one has %d", ErrInvalid, what, limit, n)
	}
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%w: there can be %d tags, these are %d", ErrInvalid, MaxTags, len(tags))
	}
	for _, tag := range tags {
		if tag == "" || len(tag) > MaxTag || !utf8.ValidString(tag) {
			return fmt.Errorf("%w: a tag has 1 to %d bytes of UTF-8, %.80q has not", ErrInvalid, MaxTag, tag)
		}
	}
	return nil
}
