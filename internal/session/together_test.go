package session_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// TestTogether plays random scripts twice: frame by frame, the broker having nothing left to do
// before the next one comes, and with many frames in one write, cut anywhere. What a client is
// promised does not depend on that:
//
//   - what is in each queue at the end and in what order, and what is with the client;
//   - the answers on each channel, errors and returned messages among them, and their order;
//   - which publishes are confirmed and which are refused; a returned message comes before its confirm;
//   - the deliveries to each consumer.
//
// What is free, and not compared:
//
//   - where confirms come among the other answers, and which of them are one with multiple set;
//   - whether publishes are confirmed on a channel that fails behind them before they are (RabbitMQ
//     does not confirm them either);
//   - the order of deliveries to two consumers, of dead letters from two queues, and of redeliveries
//     when several messages came back together: queues and consumers are not in step;
//   - which messages a consumer gets first of a queue with priorities that come together;
//   - whether the room that an acknowledgement makes is there for what was published right before it,
//     and where a duplicate goes of what one of several queues refused;
//   - whether a consumer or who counts, gets, purges, cancels or closes comes first: scripts wait
//     between them, and for consume-ok, which RabbitMQ's queues send. So do they before they settle what they have to have got first, and requests to
//     the HTTP API, which is another connection.
//
// SEED is the first seed (default 1), COUNT how many there are.
func TestTogether(t *testing.T) {
	t.Parallel()
	eachSeed(t, 100, 8, func(t *testing.T, seed uint64) {
		t.Helper()
		s := newScript(seed)
		diff := s.differs(t, 3*time.Millisecond)
		for _, quiet := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond} {
			if diff != "" { // a machine that has much to do is not quiet when nothing comes
				diff = s.differs(t, quiet)
			}
		}
		if diff != "" {
			t.Errorf("seed %d (run it again with SEED=%d COUNT=1 go test -run Together ./internal/session): %s\n%s",
				seed, seed, diff, s.shrink(t))
		}
	})
}

// eachSeed plays the seeds from SEED on, COUNT or as many as usual, some at a time, until one fails.
func eachSeed(t *testing.T, usual uint64, atOnce int, play func(t *testing.T, seed uint64)) {
	t.Helper()
	first, count := number(t, "SEED", 1), number(t, "COUNT", usual)
	var next atomic.Uint64
	for range atOnce {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for {
				seed := first + next.Add(1) - 1
				if seed >= first+count || t.Failed() {
					return
				}
				play(t, seed)
			}
		})
	}
}

func number(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// differs plays a script both ways and says in what they differ.
func (s *script) differs(t *testing.T, quiet time.Duration) string {
	t.Helper()
	apart, together := s.play(t, false, quiet), s.play(t, true, quiet)
	for ch, verdicts := range apart.maybe {
		for tag, v := range verdicts {
			if w := together.maybe[ch][tag]; w != "" && v != "" && w != v {
				apart.lines = append(apart.lines, fmt.Sprintf("%d: publish %d: %s, then %s", ch, tag, v, w))
			}
		}
	}
	return gocmp.Diff(apart.lines, together.lines)
}

// shrinkTime is how long that may take.
const shrinkTime = 40 * time.Second

// shrink leaves out what is not needed for the difference and returns the rest as text.
func (s *script) shrink(t *testing.T) string {
	t.Helper()
	small := *s
	end := time.Now().Add(shrinkTime)
	for n := len(small.steps) / 2; n > 0; n /= 2 {
		for at := 0; at+n <= len(small.steps) && time.Now().Before(end); {
			less := small
			less.steps = slices.Delete(slices.Clone(small.steps), at, at+n)
			if less.differs(t, 20*time.Millisecond) != "" {
				small = less
			} else {
				at += n
			}
		}
	}
	return small.differs(t, 20*time.Millisecond) + "\nwith\n" + small.String()
}

// outcome is what of a play is compared.
type outcome struct {
	lines []string
	maybe map[uint16]map[uint64]string // verdicts of publishes before an error, by channel
}

// playing is one connection that plays a script.
type playing struct {
	t      *testing.T
	b      *warrentest.Broker
	p      *peer
	quiet  time.Duration
	views  map[uint16]*view
	chance *rand.Rand
	closed bool // the connection
	told   bool // barrier
	outcome
	deliveries map[string][]string // by consumer
}

// view is a channel as its client sees it.
type view struct {
	mode        string
	closed      bool
	answers     []string
	next        uint64            // tag of the next publish
	since       uint64            // of the first one since it was quiet
	verdicts    map[uint64]string // by tag
	tags        map[string]uint64 // of publishes by their bodies
	outstanding []delivered
	held        []delivered // settled in the transaction
	seen        []delivered // outstanding when it was quiet, and not settled since
}

type delivered struct {
	tag  uint64
	body string
}

// barrier is the channel that says how far the broker has got.
const barrier = 99

// play plays a script on a broker of its own.
func (s *script) play(t *testing.T, together bool, quiet time.Duration) outcome {
	t.Helper()
	b := warrentest.Start(t)
	defer b.Stop()
	setup := open(t, b, true)
	setup.exchange(t, &amqp.ChannelOpen{})
	for _, m := range s.setup {
		if text := setup.exchange(t, m); strings.HasPrefix(text, "channel.close") {
			t.Fatalf("%s: %s", m.ID(), text)
		}
	}
	r := &playing{
		t: t, b: b, p: open(t, b, true), quiet: quiet, views: map[uint16]*view{}, chance: rand.New(rand.NewPCG(s.seed, 2)),
		outcome: outcome{maybe: map[uint16]map[uint64]string{}}, deliveries: map[string][]string{},
	}
	hello := amqp.AppendMethod(nil, barrier, &amqp.ChannelOpen{})
	for i, mode := range s.modes {
		ch := uint16(i + 1)
		r.views[ch] = &view{mode: mode}
		hello = r.reopen(hello, ch)
	}
	r.write(hello)
	r.settle(true)
	var burst []byte
	for i := range s.steps {
		st := &s.steps[i]
		if st.sync && len(burst) > 0 {
			r.cut(burst)
			burst = burst[:0]
		}
		if st.sync {
			r.settle(true)
			r.atRest()
		}
		if st.request != "" {
			r.request(st.request)
		}
		for _, part := range r.encode(st) {
			if together {
				burst = append(burst, part...)
				continue
			}
			r.write(part)
			r.settle(false)
		}
		if !together {
			r.settle(true)
		}
	}
	if len(burst) > 0 {
		r.cut(burst)
	}
	r.settle(true)
	r.atRest()
	r.finish(setup, s)
	_, _ = r.p.nc.Close(), setup.nc.Close()
	return r.outcome
}

// exchange sends a method on channel 1 and returns the answer.
func (p *peer) exchange(t *testing.T, m amqp.Method) string {
	t.Helper()
	if _, err := p.nc.Write(amqp.AppendMethod(nil, 1, m)); err != nil {
		t.Fatal(err)
	}
	f, err := p.frame(20 * time.Second)
	if err != nil {
		t.Fatalf("%s: %v", m.ID(), err)
	}
	return p.answer(t, f)
}

// reopen appends what opens a channel in its mode.
func (r *playing) reopen(b []byte, ch uint16) []byte {
	v := r.views[ch]
	*v = view{mode: v.mode, answers: v.answers, next: 1, since: 1, verdicts: map[uint64]string{}, tags: map[string]uint64{}}
	b = amqp.AppendMethod(b, ch, &amqp.ChannelOpen{})
	switch v.mode {
	case "confirm":
		b = amqp.AppendMethod(b, ch, &amqp.ConfirmSelect{})
	case "tx":
		b = amqp.AppendMethod(b, ch, &amqp.TxSelect{})
	}
	return b
}

// cut writes a burst in one write or a few, cut anywhere.
func (r *playing) cut(b []byte) {
	for len(b) > 0 {
		n := len(b)
		if r.chance.IntN(2) == 0 {
			n = 1 + r.chance.IntN(len(b))
		}
		r.write(b[:n])
		b = b[n:]
	}
}

// write writes; while that is much it reads, so that neither end waits for the other.
func (r *playing) write(b []byte) {
	if r.closed {
		return
	}
	if len(b) < 16<<10 {
		_, _ = r.p.nc.Write(b)
		return
	}
	done := make(chan struct{})
	go func() {
		_, _ = r.p.nc.Write(b) // an error is one of the connection, which is seen when it is read
		close(done)
	}()
	for {
		select {
		case <-done:
			return
		default:
			r.take(time.Millisecond)
		}
	}
}

// settle waits until the broker has taken everything; fully: until nothing comes any more.
func (r *playing) settle(fully bool) {
	r.told = false
	r.write(amqp.AppendMethod(nil, barrier, &amqp.BasicQos{}))
	for end := time.Now().Add(20 * time.Second); !r.closed && !r.told; {
		r.take(20 * time.Millisecond)
		if time.Now().After(end) {
			r.t.Fatal("the broker does not answer")
		}
	}
	for end := time.Now().Add(5 * time.Second); fully && !r.closed && r.unconfirmed() && time.Now().Before(end); {
		r.take(20 * time.Millisecond)
	}
	for fully && r.take(r.quiet) {
	}
}

func (r *playing) unconfirmed() bool {
	for _, v := range r.views {
		for tag := uint64(1); v.mode == "confirm" && !v.closed && tag < v.next; tag++ {
			if v.verdicts[tag] == "" {
				return true
			}
		}
	}
	return false
}

// take takes one answer; false: none came within d.
func (r *playing) take(d time.Duration) bool {
	if r.closed {
		return false
	}
	_ = r.p.nc.SetReadDeadline(time.Now().Add(d))
	if _, err := r.p.r.Peek(7); err != nil {
		r.closed = !errors.Is(err, os.ErrDeadlineExceeded)
		return false
	}
	f, err := r.p.frame(20 * time.Second)
	if err != nil {
		r.closed = true
		return false
	}
	if f.Type != amqp.FrameMethod {
		r.t.Fatalf("frame of type %d", f.Type)
	}
	m, err := amqp.DecodeMethod(f.Payload)
	if err != nil {
		r.t.Fatal(err)
	}
	body, text := "", plain(r.p.answer(r.t, f))
	if _, content, ok := strings.Cut(text, " | "); ok {
		body, _, _ = strings.Cut(content, " ")
	}
	switch v := r.views[f.Channel]; {
	case f.Channel == barrier:
		r.told = m.ID() == amqp.IDBasicQosOk || r.told
	case v != nil:
		v.answer(r, m, text, body)
	default:
		r.lines = append(r.lines, text)
		_, r.closed = m.(*amqp.ConnectionClose)
	}
	return true
}

var variable = regexp.MustCompile(`\{time \d+\}`)

// plain is the text of an answer without what is different each time, and with bodies cut short.
func plain(text string) string {
	text = variable.ReplaceAllString(text, "{time}")
	head, rest, ok := strings.Cut(text, ` | "`)
	if body, props, _ := strings.Cut(rest, `"`); ok && len(body) > 40 {
		text = fmt.Sprintf("%s | \"%s…%d\"%s", head, body[:20], len(body), props)
	}
	return text
}

// answer takes what came on a channel.
func (v *view) answer(r *playing, m amqp.Method, text, body string) {
	switch m := m.(type) {
	case *amqp.BasicAck:
		v.confirmed(m.DeliveryTag, m.Multiple, "ack")
	case *amqp.BasicNack:
		v.confirmed(m.DeliveryTag, m.Multiple, "nack")
	case *amqp.BasicDeliver:
		d := *m
		d.DeliveryTag = 0
		_, content, _ := strings.Cut(text, " | ")
		r.deliveries[m.ConsumerTag] = append(r.deliveries[m.ConsumerTag], d.ID().String()+describe(&d)+" | "+content)
		if !strings.HasPrefix(m.ConsumerTag, "noack") {
			v.outstanding = append(v.outstanding, delivered{m.DeliveryTag, body})
		}
	case *amqp.BasicGetOk:
		v.answers = append(v.answers, text)
		v.outstanding = append(v.outstanding, delivered{m.DeliveryTag, body})
	case *amqp.BasicReturn:
		v.answers = append(v.answers, text)
		if tag := v.tags[body]; v.verdicts[tag] != "" {
			r.lines = append(r.lines, fmt.Sprintf("publish %d was confirmed before it was returned", tag))
		}
	case *amqp.ChannelClose:
		v.answers = append(v.answers, text)
		v.closed = true
	default:
		v.answers = append(v.answers, text)
	}
}

func (v *view) confirmed(tag uint64, multiple bool, verdict string) {
	from := tag
	if multiple {
		from = 1
	}
	for ; from <= tag; from++ {
		if v.verdicts[from] == "" {
			v.verdicts[from] = verdict
		} else if !multiple {
			v.verdicts[from] += " and " + verdict
		}
	}
}

// atRest notes what there is when the broker has nothing to do, and opens what has failed.
func (r *playing) atRest() {
	var again []byte
	for ch := uint16(1); int(ch) <= len(r.views); ch++ {
		v := r.views[ch]
		if v.closed || r.closed {
			if r.maybe[ch] == nil {
				r.maybe[ch] = map[uint64]string{}
			}
			for tag := v.since; tag < v.next; tag++ {
				r.maybe[ch][uint64(len(v.answers))<<32|tag] = v.verdicts[tag]
				delete(v.verdicts, tag)
			}
		}
		for tag := uint64(1); v.mode == "confirm" && tag < v.next; tag++ {
			if verdict, ok := v.verdicts[tag]; tag >= v.since && (ok || !v.closed && !r.closed) {
				v.answers = append(v.answers, fmt.Sprintf("publish %d: %s", tag, verdict))
			}
		}
		v.since = v.next
		if v.closed {
			again = amqp.AppendMethod(again, ch, &amqp.ChannelCloseOk{})
			again = r.reopen(again, ch)
		}
		v.seen = slices.Clone(v.outstanding)
		if !r.closed {
			r.lines = append(r.lines, fmt.Sprintf("%d holds %v", ch, bodies(v.outstanding)))
		}
	}
	if len(again) > 0 {
		r.write(again)
		r.settle(true)
	}
}

func bodies(list []delivered) (all []string) {
	for _, d := range list {
		all = append(all, d.body)
	}
	slices.Sort(all)
	return all
}

// request makes a request to the HTTP API and waits until connections know of it.
func (r *playing) request(line string) {
	method, rest, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(rest, " ")
	status, text := r.b.Manage(method, path, body)
	if status >= 400 && status != 404 {
		r.t.Fatalf("%s: %d %s", line, status, text)
	}
	time.Sleep(2 * r.quiet)
}

// finish looks at everything that there is at the end.
func (r *playing) finish(look *peer, s *script) {
	r.request("DELETE /api/topic-permissions/%2F/guest")
	r.request(`PUT /api/permissions/%2F/guest {"configure":".*","write":".*","read":".*"}`)
	r.drain(look, s, "ready")
	for ch := uint16(1); int(ch) <= len(r.views) && !r.closed; ch++ {
		r.write(amqp.AppendMethod(nil, ch, &amqp.ChannelClose{ReplyCode: 200}))
		r.settle(true)
	}
	r.drain(look, s, "returned")
	for ch := uint16(1); int(ch) <= len(r.views); ch++ {
		for _, a := range r.views[ch].answers {
			r.lines = append(r.lines, fmt.Sprintf("%d: %s", ch, a))
		}
	}
	for _, c := range s.consumers {
		r.lines = append(r.lines, c.order(r.deliveries[c.tag])...)
	}
}

// drain gets all messages of all queues.
func (r *playing) drain(look *peer, s *script, when string) {
	for _, q := range s.queues {
		var list []string
		for {
			text := look.exchange(r.t, &amqp.BasicGet{Queue: q, NoAck: true})
			if strings.HasPrefix(text, "channel.close") {
				list = append(list, "is gone")
				_, _ = look.nc.Write(amqp.AppendMethod(nil, 1, &amqp.ChannelCloseOk{}))
				look.exchange(r.t, &amqp.ChannelOpen{})
			}
			if !strings.HasPrefix(text, "basic.get-ok") {
				break
			}
			_, text, _ = strings.Cut(plain(text), " DeliveryTag=")
			_, text, _ = strings.Cut(text, " ")
			list = append(list, text)
		}
		if q == "dead" {
			list = byOrigin(list)
		}
		for _, text := range list {
			r.lines = append(r.lines, fmt.Sprintf("%s in %s: %s", when, q, text))
		}
	}
}

// byOrigin sorts dead letters by the queue in which they died first, and leaves those of one queue
// in their order.
func byOrigin(list []string) []string {
	count := regexp.MustCompile(`MessageCount=\d+ `)
	for i := range list {
		list[i] = count.ReplaceAllString(list[i], "")
	}
	from := regexp.MustCompile(`x-last-death-queue \S+`)
	slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(from.FindString(a), from.FindString(b)) })
	return list
}

// order leaves the deliveries in the order in which they came, as far as it is promised.
func (c *consuming) order(list []string) (lines []string) {
	var again []string
	for _, d := range list {
		if strings.Contains(d, "Redelivered=true") || c.any {
			again = append(again, d)
		} else {
			lines = append(lines, d)
		}
	}
	slices.Sort(again)
	return append(lines, again...)
}

// encode returns the writes of a step.
func (r *playing) encode(st *step) (parts [][]byte) {
	v := r.views[st.ch]
	switch {
	case st.settle != nil:
		return r.encodeSettle(v, st)
	case st.publish == nil:
		if st.m == nil {
			return nil
		}
		switch st.m.(type) {
		case *amqp.TxCommit:
			v.held = nil
		case *amqp.TxRollback:
			v.outstanding = append(v.outstanding, v.held...)
			v.held = nil
		}
		return [][]byte{amqp.AppendMethod(nil, st.ch, st.m)}
	}
	p := st.publish
	if v.mode == "confirm" {
		v.tags[strconv.Quote(p.body)] = v.next
		v.next++
	}
	parts = append(parts, amqp.AppendMethod(nil, st.ch, &p.method))
	if p.within != nil {
		parts = append(parts, r.encode(p.within)...)
	}
	parts = append(parts, p.props.AppendHeader(nil, st.ch, uint64(len(p.body))))
	body := []byte(p.body)
	for _, n := range p.cut {
		if n = min(n, len(body)); n > 0 {
			parts = append(parts, amqp.AppendBody(nil, st.ch, body[:n], 131072))
			body = body[n:]
		}
	}
	if len(body) > 0 {
		parts = append(parts, amqp.AppendBody(nil, st.ch, body, 131072))
	}
	return parts
}

// encodeSettle settles something that is with the client, if there is anything: one delivery by the
// name of its message, or all with multiple, since tags may be others in the other play.
func (r *playing) encodeSettle(v *view, st *step) [][]byte {
	if len(v.seen) == 0 {
		return nil
	}
	slices.SortFunc(v.seen, func(a, b delivered) int { return cmp.Or(cmp.Compare(a.body, b.body), cmp.Compare(a.tag, b.tag)) })
	settled := []delivered{v.seen[st.settle.which%len(v.seen)]}
	tag := settled[0].tag
	if st.settle.multiple {
		settled = v.seen
		for _, d := range settled {
			tag = max(tag, d.tag)
		}
	}
	gone := func(d delivered) bool { return slices.Contains(settled, d) }
	if v.mode == "tx" {
		v.held = append(v.held, settled...)
	}
	v.outstanding = slices.DeleteFunc(v.outstanding, gone)
	v.seen = slices.DeleteFunc(slices.Clone(v.seen), gone)
	var m amqp.Method
	switch {
	case st.settle.how == "ack":
		m = &amqp.BasicAck{DeliveryTag: tag, Multiple: st.settle.multiple}
	case st.settle.how == "reject" && !st.settle.multiple:
		m = &amqp.BasicReject{DeliveryTag: tag, Requeue: st.settle.requeue}
	default:
		m = &amqp.BasicNack{DeliveryTag: tag, Multiple: st.settle.multiple, Requeue: st.settle.requeue}
	}
	return [][]byte{amqp.AppendMethod(nil, st.ch, m)}
}
