package meta

import (
	"slices"
	"sync"
)

// ChangeKind says what a [Change] is about.
type ChangeKind uint8

// The kinds of change. When something goes, a change is told for every vhost and role that goes
// with it, before its own. Exchanges, queues and bindings are the broker's own doing and not told.
const (
	ClusterCreated    ChangeKind = iota + 1 // Cluster.
	ClusterChanged                          // Cluster: its name or remark.
	ClusterDeleted                          // Cluster, after all that was in it.
	VhostCreated                            // Cluster, Vhost.
	VhostChanged                            // Cluster, Vhost: its description, tags, defaults or limits.
	VhostDeleted                            // Cluster, Vhost; its permissions, policies, exchanges, queues and bindings are gone too.
	RoleChanged                             // Cluster, Role: made, changed, disabled, key reset, or deleted with its permissions. Ask Stale.
	PermissionChanged                       // Cluster, Vhost, Role: set or cleared. Ask Rights.
	PolicyChanged                           // Cluster, Vhost, Policy, Operator: a policy was set or cleared. Ask Policies.
)

// Change is one thing that happened to the definitions. Fields that the kind does not name are
// empty.
type Change struct {
	Kind    ChangeKind
	Cluster string // Id.
	Vhost   string // Name inside the cluster.
	Role    string
	// Policy is the name of a policy; Operator says that it is an operator policy.
	Policy   string
	Operator bool
}

// Watchers is the list of who is told. It has its own lock, because watching and cancelling is
// allowed inside a watcher.
type watchers struct {
	mu   sync.Mutex
	list []*watcher // Replaced, never changed in place.
}

type watcher struct{ tell func(Change) }

// Add puts f at the end of the list.
func (w *watchers) add(f func(Change)) (cancel func()) {
	added := &watcher{tell: f}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(slices.Clip(w.list), added)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list = slices.DeleteFunc(slices.Clone(w.list), func(other *watcher) bool { return other == added })
	}
}

func (w *watchers) tell(changes []Change) {
	if len(changes) == 0 {
		return
	}
	w.mu.Lock()
	list := w.list
	w.mu.Unlock()
	for _, change := range changes {
		for _, each := range list {
			each.tell(change)
		}
	}
}
