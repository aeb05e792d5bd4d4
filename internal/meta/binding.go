package meta

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// DestinationType says what a binding leads to.
type DestinationType string

// The types of destination, as RabbitMQ writes them.
const (
	ToQueue    DestinationType = "queue"
	ToExchange DestinationType = "exchange"
)

// Binding is a durable binding: from a durable exchange to a durable queue or exchange. All its
// fields together identify it.
type Binding struct {
	Vhost           VhostRef        `json:"vhost"`
	Source          string          `json:"source"`
	Destination     string          `json:"destination"`
	DestinationType DestinationType `json:"destination_type"`
	RoutingKey      string          `json:"-"` // Any bytes, UTF-8 or not.
	Arguments       amqp.Table      `json:"-"`
}

func (b Binding) check(s *State, op Op) error {
	v, err := s.vhost(b.Vhost)
	if err != nil {
		return err
	}
	if op == OpDelete {
		if !v.bindings.has(b) {
			return fmt.Errorf("%w: vhost %s has no such durable binding from %q to %s %q", ErrNotFound, b.Vhost, b.Source, b.DestinationType, b.Destination)
		}
		return nil
	}
	if !v.hasExchange(b.Source) {
		return fmt.Errorf("%w: vhost %s has no durable exchange %q to bind from", ErrNotFound, b.Vhost, b.Source)
	}
	switch b.DestinationType {
	case ToQueue:
		if _, ok := v.queues[b.Destination]; ok {
			return nil
		}
	case ToExchange:
		if v.hasExchange(b.Destination) {
			return nil
		}
	default:
		return fmt.Errorf("%w: a binding leads to a queue or an exchange, not to %.80q", ErrInvalid, b.DestinationType)
	}
	return fmt.Errorf("%w: vhost %s has no durable %s %q to bind to", ErrNotFound, b.Vhost, b.DestinationType, b.Destination)
}

// HasExchange knows the exchanges that every vhost is born with and that nobody stores: all of
// them, and no others, are called "amq.…".
func (v *vhostState) hasExchange(name string) bool {
	if strings.HasPrefix(name, "amq.") {
		return true
	}
	_, ok := v.exchanges[name]
	return ok
}

func (b Binding) put(s *State) []Change {
	v := s.clusters[b.Vhost.Cluster].vhosts[b.Vhost.Name]
	b.Vhost = v.Ref()
	v.bindings.add(b)
	return nil
}

func (b Binding) remove(s *State) []Change {
	s.clusters[b.Vhost.Cluster].vhosts[b.Vhost.Name].bindings.remove(b)
	return nil
}

// PutBinding stores a durable binding; one that is stored already stays as it is.
func (s *Store) PutBinding(b Binding) error {
	if len(b.RoutingKey) > MaxName {
		return fmt.Errorf("%w: a routing key has at most %d bytes, this one has %d", ErrInvalid, MaxName, len(b.RoutingKey))
	}
	if err := checkArguments(b.Arguments); err != nil {
		return err
	}
	return s.mutate(func() (Record, error) {
		b.Vhost = s.resolve(b.Vhost)
		v, err := s.state.vhost(b.Vhost)
		if err != nil {
			return Record{}, err
		}
		if v.bindings.has(b) {
			return Record{}, errUnchanged
		}
		if len(v.bindings.all) >= MaxBindings {
			return Record{}, fmt.Errorf("%w: vhost %s has %d durable bindings, which is the limit; delete one first", ErrInvalid, b.Vhost, MaxBindings)
		}
		return Record{Op: OpPut, Subject: b}, nil
	})
}

// DeleteBinding deletes a durable binding.
func (s *Store) DeleteBinding(b Binding) error {
	return s.mutate(func() (Record, error) {
		b.Vhost = s.resolve(b.Vhost)
		return Record{Op: OpDelete, Subject: b}, nil
	})
}

// Bindings gives the durable bindings of a vhost, ordered by source, destination type, destination,
// routing key and arguments, or [ErrNotFound].
func (s *Store) Bindings(ref VhostRef) ([]Binding, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return nil, err
	}
	return v.bindings.sorted(), nil
}

// BindingSet is the bindings of a vhost, indexed by both ends, so that deleting a queue costs what
// its own bindings do.
type bindingSet struct {
	all           map[bindingKey]Binding
	bySource      map[string]map[bindingKey]struct{}
	byDestination map[endpoint]map[bindingKey]struct{}
}

type bindingKey struct {
	source     string
	to         endpoint
	routingKey string
	arguments  string // Encoded.
}

type endpoint struct {
	kind DestinationType
	name string
}

func newBindingSet() bindingSet {
	return bindingSet{
		all:           make(map[bindingKey]Binding),
		bySource:      make(map[string]map[bindingKey]struct{}),
		byDestination: make(map[endpoint]map[bindingKey]struct{}),
	}
}

func keyOf(b Binding) bindingKey {
	return bindingKey{
		source:     b.Source,
		to:         endpoint{kind: b.DestinationType, name: b.Destination},
		routingKey: b.RoutingKey,
		arguments:  string(encodeArguments(b.Arguments)),
	}
}

func (s *bindingSet) has(b Binding) bool {
	_, ok := s.all[keyOf(b)]
	return ok
}

func (s *bindingSet) add(b Binding) {
	key := keyOf(b)
	s.all[key] = b
	index(s.bySource, key.source, key)
	index(s.byDestination, key.to, key)
}

func (s *bindingSet) remove(b Binding) { s.removeKey(keyOf(b)) }

func (s *bindingSet) removeSource(exchange string) {
	for key := range s.bySource[exchange] {
		s.removeKey(key)
	}
}

func (s *bindingSet) removeDestination(kind DestinationType, name string) {
	for key := range s.byDestination[endpoint{kind: kind, name: name}] {
		s.removeKey(key)
	}
}

func (s *bindingSet) removeKey(key bindingKey) {
	delete(s.all, key)
	unindex(s.bySource, key.source, key)
	unindex(s.byDestination, key.to, key)
}

func (s *bindingSet) sorted() []Binding {
	keys := make([]bindingKey, 0, len(s.all))
	for key := range s.all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b bindingKey) int {
		return cmp.Or(
			strings.Compare(a.source, b.source),
			strings.Compare(string(a.to.kind), string(b.to.kind)),
			strings.Compare(a.to.name, b.to.name),
			strings.Compare(a.routingKey, b.routingKey),
			strings.Compare(a.arguments, b.arguments),
		)
	})
	list := make([]Binding, 0, len(keys))
	for _, key := range keys {
		list = append(list, s.all[key])
	}
	return list
}

func index[K comparable](m map[K]map[bindingKey]struct{}, k K, key bindingKey) {
	if m[k] == nil {
		m[k] = make(map[bindingKey]struct{}, 1)
	}
	m[k][key] = struct{}{}
}

func unindex[K comparable](m map[K]map[bindingKey]struct{}, k K, key bindingKey) {
	delete(m[k], key)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}
