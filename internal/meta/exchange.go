package meta

import (
	"fmt"
	"unicode/utf8"

	"github.com/warrenmq/warren/amqp"
)

// Exchange is a durable exchange.
type Exchange struct {
	Vhost      VhostRef   `json:"vhost"`
	Name       string     `json:"name"`
	Type       string     `json:"type,omitempty"`
	Durable    bool       `json:"durable,omitempty"` // Always, of what is stored.
	AutoDelete bool       `json:"auto_delete,omitempty"`
	Internal   bool       `json:"internal,omitempty"`
	UID        uint64     `json:"uid,omitempty"`  // From NextUID, of an exchange that keeps messages: the journal knows them by it.
	Keys       uint64     `json:"keys,omitempty"` // As UID, of what it has seen; 0: it does not remember.
	Arguments  amqp.Table `json:"-"`
}

func (e Exchange) check(s *State, op Op) error {
	v, err := s.vhost(e.Vhost)
	if err != nil {
		return err
	}
	if _, ok := v.exchanges[e.Name]; !ok && op == OpDelete {
		return fmt.Errorf("%w: vhost %s has no durable exchange %q", ErrNotFound, e.Vhost, e.Name)
	}
	return nil
}

func (e Exchange) put(s *State) []Change {
	s.raiseUID(max(e.UID, e.Keys))
	v := s.clusters[e.Vhost.Cluster].vhosts[e.Vhost.Name]
	e.Vhost = v.Ref()
	v.exchanges[e.Name] = e
	return nil
}

func (e Exchange) remove(s *State) []Change {
	v := s.clusters[e.Vhost.Cluster].vhosts[e.Vhost.Name]
	delete(v.exchanges, e.Name)
	v.bindings.removeSource(e.Name)
	v.bindings.removeDestination(ToExchange, e.Name)
	return nil
}

// PutExchange stores a durable exchange, or replaces its definition. What may be redeclared how is
// the broker's to know.
func (s *Store) PutExchange(e Exchange) error {
	if err := checkDefinition("exchange", e.Name, e.Durable, e.Arguments); err != nil {
		return err
	}
	if e.Type == "" || len(e.Type) > MaxName || !utf8.ValidString(e.Type) {
		return fmt.Errorf("%w: exchange %q needs a type of 1 to %d bytes of UTF-8", ErrInvalid, e.Name, MaxName)
	}
	return s.mutate(func() (Record, error) {
		e.Vhost = s.resolve(e.Vhost)
		v, err := s.state.vhost(e.Vhost)
		if err != nil {
			return Record{}, err
		}
		existing, ok := v.exchanges[e.Name]
		if !ok && len(v.exchanges) >= MaxExchanges {
			return Record{}, fmt.Errorf("%w: vhost %s has %d durable exchanges, which is the limit; delete one first", ErrInvalid, e.Vhost, MaxExchanges)
		}
		return putUnless(existing, e)
	})
}

// DeleteExchange deletes a durable exchange and the durable bindings from and to it.
func (s *Store) DeleteExchange(ref VhostRef, name string) error {
	return s.mutate(func() (Record, error) {
		return Record{Op: OpDelete, Subject: Exchange{Vhost: s.resolve(ref), Name: name}}, nil
	})
}

// Exchanges gives the durable exchanges of a vhost, ordered by name, or [ErrNotFound].
func (s *Store) Exchanges(ref VhostRef) ([]Exchange, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return nil, err
	}
	return values(v.exchanges), nil
}

// CheckDefinition checks what exchanges and queues have in common.
func checkDefinition(what, name string, durable bool, arguments amqp.Table) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: the name of a stored %s has 1 to %d bytes of UTF-8, %.300q has not", ErrInvalid, what, MaxName, name)
	}
	if !durable {
		return fmt.Errorf("%w: only durable definitions are stored, %s %q is not durable", ErrInvalid, what, name)
	}
	return checkArguments(arguments)
}

func checkArguments(t amqp.Table) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("%w: arguments: %w", ErrInvalid, err)
	}
	if n := len(encodeArguments(t)); n > MaxArguments {
		return fmt.Errorf("%w: the arguments take %d bytes, the limit is %d", ErrInvalid, n, MaxArguments)
	}
	return nil
}
