package mgmt

import (
	"net/http"
	"sync"
)

// What the requests of one cluster take at a time: tenants share the memory of
// the node.
const (
	// maxRequests is how many requests there are.
	maxRequests = 256
	// maxLarge is how many bytes the bodies of those have that are larger than
	// maxBody, and the messages that are answered. One that is alone may be larger.
	maxLarge = 64 << 20
)

// shares are what requests take, by cluster. One without requests has none.
type shares struct {
	mu sync.Mutex
	of map[string]*share // guarded by mu, and what is in it
}

type share struct {
	requests int
	large    int64 // bytes
}

// enter counts a request of a cluster; false: there are too many.
func (s *shares) enter(cluster string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]*share{}
	}
	of := s.of[cluster]
	if of == nil {
		of = &share{}
		s.of[cluster] = of
	}
	if of.requests >= maxRequests {
		return false
	}
	of.requests++
	return true
}

// leave is for a request that is over, and gives back what it took.
func (s *shares) leave(cluster string, large int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of[cluster]
	of.requests--
	of.large -= large
	if of.requests == 0 {
		delete(s.of, cluster)
	}
}

// take gives n bytes to a request that has had bytes before; false: others of
// its cluster have too many.
func (s *shares) take(cluster string, had, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of[cluster]
	if of.large > had && of.large+n > maxLarge {
		return false
	}
	of.large += n
	return true
}

// take takes n bytes until the request is over. The owner of the node has as
// many as there are.
func (c *call) take(n int64) error {
	if c.owner {
		return nil
	}
	if !c.api.shares.take(c.identity.Cluster, c.large, n) {
		return errBusy("large requests of the cluster take %d MiB of memory at a time", maxLarge>>20)
	}
	c.large += n
	return nil
}

func errBusy(format string, a ...any) error {
	e := asStatus(errBad(format, a...))
	e.status, e.word = http.StatusTooManyRequests, "too_many_requests"
	return e
}
