package auth

import (
	"errors"
	"fmt"
	"regexp"
)

// MaxPattern is the length of the longest permission pattern, in bytes.
const MaxPattern = 1024

// ErrPattern is wrapped by every refusal of a permission pattern.
var ErrPattern = errors.New("pattern not allowed")

// Op is a kind of operation that a permission pattern guards.
type Op uint8

// The operations on a queue or exchange, as RabbitMQ groups them.
const (
	Configure Op = iota // Declare and delete.
	Write               // Publish to an exchange; bind a queue, or an exchange as destination.
	Read                // Consume, get and purge; bind to an exchange as source.
)

// String gives the operation's name as RabbitMQ writes it in a refusal.
func (op Op) String() string {
	switch op {
	case Configure:
		return "configure"
	case Write:
		return "write"
	case Read:
		return "read"
	}
	return "unknown"
}

// Permission is RabbitMQ's: for each kind of operation a regular expression that the names of the
// queues and exchanges it is allowed on match, anywhere in the name unless it is anchored. The
// empty pattern matches nothing.
type Permission struct {
	Configure string
	Write     string
	Read      string
}

// Rights is a compiled [Permission]. It is immutable.
type Rights struct {
	matchers [3]matcher // By Op.
	topics   Topics     // Nil: routing keys are not asked about.
}

// matcher matches everything, nothing, or what its expression does.
type matcher struct {
	all     bool
	pattern *regexp.Regexp // Nil: nothing, unless all.
}

// Compile makes a permission ready to be asked. Patterns are Go's (RE2), hence linear in time; an
// error wraps [ErrPattern] and says which pattern is too long or uses what RE2 has not
// (look-around, back references).
func Compile(p Permission) (*Rights, error) {
	rights := new(Rights)
	for op, pattern := range [...]string{Configure: p.Configure, Write: p.Write, Read: p.Read} {
		m, err := compilePattern(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s pattern: %w", Op(op), err)
		}
		rights.matchers[op] = m
	}
	return rights, nil
}

func compilePattern(pattern string) (matcher, error) {
	switch {
	case len(pattern) > MaxPattern:
		return matcher{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrPattern, len(pattern), MaxPattern)
	case matchesAll(pattern):
		return matcher{all: true}, nil
	case matchesNone(pattern):
		return matcher{}, nil
	}
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return matcher{}, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	return matcher{pattern: expression}, nil
}

// Can reports whether op is allowed on the queue or exchange called name. The default exchange,
// whose name is empty, is asked for as "amq.default"; the caller does that. Rights that are nil
// allow nothing.
func (r *Rights) Can(op Op, name string) bool {
	if r == nil || int(op) >= len(r.matchers) {
		return false
	}
	m := &r.matchers[op]
	return m.all || m.pattern != nil && m.pattern.MatchString(name)
}

// matchesAll knows the usual spellings of "everything"; others are merely slower.
func matchesAll(pattern string) bool {
	switch pattern {
	case ".*", "^.*", ".*$", "^.*$":
		return true
	}
	return false
}

func matchesNone(pattern string) bool { return pattern == "" || pattern == "^$" }
