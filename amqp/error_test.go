package amqp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestErrorAt(t *testing.T) {
	err := ChannelErrorf(CodeNotFound, "no queue '%s' in vhost '/'", "q")
	at := err.At(IDQueueDeclare)
	want := &Error{Scope: ScopeChannel, Code: 404, Text: "no queue 'q' in vhost '/'", Class: 50, Method: 10}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("At (-want +got):\n%s", diff)
	}
	if err.Class != 0 || err.Method != 0 {
		t.Errorf("At changed its receiver: %v", err)
	}
	if got := ConnectionErrorf(CodeFrameError, "x").Scope; got != ScopeConnection {
		t.Errorf("ConnectionErrorf scope = %v", got)
	}
}

func TestErrorReplyText(t *testing.T) {
	const name = "NOT_FOUND - " // 12 bytes.
	for _, tt := range []struct{ text, want string }{
		{"", "NOT_FOUND"},
		{"no", name + "no"},
		{strings.Repeat("a", 243), name + strings.Repeat("a", 243)},
		{strings.Repeat("a", 244), name + strings.Repeat("a", 240) + "..."},
		{strings.Repeat("ä", 200), name + strings.Repeat("ä", 120) + "..."},
		{"a" + strings.Repeat("ä", 200), name + "a" + strings.Repeat("ä", 119) + "..."},
		{strings.Repeat("€", 100), name + strings.Repeat("€", 80) + "..."},
		{strings.Repeat("\x80", 300), name + strings.Repeat("\x80", 240) + "..."},
	} {
		e := &Error{Scope: ScopeChannel, Code: CodeNotFound, Text: tt.text}
		got := e.ReplyText()
		if got != tt.want {
			t.Errorf("ReplyText of %q = %q, want %q", tt.text, got, tt.want)
		}
		if len(got) > 255 || utf8.ValidString(tt.text) && !utf8.ValidString(got) {
			t.Errorf("ReplyText of %q = %q: %d bytes, or half a character", tt.text, got, len(got))
		}
	}
}

func TestDecodeError(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   MethodID
		args []byte
		err  error
		want Error
	}{
		{
			"truncated", IDQueueDeclare,
			[]byte{0, 0, 5, 97, 98},
			ErrTruncated,
			Error{ScopeConnection, 501, "cannot decode <<0,0,5,97,98>>", 50, 10},
		},
		{
			"trailing", IDChannelFlow, []byte("\x01garbage"), fmt.Errorf("wrapped: %w", ErrTrailing),
			Error{ScopeConnection, 501, "cannot decode <<1,103,97,114,98,97,103,101>>", 20, 20},
		},
		{
			"UTF-8", IDQueueDeclare, nil, ErrUTF8,
			Error{ScopeConnection, 501, "Malformed UTF-8 in shortstr", 0, 0},
		},
		{
			"unknown method", 50<<16 | 99, nil, ErrUnknownMethod,
			Error{ScopeConnection, 540, "unknown method 50.99", 50, 99},
		},
		{
			"deep table", IDQueueDeclare, nil, ErrTableTooDeep,
			Error{ScopeConnection, 502, "cannot decode table: amqp: table nested deeper than 2048 levels", 50, 10},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(&tt.want, DecodeError(tt.id, tt.args, tt.err)); diff != "" {
				t.Errorf("DecodeError (-want +got):\n%s", diff)
			}
		})
	}
}

// The limits appear in texts, where the compiler does not see them.
func TestLimitsInTexts(t *testing.T) {
	if want := fmt.Sprintf(" %d levels", MaxTableDepth); !strings.HasSuffix(ErrTableTooDeep.Error(), want) {
		t.Errorf("%q does not end in %q", ErrTableTooDeep, want)
	}
	if want := fmt.Sprintf(" %d entries", MaxTableEntries); !strings.HasSuffix(ErrTableTooLarge.Error(), want) {
		t.Errorf("%q does not end in %q", ErrTableTooLarge, want)
	}
}

func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		code  uint16
		name  string
		scope Scope
	}{
		{CodeSuccess, "SUCCESS", 0},
		{CodeNoRoute, "NO_ROUTE", ScopeChannel},
		{CodePreconditionFailed, "PRECONDITION_FAILED", ScopeChannel},
		{CodeConnectionForced, "CONNECTION_FORCED", ScopeConnection},
		{CodeInternalError, "INTERNAL_ERROR", ScopeConnection},
		{599, "UNKNOWN", 0},
	} {
		if got := CodeName(tt.code); got != tt.name {
			t.Errorf("CodeName(%d) = %s, want %s", tt.code, got, tt.name)
		}
		if got, ok := CodeScope(tt.code); got != tt.scope || ok != (tt.scope != 0) {
			t.Errorf("CodeScope(%d) = %v, %v, want %v", tt.code, got, ok, tt.scope)
		}
	}
	if codes := []uint16{CodeAccessRefused, CodeNotFound, CodeResourceLocked, CodeFrameError, CodeNotAllowed, CodeNotImplemented}; !cmp.Equal(codes, []uint16{403, 404, 405, 501, 530, 540}) {
		t.Errorf("codes = %v", codes)
	}
}

func TestShortString(t *testing.T) {
	fits := strings.Repeat("x", 255)
	if got, err := ShortString(fits); got != fits || err != nil {
		t.Errorf("ShortString of 255 bytes = %q, %v", got, err)
	}
	if _, err := ShortString(fits + "x"); !errors.Is(err, ErrShortString) {
		t.Errorf("ShortString of 256 bytes: error %v, want ErrShortString", err)
	}
}
