package server

import (
	"context"
	"log/slog"
	"sync"

	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
	"github.com/warrenmq/warren/internal/session"
)

// later is what is to be done because the definitions changed. Doing it takes
// the broker's locks, which are held while definitions are written; so a
// goroutine of its own does it, in order.
type later struct {
	mu   sync.Mutex
	list []func()
	more chan struct{} // holds one token when list may not be empty
	over chan struct{} // closed when nothing is done any more
}

func newLater() *later { return &later{more: make(chan struct{}, 1), over: make(chan struct{})} }

func (l *later) add(f func()) {
	l.mu.Lock()
	l.list = append(l.list, f)
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *later) take() []func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// wait returns when all that was added before is done, or nothing is any more.
func (l *later) wait() {
	done := make(chan struct{})
	l.add(func() { close(done) })
	select {
	case <-done:
	case <-l.over:
	}
}

// run does what was added until ctx ends.
func (l *later) run(ctx context.Context) {
	defer close(l.over)
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.more:
			for _, f := range l.take() {
				f()
			}
		}
	}
}

// changed makes the node what a change of the definitions asks for. What must
// be seen at once (a vhost is there, or not any more) it does at once.
func (s *Server) changed(c meta.Change) {
	ref := meta.VhostRef{Cluster: c.Cluster, Name: c.Vhost}
	switch c.Kind {
	case meta.VhostCreated:
		s.open(ref)
	case meta.VhostDeleted:
		if v, ok := s.broker.RemoveVhost(ref); ok {
			s.later.add(func() {
				v.Clear()
				s.registry.CloseVhost(v)
			})
		}
	case meta.RoleChanged, meta.PermissionChanged:
		s.revoked.add(session.Role{Cluster: c.Cluster, Name: c.Role})
	case meta.PolicyChanged:
		s.later.add(func() { s.changePolicies(ref, c.Policy, c.Operator) })
	case meta.VhostChanged:
		if v, ok := s.broker.Vhost(ref); ok {
			if m, err := s.store.Vhost(ref); err == nil {
				v.Follow(m)
			}
		}
	case meta.ClusterCreated, meta.ClusterChanged, meta.ClusterDeleted:
	}
}

// open adds a vhost to the broker.
func (s *Server) open(ref meta.VhostRef) {
	v, err := s.store.Vhost(ref)
	if err != nil {
		return // deleted again
	}
	c, err := s.store.Cluster(ref.Cluster)
	if err != nil {
		s.opts.Logger.Error("vhost of a cluster that is not there", slog.String("vhost", ref.Name))
		return
	}
	s.broker.AddVhost(v, wireName(c, v))
}

// changePolicies lets the objects of a vhost follow a change of its policies.
func (s *Server) changePolicies(ref meta.VhostRef, name string, operator bool) {
	v, ok := s.broker.Vhost(ref)
	list, err := s.store.Policies(ref)
	if ok && err == nil { // else the vhost is gone
		v.ChangePolicies(plain(list), name, operator)
	}
}

// plain takes the vhost off policies.
func plain(list []meta.Policy) []policy.Policy {
	policies := make([]policy.Policy, 0, len(list))
	for i := range list {
		policies = append(policies, list[i].Policy)
	}
	return policies
}
