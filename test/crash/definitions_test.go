package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// certainty is what is known of a definition.
type certainty int

const (
	unsure certainty = iota // asked for, not answered
	there
	gone
)

// definitions keeps what was declared and deleted, and answered.
type definitions struct {
	cluster string

	mu   sync.Mutex // guards what follows
	want map[string]certainty
	next int
	deaf bool

	answered, checked int
}

func newDefinitions() *definitions { return &definitions{want: map[string]certainty{}} }

func (d *definitions) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d answered, %d checks", d.answered, d.checked)
}

// begin makes the cluster whose roles come and go.
func (d *definitions) begin(ctx context.Context, n *node) error {
	out, err := n.cli(ctx, "cluster", "create", "crash", "--output", "json")
	if err != nil {
		return err
	}
	var c struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return err
	}
	d.cluster = c.ID
	return nil
}

// change runs f, which is to make the names what c says.
func (d *definitions) change(c certainty, f func() error, names ...string) error {
	d.set(unsure, names...)
	err := f()
	if err == nil {
		d.set(c, names...)
	}
	return err
}

func (d *definitions) set(c certainty, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c != unsure {
		if d.deaf {
			return
		}
		d.answered++
	}
	for _, name := range names {
		d.want[name] = c
	}
}

// stopListening is Ledger.stopListening.
func (d *definitions) stopListening() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = true
}

// number returns the next number for a name.
func (d *definitions) number() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	return d.next
}

// run declares and deletes until the load ends.
func (d *definitions) run(to *load) {
	c, _, err := to.dial()
	if err != nil {
		return
	}
	ch, err := c.Channel()
	if err != nil {
		return
	}
	to.work.Go(func() {
		for to.ctx.Err() == nil && d.declare(ch, d.number()) == nil {
			time.Sleep(5 * time.Millisecond)
		}
	})
	to.work.Go(func() {
		for to.ctx.Err() == nil && d.role(to, d.number()) == nil {
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// keepDefinitions is how many of each kind are kept.
const keepDefinitions = 20

// declare makes a queue and an exchange and binds them, and deletes older
// ones.
func (d *definitions) declare(ch *amqp091.Channel, n int) error {
	q, x, key := fmt.Sprintf("def.q%d", n), fmt.Sprintf("def.x%d", n), fmt.Sprintf("def.k%d", n)
	steps := []func() error{
		func() error {
			return d.change(there, func() error {
				_, err := ch.QueueDeclare(q, true, false, false, false, nil)
				return err
			}, q)
		},
		func() error {
			return d.change(there, func() error { return ch.ExchangeDeclare(x, "topic", true, false, false, false, nil) }, x)
		},
		func() error {
			return d.change(there, func() error { return ch.QueueBind(q, key, x, false, nil) }, key)
		},
		func() error { return d.undeclare(ch, n-3*keepDefinitions) },
	}
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// undeclare deletes the queue or the exchange of an earlier declare, if it is
// there, and its binding with it.
func (d *definitions) undeclare(ch *amqp091.Channel, n int) error {
	q, x, key := fmt.Sprintf("def.q%d", n), fmt.Sprintf("def.x%d", n), fmt.Sprintf("def.k%d", n)
	d.mu.Lock()
	known := d.want[q] == there && d.want[x] == there && d.want[key] == there
	d.mu.Unlock()
	if !known {
		return nil
	}
	if n%2 == 0 {
		return d.change(gone, func() error {
			_, err := ch.QueueDelete(q, false, false, false)
			return err
		}, q, key)
	}
	return d.change(gone, func() error { return ch.ExchangeDelete(x, false, false) }, x, key)
}

// role makes a role with the command line, and deletes an older one.
func (d *definitions) role(to *load, n int) error {
	name := func(n int) string { return fmt.Sprintf("role-%d", n) }
	cli := func(verb, name string) func() error {
		return func() error {
			_, err := to.node.cli(to.ctx, "role", verb, name, "--cluster", d.cluster)
			return err
		}
	}
	if err := d.change(there, cli("create", name(n)), name(n)); err != nil {
		return err
	}
	for old := n - 1; old > n-400; old-- {
		d.mu.Lock()
		known := d.want[name(old)] == there
		d.mu.Unlock()
		if known && old%2 == 0 {
			return d.change(gone, cli("delete", name(old)), name(old))
		}
	}
	return nil
}

// verify compares what a node has with what was answered.
func (d *definitions) verify(ctx context.Context, n *node) error {
	have := map[string]bool{}
	var queues, exchanges, roles []struct {
		Name string `json:"name"`
	}
	var bindings []struct {
		Key string `json:"routing_key"`
		To  string `json:"destination"`
	}
	for path, v := range map[string]any{
		"/api/queues/%2F": &queues, "/api/exchanges/%2F": &exchanges, "/api/bindings/%2F": &bindings,
		"/api/clusters/" + d.cluster + "/roles": &roles,
	} {
		if err := n.get(ctx, path, v); err != nil {
			return err
		}
	}
	for _, list := range [][]struct {
		Name string `json:"name"`
	}{queues, exchanges, roles} {
		for _, v := range list {
			have[v.Name] = true
		}
	}
	for _, b := range bindings {
		have[b.Key] = true
	}
	return d.compare(have)
}

// compare says what is missing and what is too much. What was not certain is
// from then on.
func (d *definitions) compare(have map[string]bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = false
	var wrong []string
	for name, c := range d.want {
		d.checked++
		switch {
		case c == there && !have[name]:
			wrong = append(wrong, name+" was answered and is not there")
		case c == gone && have[name]:
			wrong = append(wrong, name+" was deleted and is there")
		case have[name]:
			d.want[name] = there
		default:
			d.want[name] = gone
		}
	}
	for name := range have {
		_, known := d.want[name]
		if ours := strings.HasPrefix(name, "def.") || strings.HasPrefix(name, "role-"); ours && !known {
			wrong = append(wrong, name+" is there and nobody declared it")
		}
	}
	if wrong != nil {
		return fmt.Errorf("definitions: %s", strings.Join(wrong, "; "))
	}
	return nil
}
