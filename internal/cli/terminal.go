package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// What terminals understand (ECMA-48).
const (
	home       = "\x1b[H"
	eraseBelow = "\x1b[J"
	eraseLine  = "\x1b[K"
	otherPage  = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	firstPage  = "\x1b[?25h\x1b[?1049l"
	bold       = "\x1b[1m"
	plain      = "\x1b[0m"
)

// isTerminal reports whether w is a terminal that people look at.
func isTerminal(w io.Writer) bool {
	_, _, ok := terminalSize(w)
	return ok
}

// terminalSize returns the columns and lines of a terminal.
func terminalSize(w io.Writer) (columns, lines int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
