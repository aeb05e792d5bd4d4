package meta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/warrenmq/warren/amqp"
)

// A record in the log is one line of JSON, or several that stand or fall together:
//
//	{"v":1,"op":"put","queue":{"vhost":{"cluster":"amqp-…","name":"/"},"name":"q","uid":7,"durable":true}}
//	{"v":1,"op":"delete","queue":{"vhost":{"cluster":"amqp-…","name":"/"},"name":"q"}}
//
// It has one subject. "put" makes it or replaces it whole; "delete" needs only what identifies it.
// Argument tables are the base64 of their AMQP encoding, so that every value keeps its exact type.
// A version, operation, subject or field that is not known is an error: a node never skips what it
// does not understand.
const recordVersion = 1

// ErrRecord is wrapped by every error about a record that cannot be read.
var ErrRecord = errors.New("record cannot be read")

// Op is what a [Record] does with its subject.
type Op string

// The operations.
const (
	OpPut    Op = "put"
	OpDelete Op = "delete"
)

// Record is one step of the state machine.
type Record struct {
	Op      Op
	Subject Subject
}

// Subject is a thing that records are about: [Cluster], [Vhost], [Role], [Permission],
// [TopicPermission], [Exchange], [Queue], [Binding], [Policy], [Parameter] or [Reservation]. Nothing outside this package implements it.
type Subject interface {
	// Check says why op cannot be applied to s. It changes nothing.
	check(s *State, op Op) error
	// Put and remove change s and cannot fail: check was asked before.
	put(s *State) []Change
	remove(s *State) []Change
}

// Reservation says that numbers up to UID were handed out, when nothing that exists shows it any
// more. It is only ever put.
type Reservation struct {
	UID uint64 `json:"uid"`
}

func (r Reservation) check(_ *State, op Op) error {
	if op != OpPut {
		return fmt.Errorf("%w: a reservation cannot be taken back", ErrInvalid)
	}
	return nil
}

func (r Reservation) put(s *State) []Change {
	s.raiseUID(r.UID)
	return nil
}

func (r Reservation) remove(*State) []Change { return nil }

// line is the JSON of a record.
type line struct {
	Version     int           `json:"v"`
	Op          Op            `json:"op"`
	Cluster     *Cluster      `json:"cluster,omitempty"`
	Vhost       *Vhost        `json:"vhost,omitempty"`
	Role        *Role         `json:"role,omitempty"`
	Permission  *Permission   `json:"permission,omitempty"`
	Exchange    *exchangeLine `json:"exchange,omitempty"`
	Queue       *queueLine    `json:"queue,omitempty"`
	Binding     *bindingLine  `json:"binding,omitempty"`
	Policy      *Policy       `json:"policy,omitempty"`
	Reservation *Reservation  `json:"reservation,omitempty"`

	TopicPermission *TopicPermission `json:"topic_permission,omitempty"`
	Parameter       *Parameter       `json:"parameter,omitempty"`
}

type exchangeLine struct {
	Exchange
	Arguments arguments `json:"arguments,omitempty"`
}

type queueLine struct {
	Queue
	Arguments arguments `json:"arguments,omitempty"`
}

type bindingLine struct {
	Binding
	RoutingKey octets    `json:"routing_key"`
	Arguments  arguments `json:"arguments,omitempty"`
}

// AppendRecord appends the record to dst as one line of JSON without a line break.
func AppendRecord(dst []byte, r Record) ([]byte, error) {
	l := line{Version: recordVersion, Op: r.Op}
	switch subject := r.Subject.(type) {
	case Cluster:
		l.Cluster = &subject
	case Vhost:
		l.Vhost = &subject
	case Role:
		l.Role = &subject
	case Permission:
		l.Permission = &subject
	case Exchange:
		l.Exchange = &exchangeLine{Exchange: subject, Arguments: encodeArguments(subject.Arguments)}
	case Queue:
		l.Queue = &queueLine{Queue: subject, Arguments: encodeArguments(subject.Arguments)}
	case Binding:
		l.Binding = &bindingLine{Binding: subject, RoutingKey: octets(subject.RoutingKey), Arguments: encodeArguments(subject.Arguments)}
	case Policy:
		l.Policy = &subject
	case Reservation:
		l.Reservation = &subject
	case TopicPermission:
		l.TopicPermission = &subject
	case Parameter:
		l.Parameter = &subject
	default:
		return nil, fmt.Errorf("%w: no subject to write", ErrRecord)
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	return append(dst, text...), nil
}

// DecodeRecord reads one line. Its errors wrap [ErrRecord].
func DecodeRecord(src []byte) (Record, error) {
	if len(src) > MaxRecord {
		return Record{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrRecord, len(src), MaxRecord)
	}
	decoder := json.NewDecoder(bytes.NewReader(src))
	decoder.DisallowUnknownFields()
	var l line
	if err := decoder.Decode(&l); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("%w: something follows it on its line", ErrRecord)
	}
	if l.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: version %d is not known, only %d", ErrRecord, l.Version, recordVersion)
	}
	if l.Op != OpPut && l.Op != OpDelete {
		return Record{}, fmt.Errorf("%w: operation %q is not known", ErrRecord, l.Op)
	}
	subjects, err := l.subjects()
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if len(subjects) != 1 {
		return Record{}, fmt.Errorf("%w: it has %d subjects", ErrRecord, len(subjects))
	}
	return Record{Op: l.Op, Subject: subjects[0]}, nil
}

// Subjects collects whatever the line has, one if it is well-formed.
func (l *line) subjects() ([]Subject, error) {
	var found []Subject
	if l.Cluster != nil {
		found = append(found, *l.Cluster)
	}
	if l.Vhost != nil {
		found = append(found, *l.Vhost)
	}
	if l.Role != nil {
		found = append(found, *l.Role)
	}
	if l.Permission != nil {
		found = append(found, *l.Permission)
	}
	if l.Policy != nil {
		found = append(found, *l.Policy)
	}
	if l.Reservation != nil {
		found = append(found, *l.Reservation)
	}
	if l.TopicPermission != nil {
		found = append(found, *l.TopicPermission)
	}
	if l.Parameter != nil {
		found = append(found, *l.Parameter)
	}
	var err error
	if l.Exchange != nil {
		exchange := l.Exchange.Exchange
		exchange.Arguments, err = l.Exchange.Arguments.decode(err)
		found = append(found, exchange)
	}
	if l.Queue != nil {
		queue := l.Queue.Queue
		queue.Arguments, err = l.Queue.Arguments.decode(err)
		found = append(found, queue)
	}
	if l.Binding != nil {
		binding := l.Binding.Binding
		binding.RoutingKey = string(l.Binding.RoutingKey)
		binding.Arguments, err = l.Binding.Arguments.decode(err)
		found = append(found, binding)
	}
	return found, err
}

// arguments is an AMQP table as it is on the wire, without the length before it.
type arguments []byte

func encodeArguments(t amqp.Table) arguments {
	if len(t) == 0 {
		return nil
	}
	const length = 4
	return arguments(amqp.AppendTable(nil, t)[length:])
}

// Decode reads the table unless an earlier step has failed.
func (a arguments) decode(err error) (amqp.Table, error) {
	if err != nil || len(a) == 0 {
		return nil, err
	}
	table, err := amqp.DecodeTable(a)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return table, nil
}

// octets is a short string of any bytes: JSON text where it is UTF-8, and {"base64":…} where it is
// not, because routing keys may hold anything.
type octets string

type octetsLine struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON writes a string, or an object where the bytes are not UTF-8.
func (o octets) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(o)) {
		return json.Marshal(string(o))
	}
	return json.Marshal(octetsLine{Base64: []byte(o)})
}

// UnmarshalJSON reads either form.
func (o *octets) UnmarshalJSON(src []byte) error {
	if bytes.HasPrefix(src, []byte("{")) {
		var l octetsLine
		if err := json.Unmarshal(src, &l); err != nil {
			return err
		}
		*o = octets(l.Base64)
		return nil
	}
	var s string
	if err := json.Unmarshal(src, &s); err != nil {
		return err
	}
	*o = octets(s)
	return nil
}
