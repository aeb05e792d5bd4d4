package route

// A fanout exchange delivers to every destination once, whatever the keys (AMQP 0-9-1, section
// 3.1.3.2).
type fanout[D comparable] struct {
	to destinations[D]
}

func (x *fanout[D]) add(id identity[D]) exchange[D] {
	return &fanout[D]{to: x.to.add(id.dest)}
}

func (x *fanout[D]) remove(id identity[D]) exchange[D] {
	return &fanout[D]{to: x.to.remove(id.dest)}
}

func (x *fanout[D]) match(_ Message, dst []D) []D { return x.to.appendTo(dst) }
