package differential_test

import (
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

var (
	numbers = regexp.MustCompile(`\d+`)
	quoted  = regexp.MustCompile(`"[^"]*"`)
)

// kind names a difference by the step and by the first line that differs.
func (d *difference) kind() string {
	what := "at the end"
	if d.op != nil {
		switch o := d.op.do.(type) {
		case amqp.Method:
			what = o.ID().String()
		case publish:
			what = "basic.publish"
		case settle:
			what = o.how
		default:
			what = strings.Fields(d.op.String())[0]
		}
	}
	x, y := d.firstLines()
	return what + ": " + brief(x) + " / " + brief(y)
}

// brief shortens a line to what does not depend on the script.
func brief(s string) string {
	if text, ok := strings.CutPrefix(s, "  0/"); ok {
		s = text
	}
	if strings.Contains(s, "close") {
		s = numbers.ReplaceAllString(s, "N")
	} else {
		s = numbers.ReplaceAllString(quoted.ReplaceAllString(s, `""`), "N")
	}
	return s[:min(len(s), 160)]
}

var argument = regexp.MustCompile(`inequivalent arg '[^']*' for queue '[^']*'`)

// explain names a difference that is meant, or returns "". See README.md and
// doc/compatibility.md.
func (d *difference) explain(s *script) string {
	w, r := d.firstLines()
	switch {
	case s.bcc() && strings.Contains(d.warren+d.rabbit, "x-death"):
		return "dead letters are not routed by BCC"
	case s.bcc() && s.letters() && w != r && counts.ReplaceAllString(w, "") == counts.ReplaceAllString(r, ""):
		return "dead letters are not routed by BCC"
	case argument.FindString(w) != "" && argument.FindString(w) == argument.FindString(r):
		return "tables, arrays and decimals in texts"
	case s.quorum() && strings.Contains(r, "declare-ok") && consumers.ReplaceAllString(r, "") == consumers.ReplaceAllString(w, ""):
		return "basic.get counts as a consumer of a quorum queue"
	case strings.Contains(w, "declare-ok") && strings.Contains(r, "invalid arg 'x-delivery-limit'") && strings.Contains(r, "of queue type rabbit_classic_queue"):
		return "x-delivery-limit on classic queues"
	case strings.Contains(w, "declare-ok") && strings.Contains(r, `unsupported queue version '1'`):
		return "x-queue-version 1"
	case s.quorum() && strings.Contains(r, "x-death") && withoutTallies(d.warren) == withoutTallies(d.rabbit):
		return "dead letters of quorum queues in quorum queues keep their counts"
	case d.toOthers(s):
		return "what a connection that ends has not acknowledged goes to its other channels"
	case strings.Contains(w, "Invalid x-match field type") && strings.Contains(r, "Invalid x-match field type"):
		return "tables, arrays and decimals in texts"
	case strings.Contains(r, "INTERNAL_ERROR"):
		return "RabbitMQ fails inside"
	case d.op != nil && strings.Contains(d.op.String(), "basic.recover") && sorted(d.warren) == sorted(d.rabbit):
		return "basic.recover of what several consumers have"
	case s.binds(":timestamp:") && strings.Contains(d.warren+d.rabbit, "Headers={"):
		return "timestamps of headers exchanges"
	case s.binds(":array:[]", ":table:{}") && strings.Contains(d.warren+d.rabbit, "Headers={"):
		return "empty tables and arrays of headers exchanges"
	case d.turns():
		return "which idle consumer is next after messages came back"
	case d.closing():
		return "a channel that closes gets what another queue of it lets go"
	case s.quorum() && s.getsAndConsumes() && (s.argument("x-max-length") || sorted(d.warren) == sorted(d.rabbit)):
		return "the order in which a quorum queue gets back what a consumer and basic.get had"
	case d.op != nil && strings.Contains(d.op.String(), "basic.recover") && s.getsAndConsumes():
		return "basic.recover of what several consumers have"
	case strings.Contains(w, "delete-ok") && strings.Contains(r, "are not supported by quorum queues"):
		return "queue.delete with conditions on quorum queues"
	case s.commits() && (s.argument("x-max-length") || s.policy("max-length")):
		return "what a transaction settled makes room for what it published"
	case s.policy("reject-publish"):
		return "a policy with reject-publish on a longer queue"
	case s.policy("delivery-limit") && withoutTally(d.warren) == withoutTally(d.rabbit):
		return "delivery-limit on classic queues"
	case s.expires() && s.argument("x-max-length"):
		return "expired messages behind others take room"
	case s.expires() && counts.ReplaceAllString(w, "") == counts.ReplaceAllString(r, ""):
		return "expired messages behind others count as ready"
	}
	return ""
}

// toOthers reports whether the difference is that RabbitMQ delivered what a
// connection had not acknowledged to another channel of it while it ended: by the
// other's automatic acknowledgement it is lost.
func (d *difference) toOthers(s *script) bool {
	warren, rabbit := d.only()
	all := func(list []string, method string) bool { // that came back, dead letters among them
		return !slices.ContainsFunc(list, func(line string) bool {
			return !strings.Contains(line, method) || !strings.Contains(line, "Redelivered=true") && !strings.Contains(line, "x-death")
		})
	}
	if d.op == nil && s.quorum() && sorted(tallies.ReplaceAllString(d.warren, "")) == sorted(tallies.ReplaceAllString(d.rabbit, "")) {
		return true // it was counted, and came back later
	}
	if d.op == nil && s.neighbours() {
		if s.argument("x-delivery-limit") || sorted(tallies.ReplaceAllString(d.warren, "")) == sorted(tallies.ReplaceAllString(d.rabbit, "")) {
			return true
		}
	}
	if d.op == nil && len(rabbit) == 0 && s.has(func(o op) bool { c, ok := o.do.(*amqp.BasicConsume); return ok && c.NoAck }) {
		return all(warren, "basic.get-ok")
	}
	if !strings.Contains(d.warren, "connection.close") {
		return false
	}
	return all(warren, "basic.deliver") && all(rabbit, "basic.deliver")
}

// turns reports whether the difference is the consumer of new messages alone, behind messages that came back.
func (d *difference) turns() bool {
	if d.op == nil || !strings.Contains(strings.Join(d.all[0][:d.at], ""), "Redelivered=true") {
		return false
	}
	return sorted(whose.ReplaceAllString(d.warren, "")) == sorted(whose.ReplaceAllString(d.rabbit, ""))
}

// closing reports whether RabbitMQ delivered dead letters to a channel that was about to close.
func (d *difference) closing() bool {
	if d.op == nil {
		return false
	}
	m, ok := d.op.do.(*amqp.ChannelClose)
	warren, rabbit := d.only()
	return ok && m.ReplyCode == 200 && len(warren) == 0 && !slices.ContainsFunc(rabbit, func(line string) bool {
		return !strings.Contains(line, "basic.deliver") || !strings.Contains(line, "x-death")
	})
}

// binds reports whether a binding of the script has arguments with one of the texts.
func (s *script) binds(texts ...string) bool {
	return s.has(func(o op) bool {
		var args string
		switch m := o.do.(type) {
		case *amqp.QueueBind:
			args = describe(m)
		case *amqp.ExchangeBind:
			args = describe(m)
		}
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(args, text) })
	})
}

// neighbours reports whether a connection of the script consumes on two channels, or consumes on one and gets on another.
func (s *script) neighbours() bool {
	var channels [2][2]int // by connection: consuming and getting channels, as bits
	for _, o := range s.ops {
		switch o.do.(type) {
		case *amqp.BasicConsume:
			channels[o.conn][0] |= 1 << o.channel
		case *amqp.BasicGet:
			channels[o.conn][1] |= 1 << o.channel
		}
	}
	return slices.ContainsFunc(channels[:], func(c [2]int) bool { return bits.OnesCount(uint(c[0]|c[1])) > 1 && c[0] > 0 })
}

// getsAndConsumes reports whether a channel of the script does both.
func (s *script) getsAndConsumes() bool {
	return slices.ContainsFunc(s.ops, func(o op) bool {
		_, consumes := o.do.(*amqp.BasicConsume)
		return consumes && s.has(func(p op) bool {
			_, gets := p.do.(*amqp.BasicGet)
			return gets && p.conn == o.conn && p.channel == o.channel
		})
	})
}

// commits reports whether the script has transactions that settle.
func (s *script) commits() bool {
	return s.has(func(o op) bool { _, ok := o.do.(*amqp.TxCommit); return ok }) && s.has(func(o op) bool { _, ok := o.do.(settle); return ok })
}

// policy reports whether a policy of the script has a text.
func (s *script) policy(text string) bool {
	return s.has(func(o op) bool { m, ok := o.do.(manage); return ok && strings.Contains(m.body, text) })
}

// withoutTally leaves out what Warren says of how often a message of a classic queue was delivered.
func withoutTally(text string) string {
	return strings.ReplaceAll(withoutTallies(text), " Headers={}", "")
}

// argument reports whether a queue of the script has an argument.
func (s *script) argument(name string) bool {
	return s.has(func(o op) bool {
		d, ok := o.do.(*amqp.QueueDeclare)
		return ok && strings.Contains(describe(d), name)
	})
}

// only returns the lines that one side alone has, how many messages are left in
// a queue aside.
func (d *difference) only() (warren, rabbit []string) {
	rabbit = strings.Split(counts.ReplaceAllString(d.rabbit, ""), "\n")
	for line := range strings.SplitSeq(counts.ReplaceAllString(d.warren, ""), "\n") {
		if i := slices.Index(rabbit, line); i >= 0 {
			rabbit = slices.Delete(rabbit, i, i+1)
		} else {
			warren = append(warren, line)
		}
	}
	return warren, rabbit
}

// withoutTallies leaves out what RabbitMQ says in dead letters of how often they
// were delivered before they died.
func withoutTallies(text string) string {
	return strings.ReplaceAll(tally.ReplaceAllString(text, ""), ", }", "}")
}

func sorted(lines string) string {
	list := strings.Split(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// bcc reports whether messages of the script have BCC keys.
func (s *script) bcc() bool {
	return s.has(func(o op) bool {
		p, ok := o.do.(publish)
		return ok && strings.Contains(describe(&p.props), "BCC:array")
	})
}

var (
	counts    = regexp.MustCompile(` MessageCount=\d+`)
	tallies   = regexp.MustCompile(` MessageCount=\d+|x-(acquired|delivery)-count:long:\d+| Redelivered=true`)
	tally     = regexp.MustCompile(`x-(acquired|delivery)-count:long:\d+(, )?`)
	whose     = regexp.MustCompile(`\d/\d basic.deliver ConsumerTag="[^"]*"`)
	consumers = regexp.MustCompile(` ConsumerCount=\d+`)
)

// expires reports whether messages of the script have an expiration.
func (s *script) expires() bool {
	return s.has(func(o op) bool { p, ok := o.do.(publish); return ok && p.props.Expiration != "" })
}

// letters reports whether queues of the script have dead letters.
func (s *script) letters() bool {
	return s.has(func(o op) bool {
		d, ok := o.do.(*amqp.QueueDeclare)
		return ok && strings.Contains(describe(d), "x-dead-letter-exchange")
	})
}

func (s *script) quorum() bool {
	return s.has(func(o op) bool {
		d, ok := o.do.(*amqp.QueueDeclare)
		return ok && strings.Contains(describe(d), `"quorum"`)
	})
}

func (s *script) has(what func(o op) bool) bool { return slices.ContainsFunc(s.ops, what) }

// firstLines returns the first lines that differ.
func (d *difference) firstLines() (warren, rabbit string) {
	a, b := strings.Split(d.warren, "\n"), strings.Split(d.rabbit, "\n")
	for i := range max(len(a), len(b)) {
		if x, y := at(a, i), at(b, i); x != y {
			return x, y
		}
	}
	return "", ""
}
