package route

import "github.com/warrenmq/warren/internal/pmap"

// A direct exchange delivers to the bindings whose key equals the routing key (AMQP 0-9-1,
// section 3.1.3.1).
type direct[D comparable] struct {
	keys pmap.Map[string, destinations[D]]
}

func (x *direct[D]) add(id identity[D]) exchange[D] {
	to, _ := x.keys.Get(id.key)
	return &direct[D]{keys: x.keys.Set(id.key, to.add(id.dest))}
}

func (x *direct[D]) remove(id identity[D]) exchange[D] {
	to, _ := x.keys.Get(id.key)
	if to = to.remove(id.dest); to.empty() {
		return &direct[D]{keys: x.keys.Delete(id.key)}
	}
	return &direct[D]{keys: x.keys.Set(id.key, to)}
}

func (x *direct[D]) match(m Message, dst []D) []D {
	to, _ := pmap.GetBytes(x.keys, m.Key)
	return to.appendTo(dst)
}
