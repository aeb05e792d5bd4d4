package auth

import (
	"fmt"
	"regexp"
	"strings"
)

// Topic is a permission for one topic exchange: which routing keys may be published with (Write)
// and bound by (Read). An empty pattern matches nothing. Variables such as "{username}" stand for
// what [CompileTopics] is given for them.
type Topic struct {
	Exchange    string
	Write, Read string
}

// Topics are compiled topic permissions, immutable.
type Topics map[string][2]matcher // By exchange: write, read.

// CompileTopics makes topic permissions ready to be asked. Variables have the values given, which
// match as they are.
func CompileTopics(list []Topic, variables map[string]string) (Topics, error) {
	if len(list) == 0 {
		return nil, nil
	}
	topics := make(Topics, len(list))
	for _, t := range list {
		var m [2]matcher
		for i, pattern := range [2]string{t.Write, t.Read} {
			for name, value := range variables {
				pattern = strings.ReplaceAll(pattern, "{"+name+"}", regexp.QuoteMeta(value))
			}
			var err error
			if m[i], err = compilePattern(pattern); err != nil {
				return nil, fmt.Errorf("topic pattern for exchange %q: %w", t.Exchange, err)
			}
		}
		topics[t.Exchange] = m
	}
	return topics, nil
}

// With returns the rights narrowed by topic permissions.
func (r *Rights) With(t Topics) *Rights {
	if r == nil || t == nil {
		return r
	}
	next := *r
	next.topics = t
	return &next
}

// Narrowed reports whether routing keys have to be asked about.
func (r *Rights) Narrowed() bool { return r != nil && r.topics != nil }

// CanTopic reports whether op, Write or Read, is allowed on a topic exchange with a routing key. It
// is when there is no topic permission for the exchange.
func (r *Rights) CanTopic(op Op, exchange, key string) bool {
	if r == nil {
		return false
	}
	m, ok := r.topics[exchange]
	if !ok {
		return true
	}
	which := &m[0]
	if op == Read {
		which = &m[1]
	}
	return which.all || which.pattern != nil && which.pattern.MatchString(key)
}
