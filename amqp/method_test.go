package amqp

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// methodTable is every method with its ids, who sends it (c, s) and whether it has content (b),
// written down from the specification once more, so that a slip in the generator's input shows.
const methodTable = `
connection 10: start 10 s, start-ok 11 c, secure 20 s, secure-ok 21 c, tune 30 s, tune-ok 31 c, open 40 c, open-ok 41 s, close 50 cs, close-ok 51 cs, blocked 60 s, unblocked 61 s, update-secret 70 c, update-secret-ok 71 s
channel 20: open 10 c, open-ok 11 s, flow 20 cs, flow-ok 21 cs, close 40 cs, close-ok 41 cs
access 30: request 10 c, request-ok 11 s
exchange 40: declare 10 c, declare-ok 11 s, delete 20 c, delete-ok 21 s, bind 30 c, bind-ok 31 s, unbind 40 c, unbind-ok 51 s
queue 50: declare 10 c, declare-ok 11 s, bind 20 c, bind-ok 21 s, purge 30 c, purge-ok 31 s, delete 40 c, delete-ok 41 s, unbind 50 c, unbind-ok 51 s
basic 60: qos 10 c, qos-ok 11 s, consume 20 c, consume-ok 21 s, cancel 30 cs, cancel-ok 31 cs, publish 40 cb, return 50 sb, deliver 60 sb, get 70 c, get-ok 71 sb, get-empty 72 s, ack 80 cs, reject 90 c, recover-async 100 c, recover 110 c, recover-ok 111 s, nack 120 cs
confirm 85: select 10 c, select-ok 11 s
tx 90: select 10 c, select-ok 11 s, commit 20 c, commit-ok 21 s, rollback 30 c, rollback-ok 31 s`

// methods returns the ids of methodTable.
func methods(t *testing.T) map[MethodID][]string {
	t.Helper()
	ids := map[MethodID][]string{}
	for line := range strings.Lines(strings.TrimSpace(methodTable)) {
		class, list, _ := strings.Cut(strings.TrimSpace(line), ": ")
		name, classID, _ := strings.Cut(class, " ")
		for item := range strings.SplitSeq(list, ", ") {
			f := strings.Fields(item)
			ids[MethodID(atoi(t, classID)<<16|atoi(t, f[1]))] = []string{name + "." + f[0], f[2]}
		}
	}
	return ids
}

func atoi(t *testing.T, s string) (n uint32) {
	t.Helper()
	for _, c := range s {
		if c < '0' || c > '9' {
			t.Fatalf("%q is no number", s)
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}

func TestMethodIDs(t *testing.T) {
	ids := methods(t)
	for id, want := range ids {
		if got := id.String(); got != want[0] || !id.Known() {
			t.Errorf("name of %d.%d = %s, want %s", id.Class(), id.Method(), got, want[0])
		}
		client, server, content := strings.Contains(want[1], "c"), strings.Contains(want[1], "s"), strings.Contains(want[1], "b")
		if id.FromClient() != client || id.FromServer() != server || id.HasContent() != content {
			t.Errorf("%v: from client %v, from server %v, content %v, want %s", id, id.FromClient(), id.FromServer(), id.HasContent(), want[1])
		}
		m := newMethod(id)
		if m == nil || m.ID() != id {
			t.Errorf("newMethod(%v) = %v", id, m)
		}
	}
	known := 0
	for class := range MethodID(256) {
		for method := range MethodID(256) {
			if id := class<<16 | method; id.Known() {
				known++
			}
		}
	}
	if known != len(ids) {
		t.Errorf("%d methods are known, want %d", known, len(ids))
	}
	if got := MethodID(50<<16 | 99).String(); got != "50.99" {
		t.Errorf("name of an unknown method = %s", got)
	}
	for id, want := range map[MethodID]bool{IDQueueDeclare: true, IDBasicPublish: false, IDBasicAck: false, IDBasicGetOk: true, IDConnectionBlocked: false} {
		if id.Synchronous() != want {
			t.Errorf("%v: synchronous = %v", id, !want)
		}
	}
}

// The wire bytes are written by hand from the specification.
var methodWires = []struct {
	m    Method
	wire string
}{
	{
		&ConnectionStart{VersionMinor: 9, ServerProperties: Table{{"a", true}}, Mechanisms: []byte("PLAIN"), Locales: []byte("en_US")},
		"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x04\x01at\x01\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US",
	},
	{
		&ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60},
		"\x00\x0a\x00\x1e\x07\xff\x00\x02\x00\x00\x00\x3c",
	},
	{&ConnectionOpen{VirtualHost: "/"}, "\x00\x0a\x00\x28\x01/\x00\x00"},
	{&ConnectionOpenOk{}, "\x00\x0a\x00\x29\x00"},
	{
		&ConnectionClose{ReplyCode: 320, ReplyText: "bye", ClassID: 10, MethodID: 40},
		"\x00\x0a\x00\x32\x01\x40\x03bye\x00\x0a\x00\x28",
	},
	{&ChannelOpenOk{}, "\x00\x14\x00\x0b\x00\x00\x00\x00"},
	{&AccessRequest{Realm: "/", Active: true, Read: true}, "\x00\x1e\x00\x0a\x01/\x14"},
	{
		&ExchangeDeclare{Exchange: "e", Type: "topic", Durable: true, Internal: true},
		"\x00\x28\x00\x0a\x00\x00\x01e\x05topic\x0a\x00\x00\x00\x00",
	},
	{&ExchangeUnbindOk{}, "\x00\x28\x00\x33"},
	{
		&QueueDeclare{Queue: "q", Passive: true, NoWait: true, Arguments: Table{{"x", int32(1)}}},
		"\x00\x32\x00\x0a\x00\x00\x01q\x11\x00\x00\x00\x07\x01xI\x00\x00\x00\x01",
	},
	{
		&QueueDeclareOk{Queue: "q", MessageCount: 1, ConsumerCount: 2},
		"\x00\x32\x00\x0b\x01q\x00\x00\x00\x01\x00\x00\x00\x02",
	},
	{
		&BasicConsume{Queue: "q", ConsumerTag: "t", NoAck: true, NoWait: true},
		"\x00\x3c\x00\x14\x00\x00\x01q\x01t\x0a\x00\x00\x00\x00",
	},
	{
		&BasicPublish{Exchange: "e", RoutingKey: "k", Mandatory: true},
		"\x00\x3c\x00\x28\x00\x00\x01e\x01k\x01",
	},
	{
		&BasicDeliver{ConsumerTag: "t", DeliveryTag: 1 << 40, Redelivered: true, Exchange: "e", RoutingKey: "k"},
		"\x00\x3c\x00\x3c\x01t\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01e\x01k",
	},
	{&BasicGetEmpty{}, "\x00\x3c\x00\x48\x00"},
	{&BasicNack{DeliveryTag: 7, Requeue: true}, "\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x00\x07\x02"},
	{&TxSelect{}, "\x00\x5a\x00\x0a"},
}

func TestMethodWire(t *testing.T) {
	for _, tt := range methodWires {
		if got := string(tt.m.Append(nil)); got != tt.wire {
			t.Errorf("%v.Append = %q, want %q", tt.m.ID(), got, tt.wire)
		}
		got, err := DecodeMethod([]byte(tt.wire))
		if err != nil {
			t.Errorf("DecodeMethod(%q): %v", tt.wire, err)
			continue
		}
		want := clearEmpty(tt.m)
		if diff := cmp.Diff(want, clearEmpty(got)); diff != "" {
			t.Errorf("DecodeMethod of %v (-want +got):\n%s", tt.m.ID(), diff)
		}
	}
}

// clearEmpty sets empty byte slices to nil: the wire cannot tell them apart.
func clearEmpty(m Method) Method {
	v := reflect.ValueOf(m).Elem()
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return m
}

// fill sets every field of a method to something that is not zero.
func fill(t *testing.T, m Method) {
	t.Helper()
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case bool:
			f.SetBool(true)
		case uint8, uint16, uint32, uint64:
			f.SetUint(uint64(i) + 1)
		case string:
			f.SetString("näme")
		case []byte:
			f.SetBytes([]byte("bytes"))
		case Table:
			f.Set(reflect.ValueOf(Table{{"key", "value"}}))
		default:
			t.Fatalf("%T has a field of type %v", m, f.Type())
		}
	}
}

// Every method survives a round trip, and none takes a byte less or a byte more than it needs.
func TestMethodsAreStrict(t *testing.T) {
	for id := range methods(t) {
		m := newMethod(id)
		fill(t, m)
		wire := m.Append(nil)
		got, err := DecodeMethod(wire)
		if err != nil {
			t.Errorf("%v: %v", id, err)
			continue
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", id, diff)
		}
		if _, err := DecodeMethod(append(slices.Clip(wire), 0)); !errors.Is(err, ErrTrailing) {
			t.Errorf("%v with a byte more: %v, want ErrTrailing", id, err)
		}
		for cut := range wire {
			if _, err := DecodeMethod(wire[:cut]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%v cut to %d out of %d bytes: %v, want ErrTruncated", id, cut, len(wire), err)
			}
		}
	}
}

func TestDecodeMethodError(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       error
	}{
		{"unknown class", "\x00\x63\x00\x0a", ErrUnknownMethod},
		{"unknown method", "\x00\x32\x00\x63", ErrUnknownMethod},
		{"no ids", "\x00\x32\x00", ErrTruncated},
		{"UTF-8", "\x00\x32\x00\x0a\x00\x00\x05mf-\xff\xfe\x0c\x00\x00\x00\x00", ErrUTF8},
		{"field type", "\x00\x32\x00\x0a\x00\x00\x01q\x00\x00\x00\x00\x03\x01aZ", ErrFieldType},
		{"table longer than the frame", "\x00\x0a\x00\x0b\x00\x00\x13\x88abc", ErrTruncated},
	} {
		if m, err := DecodeMethod([]byte(tt.wire)); m != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: DecodeMethod = %v, %v, want %v", tt.name, m, err, tt.want)
		}
	}
}

// A decoded method may keep what it decoded, except for longstrs.
func TestMethodAliases(t *testing.T) {
	wire := (&ConnectionStartOk{Mechanism: "PLAIN", Response: []byte("secret"), Locale: "en_US"}).Append(nil)
	var m ConnectionStartOk
	if err := m.Decode(wire[4:]); err != nil {
		t.Fatal(err)
	}
	clear(wire)
	want := &ConnectionStartOk{Mechanism: "PLAIN", Response: make([]byte, 6), Locale: "en_US"}
	if diff := cmp.Diff(want, &m); diff != "" {
		t.Errorf("after clearing the input (-want +got):\n%s", diff)
	}
}

// Strings that do not fit are cut, so that the length octet is always right.
func TestMethodAppendCuts(t *testing.T) {
	m := &QueueDeclareOk{Queue: strings.Repeat("€", 100), MessageCount: 3}
	got, err := DecodeMethod(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := &QueueDeclareOk{Queue: strings.Repeat("€", 85), MessageCount: 3}
	if diff := cmp.Diff(Method(want), got); diff != "" {
		t.Errorf("a name of 300 bytes (-want +got):\n%s", diff)
	}
}
