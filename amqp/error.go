package amqp

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Errors of the decoders. What a decoder returns wraps one of them.
var (
	// ErrTruncated says that the input ends inside a value.
	ErrTruncated = errors.New("amqp: input ends inside a value")
	// ErrTrailing says that bytes follow the last value.
	ErrTrailing = errors.New("amqp: bytes after the last value")
	// ErrUTF8 says that a method's shortstr is not UTF-8.
	ErrUTF8 = errors.New("amqp: malformed UTF-8 in shortstr")
	// ErrShortString says that a string is longer than the 255 bytes of a shortstr.
	ErrShortString = errors.New("amqp: string longer than 255 bytes")
	// ErrUnknownMethod says that no method has these class and method ids.
	ErrUnknownMethod = errors.New("amqp: unknown method")
	// ErrTableTooDeep says that tables or arrays nest deeper than MaxTableDepth.
	ErrTableTooDeep = errors.New("amqp: table nested deeper than 2048 levels")
	// ErrTableTooLarge says that a table holds more than MaxTableEntries entries, all levels
	// counted.
	ErrTableTooLarge = errors.New("amqp: table of more than 65536 entries")
	// ErrFieldType says that a table holds a value whose type is none of the field types.
	ErrFieldType = errors.New("amqp: unknown field type")
	// ErrPropertyFlags says that property flags announce properties that basic does not have.
	ErrPropertyFlags = errors.New("amqp: unknown property flag")
)

// Scope says what an error ends.
type Scope uint8

// The scopes. A channel error that happens on channel 0 ends the connection.
const (
	ScopeChannel    Scope = iota + 1 // Answered with channel.close; the connection lives on.
	ScopeConnection                  // Answered with connection.close.
)

// String returns "channel" or "connection".
func (s Scope) String() string {
	switch s {
	case ScopeChannel:
		return "channel"
	case ScopeConnection:
		return "connection"
	}
	return "none"
}

// Error is an error of the protocol (spec section 1.1, "AMQP exceptions"): it says which Close
// method answers it and what that carries. It is a value: nothing changes one after it was made.
type Error struct {
	Scope  Scope
	Code   uint16 // One of the Code constants.
	Text   string // The explanation, without the code's name.
	Class  uint16 // Class and Method name the method at fault; both are 0 when none is.
	Method uint16
}

// ChannelErrorf returns an error that ends a channel. It names no method yet; see [Error.At].
func ChannelErrorf(code uint16, format string, a ...any) *Error {
	return &Error{Scope: ScopeChannel, Code: code, Text: fmt.Sprintf(format, a...)}
}

// ConnectionErrorf returns an error that ends a connection. It names no method yet; see
// [Error.At].
func ConnectionErrorf(code uint16, format string, a ...any) *Error {
	return &Error{Scope: ScopeConnection, Code: code, Text: fmt.Sprintf(format, a...)}
}

// At returns a copy that blames the method id.
func (e *Error) At(id MethodID) *Error {
	at := *e
	at.Class, at.Method = id.Class(), id.Method()
	return &at
}

// Error returns the code's name and the text, uncut: "NOT_FOUND - no queue 'q' in vhost '/'".
func (e *Error) Error() string {
	if e.Text == "" {
		return CodeName(e.Code)
	}
	return CodeName(e.Code) + " - " + e.Text
}

// ReplyText returns what a Close method carries: [Error.Error] cut to the 255 bytes of a shortstr.
// A cut text ends in "..." and never in half a character.
func (e *Error) ReplyText() string {
	const dots = "..."
	s := e.Error()
	if len(s) <= maxShortString {
		return s
	}
	return cutString(s, maxShortString-len(dots)) + dots
}

// DecodeError returns the connection error that answers a method or content header whose decoding
// failed with err. The ids are those of the method at fault, args what was to be decoded. The texts
// are RabbitMQ's, except for the limits on tables and for unknown methods, where RabbitMQ drops the
// connection without a word.
func DecodeError(id MethodID, args []byte, err error) *Error {
	switch {
	case errors.Is(err, ErrUTF8):
		return ConnectionErrorf(CodeFrameError, "Malformed UTF-8 in shortstr")
	case errors.Is(err, ErrUnknownMethod):
		return ConnectionErrorf(CodeNotImplemented, "unknown method %v", id).At(id)
	case errors.Is(err, ErrTableTooDeep), errors.Is(err, ErrTableTooLarge),
		errors.Is(err, ErrFieldType):
		return ConnectionErrorf(CodeSyntaxError, "cannot decode table: %v", err).At(id)
	}
	const prefix = "cannot decode "
	text := appendErlangBinary([]byte(prefix), args, len(prefix)+1)
	return (&Error{Scope: ScopeConnection, Code: CodeFrameError, Text: string(text)}).At(id)
}

// cutString returns the longest prefix of at most n bytes that does not end inside a character.
func cutString(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for back := 0; back < utf8.UTFMax && back < n; back++ {
		if utf8.RuneStart(s[n-back]) {
			return s[:n-back]
		}
	}
	return s[:n] // Not UTF-8 to begin with.
}
