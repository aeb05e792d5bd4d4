package broker

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/route"
)

// Binding is one binding of an exchange. Its identity is all of its fields.
type Binding struct {
	Source          string
	Destination     string
	DestinationKind Kind
	Key             string
	Arguments       amqp.Table
}

// endpoint is one side of a binding.
type endpoint struct {
	kind Kind
	name string
}

// entry is a binding that is in force.
type entry struct {
	Binding
	dest    Destination
	durable bool // recorded in the definitions
}

// bindings indexes the bindings of a vhost by both ends, so that deleting a
// queue or an exchange finds its own. Guarded by Vhost.mu.
type bindings struct {
	bySource map[string]map[string]*entry // by exchange, then by identity
	byDest   map[endpoint]map[string]*entry
}

// identity is a binding's key in the index. Names and keys may have any bytes, so
// that each zero of theirs is marked as none of those that part them.
func (b *Binding) identity() string {
	id := make([]byte, 0, 64)
	for _, s := range []string{b.Source, string(b.DestinationKind), b.Destination, b.Key} {
		if strings.IndexByte(s, 0) >= 0 {
			s = strings.ReplaceAll(s, "\x00", "\x00\xff")
		}
		id = append(append(id, s...), 0, 1)
	}
	return string(amqp.AppendTable(id, b.Arguments))
}

func (i *bindings) get(b *Binding) *entry { return i.bySource[b.Source][b.identity()] }

func (i *bindings) add(e *entry) {
	if i.bySource == nil {
		i.bySource, i.byDest = map[string]map[string]*entry{}, map[endpoint]map[string]*entry{}
	}
	id, to := e.identity(), endpoint{e.DestinationKind, e.Destination}
	if i.bySource[e.Source] == nil {
		i.bySource[e.Source] = map[string]*entry{}
	}
	if i.byDest[to] == nil {
		i.byDest[to] = map[string]*entry{}
	}
	i.bySource[e.Source][id], i.byDest[to][id] = e, e
}

func (i *bindings) remove(e *entry) {
	id, to := e.identity(), endpoint{e.DestinationKind, e.Destination}
	if delete(i.bySource[e.Source], id); len(i.bySource[e.Source]) == 0 {
		delete(i.bySource, e.Source)
	}
	if delete(i.byDest[to], id); len(i.byDest[to]) == 0 {
		delete(i.byDest, to)
	}
}

// from counts the bindings whose source is the exchange.
func (i *bindings) from(exchange string) int { return len(i.bySource[exchange]) }

func (i *bindings) source(exchange string) []*entry { return values(i.bySource[exchange]) }

func (i *bindings) destination(e endpoint) []*entry { return values(i.byDest[e]) }

func values(m map[string]*entry) []*entry {
	list := make([]*entry, 0, len(m))
	for _, e := range m {
		list = append(list, e)
	}
	return list
}

// Bindings returns all bindings in an order that does not change by itself.
// The implicit ones of the default exchange are not among them.
func (v *Vhost) Bindings() []Binding {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []Binding
	for _, m := range v.bindings.bySource {
		for _, e := range m {
			list = append(list, e.Binding)
		}
	}
	slices.SortFunc(list, func(a, b Binding) int {
		switch x, y := a.identity(), b.identity(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return list
}

// Bind adds a binding (queue.bind §1.7.2.3, exchange.bind). One that is there
// already is no error.
func (v *Vhost) Bind(a *Actor, b Binding) *amqp.Error {
	if err := v.checkEnds(a, &b); err != nil {
		return err
	}
	kept, dest, err := v.bind(a, &b)
	if err == nil {
		v.replay(kept, dest)
	}
	return err
}

// bind is Bind up to what a recent history exchange does then.
func (v *Vhost) bind(a *Actor, b *Binding) (kept []keptImage, dest Destination, err *amqp.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b.DestinationKind == KindQueue {
		v.settled(b.Destination)
	}
	if v.closed {
		return nil, dest, v.gone()
	}
	x, ok := v.Exchange(b.Source)
	if !ok {
		return nil, dest, v.notFound(KindExchange, b.Source)
	}
	dest, durable, err := v.bindTarget(a, b)
	if err != nil || v.bindings.get(b) != nil {
		return nil, dest, err
	}
	if err := v.checkBinding(x, b); err != nil {
		return nil, dest, err
	}
	e := &entry{Binding: *b, dest: dest, durable: durable && x.Durable}
	if e.durable {
		if err := v.opts.Definitions.PutBinding(v.binding(b)); err != nil {
			return nil, dest, v.stored(err)
		}
	}
	if x.history != nil {
		kept, _ = x.history.list() // what is published from here on is not among it
	}
	v.enter(e)
	return kept, dest, nil
}

// checkBinding checks what exchange x demands of a new binding.
func (v *Vhost) checkBinding(x *Exchange, b *Binding) *amqp.Error {
	if err := route.Check(x.kind, b.Key, b.Arguments); err != nil {
		return asError(err)
	}
	if x.kind == route.LocalRandom && b.DestinationKind == KindExchange {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "Destination not found")
	}
	if x.chooses && x.routes.Len() >= route.MaxChoices {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s has %d bindings, which is the limit of type '%s'",
			v.resource(KindExchange, x.Name), route.MaxChoices, x.Type)
	}
	return nil
}

// route is the binding as the exchange's table has it.
func (e *entry) route() route.Binding[Destination] {
	return route.Binding[Destination]{
		Key: e.Key, Args: e.Arguments, Dest: e.dest, Name: string(e.DestinationKind) + " " + e.Destination,
	}
}

// enter puts a binding in force; v.mu is held.
func (v *Vhost) enter(e *entry) {
	v.bindings.add(e)
	v.change(func(t *topology) {
		x, _ := t.exchanges.Get(e.Source)
		next := *x
		next.routes = x.routes.Bind(e.route())
		t.exchanges = t.exchanges.Set(x.Name, &next)
	})
}

// RestoreBinding enters a binding that the definitions already hold. One that
// names what is not there is passed over.
func (v *Vhost) RestoreBinding(m meta.Binding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := Binding{
		Source: m.Source, Destination: m.Destination, DestinationKind: Kind(m.DestinationType),
		Key: m.RoutingKey, Arguments: m.Arguments,
	}
	dest, _, err := v.bindTarget(nil, &b)
	if _, ok := v.Exchange(b.Source); ok && err == nil {
		v.enter(&entry{Binding: b, dest: dest, durable: true})
	}
}

// Unbind removes a binding. Removing what is not there is no error.
func (v *Vhost) Unbind(a *Actor, b Binding) *amqp.Error {
	if err := v.checkEnds(a, &b); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if b.DestinationKind == KindQueue {
		v.settled(b.Destination)
	}
	e := v.bindings.get(&b)
	if e == nil {
		return nil
	}
	if _, _, err := v.bindTarget(a, &b); err != nil && err.Code == amqp.CodeResourceLocked {
		return err
	}
	if e.durable {
		if err := v.opts.Definitions.DeleteBinding(v.binding(&b)); err != nil {
			return v.stored(err)
		}
	}
	v.forgetBindings([]*entry{e})
	return nil
}

// forgetBindings takes bindings out of force and deletes the auto-delete
// exchanges that have lost their last one; v.mu is held.
func (v *Vhost) forgetBindings(gone []*entry) {
	for _, e := range gone {
		v.bindings.remove(e)
	}
	v.change(func(t *topology) {
		for _, e := range gone {
			if x, ok := t.exchanges.Get(e.Source); ok {
				next := *x
				next.routes = x.routes.Unbind(e.route())
				t.exchanges = t.exchanges.Set(x.Name, &next)
			}
		}
	})
	for _, e := range gone {
		if x, ok := v.Exchange(e.Source); ok && x.AutoDelete && v.bindings.from(x.Name) == 0 {
			_ = v.removeExchange(x) // a definition that stays comes back at the next start
		}
	}
}

// checkEnds checks the names and rights of a binding: write on the
// destination, read on the source.
func (v *Vhost) checkEnds(a *Actor, b *Binding) *amqp.Error {
	b.Source, b.Destination = cleanName(b.Source), cleanName(b.Destination)
	if b.DestinationKind == KindQueue && isReplyTo(b.Destination) {
		return errVolatile()
	}
	if err := v.checkBind(a, auth.Write, b.DestinationKind, b.Destination); err != nil {
		return err
	}
	if b.Source == "" || b.Destination == "" && b.DestinationKind == KindExchange {
		return errDefaultExchange()
	}
	if err := v.checkBind(a, auth.Read, KindExchange, b.Source); err != nil {
		return err
	}
	return v.CheckTopic(a, auth.Read, b.Source, b.Key)
}

// bindTarget finds a binding's destination; a nil actor may use all.
func (v *Vhost) bindTarget(a *Actor, b *Binding) (d Destination, durable bool, err *amqp.Error) {
	if b.DestinationKind == KindExchange {
		x, ok := v.Exchange(b.Destination)
		if !ok {
			return d, false, v.notFound(KindExchange, b.Destination)
		}
		return Destination{exchange: x.Name}, x.Durable, nil
	}
	q, ok := v.Queue(b.Destination)
	if !ok {
		return d, false, v.notFound(KindQueue, b.Destination)
	}
	if a != nil {
		if err := v.checkOwner(a, q); err != nil {
			return d, false, err
		}
	}
	return Destination{queue: q}, q.Durable, nil
}

func (v *Vhost) binding(b *Binding) meta.Binding {
	return meta.Binding{
		Vhost: v.ref, Source: b.Source, Destination: b.Destination,
		DestinationType: meta.DestinationType(b.DestinationKind), RoutingKey: b.Key, Arguments: b.Arguments,
	}
}
