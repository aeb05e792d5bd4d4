package session_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/warrentest"
)

// The files in testdata are conversations: lines "C 1: queue.declare Queue=q"
// are sent, lines "S 1: queue.declare-ok Queue=q" are what must come back, the
// number being the channel (none: channel 0). Connections are called C, S
// and D, T and E, U, of a client that does not understand basic.cancel. Lines "M: PUT /api/… {…}" are requests to the HTTP API and "N: 204 …"
// what it answers. The first name that the server makes up is called $1, the
// second $2. Content is written as `content "body" DeliveryMode=2`. Lines that
// begin with # are for the reader. Go test -rewrite writes the answers down.
var rewrite = flag.Bool("rewrite", false, "write the server's answers into the golden files")

const quiet = 150 * time.Millisecond

func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("conversation differs (-want +got):\n%s", diff)
			}
		})
	}
}

// play runs a script against a fresh broker and returns it with the answers
// that came.
func play(t *testing.T, script string) string {
	t.Helper()
	b := warrentest.Start(t)
	ends := map[byte]*peer{}
	made := names{}
	var out strings.Builder
	lines := strings.SplitAfter(script, "\n")
	for i, line := range lines {
		switch {
		case isAnswer(line):
			continue // what comes is written below
		case strings.HasPrefix(line, "N: "):
			continue
		case strings.HasPrefix(line, "M: "):
			out.WriteString(line + manage(b, line))
			continue
		case strings.HasPrefix(line, "C") || strings.HasPrefix(line, "D") || strings.HasPrefix(line, "E"):
			p := ends[line[0]]
			if p == nil {
				p = open(t, b, line[0] != 'E')
				ends[line[0]] = p
			}
			p.send(t, made.real(strings.TrimSpace(line)))
		}
		out.WriteString(line)
		if next := i + 1; next < len(lines) && isAnswer(lines[next]) || *rewrite {
			for _, name := range []byte("CDE") {
				if p := ends[name]; p != nil {
					p.read(t, &out, &made, name+('S'-'C'), expected(lines[i+1:], name+('S'-'C')))
				}
			}
		}
	}
	for _, p := range ends {
		var rest strings.Builder
		p.read(t, &rest, &made, '?', 1)
		if !*rewrite && rest.Len() > 0 {
			t.Errorf("nobody expected: %s", rest.String())
		}
	}
	return out.String()
}

// names are those that the server made up, in the order of their appearance.
type names []string

// madeUp matches them.
var madeUp = regexp.MustCompile(`amq\.(?:gen-|ctag-|rabbitmq\.reply-to\.)[A-Za-z0-9_-]{22}`)

// short replaces what is made up by the number of the name.
func (n *names) short(text string) string {
	return madeUp.ReplaceAllStringFunc(text, func(name string) string {
		i := slices.Index(*n, name)
		if i < 0 {
			*n = append(*n, name)
			i = len(*n) - 1
		}
		return fmt.Sprintf("$%d", i+1)
	})
}

// real does the opposite.
func (n *names) real(line string) string {
	for i, name := range *n {
		line = strings.ReplaceAll(line, fmt.Sprintf("$%d", i+1), name)
	}
	return line
}

// manage makes a request of a script.
func manage(b *warrentest.Broker, line string) string {
	method, rest, _ := strings.Cut(strings.TrimSpace(line[2:]), " ")
	path, body, _ := strings.Cut(rest, " ")
	status, answer := b.Manage(method, path, body)
	return strings.TrimSpace(fmt.Sprintf("N: %d %s", status, answer)) + "\n"
}

func isAnswer(line string) bool { return line != "" && strings.Contains("STU", line[:1]) }

// expected counts the answers of one connection that follow at once.
func expected(lines []string, name byte) (n int) {
	for _, l := range lines {
		if !isAnswer(l) {
			break
		}
		if l[0] == name {
			n++
		}
	}
	return n
}

// peer is the client's end of one connection.
type peer struct {
	nc net.Conn
	r  *bufio.Reader
}

// open connects and goes through the handshake.
func open(t *testing.T, b *warrentest.Broker, cancels bool) *peer {
	t.Helper()
	nc, err := b.Dial("", "")
	if err != nil {
		t.Fatal(err)
	}
	return greet(t, nc, cancels)
}

// greet goes through the handshake, as a client that understands basic.cancel or does not.
func greet(t *testing.T, nc net.Conn, cancels bool) *peer {
	t.Helper()
	return greetAs(t, nc, cancels, "guest", "guest", "/")
}

// greetAs is greet of a user of a vhost.
func greetAs(t *testing.T, nc net.Conn, cancels bool, user, password, vhost string) *peer {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() })
	p := &peer{nc, bufio.NewReader(nc)}
	hello := []byte("AMQP\x00\x00\x09\x01")
	caps := amqp.Table{{Key: "capabilities", Value: amqp.Table{{Key: "consumer_cancel_notify", Value: cancels}}}}
	for _, m := range []amqp.Method{
		&amqp.ConnectionStartOk{ClientProperties: caps, Mechanism: "PLAIN", Response: []byte("\x00" + user + "\x00" + password), Locale: "en_US"},
		&amqp.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072},
		&amqp.ConnectionOpen{VirtualHost: vhost},
	} {
		hello = amqp.AppendMethod(hello, 0, m)
	}
	if _, err := nc.Write(hello); err != nil {
		t.Fatal(err)
	}
	for _, id := range []amqp.MethodID{amqp.IDConnectionStart, amqp.IDConnectionTune, amqp.IDConnectionOpenOk} {
		f, err := p.frame(20 * time.Second)
		if err != nil || amqp.MethodID(binary.BigEndian.Uint32(f.Payload)) != id {
			t.Fatalf("handshake: %v, %x", err, f.Payload)
		}
	}
	return p
}

// frame reads one frame within d.
func (p *peer) frame(d time.Duration) (amqp.Frame, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(d))
	head, err := p.r.Peek(7)
	if err != nil {
		return amqp.Frame{}, err
	}
	whole := make([]byte, int(binary.BigEndian.Uint32(head[3:]))+amqp.FrameOverhead)
	if _, err := io.ReadFull(p.r, whole); err != nil {
		return amqp.Frame{}, err
	}
	f, _, err := amqp.ParseFrame(whole, 1<<20)
	return f, err
}

// send sends lines of the script in one write.
func (p *peer) send(t *testing.T, lines ...string) {
	t.Helper()
	var b []byte
	for _, line := range lines {
		b = encode(t, b, line)
	}
	if _, err := p.nc.Write(b); err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
}

// encode appends one line of the script to b.
func encode(t *testing.T, b []byte, line string) []byte {
	t.Helper()
	channel, words := split(t, line)
	if words[0] != "content" {
		m := method(t, words[0])
		set(t, m, words[1:])
		return amqp.AppendMethod(b, channel, m)
	}
	var props amqp.Properties
	set(t, &props, words[2:])
	body, err := strconv.Unquote(words[1])
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return amqp.AppendBody(props.AppendHeader(b, channel, uint64(len(body))), channel, []byte(body), 131072)
}

// read writes down n answers or, when rewriting, all that come.
func (p *peer) read(t *testing.T, out io.Writer, made *names, name byte, n int) {
	t.Helper()
	for i := 0; i < n || *rewrite; i++ {
		wait := 20 * time.Second
		if *rewrite || name == '?' {
			wait = quiet
		}
		f, err := p.frame(wait)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			return
		}
		text := p.answer(t, f)
		channel := ""
		if f.Channel > 0 {
			channel = fmt.Sprintf(" %d", f.Channel)
		}
		_, _ = fmt.Fprintf(out, "%c%s: %s\n", name, channel, made.short(text))
	}
}

// answer describes a method frame, with its content if it has one.
func (p *peer) answer(t *testing.T, f amqp.Frame) string {
	t.Helper()
	m, err := amqp.DecodeMethod(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	text := m.ID().String() + describe(m)
	if !m.ID().HasContent() {
		return text
	}
	hf, err := p.frame(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	h, err := amqp.ParseHeader(hf.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var props amqp.Properties
	if err := props.Decode(h.Flags, h.Properties); err != nil {
		t.Fatal(err)
	}
	props.Flags = 0
	var body bytes.Buffer
	for uint64(body.Len()) < h.BodySize {
		bf, err := p.frame(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		body.Write(bf.Payload)
	}
	return fmt.Sprintf("%s | %q%s", text, body.String(), describe(&props))
}

// describe lists the fields of a struct that are not zero.
func describe(v any) string {
	s := reflect.ValueOf(v).Elem()
	var b strings.Builder
	for i := range s.NumField() {
		f := s.Field(i)
		if f.IsZero() {
			continue
		}
		if f.Kind() == reflect.String {
			fmt.Fprintf(&b, " %s=%s", s.Type().Field(i).Name, quoteIfNeeded(f.String()))
		} else {
			fmt.Fprintf(&b, " %s=%v", s.Type().Field(i).Name, f.Interface())
		}
	}
	return b.String()
}

func quoteIfNeeded(s string) string {
	if strings.ContainsAny(s, " \"") {
		return strconv.Quote(s)
	}
	return s
}

// split takes a line apart: "C 1: a b=\"c d\"" is channel 1 and the words.
func split(t *testing.T, line string) (uint16, []string) {
	t.Helper()
	head, rest, ok := strings.Cut(line[1:], ":")
	if !ok {
		t.Fatalf("%q has no colon", line)
	}
	channel, _ := strconv.ParseUint(strings.TrimSpace(head), 10, 16)
	var words []string
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		end, quoted := 0, false
		for end < len(rest) && (rest[end] != ' ' || quoted) {
			quoted = quoted != (rest[end] == '"')
			end++
		}
		words = append(words, rest[:end])
		rest = rest[end:]
	}
	return uint16(channel), words
}

// method makes an empty method from its name.
func method(t *testing.T, name string) amqp.Method {
	t.Helper()
	const classes, methods = 91, 121 // of each
	for i := range amqp.MethodID(classes * methods) {
		id := i/methods<<16 | i%methods
		if id.Known() && id.String() == name {
			m, _ := amqp.DecodeMethod(binary.BigEndian.AppendUint32(nil, uint32(id)))
			if m == nil { // it has arguments: take the type from a padded one
				m = padded(id)
			}
			if m != nil {
				return m
			}
		}
	}
	t.Fatalf("no method %s", name)
	return nil
}

// padded decodes a method from zeros, as many as it takes.
func padded(id amqp.MethodID) amqp.Method {
	for n := 1; n < 64; n++ {
		b := append(binary.BigEndian.AppendUint32(nil, uint32(id)), make([]byte, n)...)
		if m, err := amqp.DecodeMethod(b); err == nil {
			return m
		}
	}
	return nil
}

// set fills fields from words Name=value; tables are {key:value,…} with
// strings and numbers.
func set(t *testing.T, v any, words []string) {
	t.Helper()
	s := reflect.ValueOf(v).Elem()
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if u, err := strconv.Unquote(value); err == nil {
			value = u
		}
		f := s.FieldByName(name)
		switch {
		case !f.IsValid():
			t.Fatalf("%T has no field %s", v, name)
		case f.Kind() == reflect.String:
			f.SetString(value)
		case f.Kind() == reflect.Bool:
			f.SetBool(value == "true")
		case f.CanUint():
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", w, err)
			}
			f.SetUint(n)
		case f.Type() == reflect.TypeFor[amqp.Table]():
			f.Set(reflect.ValueOf(table(value)))
		default:
			t.Fatalf("%s: no way to set a %v", w, f.Type())
		}
	}
}

func table(s string) (list amqp.Table) {
	for kv := range strings.SplitSeq(strings.Trim(s, "{}"), ",") {
		k, v, _ := strings.Cut(kv, ":")
		var val any = v
		if n, err := strconv.ParseInt(v, 10, 32); err == nil {
			val = int32(n)
		}
		if v == "true" {
			val = true
		}
		list = append(list, amqp.Field{Key: k, Value: val})
	}
	return list
}
