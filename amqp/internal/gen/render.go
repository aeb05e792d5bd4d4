package main

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"
	"text/template"
)

// render executes a template on the specification and formats the result as gofmt does.
func render(text string, s *spec) ([]byte, error) {
	t, err := template.New("file").Funcs(template.FuncMap{
		"go":     goName,
		"const":  constName,
		"type":   goType,
		"args":   groupArgs,
		"sender": sender,
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, fmt.Errorf("execute template: %w", err)
	}
	src, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return src, nil
}

// goType returns the Go type of a field type.
func goType(fieldType string) string {
	switch fieldType {
	case "bit":
		return "bool"
	case "octet":
		return "uint8"
	case "short":
		return "uint16"
	case "long":
		return "uint32"
	case "longlong":
		return "uint64"
	case "shortstr":
		return "string"
	case "longstr":
		return "[]byte"
	}
	return "Table"
}

// sender says in words who may send a method.
func sender(from string) string {
	if from == "both" {
		return "sent by both sides"
	}
	return "sent by the " + from
}

// arg is what stands on the wire for one field, or for a run of up to eight bits.
type arg struct{ fields []field }

// groupArgs packs consecutive bits into octets.
func groupArgs(fields []field) []arg {
	var args []arg
	for _, f := range fields {
		if n := len(args); n > 0 && f.Type == "bit" && args[n-1].takesBit() {
			args[n-1].fields = append(args[n-1].fields, f)
			continue
		}
		args = append(args, arg{fields: []field{f}})
	}
	return args
}

func (a arg) takesBit() bool { return a.fields[0].Type == "bit" && len(a.fields) < 8 }

// Read returns the statements that decode the argument with the reader r into the method m.
func (a arg) Read() string {
	f := a.fields[0]
	switch {
	case f.Type == "bit":
		return a.readBits()
	case f.Reserved && f.Type == "shortstr":
		return "r.shortBytes()"
	case f.Reserved:
		return fmt.Sprintf("r.%s()", f.Type)
	}
	return fmt.Sprintf("m.%s = r.%s()", goName(f.Name), f.Type)
}

func (a arg) readBits() string {
	var targets, values []string
	for i, f := range a.fields {
		if !f.Reserved {
			targets = append(targets, "m."+goName(f.Name))
			values = append(values, fmt.Sprintf("bits&%d != 0", 1<<i))
		}
	}
	if len(targets) == 0 {
		return "r.octet()"
	}
	return fmt.Sprintf("bits := r.octet()\n%s = %s",
		strings.Join(targets, ", "), strings.Join(values, ", "))
}

// Write returns the statement that appends the argument of m to dst.
func (a arg) Write() string {
	f := a.fields[0]
	value := "m." + goName(f.Name)
	switch f.Type {
	case "bit":
		return a.writeBits()
	case "octet":
		return fmt.Sprintf("dst = append(dst, %s)", orZero(f, value, "0"))
	case "short":
		return fmt.Sprintf("dst = binary.BigEndian.AppendUint16(dst, %s)", orZero(f, value, "0"))
	case "long":
		return fmt.Sprintf("dst = binary.BigEndian.AppendUint32(dst, %s)", orZero(f, value, "0"))
	case "longlong":
		return fmt.Sprintf("dst = binary.BigEndian.AppendUint64(dst, %s)", orZero(f, value, "0"))
	case "shortstr":
		return fmt.Sprintf("dst = appendShortString(dst, %s)", orZero(f, value, `""`))
	case "longstr":
		return fmt.Sprintf("dst = appendLongString(dst, %s)", orZero(f, value, `""`))
	}
	return fmt.Sprintf("dst = AppendTable(dst, %s)", orZero(f, value, "nil"))
}

func (a arg) writeBits() string {
	var bits []string
	for i, f := range a.fields {
		if !f.Reserved {
			bits = append(bits, fmt.Sprintf("bit(m.%s, %d)", goName(f.Name), i))
		}
	}
	if len(bits) == 0 {
		return "dst = append(dst, 0)"
	}
	return fmt.Sprintf("dst = append(dst, %s)", strings.Join(bits, "|"))
}

// orZero returns the value of a field, or the zero of its type when it is reserved.
func orZero(f field, value, zero string) string {
	if f.Reserved {
		return zero
	}
	return value
}
