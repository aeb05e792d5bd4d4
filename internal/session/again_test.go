package session_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/warrentest"
)

// burst sends lines to the broker in one write, so that it reads them at once, and returns
// what comes back: as many answers as are wanted.
func burst(t *testing.T, p *peer, wanted int, lines ...string) []string {
	t.Helper()
	p.send(t, lines...)
	var out strings.Builder
	p.read(t, &out, &names{}, 'S', wanted)
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// TestRefusedInOneRead: of publishes alike that come together each is answered for itself
// where a queue has room for some of them.
func TestRefusedInOneRead(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 3, "C 1: channel.open", "C 1: confirm.select",
		"C 1: queue.declare Queue=r Arguments={x-max-length:2,x-overflow:reject-publish}")
	lines := make([]string, 0, 10)
	for i := range 5 {
		lines = append(lines, "C 1: basic.publish RoutingKey=r", fmt.Sprintf("C 1: content \"%d\"", i))
	}
	p.send(t, lines...)
	got := map[string]string{}
	for got["DeliveryTag=5"] == "" {
		var out strings.Builder
		p.read(t, &out, &names{}, 'S', 1)
		f := strings.Fields(out.String())
		if len(f) < 4 {
			t.Fatalf("nothing comes after %v", got)
		}
		got[f[3]] = f[2]
	}
	if got["DeliveryTag=2"] != "basic.ack" {
		t.Errorf("the last that there was room for: %v", got)
	}
	for _, tag := range []string{"DeliveryTag=3", "DeliveryTag=4", "DeliveryTag=5"} {
		if got[tag] != "basic.nack" {
			t.Errorf("%s: %v", tag, got)
		}
	}
}

// TestRefusedTwiceInOneRead: what a queue refuses says nothing of the publishes of other channels, not
// even when it is refused twice, or nobody wants a confirm for it.
func TestRefusedTwiceInOneRead(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 7, "C 1: channel.open", "C 1: confirm.select", "C 2: channel.open", "C 2: confirm.select", "C 3: channel.open",
		"C 1: queue.declare Queue=r Arguments={x-max-length:2,x-overflow:reject-publish}", "C 1: queue.declare Queue=free")
	publish := []string{"C 3: basic.publish RoutingKey=r", "C 3: content \"3\""}
	got := burst(t, p, 2, slices.Concat(
		[]string{"C 1: basic.publish RoutingKey=r", "C 1: content \"1\"", "C 2: basic.publish RoutingKey=free", "C 2: content \"2\""},
		publish, publish, publish, publish)...)
	if diff := cmp.Diff([]string{"S 1: basic.ack DeliveryTag=1", "S 2: basic.ack DeliveryTag=1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDuplicatesInOneRead: a queue that drops duplicates has seen what it took and not what it
// refused, whatever came with it; a duplicate of what was refused in the same read is refused.
func TestDuplicatesInOneRead(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 4, "C 1: channel.open", "C 1: confirm.select", "C 2: channel.open",
		"C 1: queue.declare Queue=q Arguments={x-max-length:1,x-overflow:reject-publish,x-message-deduplication:true}")
	publish := func(ch int, id string) []string {
		return []string{fmt.Sprintf("C %d: basic.publish RoutingKey=q", ch), fmt.Sprintf("C %d: content %q MessageID=%s", ch, id, id)}
	}
	send := func(wanted int, lists ...[]string) []string { return burst(t, p, wanted, slices.Concat(lists...)...) }
	want := []string{"S 2: basic.get-ok DeliveryTag=1 RoutingKey=q | \"a\" MessageID=a", "S 2: basic.get-empty"}
	get := []string{"C 2: basic.get Queue=q NoAck=true"}
	if diff := cmp.Diff(want, send(2, publish(2, "a"), publish(2, "b"), get, publish(2, "a"), get)); diff != "" {
		t.Errorf("what was taken together with what was refused (-want +got):\n%s", diff)
	}
	want = []string{"S 1: basic.ack DeliveryTag=1", "S 1: basic.nack DeliveryTag=2 Requeue=true", "S 1: basic.nack DeliveryTag=3 Requeue=true", "S 1: basic.ack DeliveryTag=4"}
	if diff := cmp.Diff(want, send(4, publish(1, "c"), publish(1, "d"), publish(1, "d"), publish(1, "c"))); diff != "" {
		t.Errorf("a duplicate of what was refused (-want +got):\n%s", diff)
	}
}

// TestDuplicateRefusedElsewhere: a queue has seen what it took, though another queue refused it.
func TestDuplicateRefusedElsewhere(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 6, "C 1: channel.open", "C 1: confirm.select", "C 1: queue.declare Queue=q Arguments={x-message-deduplication:true}",
		"C 1: queue.declare Queue=full Arguments={x-max-length:0,x-overflow:reject-publish}",
		"C 1: queue.bind Queue=q Exchange=amq.fanout", "C 1: queue.bind Queue=full Exchange=amq.fanout")
	for i := range 2 {
		want := []string{fmt.Sprintf("S 1: basic.nack DeliveryTag=%d Requeue=true", i+1)}
		if got := burst(t, p, 1, "C 1: basic.publish Exchange=amq.fanout", "C 1: content \"a\" MessageID=a"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := burst(t, p, 1, "C 1: queue.declare Queue=q Passive=true"); !strings.Contains(got[0], "MessageCount=1") {
		t.Error(got)
	}
}

// TestReturnedInOneRead: what goes back to a queue or dies in one read comes behind what was published
// before it, and dies in the order in which it was settled.
func TestReturnedInOneRead(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 5, "C 1: channel.open", "C 1: confirm.select", "C 1: queue.declare Queue=dead",
		"C 1: queue.declare Queue=q Arguments={x-dead-letter-exchange:,x-dead-letter-routing-key:dead}",
		"C 1: queue.declare Queue=r Arguments={x-max-length:2,x-overflow:reject-publish}")
	publish := func(q, body string) []string {
		return []string{"C 1: basic.publish RoutingKey=" + q, fmt.Sprintf("C 1: content %q", body)}
	}
	send := func(wanted int, lists ...[]string) []string { return burst(t, p, wanted, slices.Concat(lists...)...) }
	send(3, publish("r", "a"), publish("r", "b"), []string{"C 1: basic.get Queue=r"})
	got := send(1, publish("r", "c"), []string{"C 1: basic.nack DeliveryTag=1 Requeue=true"})
	if want := []string{"S 1: basic.ack DeliveryTag=3"}; !slices.Equal(got, want) {
		t.Errorf("published when there was room: %q", got)
	}
	for i := range 4 {
		send(1, publish("q", strconv.Itoa(i)))
	}
	get, other := []string{"C 1: basic.get Queue=q"}, []string{"C 2: basic.get Queue=q"}
	send(5, []string{"C 2: channel.open"}, get, other, get, get) // tags 2 to 4, and 1 of the other channel
	send(1, []string{
		"C 1: basic.reject DeliveryTag=3", "C 2: basic.reject DeliveryTag=1", "C 1: basic.ack DeliveryTag=4", "C 1: basic.reject DeliveryTag=2",
	}, get)
	get = []string{"C 1: basic.get Queue=dead NoAck=true"}
	for i, line := range send(3, get, get, get) {
		if want := []string{`| "2"`, `| "1"`, `| "0"`}[i]; !strings.Contains(line, want) {
			t.Errorf("dead letter %d: %q", i, line)
		}
	}
}

// TestAlikeInOneRead: publishes that have all but the routing key in common with the one
// before are published as if each came alone.
func TestAlikeInOneRead(t *testing.T) {
	t.Parallel()
	b := warrentest.Start(t)
	if status, text := b.Manage("PUT", "/api/topic-permissions/%2F/guest", `{"exchange":"amq.topic","write":"^[a-z.]*$","read":".*"}`); status > 204 {
		t.Fatal(status, text)
	}
	p := open(t, b, true)
	burst(t, p, 6, "C 1: channel.open", "C 1: confirm.select", "C 1: queue.declare Queue=a", "C 1: queue.declare Queue=b",
		"C 1: queue.bind Queue=a Exchange=amq.topic RoutingKey=a.#", "C 1: queue.bind Queue=b Exchange=amq.topic RoutingKey=*.b")
	publish := func(key, body string, more ...string) []string {
		bits := strings.Join(append([]string{""}, more...), " ")
		return []string{"C 1: basic.publish Exchange=amq.topic RoutingKey=" + key + bits, fmt.Sprintf("C 1: content %q DeliveryMode=2", body)}
	}
	var lines []string
	for i, key := range []string{"a.x", "a.b", "a.b", "x.b", "a", "nowhere", "a.x"} {
		lines = append(lines, publish(key, strconv.Itoa(i))...)
	}
	lines = append(lines, publish("nowhere", "seven", "Mandatory=true")...)
	lines = append(lines, publish("a", "eight", "Mandatory=true")...)
	lines = append(lines, "C 1: queue.declare Queue=a Passive=true", "C 1: queue.declare Queue=b Passive=true")
	p.send(t, lines...)
	want := []string{
		`S 1: basic.return ReplyCode=312 ReplyText=NO_ROUTE Exchange=amq.topic RoutingKey=nowhere | "seven" DeliveryMode=2`,
		"S 1: queue.declare-ok Queue=a MessageCount=6", "S 1: queue.declare-ok Queue=b MessageCount=3",
	}
	if diff := cmp.Diff(want, answers(t, p, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, want := range []string{
		`a.x MessageCount=5 | "0"`, `a.b MessageCount=4 | "1"`, `a.b MessageCount=3 | "2"`, `a MessageCount=2 | "4"`, `a.x MessageCount=1 | "6"`, `a | "eight"`,
	} {
		p.send(t, "C 1: basic.get Queue=a NoAck=true")
		got := answers(t, p, 1)[0]
		if _, got, _ = strings.Cut(got, "RoutingKey="); got != want+" DeliveryMode=2" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	p.send(t, append(publish("a", "allowed"), publish("A", "not allowed")...)...)
	denied := "S 1: channel.close ReplyCode=403 ReplyText=\"ACCESS_REFUSED - write access to topic 'A' in exchange 'amq.topic' in vhost '/' " +
		"refused for user 'guest'\" ClassID=60 MethodID=40"
	if got := answers(t, p, 1); got[0] != denied {
		t.Errorf("got %q, want %q", got[0], denied)
	}
}

// answers reads n answers that are no confirms.
func answers(t *testing.T, p *peer, n int) (got []string) {
	t.Helper()
	for len(got) < n {
		var out strings.Builder
		p.read(t, &out, &names{}, 'S', 1)
		if out.Len() == 0 {
			t.Fatalf("nothing comes after %q", got)
		}
		if line := strings.TrimSpace(out.String()); !strings.Contains(line, " basic.ack ") {
			got = append(got, line)
		}
	}
	return got
}

// TestRun: of many publishes in one read, runs that differ in their bodies alone and what interrupts them,
// all arrive once, in their order, and are confirmed.
func TestRun(t *testing.T) {
	t.Parallel()
	p := open(t, warrentest.Start(t), true)
	burst(t, p, 9, "C 1: channel.open", "C 2: channel.open", "C 1: confirm.select", "C 1: queue.declare Queue=q", "C 1: queue.declare Queue=r Arguments={x-max-priority:5}",
		"C 1: queue.declare Queue=f", "C 1: queue.declare Queue=g",
		"C 1: queue.bind Queue=f Exchange=amq.fanout", "C 1: queue.bind Queue=g Exchange=amq.fanout")
	want := map[string][]string{}
	var lines []string
	publish := func(ch int, exchange, key, body, properties string, queues ...string) {
		line := fmt.Sprintf("C %d: basic.publish RoutingKey=%s", ch, key)
		if exchange != "" {
			line += " Exchange=" + exchange
		}
		lines = append(lines, line, strings.TrimSpace(fmt.Sprintf("C %d: content %q %s", ch, body, properties)))
		for _, q := range queues {
			want[q] = append(want[q], strings.TrimSpace(fmt.Sprintf("| %q %s", body, properties)))
		}
	}
	const size = 500
	confirmed := 0
	for i := range size {
		body := strings.Repeat("x", i%23) + strconv.Itoa(i)
		switch {
		case i%97 == 96:
			publish(2, "", "q", body, "", "q")
			continue
		case i%89 == 88:
			publish(1, "", "q", "", "", "q")
		case i%83 == 10:
			publish(1, "", "r", body, "Priority=2", "r") // before all others of r
			want["r"] = slices.Insert(want["r"][:len(want["r"])-1], i/83, want["r"][len(want["r"])-1])
		case i%83 < 20:
			publish(1, "", "r", body, "Priority=1", "r")
		case i > 200 && i < 300:
			publish(1, "amq.fanout", "", body, "", "f", "g")
		default:
			publish(1, "", "q", body, "", "q")
		}
		confirmed++
	}
	p.send(t, lines...)
	for last := 0; last != confirmed; {
		var out strings.Builder
		p.read(t, &out, &names{}, 'S', 1)
		_, tag, _ := strings.Cut(strings.TrimSpace(out.String()), "basic.ack DeliveryTag=")
		tag, _, _ = strings.Cut(tag, " ")
		var err error
		if last, err = strconv.Atoi(tag); err != nil || last > confirmed {
			t.Fatalf("got %q, want confirms up to %d", out.String(), confirmed)
		}
	}
	for q, bodies := range want {
		got := burst(t, p, len(bodies)+1, slices.Repeat([]string{"C 2: basic.get NoAck=true Queue=" + q}, len(bodies)+1)...)
		for i, body := range append(bodies, "get-empty") {
			if !strings.HasSuffix(got[i], body) {
				t.Fatalf("message %d of %s: %q, want %q", i, q, got[i], body)
			}
		}
	}
}
