package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{
		`{"max-length": 5}`:                          "",
		`{"max-length": 5, "overflow": "drop-head"}`: "",
		`{"alternate-exchange": "x"}`:                "",
		`{}`:                                         "no policy provided",
		`{"foo": 1}`:                                 `[{<<"foo">>,1}] are not recognised policy settings`,
		`{"foo": 1, "bar": "x"}`:                     `[{<<"bar">>,<<"x">>},{<<"foo">>,1}] are not recognised policy settings`,
		`{"foo": 1, "max-length": "x"}`:              `<<"x">> is not a valid maximum length`,
		`{"max-length": -1}`:                         "-1 is not a valid maximum length",
		`{"max-length": 1.5}`:                        "1.5 is not a valid maximum length",
		`{"max-length-bytes": "x"}`:                  `<<"x">> is not a valid maximum length in bytes`,
		`{"alternate-exchange": 7}`:                  "7 is not a valid alternate exchange name",
		`{"overflow": "nope"}`:                       `<<"nope">> is not a valid overflow value`,
		`{"queue-mode": null}`:                       "null is not a valid queue-mode value",
		`{"max-age": "1h"}`:                          "policy setting 'max-age' is not supported yet by this broker",
	} {
		p := Policy{Name: "p", Pattern: ".*", ApplyTo: All}
		if err := json.Unmarshal([]byte(definition), &p.Definition); err != nil {
			t.Fatal(err)
		}
		if got := text(Check(&p)); got != want {
			t.Errorf("%s: %q, want %q", definition, got, want)
		}
	}
	for _, c := range []struct {
		change func(p *Policy)
		want   string
	}{
		{func(p *Policy) { p.Pattern = "(" }, "pattern should be regular expression but is invalid: error parsing regexp: missing closing ): `(`"},
		{func(p *Policy) { p.Pattern = strings.Repeat("a", 1025) }, "pattern has 1025 bytes, the limit is 1024"},
		{func(p *Policy) { p.ApplyTo = "sheep" }, "apply-to 'sheep' unrecognised; should be one of: 'queues', 'classic_queues', " +
			" 'quorum_queues', 'streams', 'exchanges', or 'all'"},
		{func(p *Policy) { p.Pattern, p.ApplyTo, p.Definition = "(", "x", Definition{"max-length": int64(-1)} }, "-1 is not a valid maximum length\n" +
			"apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'\n" +
			"pattern should be regular expression but is invalid: error parsing regexp: missing closing ): `(`"},
		{
			func(p *Policy) {
				p.Definition = Definition{"foo": strings.Repeat("a", 20), "bar": strings.Repeat("a", 20)}
			},
			`[{<<"bar">>,<<"aaaaaaaaaaaaaaaaaaaa">>},` + "\n" + ` {<<"foo">>,<<"aaaaaaaaaaaaaaaaaaaa">>}] are not recognised policy settings`,
		},
		{
			func(p *Policy) {
				p.Definition = Definition{"foo": strings.Repeat("a", 19), "bar": strings.Repeat("a", 19)}
			},
			`[{<<"bar">>,<<"aaaaaaaaaaaaaaaaaaa">>},{<<"foo">>,<<"aaaaaaaaaaaaaaaaaaa">>}] are not recognised policy settings`,
		},
		{func(p *Policy) { p.Name = "" }, "the name of a policy has 1 to 255 bytes of UTF-8, this one has 0 bytes"},
		{func(p *Policy) {
			*p = Policy{Name: "p", ApplyTo: All, Operator: true, Definition: Definition{"alternate-exchange": "x"}}
		}, `[{<<"alternate-exchange">>,<<"x">>}] are not recognised policy settings`},
	} {
		p := Policy{Name: "p", Pattern: ".*", ApplyTo: All, Definition: Definition{"max-length": int64(1)}}
		c.change(&p)
		if got := text(Check(&p)); got != c.want {
			t.Errorf("%+v: %q, want %q", p, got, c.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(err), "Validation failed\n\n"), "\n")
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "xax", true},
		{"^a", "xa", false},
		{"", "anything", true},
		{`^(?!amq\.).*`, "amq.x", false},
		{`^(?!amq\.).*`, "amqx", true},
		{`^(?!amq\.).*`, "", true},
		{`^(?!a|(b[)]))c`, "ca", true},
		{`^(?!a|(b[)]))c`, "xc", false},
		{`^(?!(dlq|tmp)\.).*$`, "dlq.a", false},
		{`^(?!(dlq|tmp)\.).*$`, "dl.a", true},
	} {
		p, err := compile(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := p.matches(c.name); got != c.want {
			t.Errorf("%s on %q: %t", c.pattern, c.name, got)
		}
	}
	for _, bad := range []string{"(?=a)", `^(?!a(?!b)).*`, "^(?!a", `(a)\1`} {
		if _, err := compile(bad); err == nil {
			t.Errorf("%s compiles", bad)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := NewSet([]Policy{
		{Name: "low", Pattern: ".*", ApplyTo: All, Priority: 0},
		{Name: "b", Pattern: "^q", ApplyTo: Queues, Priority: 5},
		{Name: "a", Pattern: "^q", ApplyTo: ClassicQueues, Priority: 5},
		{Name: "quorum", Pattern: "^q", ApplyTo: QuorumQueues, Priority: 9},
		{Name: "x", Pattern: "^q", ApplyTo: Exchanges, Priority: 7},
		{Name: "op", Pattern: "1$", ApplyTo: All, Operator: true},
	})
	for _, c := range []struct {
		object           Object
		policy, operator string
	}{
		{Object{Name: "q1", Type: "classic"}, "a", "op"},
		{Object{Name: "q2", Type: "quorum"}, "quorum", ""},
		{Object{Name: "q2", Type: "stream"}, "b", ""},
		{Object{Name: "q1", Exchange: true}, "x", "op"},
		{Object{Name: "other", Exchange: true}, "low", ""},
	} {
		e := Merge(s.Find(c.object))
		if e.Policy != c.policy || e.Operator != c.operator {
			t.Errorf("%+v: %q and %q", c.object, e.Policy, e.Operator)
		}
	}
	if Merge((*Set)(nil).Find(Object{Name: "q"})) != nil {
		t.Error("no policies say something")
	}
	if !s.Touches("low", false, Object{Name: "z"}) || s.Touches("b", false, Object{Name: "z"}) || s.Touches("gone", true, Object{}) {
		t.Error("Touches is wrong")
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	e := Merge(
		&Policy{Name: "p", Definition: Definition{"max-length": int64(10), "overflow": "drop-head", "dead-letter-exchange": "p", "delivery-limit": int64(-1)}},
		&Policy{Name: "o", Definition: Definition{"max-length": int64(7), "overflow": "reject-publish", "delivery-limit": int64(5)}},
	)
	want := Definition{"max-length": int64(7), "overflow": "reject-publish", "dead-letter-exchange": "p", "delivery-limit": int64(5)}
	if diff := cmp.Diff(want, e.Definition); diff != "" {
		t.Error(diff)
	}
	args := amqp.Table{{Key: "x-max-length", Value: int32(20)}, {Key: "x-dead-letter-exchange", Value: "mine"}, {Key: "foo", Value: true}}
	if diff := cmp.Diff(amqp.Table{
		{Key: "x-max-length", Value: int64(7)},
		{Key: "x-dead-letter-exchange", Value: "mine"},
		{Key: "foo", Value: true},
		{Key: "x-delivery-limit", Value: int64(5)},
		{Key: "x-overflow", Value: "reject-publish"},
	}, e.Arguments(args)); diff != "" {
		t.Error(diff)
	}
	if args[0].Value != int32(20) {
		t.Error("the queue's own arguments were changed")
	}
	args = amqp.Table{{Key: "x-max-length", Value: int32(2)}}
	if v, _ := e.Arguments(args).Get("x-max-length"); v != int32(2) {
		t.Errorf("the lower limit is %v", v)
	}
	if got := (*Effective)(nil).Arguments(args); len(got) != 1 {
		t.Errorf("no policy makes %v", got)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`^(?!amq\.).*`, "amq.x")
	f.Add(`^(?![)](a)`, "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > MaxPattern {
			return
		}
		if p, err := compile(text); err == nil {
			p.matches(name)
		}
	})
}
