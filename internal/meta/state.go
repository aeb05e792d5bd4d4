package meta

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// State is all definitions at one place in the log. It is a pure state machine, not safe for
// concurrent use; make it with [NewState].
type State struct {
	clusters       map[string]*clusterState // By id.
	defaultCluster string                   // Id; empty before it was put.
	parameters     map[string]Parameter     // Global, by name.
	lastUID        uint64                   // Highest number that any record has shown.
	applied        uint64                   // Number of records applied.
}

type clusterState struct {
	Cluster
	vhosts map[string]*vhostState
	roles  map[string]*roleState
}

type vhostState struct {
	Vhost
	exchanges map[string]Exchange
	queues    map[string]Queue
	bindings  bindingSet
	policies  map[string]Policy
	operators map[string]Policy // operator policies
}

type roleState struct {
	Role
	version     uint64                // Value of State.applied when the role was last put.
	permissions map[string]Permission // By vhost name.
	topics      map[topicKey]TopicPermission
}

// NewState gives the state before the first record.
func NewState() *State {
	return &State{clusters: make(map[string]*clusterState), parameters: make(map[string]Parameter)}
}

// Apply takes one step and says what has changed. When it fails nothing has changed, and whoever
// replays a log must stop: the log and this code do not agree.
func (s *State) Apply(r Record) ([]Change, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	s.applied++
	switch r.Op {
	case OpPut:
		return r.Subject.put(s), nil
	case OpDelete:
		return r.Subject.remove(s), nil
	}
	return nil, nil // Check refuses any other operation.
}

// Check says why r cannot be applied.
func (s *State) check(r Record) error {
	if r.Op != OpPut && r.Op != OpDelete {
		return fmt.Errorf("%w: operation %q is not known", ErrInvalid, r.Op)
	}
	if r.Subject == nil {
		return fmt.Errorf("%w: a record needs a subject", ErrInvalid)
	}
	return r.Subject.check(s, r.Op)
}

// ApplyLines decodes and applies what one append has put into the log.
func (s *State) applyLines(record []byte) error {
	for text := range bytes.Lines(record) {
		r, err := DecodeRecord(bytes.TrimSuffix(text, []byte("\n")))
		if err != nil {
			return err
		}
		if _, err := s.Apply(r); err != nil {
			return err
		}
	}
	return nil
}

// Records yields the shortest log that leads to this state, in an order that depends on nothing but
// the state: two states are equal when their records are.
func (s *State) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if s.lastUID > 0 && !yield(Record{Op: OpPut, Subject: Reservation{UID: s.lastUID}}) {
			return
		}
		if !yieldSorted(yield, s.parameters) {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(s.clusters)) {
			if !s.clusters[id].records(yield) {
				return
			}
		}
	}
}

func (c *clusterState) records(yield func(Record) bool) bool {
	if !yield(Record{Op: OpPut, Subject: c.Cluster}) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(c.vhosts)) {
		if !c.vhosts[name].records(yield) {
			return false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.roles)) {
		role := c.roles[name]
		if !yield(Record{Op: OpPut, Subject: role.Role}) || !yieldSorted(yield, role.permissions) {
			return false
		}
		for _, t := range role.topicsSorted() {
			if !yield(Record{Op: OpPut, Subject: t}) {
				return false
			}
		}
	}
	return true
}

func (v *vhostState) records(yield func(Record) bool) bool {
	if !yield(Record{Op: OpPut, Subject: v.Vhost}) || !yieldSorted(yield, v.exchanges) || !yieldSorted(yield, v.queues) {
		return false
	}
	if !yieldSorted(yield, v.policies) || !yieldSorted(yield, v.operators) {
		return false
	}
	for _, b := range v.bindings.sorted() {
		if !yield(Record{Op: OpPut, Subject: b}) {
			return false
		}
	}
	return true
}

// YieldSorted yields the values of m as records, in the order of their keys.
func yieldSorted[T Subject](yield func(Record) bool, m map[string]T) bool {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !yield(Record{Op: OpPut, Subject: m[key]}) {
			return false
		}
	}
	return true
}

// Values gives the values of m in the order of their keys.
func values[T any](m map[string]T) []T {
	list := make([]T, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[key])
	}
	return list
}

func (s *State) cluster(id string) (*clusterState, error) {
	c, ok := s.clusters[id]
	if !ok {
		return nil, fmt.Errorf("%w: no cluster has the id %q; create one and use the id it was given", ErrNotFound, id)
	}
	return c, nil
}

func (s *State) vhost(ref VhostRef) (*vhostState, error) {
	c, err := s.cluster(ref.Cluster)
	if err != nil {
		return nil, err
	}
	v, ok := c.vhosts[ref.Name]
	if !ok {
		return nil, fmt.Errorf("%w: cluster %s has no vhost %q; create it first", ErrNotFound, ref.Cluster, ref.Name)
	}
	return v, nil
}

func (s *State) role(cluster, name string) (*roleState, error) {
	c, err := s.cluster(cluster)
	if err != nil {
		return nil, err
	}
	r, ok := c.roles[name]
	if !ok {
		return nil, fmt.Errorf("%w: cluster %s has no role or user %q; create it first", ErrNotFound, cluster, name)
	}
	return r, nil
}

func (s *State) raiseUID(uid uint64) { s.lastUID = max(s.lastUID, uid) }
