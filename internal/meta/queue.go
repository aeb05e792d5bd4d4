package meta

import (
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// Queue is a durable queue.
type Queue struct {
	Vhost      VhostRef   `json:"vhost"`
	Name       string     `json:"name"`
	UID        uint64     `json:"uid,omitempty"`     // From NextUID; its messages in the journal carry it.
	Waiting    uint64     `json:"waiting,omitempty"` // As UID, of what waits to be delivered again; 0: nothing ever did.
	Keys       uint64     `json:"keys,omitempty"`    // As UID, of what it has seen; 0: it does not remember.
	Paused     bool       `json:"paused,omitempty"`  // It delivers nothing.
	Durable    bool       `json:"durable,omitempty"` // Always, of what is stored.
	AutoDelete bool       `json:"auto_delete,omitempty"`
	Exclusive  bool       `json:"exclusive,omitempty"`
	Arguments  amqp.Table `json:"-"`
}

func (q Queue) check(s *State, op Op) error {
	v, err := s.vhost(q.Vhost)
	if err != nil {
		return err
	}
	existing, ok := v.queues[q.Name]
	if op == OpDelete {
		if !ok {
			return fmt.Errorf("%w: vhost %s has no durable queue %q", ErrNotFound, q.Vhost, q.Name)
		}
		return nil
	}
	if q.UID == 0 {
		return fmt.Errorf("%w: queue %q needs a number from NextUID", ErrInvalid, q.Name)
	}
	if ok && existing.UID != q.UID {
		return fmt.Errorf("%w: queue %q of vhost %s has the number %d; delete it first", ErrExists, q.Name, q.Vhost, existing.UID)
	}
	return nil
}

func (q Queue) put(s *State) []Change {
	s.raiseUID(max(q.UID, q.Waiting, q.Keys))
	v := s.clusters[q.Vhost.Cluster].vhosts[q.Vhost.Name]
	q.Vhost = v.Ref()
	v.queues[q.Name] = q
	return nil
}

func (q Queue) remove(s *State) []Change {
	v := s.clusters[q.Vhost.Cluster].vhosts[q.Vhost.Name]
	delete(v.queues, q.Name)
	v.bindings.removeDestination(ToQueue, q.Name)
	return nil
}

// PutQueue stores a durable queue under the number the broker gave it, or replaces the definition
// of the queue with this number. What may be redeclared how is the broker's to know.
func (s *Store) PutQueue(q Queue) error {
	if err := checkDefinition("queue", q.Name, q.Durable, q.Arguments); err != nil {
		return err
	}
	q.Vhost = s.resolve(q.Vhost)
	return s.mutateQueue(q.Vhost, q.Name, func(ahead int) (Record, error) {
		v, err := s.state.vhost(q.Vhost)
		if err != nil {
			return Record{}, err
		}
		existing, ok := v.queues[q.Name]
		if !ok && len(v.queues)+ahead >= MaxQueues {
			if ahead > 0 {
				return Record{}, errLater
			}
			return Record{}, fmt.Errorf("%w: vhost %s has %d durable queues, which is the limit; delete one first", ErrInvalid, q.Vhost, MaxQueues)
		}
		return putUnless(existing, q)
	})
}

// DeleteQueue deletes a durable queue and the durable bindings to it.
func (s *Store) DeleteQueue(ref VhostRef, name string) error {
	ref = s.resolve(ref)
	return s.mutateQueue(ref, name, func(int) (Record, error) {
		return Record{Op: OpDelete, Subject: Queue{Vhost: ref, Name: name}}, nil
	})
}

// Queues gives the durable queues of a vhost, ordered by name, or [ErrNotFound].
func (s *Store) Queues(ref VhostRef) ([]Queue, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.state.vhost(s.resolve(ref))
	if err != nil {
		return nil, err
	}
	return values(v.queues), nil
}
