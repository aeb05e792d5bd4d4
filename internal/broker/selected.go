package broker

import (
	"slices"
	"strconv"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/route"
)

// selectedKeys returns the further routing keys that a CC or BCC header names
// (RabbitMQ's sender-selected distribution). The error is the channel's.
func selectedKeys(headers amqp.Table, name string) ([][]byte, *amqp.Error) {
	v, ok := headers.Get(name)
	if !ok {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid message: {unacceptable_type_in_header,%s,%s}",
			strconv.Quote(name), amqp.TypeName(v))
	}
	var keys [][]byte
	for _, k := range list { // RabbitMQ passes over what is no string
		if s, ok := k.(string); ok && len(s) <= route.MaxKey {
			keys = append(keys, []byte(s))
		}
	}
	return keys, nil
}

// Select adds the keys of the CC and BCC headers to those that the message is
// routed by, and takes BCC out of its properties.
func (m *Message) Select(p *amqp.Properties) *amqp.Error {
	for _, name := range []string{"CC", "BCC"} {
		keys, err := selectedKeys(p.Headers, name)
		if err != nil {
			return err
		}
		m.Extra, m.Blind = append(m.Extra, keys...), len(keys) // of the last: BCC
	}
	if _, ok := p.Headers.Get("BCC"); !ok {
		return nil
	}
	p.Headers = slices.DeleteFunc(slices.Clone(p.Headers), func(f amqp.Field) bool { return f.Key == "BCC" })
	if len(p.Headers) == 0 {
		p.Flags &^= amqp.FlagHeaders
	}
	return nil
}
