package mgmt

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// arguments are an AMQP table as JSON. What comes in gets the types that
// RabbitMQ gives it: numbers are longs or doubles, texts long strings.
type arguments amqp.Table

// MarshalJSON writes an object; of duplicate keys the first wins.
func (t arguments) MarshalJSON() ([]byte, error) { return json.Marshal(object(amqp.Table(t))) }

// Member implements listing.Container.
func (t arguments) Member(name string) (any, bool) {
	for i := range t {
		if t[i].Key == name {
			return plain(t[i].Value), true
		}
	}
	return nil, false
}

func object(t amqp.Table) map[string]any {
	m := make(map[string]any, len(t))
	for _, f := range t {
		if _, ok := m[f.Key]; !ok {
			m[f.Key] = plain(f.Value)
		}
	}
	return m
}

func plain(v any) any {
	switch v := v.(type) {
	case amqp.Table:
		return object(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case []byte:
		return string(v)
	case float32:
		return number(float64(v), v)
	case float64:
		return number(v, v)
	}
	return v
}

// number is v, or the text of it when JSON has no such number.
func number(n float64, v any) any {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return v
}

// UnmarshalJSON reads an object, in the order of its text.
func (t *arguments) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	v, err := decodeValue(d)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case amqp.Table:
		*t = arguments(v)
	case nil:
		*t = nil
	case []any: // RabbitMQ writes an empty table as []
		if len(v) > 0 {
			return errBad("arguments must be an object")
		}
		*t = nil
	default:
		return errBad("arguments must be an object")
	}
	return nil
}

func decodeValue(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		if n, err := tok.Int64(); err == nil {
			return n, nil
		}
		return tok.Float64()
	case json.Delim:
		if tok == '[' {
			return decodeArray(d)
		}
		return decodeObject(d)
	}
	return tok, nil
}

func decodeArray(d *json.Decoder) (any, error) {
	list := []any{}
	for d.More() {
		v, err := decodeValue(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func decodeObject(d *json.Decoder) (any, error) {
	t := amqp.Table{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		t = append(t, amqp.Field{Key: name, Value: v})
	}
	_, err := d.Token()
	return t, err
}

// truth is a boolean that may also be written as a text, as some clients do.
type truth bool

// UnmarshalJSON reads either form.
func (t *truth) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", `"true"`:
		*t = true
	case "false", `"false"`, "null":
		*t = false
	default:
		return errBad("%.80s is neither true nor false", b)
	}
	return nil
}

// whole is a whole number that may also be written as a text.
type whole int

// UnmarshalJSON reads either form.
func (n *whole) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return errBad("%.80s is no whole number", b)
	}
	*n = whole(v)
	return nil
}
