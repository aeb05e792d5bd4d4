package broker

import (
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestDescribe: values in the texts of refusals, as RabbitMQ 4.3.6 writes them.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  string
	}{
		{"text", "the value 'text' of type 'longstr'"},
		{[]byte("bin"), "the value 'bin' of type 'binary'"},
		{int32(1), "the value '1' of type 'signedint'"},
		{2.0, "the value '2.0' of type 'double'"},
		{nil, "the value 'undefined' of type 'void'"},
		{true, "the value 'true' of type 'bool'"},
		{amqp.Table{{Key: "a", Value: int32(1)}}, "the value '[{<<\"a\">>,signedint,1}]' of type 'table'"},
		{amqp.Table{}, "the value '[]' of type 'table'"},
		{[]any{"x", nil, amqp.Table{{Key: "f", Value: 1.5}}}, "the value '[{longstr,<<\"x\">>},{void,undefined},{table,[{<<\"f\">>,double,1.5}]}]' of type 'array'"},
	} {
		if got := describe(c.value, true, false); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
