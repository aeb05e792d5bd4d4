package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/warrenmq/warren/amqp"
)

// kind says whose setting a key is.
type kind uint8

const (
	forQueues kind = 1 << iota
	forExchanges
)

// setting is what is known of one key.
type setting struct {
	kind  kind
	noun  string // of RabbitMQ's refusal: "… is not a valid <noun>"
	valid func(value any) bool
	// argument is the queue or exchange argument that it stands for, and lower says that of the two
	// values the lower one counts, not the argument.
	argument string
	lower    bool
	operator bool // operators may set it
	later    bool // known and not acted on yet: refused by name
}

// settings are the keys that RabbitMQ acts on for queues and exchanges.
func settings() map[string]setting {
	all := map[string]setting{
		"alternate-exchange":            {noun: "alternate exchange name", valid: isText, kind: forExchanges},
		"message-ttl":                   {noun: "message TTL", valid: from(0), lower: true, operator: true},
		"expires":                       {noun: "queue expiry", valid: from(1), lower: true, operator: true},
		"max-length":                    {noun: "maximum length", valid: from(0), lower: true, operator: true},
		"max-length-bytes":              {noun: "maximum length in bytes", valid: from(0), lower: true, operator: true},
		"max-in-memory-length":          {noun: "maximum memory in bytes", valid: from(0), lower: true, operator: true},
		"max-in-memory-bytes":           {noun: "maximum memory in bytes", valid: from(0), lower: true, operator: true},
		"overflow":                      {noun: "overflow value", valid: oneOf("drop-head", "reject-publish", "reject-publish-dlx"), operator: true},
		"dead-letter-exchange":          {noun: "dead letter exchange name", valid: isText},
		"dead-letter-routing-key":       {noun: "dead letter routing key", valid: isText},
		"dead-letter-strategy":          {noun: "dead letter strategy", valid: oneOf("at-most-once", "at-least-once")},
		"delivery-limit":                {noun: "delivery limit", valid: isNumber, lower: true, operator: true},
		"consumer-timeout":              {noun: "consumer timeout", valid: from(0), lower: true},
		"delayed-retry-type":            {noun: "delayed retry type", valid: oneOf("disabled", "all", "failed", "returned")},
		"delayed-retry-min":             {noun: "delayed retry minimum", valid: from(1)},
		"delayed-retry-max":             {noun: "delayed retry maximum", valid: from(1)},
		"queue-mode":                    {noun: "queue-mode value", valid: oneOf("default", "lazy")},
		"queue-version":                 {noun: "queue version", valid: from(1)},
		"queue-leader-locator":          {noun: "queue leader locator value", valid: oneOf("client-local", "balanced", "random", "least-leaders")},
		"queue-master-locator":          {noun: "queue master locator value", valid: isText},
		"target-group-size":             {noun: "target group size", valid: from(1), operator: true},
		"initial-cluster-size":          {noun: "cluster size", valid: from(1)},
		"max-age":                       {noun: "max age", valid: isText, later: true},
		"stream-max-segment-size-bytes": {noun: "segment size", valid: from(0), later: true},
		"stream-filter-size-bytes":      {noun: "filter size", valid: from(16), later: true},
		"federation-upstream":           {noun: "federation upstream", valid: isText, kind: forQueues | forExchanges, later: true},
		"federation-upstream-set":       {noun: "federation upstream set", valid: isText, kind: forQueues | forExchanges, later: true},
	}
	for key, s := range all {
		if s.kind == 0 {
			s.kind = forQueues
		}
		s.argument = "x-" + key
		if s.kind == forExchanges {
			s.argument = key
		}
		all[key] = s
	}
	return all
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && len(s) <= MaxText
}

func isNumber(v any) bool {
	_, ok := v.(int64)
	return ok
}

func from(low int64) func(any) bool {
	return func(v any) bool {
		n, ok := v.(int64)
		return ok && n >= low
	}
}

func oneOf(texts ...string) func(any) bool {
	return func(v any) bool {
		for _, t := range texts {
			if v == t {
				return true
			}
		}
		return false
	}
}

// Check says what is wrong with a policy: an [*Error].
//
// A pattern is a regular expression that the name has to match somewhere. It is Go's (RE2), hence
// linear in the length of the name; of what RE2 lacks, one negative look-ahead at the start is
// understood: the usual "^(?!amq)" means all but those.
//
// All that is wrong is said, in RabbitMQ's order: the definition, the kind of object, the pattern.
func Check(p *Policy) error {
	switch {
	case p.Name == "" || len(p.Name) > MaxName || !utf8.ValidString(p.Name):
		return refuse("the name of a policy has 1 to %d bytes of UTF-8, this one has %d bytes", MaxName, len(p.Name))
	case len(p.Pattern) > MaxPattern:
		return refuse("pattern has %d bytes, the limit is %d", len(p.Pattern), MaxPattern)
	}
	wrong := checkDefinition(p)
	switch p.ApplyTo {
	case All, Queues, ClassicQueues, QuorumQueues, Streams, Exchanges:
	default:
		wrong = append(wrong, fmt.Sprintf("apply-to '%.80s' unrecognised; should be one of: 'queues', 'classic_queues', "+
			" 'quorum_queues', 'streams', 'exchanges', or 'all'", p.ApplyTo)) // the two blanks are RabbitMQ's
	}
	if _, err := compile(p.Pattern); err != nil {
		wrong = append(wrong, fmt.Sprintf("pattern should be regular expression but is invalid: %v", err))
	}
	if len(wrong) > 0 {
		return &Error{Text: strings.Join(wrong, "\n")}
	}
	return nil
}

// checkDefinition says what is wrong with a definition: one thing, values first.
func checkDefinition(p *Policy) []string {
	if len(p.Definition) == 0 {
		return []string{"no policy provided"}
	}
	if len(p.Definition) > MaxDefinition {
		return []string{fmt.Sprintf("the definition has %d keys, the limit is %d", len(p.Definition), MaxDefinition)}
	}
	known := settings()
	var unknown []string
	later := ""
	for _, key := range p.Definition.keys() {
		s, ok := known[key]
		v := p.Definition[key]
		switch {
		case !ok || p.Operator && !s.operator:
			unknown = append(unknown, "{"+term(key)+","+term(v)+"}")
		case !s.valid(v):
			return []string{fmt.Sprintf("%s is not a valid %s", term(v), s.noun)}
		case s.later:
			later = cmp.Or(later, key)
		}
	}
	switch {
	case unknown != nil:
		return []string{list(unknown) + " are not recognised policy settings"}
	case later != "":
		return []string{fmt.Sprintf("policy setting '%s' is not supported yet by this broker", later)}
	}
	return nil
}

// termWidth is what fits in a line of a term, its brackets included.
const termWidth = 78

// list renders a list of terms as RabbitMQ does: on one line if that is short.
func list(terms []string) string {
	if text := "[" + strings.Join(terms, ",") + "]"; len(text) <= termWidth {
		return text
	}
	return "[" + strings.Join(terms, ",\n ") + "]"
}

// term renders a value as RabbitMQ does in its texts.
func term(v any) string {
	switch v := v.(type) {
	case string:
		return amqp.ErlangBinary([]byte(v[:min(len(v), MaxText)]))
	case json.RawMessage:
		return string(v[:min(len(v), MaxText)])
	}
	return fmt.Sprint(v)
}

var errPattern = errors.New("look-around is only understood as one (?!…) behind a ^ at the start")
