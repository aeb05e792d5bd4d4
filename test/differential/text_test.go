package differential_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// describe lists the fields of a method or of properties that are not zero.
func describe(v any) string {
	s := reflect.ValueOf(v).Elem()
	var b strings.Builder
	for i := range s.NumField() {
		f := s.Field(i)
		if t, ok := reflect.TypeAssert[amqp.Table](f); ok && s.Type().Field(i).Name == "Headers" {
			slices.SortStableFunc(t, func(a, b amqp.Field) int { return strings.Compare(a.Key, b.Key) }) // RabbitMQ sorts them
		}
		if !f.IsZero() {
			fmt.Fprintf(&b, " %s=%s", s.Type().Field(i).Name, valueText(f.Interface()))
		}
	}
	return b.String()
}

// valueText writes a value with the type that it has on the wire.
func valueText(v any) string {
	switch v := v.(type) {
	case amqp.Table:
		var parts []string
		for _, f := range v {
			text := valueText(f.Value)
			if f.Key == "time" { // of a death
				text = "TIME"
			}
			parts = append(parts, f.Key+":"+amqp.TypeName(f.Value)+":"+text)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, amqp.TypeName(e)+":"+valueText(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}
