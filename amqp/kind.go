package amqp

// kindOf returns the letter that stands for the type of v on the wire, 0 when there is none.
func kindOf(v any) byte {
	switch v.(type) {
	case nil:
		return 'V'
	case bool:
		return 't'
	case string:
		return 'S'
	case []byte:
		return 'x'
	case Table:
		return 'F'
	case []any:
		return 'A'
	case Timestamp:
		return 'T'
	case Decimal:
		return 'D'
	case float32:
		return 'f'
	case float64:
		return 'd'
	}
	return intKind(v)
}

func intKind(v any) byte {
	switch v.(type) {
	case int8:
		return 'b'
	case uint8:
		return 'B'
	case int16:
		return 's'
	case uint16:
		return 'u'
	case int32:
		return 'I'
	case uint32:
		return 'i'
	case int, int64:
		return 'l'
	}
	return 0
}

// TypeName returns the name that RabbitMQ has in its reply texts for the wire type of a value:
// bool, byte, unsignedbyte, short, unsignedshort, signedint, unsignedint, long, float, double,
// decimal, longstr, binary, array, timestamp, table or void; "unknown" for a Go type that no
// [Table] holds.
func TypeName(v any) string {
	switch kindOf(v) {
	case 't':
		return "bool"
	case 'S':
		return "longstr"
	case 'x':
		return "binary"
	case 'F':
		return "table"
	case 'A':
		return "array"
	case 'T':
		return "timestamp"
	case 'D':
		return "decimal"
	case 'f':
		return "float"
	case 'd':
		return "double"
	case 'V':
		return "void"
	}
	return intName(v)
}

func intName(v any) string {
	switch intKind(v) {
	case 'b':
		return "byte"
	case 'B':
		return "unsignedbyte"
	case 's':
		return "short"
	case 'u':
		return "unsignedshort"
	case 'I':
		return "signedint"
	case 'i':
		return "unsignedint"
	case 'l':
		return "long"
	}
	return "unknown"
}

// prefixed as a kind's size says that a long length comes before the value.
const prefixed = -1

// kindSize returns how many bytes a value of this kind takes. ok is false for unknown kinds.
func kindSize(kind byte) (size int, ok bool) {
	switch kind {
	case 'V':
		return 0, true
	case 't', 'b', 'B':
		return 1, true
	case 's', 'u':
		return 2, true
	case 'I', 'i', 'f':
		return 4, true
	case 'D':
		return 5, true
	case 'l', 'L', 'd', 'T':
		return 8, true
	case 'S', 'x', 'A', 'F':
		return prefixed, true
	}
	return 0, false
}
