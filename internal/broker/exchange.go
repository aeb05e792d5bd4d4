package broker

import (
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
	"github.com/warrenmq/warren/internal/route"
)

// argAlternate names the exchange that gets what an exchange cannot route.
const argAlternate = "alternate-exchange"

// Exchange is one exchange in a snapshot. It never changes: a new binding
// makes a new Exchange in the next snapshot.
type Exchange struct {
	Name, Type                    string
	Durable, AutoDelete, Internal bool
	Arguments                     amqp.Table

	kind      string // the type by which it routes
	policy    *policy.Effective
	alternate string  // by argument or policy
	sticky    bool    // where a message goes depends on its exchange and key alone
	chooses   bool    // one destination a message, see route.Chooses
	chance    bool    // it looks at route.Message.Chance
	history   *recent // of type x-recent-history
	dedup     *dedup  // what it has seen; nil: it does not remember
	delayed   *Queue  // what waits in one of type x-delayed-message; nil for the others
	lost      *recent // what went to no queue
	counts    *exchangeCounts
	routes    route.Table[Destination]
}

// Destination is where a binding leads: a queue, or an exchange by name.
type Destination struct {
	queue    *Queue
	exchange string
}

// open gives a new exchange its empty routing table.
func (x *Exchange) open(memory *Memory) bool {
	routes, ok := route.New[Destination](x.Type, x.Arguments)
	x.routes, x.kind = routes, route.Inner(x.Type, x.Arguments)
	x.chooses, x.chance = route.Chooses(x.kind), route.ByChance(x.kind)
	x.sticky = !dedups(x.Arguments) && (x.Type == "direct" || x.Type == "fanout" || x.Type == "topic" || x.Type == route.ModulusHash)
	x.counts = &exchangeCounts{}
	x.lost = &recent{messages: unroutableMessages, bytes: unroutableBytes, memory: memory}
	if x.kind == route.RecentHistory {
		n, _ := route.HistoryLength(x.Arguments)
		x.history = &recent{messages: n, bytes: maxHistoryBytes, memory: memory}
	}
	x.settle(nil)
	return ok
}

// settle takes what policies say; an argument comes before them.
func (x *Exchange) settle(e *policy.Effective) {
	x.policy = e
	ae, _ := e.Arguments(x.Arguments).Get(argAlternate)
	x.alternate, _ = ae.(string)
}

// Policy returns what policies say about the exchange; nil: nothing.
func (x *Exchange) Policy() *policy.Effective { return x.policy }

// object is the exchange as policies see it.
func (x *Exchange) object() policy.Object { return policy.Object{Name: x.Name, Exchange: true} }

// ExchangeDeclare asks for an exchange (exchange.declare, §1.6.2.1).
type ExchangeDeclare struct {
	Name, Type                             string
	Passive, Durable, AutoDelete, Internal bool
	Arguments                              amqp.Table
}

// DeclareExchange makes sure that an exchange exists.
func (v *Vhost) DeclareExchange(a *Actor, d ExchangeDeclare) *amqp.Error {
	d.Name = cleanName(d.Name)
	if _, ok := route.New[Destination](d.Type, nil); !ok && d.Type != route.Delayed && !d.Passive {
		return unknownExchangeType(d.Type)
	}
	if d.Name == "" {
		return errDefaultExchange()
	}
	if d.Passive {
		return v.exchangePassive(a, d.Name)
	}
	if err := v.Check(a, auth.Configure, KindExchange, d.Name); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return v.gone()
	}
	if x, ok := v.Exchange(d.Name); ok {
		return v.equalExchange(x, &d)
	}
	if strings.HasPrefix(d.Name, "amq.") {
		return amqp.ChannelErrorf(amqp.CodeAccessRefused, "exchange name '%s' contains reserved prefix 'amq.*'", d.Name)
	}
	if err := route.CheckArguments(d.Type, d.Arguments); err != nil {
		return asError(err)
	}
	if err := v.checkAlternate(a, &d); err != nil {
		return err
	}
	if err := v.checkExchangeArguments(&d); err != nil {
		return err
	}
	return v.addExchange(&d)
}

// addExchange records and enters a new exchange; v.mu is held.
func (v *Vhost) addExchange(d *ExchangeDeclare) *amqp.Error {
	x := &Exchange{
		Name: d.Name, Type: d.Type, Durable: d.Durable, AutoDelete: d.AutoDelete, Internal: d.Internal,
		Arguments: d.Arguments,
	}
	x.open(v.memory)
	x.settle(v.effective(x.object()))
	if x.Type == route.Delayed {
		x.delayed = v.newWaiting(keeping{exchange: x.Name}, v.opts.NextUID(), x.Durable)
	}
	if dedups(x.Arguments) {
		x.dedup = v.newDedup(x.Arguments, v.opts.NextUID(), x.Durable)
	}
	for _, f := range d.Arguments {
		if _, ok := v.rules.exchange[f.Key]; !ok && f.Key != argAlternate && !route.Knows(d.Type, f.Key) && !route.Knows(x.kind, f.Key) {
			v.note(KindExchange, d.Name, f.Key)
		}
	}
	if x.Durable {
		err := v.opts.Definitions.PutExchange(meta.Exchange{
			Vhost: v.ref, Name: x.Name, Type: x.Type, Durable: true,
			AutoDelete: x.AutoDelete, Internal: x.Internal, UID: x.uid(), Keys: x.dedup.uid(), Arguments: x.Arguments,
		})
		if err != nil {
			return v.stored(err)
		}
		if x.delayed != nil {
			v.uids.set(x.delayed)
		}
		if x.dedup != nil {
			v.uids.set(x.dedup.keys)
		}
	}
	v.change(func(t *topology) { t.exchanges = t.exchanges.Set(x.Name, x) })
	return nil
}

// RestoreExchange enters an exchange that the definitions already hold, with
// what is left of the messages that it keeps.
func (v *Vhost) RestoreExchange(m meta.Exchange, r, keys Restored) {
	x := &Exchange{
		Name: m.Name, Type: m.Type, Durable: true, AutoDelete: m.AutoDelete, Internal: m.Internal,
		Arguments: m.Arguments,
	}
	if !x.open(v.memory) {
		return
	}
	if x.Type == route.Delayed {
		x.delayed = v.newWaiting(keeping{exchange: x.Name}, m.UID, true)
		v.restoreMessages(x.delayed, r)
	}
	if x.dedup = v.newDedup(m.Arguments, m.Keys, true); x.dedup != nil {
		x.dedup.restore(v, keys)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	x.settle(v.effective(x.object()))
	v.change(func(t *topology) { t.exchanges = t.exchanges.Set(x.Name, x) })
}

func (v *Vhost) exchangePassive(a *Actor, name string) *amqp.Error {
	if !a.can(auth.Configure, name) && !a.can(auth.Write, name) && !a.can(auth.Read, name) {
		return v.Check(a, auth.Configure, KindExchange, name)
	}
	if _, ok := v.Exchange(name); !ok {
		return v.notFound(KindExchange, name)
	}
	return nil
}

// checkExchangeArguments checks the arguments that exchanges of all types have.
func (v *Vhost) checkExchangeArguments(d *ExchangeDeclare) *amqp.Error {
	for _, f := range d.Arguments {
		if k, ok := v.rules.exchange[f.Key]; ok {
			if reason := k.check(f.Value, d.Arguments); reason != "" {
				return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid arg '%s' for %s: %s", f.Key, v.resource(KindExchange, d.Name), reason)
			}
		}
	}
	return nil
}

// checkAlternate checks the alternate-exchange argument: its type, the right
// to read from the exchange and to write to the alternate.
func (v *Vhost) checkAlternate(a *Actor, d *ExchangeDeclare) *amqp.Error {
	ae, ok := d.Arguments.Get(argAlternate)
	if !ok {
		return nil
	}
	name, ok := ae.(string)
	if !ok {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid type '%s' for arg '%s' in %s",
			amqp.TypeName(ae), argAlternate, v.resource(KindExchange, d.Name))
	}
	if err := v.checkBind(a, auth.Read, KindExchange, d.Name); err != nil {
		return err
	}
	return v.checkBind(a, auth.Write, KindExchange, name)
}

// equalExchange compares a declare with the exchange that is there.
func (v *Vhost) equalExchange(x *Exchange, d *ExchangeDeclare) *amqp.Error {
	unequal := func(arg, got, have string) *amqp.Error {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "inequivalent arg '%s' for %s: received '%s' but current is '%s'",
			arg, v.resource(KindExchange, x.Name), got, have)
	}
	if x.Type != d.Type {
		return unequal("type", d.Type, x.Type)
	}
	if v.lenient.Load() && (x.Durable != d.Durable || x.AutoDelete != d.AutoDelete) {
		v.logLenient(KindExchange, x.Name, x.Durable, x.AutoDelete)
		d.Durable, d.AutoDelete = x.Durable, x.AutoDelete
	}
	if x.Durable != d.Durable {
		return unequal("durable", boolText(d.Durable), boolText(x.Durable))
	}
	if x.AutoDelete != d.AutoDelete {
		return unequal("auto_delete", boolText(d.AutoDelete), boolText(x.AutoDelete))
	}
	if x.Internal != d.Internal {
		return unequal("internal", boolText(d.Internal), boolText(x.Internal))
	}
	if got, have := route.Inner(d.Type, d.Arguments), x.kind; got != have {
		return unequal("x-delayed-type", got, have)
	}
	return v.equalArgument(KindExchange, x.Name, argAlternate, d.Arguments, x.Arguments)
}

// DeleteExchange removes an exchange and its bindings (exchange.delete,
// §1.6.2.2). Deleting what is not there is no error.
func (v *Vhost) DeleteExchange(a *Actor, name string, ifUnused bool) *amqp.Error {
	name = cleanName(name)
	if name == "" {
		return errDefaultExchange()
	}
	if err := v.Check(a, auth.Configure, KindExchange, name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "amq.") {
		return amqp.ChannelErrorf(amqp.CodeAccessRefused, "deletion of system %s not allowed",
			v.resource(KindExchange, name))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	x, ok := v.Exchange(name)
	if !ok {
		return nil
	}
	if ifUnused && v.bindings.from(name) > 0 {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s in use", v.resource(KindExchange, name))
	}
	return v.removeExchange(x)
}

// removeExchange deletes x with its bindings on both sides; v.mu is held.
func (v *Vhost) removeExchange(x *Exchange) *amqp.Error {
	if x.Durable {
		if err := v.opts.Definitions.DeleteExchange(v.ref, x.Name); err != nil {
			return v.stored(err)
		}
	}
	gone := append(v.bindings.source(x.Name), v.bindings.destination(endpoint{KindExchange, x.Name})...)
	v.change(func(t *topology) { t.exchanges = t.exchanges.Delete(x.Name) })
	x.close()
	v.forgetBindings(gone)
	return nil
}

// close gives back what an exchange that is gone has kept.
func (x *Exchange) close() {
	x.history.close()
	x.lost.close()
	if x.delayed != nil {
		x.delayed.close()
	}
	x.dedup.close()
}

func errDefaultExchange() *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodeAccessRefused, "operation not permitted on the default exchange")
}

// later are exchange types that RabbitMQ or its plugins have and that are not
// built yet: refused by name, so that nobody takes them for a typing error.
var later = map[string]bool{
	"x-jms-topic": true,
}

func unknownExchangeType(t string) *amqp.Error {
	if later[t] {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "exchange type '%s' is not supported yet", t)
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "unknown exchange type '%s'", t)
}

// ExchangeTypes are the types that an exchange can have.
func ExchangeTypes() []string {
	return []string{
		"direct", "fanout", "headers", "topic", route.ConsistentHash, route.LocalRandom, route.ModulusHash, route.Random,
		route.RecentHistory, route.Delayed,
	}
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
