package meta

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/warrenmq/warren/internal/auth"
)

// VhostRef says which vhost: names are unique inside a cluster.
type VhostRef struct {
	Cluster string `json:"cluster"` // Id; as an argument, empty means the default cluster.
	Name    string `json:"name"`
}

// String is the vhost's name on the wire, "<cluster>|<name>".
func (r VhostRef) String() string { return r.Cluster + "|" + r.Name }

// Vhost is an isolated set of exchanges, queues and bindings inside a cluster.
type Vhost struct {
	Cluster          string    `json:"cluster"` // Id.
	Name             string    `json:"name"`
	UID              uint64    `json:"uid"` // Never used again, not even for a vhost of the same name.
	Description      string    `json:"description,omitempty"`
	Tags             []string  `json:"tags,omitempty"`
	DefaultQueueType string    `json:"default_queue_type,omitempty"` // "classic", "quorum", "stream" or empty.
	LenientRedeclare bool      `json:"lenient_redeclare,omitempty"`  // Durable and auto-delete of what exists win over a declare.
	Limits           Quota     `json:"limits,omitempty"`             // max-connections, max-queues.
	Protected        bool      `json:"protected,omitempty"`          // It cannot be deleted.
	Created          time.Time `json:"created,omitzero"`
}

// Ref says which vhost it is.
func (v Vhost) Ref() VhostRef { return VhostRef{Cluster: v.Cluster, Name: v.Name} }

// ParseVhost reads a vhost's name as a client sends it in connection.open. "amqp-<12 lower-case
// letters or digits>|<name>", with one "/" before it or none, names its cluster explicitly;
// anything else is the name of a vhost in the default cluster, and cluster is empty. Whether either
// exists is not looked at.
func ParseVhost(wire string) (cluster, name string, explicit bool) {
	cluster, name, found := strings.Cut(strings.TrimPrefix(wire, "/"), "|")
	if !found || !auth.IsClusterID(cluster) {
		return "", wire, false
	}
	return cluster, name, true
}

func (v Vhost) check(s *State, op Op) error {
	if op == OpDelete {
		_, err := s.vhost(v.Ref())
		return err
	}
	c, err := s.cluster(v.Cluster)
	if err != nil {
		return err
	}
	if v.Name == "" || v.UID == 0 {
		return fmt.Errorf("%w: a vhost needs a name and a number", ErrInvalid)
	}
	if existing, ok := c.vhosts[v.Name]; ok && existing.UID != v.UID {
		return fmt.Errorf("%w: vhost %s has the number %d", ErrExists, v.Ref(), existing.UID)
	}
	return nil
}

func (v Vhost) put(s *State) []Change {
	s.raiseUID(v.UID)
	c := s.clusters[v.Cluster]
	if existing, ok := c.vhosts[v.Name]; ok {
		existing.Vhost = v
		return []Change{{Kind: VhostChanged, Cluster: v.Cluster, Vhost: v.Name}}
	}
	c.vhosts[v.Name] = &vhostState{
		Vhost:     v,
		exchanges: make(map[string]Exchange),
		queues:    make(map[string]Queue),
		bindings:  newBindingSet(),
		policies:  make(map[string]Policy),
		operators: make(map[string]Policy),
	}
	return []Change{{Kind: VhostCreated, Cluster: v.Cluster, Vhost: v.Name}}
}

func (v Vhost) remove(s *State) []Change {
	c := s.clusters[v.Cluster]
	delete(c.vhosts, v.Name)
	for _, role := range c.roles {
		role.forgetVhost(v.Name)
	}
	return []Change{{Kind: VhostDeleted, Cluster: v.Cluster, Vhost: v.Name}}
}

// VhostOptions is what may be chosen about a vhost.
type VhostOptions struct {
	Description      string
	Tags             []string
	DefaultQueueType string // "classic", "quorum", "stream"; empty: the broker's default.
	LenientRedeclare *bool  // Nil: on in a named cluster, off in the default one; as it was when the vhost exists.
}

// CreateVhost makes a vhost; when there is one of this name: [ErrExists].
//
// In a named cluster a name has 1 to 64 letters, digits or any of "._/-"; in the default cluster it
// is any UTF-8 of 1 to 255 bytes that does not read as "<cluster id>|<name>".
func (s *Store) CreateVhost(ref VhostRef, o VhostOptions) (Vhost, error) {
	var created Vhost
	err := s.mutate(func() (Record, error) {
		resolved := s.resolve(ref)
		if _, err := s.state.vhost(resolved); err == nil {
			return Record{}, fmt.Errorf("%w: cluster %s has a vhost %q; choose another name", ErrExists, resolved.Cluster, resolved.Name)
		}
		var err error
		created, err = s.newVhost(resolved, o)
		return Record{Op: OpPut, Subject: created}, err
	})
	if err != nil {
		return Vhost{}, err
	}
	return created, nil
}

// PutVhost makes a vhost, or gives the existing one these options, and says which of the two.
func (s *Store) PutVhost(ref VhostRef, o VhostOptions) (v Vhost, created bool, err error) {
	err = s.mutate(func() (Record, error) {
		existing, lookup := s.state.vhost(s.resolve(ref))
		if lookup != nil { // No such vhost; newVhost looks for the cluster.
			var planErr error
			v, planErr = s.newVhost(s.resolve(ref), o)
			created = true
			return Record{Op: OpPut, Subject: v}, planErr
		}
		if planErr := checkVhostOptions(o); planErr != nil {
			return Record{}, planErr
		}
		v = existing.Vhost
		v.Description, v.Tags, v.DefaultQueueType = o.Description, o.Tags, o.DefaultQueueType
		if o.LenientRedeclare != nil {
			v.LenientRedeclare = *o.LenientRedeclare
		}
		return putUnless(existing.Vhost, v)
	})
	if err != nil {
		return Vhost{}, false, err
	}
	return v, created, nil
}

// ProtectVhost says whether a vhost cannot be deleted.
func (s *Store) ProtectVhost(ref VhostRef, protected bool) error {
	return s.mutate(func() (Record, error) {
		existing, err := s.state.vhost(s.resolve(ref))
		if err != nil {
			return Record{}, err
		}
		changed := existing.Vhost
		changed.Protected = protected
		return putUnless(existing.Vhost, changed)
	})
}

// DeleteVhost deletes a vhost and everything in it: permissions, policies, exchanges, queues,
// bindings. One that is protected stays: [ErrProtected].
func (s *Store) DeleteVhost(ref VhostRef) error {
	return s.mutate(func() (Record, error) {
		resolved := s.resolve(ref)
		if existing, err := s.state.vhost(resolved); err == nil && existing.Protected {
			return Record{}, fmt.Errorf("%w: vhost '%s' is protected from deletion", ErrProtected, resolved.Name)
		}
		return Record{Op: OpDelete, Subject: Vhost{Cluster: resolved.Cluster, Name: resolved.Name}}, nil
	})
}

// Vhosts gives the vhosts of a cluster, ordered by name, or [ErrNotFound].
func (s *Store) Vhosts(cluster string) ([]Vhost, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.state.cluster(s.clusterID(cluster))
	if err != nil {
		return nil, err
	}
	list := make([]Vhost, 0, len(c.vhosts))
	for _, v := range values(c.vhosts) {
		list = append(list, v.Vhost)
	}
	return list, nil
}

// Vhost gives one vhost, or [ErrNotFound].
func (s *Store) Vhost(ref VhostRef) (Vhost, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return Vhost{}, err
	}
	return v.Vhost, nil
}

// NewVhost plans a vhost that does not exist. The cluster id is resolved.
func (s *Store) newVhost(ref VhostRef, o VhostOptions) (Vhost, error) {
	c, err := s.state.cluster(ref.Cluster)
	if err != nil {
		return Vhost{}, err
	}
	if err := checkVhostName(c.Default, ref.Name); err != nil {
		return Vhost{}, err
	}
	if err := checkVhostOptions(o); err != nil {
		return Vhost{}, err
	}
	if len(c.vhosts) >= MaxVhosts {
		return Vhost{}, fmt.Errorf("%w: cluster %s has %d vhosts, which is the limit; delete one first", ErrInvalid, c.ID, MaxVhosts)
	}
	lenient := !c.Default
	if o.LenientRedeclare != nil {
		lenient = *o.LenientRedeclare
	}
	return Vhost{
		Cluster:          ref.Cluster,
		Name:             ref.Name,
		UID:              s.NextUID(),
		Description:      o.Description,
		Tags:             o.Tags,
		DefaultQueueType: o.DefaultQueueType,
		LenientRedeclare: lenient,
		Created:          s.moment(),
	}, nil
}

func checkVhostName(inDefault bool, name string) error {
	if !inDefault {
		if name == "" || len(name) > MaxVhostName || !onlyNameBytes(name, "/") {
			return fmt.Errorf("%w: a vhost's name in a named cluster has 1 to %d letters, digits, '.', '_', '/' and '-', %.100q has not", ErrInvalid, MaxVhostName, name)
		}
		return nil
	}
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: a vhost's name has 1 to %d bytes of UTF-8, this one has %d bytes", ErrInvalid, MaxName, len(name))
	}
	if _, _, explicit := ParseVhost(name); explicit {
		return fmt.Errorf("%w: clients that send %q mean a vhost of that cluster; choose a name without a cluster id", ErrInvalid, name)
	}
	return nil
}

func checkVhostOptions(o VhostOptions) error {
	if err := checkText("description", o.Description, MaxDescription); err != nil {
		return err
	}
	if err := checkTags(o.Tags); err != nil {
		return err
	}
	switch o.DefaultQueueType {
	case "", "classic", "quorum", "stream":
		return nil
	}
	return fmt.Errorf("%w: the default queue type is classic, quorum, stream or empty, not %.80q", ErrInvalid, o.DefaultQueueType)
}
