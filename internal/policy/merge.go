package policy

import (
	"maps"
	"slices"

	"github.com/warrenmq/warren/amqp"
)

// Effective is what policies say about one object. It is immutable and shared by all objects with
// the same policies; nil says nothing.
type Effective struct {
	Policy, Operator string     // names; empty: none
	Definition       Definition // of both
	lower            map[string]bool
	arguments        amqp.Table // the definition as arguments, in the order of the keys
}

// Merge makes one definition of a policy and an operator policy, either of which may be nil; nil
// when both are.
func Merge(policy, operator *Policy) *Effective {
	if policy == nil && operator == nil {
		return nil
	}
	known := settings()
	e := &Effective{Definition: Definition{}, lower: map[string]bool{}}
	if policy != nil {
		e.Policy = policy.Name
		maps.Copy(e.Definition, policy.Definition)
	}
	if operator != nil {
		e.Operator = operator.Name
		for key, v := range operator.Definition {
			s := known[key]
			if had, ok := e.Definition[key]; ok && s.lower {
				v = lower(had, v)
			}
			e.Definition[key] = v
		}
	}
	for _, key := range e.Definition.keys() {
		s := known[key]
		e.arguments = append(e.arguments, amqp.Field{Key: s.argument, Value: e.Definition[key]})
		if s.lower {
			e.lower[s.argument] = true
		}
	}
	return e
}

// lower is the stricter of two limits. A negative one is none (delivery-limit).
func lower(a, b any) any {
	x, xok := integer(a)
	y, yok := integer(b)
	switch {
	case !xok || yok && (x < 0 || y >= 0 && y < x):
		return b
	default:
		return a
	}
}

// integer returns the value of any integer type.
func integer(v any) (int64, bool) {
	n, _, ok := amqp.Table{{Key: "n", Value: v}}.Int("n")
	return n, ok
}

// Arguments returns what an object declared with args works by: limits (message TTL, expiry,
// lengths, delivery limit) are the lower of argument and policy; of all else the argument counts,
// and the policy where there is none. Args is returned itself when policies add nothing.
func (e *Effective) Arguments(args amqp.Table) amqp.Table {
	if e == nil || len(e.arguments) == 0 {
		return args
	}
	merged := slices.Clone(args)
	for _, f := range e.arguments {
		i := slices.IndexFunc(merged, func(a amqp.Field) bool { return a.Key == f.Key })
		switch {
		case i < 0:
			merged = append(merged, f)
		case e.lower[f.Key]:
			merged[i].Value = lower(merged[i].Value, f.Value)
		}
	}
	return merged
}

// Text returns a setting that is text.
func (e *Effective) Text(key string) (string, bool) {
	if e == nil {
		return "", false
	}
	s, ok := e.Definition[key].(string)
	return s, ok
}

// Names reports whether the named policy, or operator policy, is part of e.
func (e *Effective) Names(name string, operator bool) bool {
	if e == nil {
		return false
	}
	if operator {
		return e.Operator == name
	}
	return e.Policy == name
}
