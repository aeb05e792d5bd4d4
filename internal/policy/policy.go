// Package policy is RabbitMQ's policies: settings that operators give to all queues and exchanges
// whose names match a pattern, without touching their declarations.
//
// At most one policy and one operator policy apply to an object: of those whose pattern matches,
// the one with the highest priority, and of equals the one whose name sorts first. Where both set
// the same key the stricter value wins. What a queue is declared with comes before a policy, except
// that limits are the lower of the two (see [Effective.Arguments]).
//
// Everything here is a pure function of its arguments. A [Set] is asked once a declare and once a
// change of policies, never for a message.
package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits. The refusals name them.
const (
	// MaxPattern is the length of the longest pattern, in bytes.
	MaxPattern = 1024
	// MaxName is the length of the longest name of a policy, in bytes.
	MaxName = 255
	// MaxDefinition is the number of keys in one definition, and MaxText the length of the longest
	// text in it, in bytes.
	MaxDefinition = 64
	MaxText       = 1024
)

// Target says to what a policy applies.
type Target string

// The targets, as RabbitMQ writes them.
const (
	All           Target = "all" // queues and exchanges
	Queues        Target = "queues"
	ClassicQueues Target = "classic_queues"
	QuorumQueues  Target = "quorum_queues"
	Streams       Target = "streams"
	Exchanges     Target = "exchanges"
)

// Policy is one policy or operator policy.
type Policy struct {
	Name       string     `json:"name"`
	Pattern    string     `json:"pattern"` // a regular expression, see Check
	ApplyTo    Target     `json:"apply-to"`
	Priority   int64      `json:"priority"`
	Definition Definition `json:"definition"`
	// Operator policies limit what others set: see OperatorKeys.
	Operator bool `json:"operator,omitempty"`
}

// Definition is what a policy sets: keys are those of RabbitMQ, values are int64, bool or string,
// or, where the JSON has something else, a json.RawMessage, which Check refuses.
type Definition map[string]any

// UnmarshalJSON reads whole numbers, booleans and texts as such.
func (d *Definition) UnmarshalJSON(src []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(src, &raw); err != nil {
		return err
	}
	*d = make(Definition, len(raw))
	for key, text := range raw {
		(*d)[key] = value(text)
	}
	return nil
}

// value decodes one setting.
func value(text json.RawMessage) any {
	var n int64
	var s string
	var b bool
	switch {
	case bytes.Equal(text, []byte("null")):
		return text
	case json.Unmarshal(text, &n) == nil:
		return n
	case json.Unmarshal(text, &b) == nil:
		return b
	case json.Unmarshal(text, &s) == nil:
		return s
	}
	return text
}

// Equal reports whether two definitions set the same. Both have passed Check.
func (d Definition) Equal(other Definition) bool { return maps.Equal(d, other) }

// keys returns the definition's keys in order.
func (d Definition) keys() []string { return slices.Sorted(maps.Keys(d)) }

// Error is a refusal of a policy in RabbitMQ's words.
type Error struct {
	// Text says what is wrong.
	Text string
}

// Error is the whole text as RabbitMQ's API gives it.
func (e *Error) Error() string { return "Validation failed\n\n" + e.Text + "\n" }

func refuse(format string, a ...any) error { return &Error{Text: fmt.Sprintf(format, a...)} }

// order sorts policies so that the first that matches applies.
func order(a, b *Policy) int {
	switch {
	case a.Priority > b.Priority:
		return -1
	case a.Priority < b.Priority:
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}
