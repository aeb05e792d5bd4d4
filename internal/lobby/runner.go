package lobby

import "iter"

// event is why a coroutine stopped.
type event int

const (
	waits event = iota // for its client
	long               // it goes on at once, for longer than the room may be kept
	done               // its handler has returned
)

// runner is a coroutine that runs the handler for one connection after another.
type runner struct {
	conn  *Conn
	rest  func() // what the handler returned
	yield func(event) bool
	next  func() (event, bool)
	stop  func()
}

func newRunner(handle Handler) *runner {
	k := &runner{}
	k.next, k.stop = iter.Pull(func(yield func(event) bool) {
		k.yield = yield
		for {
			k.rest = handle(k.conn)
			if !yield(done) {
				return
			}
		}
	})
	return k
}
