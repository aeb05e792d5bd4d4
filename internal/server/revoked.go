package server

import (
	"context"
	"sync"

	"github.com/warrenmq/warren/internal/session"
)

// revoked are the roles whose connections have to be looked at, since what they
// may do has changed. It waits for nothing else, such as policies that a tenant
// changes for very many queues, and looks at all connections once for however
// many roles have changed meanwhile.
type revoked struct {
	mu    sync.Mutex
	roles map[session.Role]bool
	more  chan struct{} // holds one token when there may be some
}

func newRevoked() *revoked {
	return &revoked{roles: map[session.Role]bool{}, more: make(chan struct{}, 1)}
}

func (r *revoked) add(role session.Role) {
	r.mu.Lock()
	r.roles[role] = true
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *revoked) take() map[session.Role]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	roles := r.roles
	r.roles = map[session.Role]bool{}
	return roles
}

// run has connections looked at until ctx ends.
func (r *revoked) run(ctx context.Context, registry *session.Registry) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.more:
			registry.Revalidate(r.take())
		}
	}
}
