package mgmt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

// The results of importing one object.
const (
	resultTaken   = "taken"
	resultChanged = "changed"
	resultLeft    = "left out"
	resultRefused = "refused"
)

// leftOut begins a change that is to leave the object out.
const leftOut = resultLeft + ": "

// importResult says what became of one object of a file.
type importResult struct {
	Kind   string `json:"kind"`
	Vhost  string `json:"vhost,omitempty"`
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"` // how it was changed, why it was refused
}

// importReport says what became of a file. Objects lists what was not simply
// taken, or everything when the request asks for it.
type importReport struct {
	Error   string         `json:"error,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Taken   int            `json:"taken"`
	Changed int            `json:"changed"`
	Left    int            `json:"left_out"`
	Refused int            `json:"refused"`
	Objects []importResult `json:"objects"`
}

// importer takes a file of definitions in.
type importer struct {
	api    *API
	call   *call
	all    bool // report everything
	report importReport
	// only is the vhost that everything goes to; nil: each object names its own.
	only *broker.Vhost
}

// note files the result of one object.
func (m *importer) note(kind, vhost, name, change string, err error) {
	change, left := strings.CutPrefix(change, leftOut)
	r := importResult{Kind: kind, Vhost: vhost, Name: name, Result: resultTaken, Detail: change}
	switch {
	case err != nil:
		r.Result, r.Detail = resultRefused, asStatus(err).explanation
		if e, ok := errors.AsType[*amqp.Error](err); ok {
			r.Detail = e.Text
		}
		m.report.Refused++
	case left:
		r.Result = resultLeft
		m.report.Left++
	case change != "":
		r.Result = resultChanged
		m.report.Changed++
	default:
		m.report.Taken++
		if !m.all {
			return
		}
	}
	m.report.Objects = append(m.report.Objects, r)
}

func (a *API) importAll(c *call) (any, error) {
	d, err := c.readDefinitions()
	if err != nil {
		return nil, err
	}
	m := &importer{api: a, call: c, all: c.flag("report")}
	m.everything(d)
	return m.answer(d)
}

// Load takes in a file of definitions for the owner of the node, and says what
// was changed or left out; refused objects are an error.
func (a *API) Load(r io.Reader) (notes []string, err error) {
	d := &definitions{}
	if err := decodeDefinitions(r, d, maxDefinitions); err != nil {
		return nil, err
	}
	m := &importer{api: a, call: &call{caller: &caller{owner: true}, api: a}}
	m.everything(d)
	var refused []error
	for _, o := range m.report.Objects {
		text := fmt.Sprintf("%s '%s' %s: %s", o.Kind, o.Name, o.Result, o.Detail)
		if o.Result == resultRefused {
			refused = append(refused, errors.New(text))
		} else {
			notes = append(notes, text)
		}
	}
	return notes, errors.Join(refused...)
}

// everything takes in what a file of the installation has.
func (m *importer) everything(d *definitions) {
	m.vhosts(d)
	m.users(d)
	for _, g := range d.GlobalParameters {
		m.global(&g)
	}
	m.objects(d)
}

func (a *API) importVhost(c *call) (any, error) {
	ref, err := c.administered()
	if err != nil {
		return nil, err
	}
	v, ok := a.Broker.Vhost(ref)
	if !ok {
		return nil, errMissing()
	}
	d, err := c.readDefinitions()
	if err != nil {
		return nil, err
	}
	m := &importer{api: a, call: c, all: c.flag("report"), only: v}
	for _, u := range d.Users {
		m.note("user", "", u.Name, leftOut+"a vhost's file changes no users", nil)
	}
	m.objects(d)
	return m.answer(d)
}

// answer is 204 when all was taken as it is; 200 with a report when something
// was changed; 400 with it when something was refused.
func (m *importer) answer(*definitions) (any, error) {
	r := &m.report
	if r.Objects == nil {
		r.Objects = []importResult{}
	}
	switch {
	case r.Refused > 0:
		r.Error = "bad_request"
		first := slices.IndexFunc(r.Objects, func(o importResult) bool { return o.Result == resultRefused })
		o := &r.Objects[first]
		r.Reason = fmt.Sprintf("%d of %d objects were refused, the others are in force; the first is %s '%s': %s",
			r.Refused, r.Refused+r.Taken+r.Changed+r.Left, o.Kind, o.Name, o.Detail)
		return withStatus{http.StatusBadRequest, r}, nil
	case r.Changed+r.Left > 0 || m.all:
		return r, nil
	}
	return nil, nil
}

func (m *importer) vhosts(d *definitions) {
	for i := range d.Vhosts {
		v := &d.Vhosts[i]
		m.note("vhost", "", v.Name, "", m.vhost(v))
	}
}

func (m *importer) vhost(v *vhostDefinition) error {
	o := meta.VhostOptions{Description: v.Description, Tags: v.Tags, DefaultQueueType: v.DefaultQueueType}
	if v.Metadata != nil {
		o = meta.VhostOptions{Description: v.Metadata.Description, Tags: v.Metadata.Tags, DefaultQueueType: v.Metadata.DefaultQueueType}
	}
	switch o.DefaultQueueType {
	case "rabbit_classic_queue", "undefined":
		o.DefaultQueueType = "classic"
	case "rabbit_quorum_queue":
		o.DefaultQueueType = "quorum"
	}
	ref := meta.VhostRef{Name: v.Name}
	_, _, err := m.api.Store.PutVhost(ref, o)
	if err != nil {
		return err
	}
	for name, n := range v.Limits {
		if err := m.api.Store.SetVhostLimit(ref, name, &n); err != nil {
			return err
		}
	}
	if v.Protected {
		return m.api.Store.ProtectVhost(ref, true)
	}
	return nil
}

func (m *importer) users(d *definitions) {
	for i := range d.Users {
		m.note("user", "", d.Users[i].Name, "", m.user(&d.Users[i]))
	}
	for _, p := range d.Permissions {
		v, err := m.find(p.Vhost)
		if err == nil {
			err = m.api.Store.SetPermission(meta.Permission{Vhost: v.Ref(), Role: p.User, Configure: p.Configure, Write: p.Write, Read: p.Read})
		}
		m.note("permission", p.Vhost, p.User, "", err)
	}
	for _, p := range d.TopicPermissions {
		v, err := m.find(p.Vhost)
		if err == nil {
			_, err = m.api.Store.SetTopicPermission(meta.TopicPermission{
				Vhost: v.Ref(), Role: p.User, Exchange: p.Exchange, Write: p.Write, Read: p.Read,
			})
		}
		m.note("topic permission", p.Vhost, p.User, "", err)
	}
}

func (m *importer) user(u *userDefinition) error {
	in := userInput{PasswordHash: &u.PasswordHash, Algorithm: u.Algorithm, Tags: u.Tags}
	if in.Tags == nil {
		in.Tags = json.RawMessage(`""`)
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	if _, err = m.api.Store.PutUser("", u.Name, o); err != nil {
		return err
	}
	for name, n := range u.Limits {
		if err := m.api.Store.SetRoleLimit("", u.Name, name, &n); err != nil {
			return err
		}
	}
	return nil
}

func (m *importer) global(g *globalView) {
	change := ""
	var err error
	if g.Name == "internal_cluster_id" {
		change = leftOut + "this installation has an id of its own"
	} else {
		_, err = m.api.Store.SetParameter(g.Name, g.Value)
	}
	m.note("global parameter", "", g.Name, change, err)
}

// find is the vhost that an object goes to.
func (m *importer) find(wire string) (*broker.Vhost, error) {
	if m.only != nil {
		return m.only, nil
	}
	v, err := m.call.named(wire)
	if err != nil {
		return nil, errBad("there is no vhost '%s'", wire)
	}
	return v, nil
}

// objects takes in what lies in vhosts.
func (m *importer) objects(d *definitions) {
	for i := range d.Parameters {
		p := &d.Parameters[i]
		v, err := m.find(p.Vhost)
		if err == nil {
			_, err = m.api.setParameter(v.Ref(), p.Component, p.Name, p.Value)
		}
		m.note("parameter", p.Vhost, p.Component+" "+p.Name, "", err)
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		change, err := m.policy(p)
		m.note("policy", p.Vhost, p.Name, change, err)
	}
	m.api.applied()
	for i := range d.Exchanges {
		x := &d.Exchanges[i]
		change, err := m.exchange(x)
		m.note("exchange", x.Vhost, x.Name, change, err)
	}
	for i := range d.Queues {
		q := &d.Queues[i]
		change, err := m.queue(q)
		m.note("queue", q.Vhost, q.Name, change, err)
	}
	for i := range d.Bindings {
		b := &d.Bindings[i]
		change, err := m.binding(b)
		m.note("binding", b.Vhost, fmt.Sprintf("%s -> %s by '%s'", b.Source, b.Destination, b.RoutingKey), change, err)
	}
}

// mirrored are the keys of policies that only RabbitMQ's mirrored queues had.
func mirrored(key string) bool { return strings.HasPrefix(key, "ha-") }

func (m *importer) policy(p *policyDefinition) (change string, err error) {
	v, err := m.find(p.Vhost)
	if err != nil {
		return "", err
	}
	var definition policy.Definition
	if err := json.Unmarshal(p.Definition, &definition); err != nil {
		return "", errBad("the definition is no object")
	}
	var dropped []string
	for key := range definition {
		if mirrored(key) {
			delete(definition, key)
			dropped = append(dropped, key)
		}
	}
	if dropped != nil {
		slices.Sort(dropped)
		change = strings.Join(dropped, ", ") + " dropped: there are no mirrored queues (since RabbitMQ 4.0)"
		if len(definition) == 0 {
			return leftOut + "all of it was for mirrored queues", nil
		}
	}
	target := policy.Target(p.ApplyTo)
	if target == "" {
		target = policy.All
	}
	_, err = m.api.Store.SetPolicy(meta.Policy{Vhost: v.Ref(), Policy: policy.Policy{
		Name: p.Name, Pattern: p.Pattern, ApplyTo: target, Definition: definition, Priority: p.Priority,
	}})
	return change, err
}

// predeclared reports whether only the broker makes an exchange of this name.
func predeclared(name string) bool { return name == "" || strings.HasPrefix(name, "amq.") }

func (m *importer) exchange(x *exchangeDefinition) (change string, err error) {
	v, err := m.find(x.Vhost)
	if err != nil {
		return "", err
	}
	if predeclared(x.Name) {
		return leftOut + "the broker has its own exchanges called amq.…", nil
	}
	e := v.DeclareExchange(m.call.actor(v), broker.ExchangeDeclare{
		Name: x.Name, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete, Internal: x.Internal, Arguments: amqp.Table(x.Arguments),
	})
	return "", amqpError(e)
}

// queue declares a queue. Arguments that another version of RabbitMQ knew, and
// that nothing depends on, are dropped.
func (m *importer) queue(q *queueDefinition) (change string, err error) {
	v, err := m.find(q.Vhost)
	if err != nil {
		return "", err
	}
	table, dropped := amqp.Table{}, []string{}
	for _, f := range q.Arguments {
		if strings.HasPrefix(f.Key, "x-ha-") || f.Key == "x-queue-master-locator" {
			dropped = append(dropped, f.Key)
			continue
		}
		table = append(table, f)
	}
	if _, ok := table.Get("x-queue-type"); !ok && q.Type != "" && q.Type != "classic" {
		table = append(table, amqp.Field{Key: "x-queue-type", Value: q.Type})
	}
	if len(dropped) > 0 {
		change = strings.Join(dropped, ", ") + " dropped: there are no mirrored queues (since RabbitMQ 4.0)"
	}
	_, e := v.DeclareQueue(m.call.actor(v), broker.QueueDeclare{
		Name: q.Name, Durable: q.Durable, AutoDelete: q.AutoDelete, Arguments: table,
	})
	return change, amqpError(e)
}

func (m *importer) binding(b *bindingDefinition) (change string, err error) {
	v, err := m.find(b.Vhost)
	if err != nil {
		return "", err
	}
	if b.Source == "" {
		return leftOut + "every queue is bound to the default exchange", nil
	}
	kind := broker.Kind(b.DestinationType)
	if kind != broker.KindQueue && kind != broker.KindExchange {
		return "", errBad("the destination_type is queue or exchange, not %.80q", b.DestinationType)
	}
	return "", amqpError(v.Bind(m.call.actor(v), broker.Binding{
		Source: b.Source, Destination: b.Destination, DestinationKind: kind, Key: b.RoutingKey, Arguments: amqp.Table(b.Arguments),
	}))
}
