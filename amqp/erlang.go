package amqp

import (
	"bytes"
	"slices"
	"strconv"
)

const (
	erlangLine  = 80  // The line length Erlang's ~p formats for.
	erlangLimit = 255 // Octets shown of a binary: more never fit a reply text.
)

// ErlangBinary renders b as Erlang prints a binary, since RabbitMQ's reply texts show them so:
// <<"abc">> when every byte is printable ASCII or has an escape, else <<1,2,3>>. Of a longer b it
// shows the first 255 bytes and "...".
func ErlangBinary(b []byte) string {
	return string(appendErlangBinary(nil, b, 0))
}

// appendErlangBinary appends b as printed from column col on, counted from 1. Like Erlang's ~p it
// breaks a list of octets that does not fit the line; col 0 means never to break.
func appendErlangBinary(dst, b []byte, col int) []byte {
	tail := ">>"
	if len(b) > erlangLimit {
		b, tail = b[:erlangLimit], "...>>"
	}
	if len(b) > 0 && !slices.ContainsFunc(b, func(c byte) bool { return !erlangPrintable(c) }) {
		return append(appendErlangString(append(dst, "<<"...), b), tail...)
	}
	width := len("<<>>")
	for i, c := range b {
		width += octetWidth(c, i == len(b)-1)
	}
	room := width
	if col > 0 && width >= erlangLine-col {
		room = max(8, min(erlangLine-(col+2), width-4))
	}
	return append(appendErlangOctets(append(dst, "<<"...), b, room, col+1), tail...)
}

// appendErlangOctets appends "1,2,3" in lines of at most room characters; all but the first line
// begin with indent spaces.
func appendErlangOctets(dst, b []byte, room, indent int) []byte {
	left := room
	for i, c := range b {
		last := i == len(b)-1
		w := octetWidth(c, last)
		if w > left {
			dst = append(append(dst, '\n'), bytes.Repeat([]byte{' '}, indent)...)
			left = room
		}
		left -= w
		dst = strconv.AppendUint(dst, uint64(c), 10)
		if !last {
			dst = append(dst, ',')
		}
	}
	return dst
}

// octetWidth returns how many characters an octet and the comma after it take.
func octetWidth(c byte, last bool) int {
	w := 4
	switch {
	case c < 10:
		w = 2
	case c < 100:
		w = 3
	}
	if last {
		w--
	}
	return w
}

// erlangEscapes pairs every character that Erlang escapes with what it writes after the backslash.
const erlangEscapes = "\bb\tt\nn\vv\ff\rr\x1be\"\"\\\\"

func erlangPrintable(c byte) bool {
	return c >= ' ' && c < 0x7f || c >= '\b' && c <= '\r' || c == 0x1b
}

func appendErlangString(dst, b []byte) []byte {
	dst = append(dst, '"')
	for _, c := range b {
		for i := 0; i < len(erlangEscapes); i += 2 {
			if erlangEscapes[i] == c {
				dst, c = append(dst, '\\'), erlangEscapes[i+1]
				break
			}
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
