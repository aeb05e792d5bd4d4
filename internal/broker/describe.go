package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// describe writes one side of a comparison: the type is told when the other
// side has none.
func describe(v any, ok, both bool) string {
	switch {
	case !ok:
		return "none"
	case both:
		return fmt.Sprintf("'%v'", erlang(v))
	}
	return fmt.Sprintf("the value '%v' of type '%s'", erlang(v), amqp.TypeName(v))
}

// erlang writes a value as RabbitMQ does: floats with a point, tables and arrays
// as terms.
func erlang(v any) any {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case []byte:
		return string(v)
	case amqp.Table, []any:
		return term(v)
	}
	f, ok := v.(float64)
	if n, single := v.(float32); single {
		f, ok = float64(n), true
	}
	if !ok {
		return v
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	digits, exponent, large := strings.Cut(text, "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if large {
		return digits + "e" + strings.TrimPrefix(exponent, "+")
	}
	return digits
}

// term writes what is inside of a table or an array.
func term(v any) string {
	var list []string
	switch v := v.(type) {
	case amqp.Table:
		for _, f := range v {
			list = append(list, fmt.Sprintf("{%s,%s,%s}", amqp.ErlangBinary([]byte(f.Key)), amqp.TypeName(f.Value), term(f.Value)))
		}
	case []any:
		for _, x := range v {
			list = append(list, fmt.Sprintf("{%s,%s}", amqp.TypeName(x), term(x)))
		}
	case string:
		return amqp.ErlangBinary([]byte(v))
	case []byte:
		return amqp.ErlangBinary(v)
	case nil:
		return "undefined"
	default:
		return fmt.Sprint(erlang(v))
	}
	return "[" + strings.Join(list, ",") + "]"
}
