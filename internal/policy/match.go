package policy

import (
	"regexp"
	"slices"
	"strings"
)

// pattern is a compiled pattern: a name matches when it matches yes and not no.
type pattern struct {
	yes, no *regexp.Regexp // nil: everything, and nothing
}

// compile compiles a pattern.
func compile(text string) (pattern, error) {
	without, rest, ok := cutLookahead(text)
	if !ok {
		yes, err := regexp.Compile(text)
		return pattern{yes: yes}, err
	}
	no, err := regexp.Compile("^(?:" + without + ")")
	if err != nil {
		return pattern{}, err
	}
	yes, err := regexp.Compile("^(?:" + rest + ")")
	if err != nil {
		return pattern{}, err
	}
	if strings.Contains(rest, "(?!") || strings.Contains(without, "(?!") {
		return pattern{}, errPattern
	}
	return pattern{yes, no}, nil
}

// cutLookahead takes "^(?!a)b" apart into a and b.
func cutLookahead(text string) (without, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "^(?!")
	if !ok {
		return "", "", false
	}
	depth, class := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return text[:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

func (p *pattern) matches(name string) bool {
	return p.yes.MatchString(name) && (p.no == nil || !p.no.MatchString(name))
}

// Object is what policies apply to.
type Object struct {
	Name     string
	Exchange bool
	Type     string // of a queue: classic, quorum or stream
}

// Set is the policies of a vhost, ready to be asked. It is immutable; nil is an empty one.
type Set struct {
	policies, operators []compiled // the first that matches applies
}

// compiled is a policy with what it is asked by.
type compiled struct {
	Policy

	pattern pattern
}

// NewSet compiles policies. One whose pattern Check refuses applies to nothing.
func NewSet(list []Policy) *Set {
	s := &Set{}
	for i := range list {
		p, err := compile(list[i].Pattern)
		if err != nil {
			continue
		}
		if c := (compiled{list[i], p}); c.Operator {
			s.operators = append(s.operators, c)
		} else {
			s.policies = append(s.policies, c)
		}
	}
	for _, of := range [][]compiled{s.policies, s.operators} {
		slices.SortFunc(of, func(a, b compiled) int { return order(&a.Policy, &b.Policy) })
	}
	return s
}

// Find returns the policy and the operator policy of an object; nil: none.
func (s *Set) Find(o Object) (policy, operator *Policy) {
	if s == nil {
		return nil, nil
	}
	return first(s.policies, o), first(s.operators, o)
}

// Touches reports whether a named policy is, or could become, an object's.
func (s *Set) Touches(name string, operator bool, o Object) bool {
	if s == nil {
		return false
	}
	of := s.policies
	if operator {
		of = s.operators
	}
	for i := range of {
		if of[i].Name == name {
			return of[i].matches(o)
		}
	}
	return false
}

func first(list []compiled, o Object) *Policy {
	for i := range list {
		if list[i].matches(o) {
			return &list[i].Policy
		}
	}
	return nil
}

func (c *compiled) matches(o Object) bool {
	switch c.ApplyTo {
	case All:
	case Queues:
		if o.Exchange {
			return false
		}
	case ClassicQueues, QuorumQueues, Streams:
		if o.Exchange || !strings.HasPrefix(string(c.ApplyTo), o.Type) {
			return false
		}
	case Exchanges:
		if !o.Exchange {
			return false
		}
	default:
		return false
	}
	return c.pattern.matches(o.Name)
}
