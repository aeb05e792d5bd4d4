package broker

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
)

// PauseQueue stops the deliveries of a queue, or lets them go on: to consumers,
// and to basic.get. A durable queue stays so over restarts. It needs the right
// to configure the queue.
func (v *Vhost) PauseQueue(a *Actor, name string, on bool) *amqp.Error {
	if err := v.Check(a, auth.Configure, KindQueue, name); err != nil {
		return err
	}
	v.mu.Lock()
	q, then, err := v.pause(a, name, on)
	v.mu.Unlock()
	if err == nil {
		q.finish(then)
	}
	return err
}

// pause records it and does it; v.mu is held, so that both stay the same.
func (v *Vhost) pause(a *Actor, name string, on bool) (*Queue, after, *amqp.Error) {
	q, err := v.usable(a, name)
	if err != nil {
		return nil, after{}, err
	}
	if q.Durable {
		m := v.queueDefinition(q, q.waitingUID())
		m.Paused = on
		if err := v.opts.Definitions.PutQueue(m); err != nil {
			return nil, after{}, v.stored(err)
		}
	}
	q.mu.Lock()
	if !q.closed {
		q.state.Pause(on, &q.fx)
	}
	return q, q.release(), nil
}

// Paused reports whether the deliveries of the queue are stopped.
func (q *Queue) Paused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state.Paused()
}
