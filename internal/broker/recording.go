package broker

import (
	"sync"

	"github.com/warrenmq/warren/amqp"
)

// recording are the durable queues whose definitions are being written, without
// Vhost.mu: those of several clients become durable together. Nobody else
// changes such a queue's definition or bindings meanwhile. A queue that is to
// be made is not there yet, one that is to be deleted still is.
type recording struct {
	names map[string]struct{}
	adds  int       // how many are to be made
	over  sync.Cond // one of them is written
}

// settled waits until the definition of a queue is not being written; v.mu is
// held, and was not meanwhile.
func (v *Vhost) settled(queue string) {
	for {
		if _, ok := v.recording.names[queue]; !ok {
			return
		}
		v.recording.over.Wait()
	}
}

// write calls f, which writes the definition of a queue, without v.mu, which is
// held before and after.
func (v *Vhost) write(queue string, f func() error) *amqp.Error {
	if v.recording.names == nil {
		v.recording.names = map[string]struct{}{}
	}
	v.recording.names[queue] = struct{}{}
	v.mu.Unlock()
	err := f()
	v.mu.Lock()
	delete(v.recording.names, queue)
	v.recording.over.Broadcast()
	return v.stored(err)
}

// removeQueue takes q and its bindings out of the topology; v.mu is held, and
// is not while that of a durable queue is recorded.
func (v *Vhost) removeQueue(q *Queue) *amqp.Error {
	if q.Durable {
		if err := v.write(q.Name, func() error { return v.opts.Definitions.DeleteQueue(v.ref, q.Name) }); err != nil {
			return err
		}
	}
	v.change(func(t *topology) { t.queues = t.queues.Delete(q.Name) })
	v.counts.QueuesDeleted.Add(1)
	v.forgetBindings(v.bindings.destination(endpoint{KindQueue, q.Name}))
	return nil
}

// DropQueue deletes q if it is still there, for its connection's end or its
// last consumer's.
func (v *Vhost) DropQueue(q *Queue) {
	v.mu.Lock()
	v.settled(q.Name)
	now, ok := v.Queue(q.Name)
	if !ok || now != q || v.removeQueue(q) != nil {
		v.mu.Unlock()
		return
	}
	v.mu.Unlock()
	q.close()
}
