package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// How often progress is shown: on a terminal, and line by line elsewhere.
const (
	progressLive  = 100 * time.Millisecond
	progressLines = 5 * time.Second
)

// progress shows how far something long has come: a bar on a terminal, a line
// now and then elsewhere, nothing when it is over at once.
type progress struct {
	w     io.Writer
	now   func() time.Time
	what  string
	total int // 0: not known
	live  bool

	begun, shown time.Time
	done         int
}

// newProgress begins to show the progress of total things on standard error.
func (c *client) newProgress(what string, total int) *progress {
	p := &progress{w: c.env.Stderr, now: time.Now, //nolint:forbidigo // how long people wait is wall-clock time
		what: what, total: total, live: isTerminal(c.env.Stderr)}
	p.begun = p.now()
	p.shown = p.begun
	return p
}

// add counts n more.
func (p *progress) add(n int) {
	p.done += n
	every := progressLines
	if p.live {
		every = progressLive
	}
	if now := p.now(); now.Sub(p.shown) >= every {
		p.shown = now
		p.show(now)
	}
}

// end leaves the last line on a terminal.
func (p *progress) end() {
	if p.live && p.shown != p.begun {
		p.show(p.now())
		_, _ = fmt.Fprintln(p.w)
	}
}

func (p *progress) show(now time.Time) {
	took := now.Sub(p.begun).Seconds()
	rate := float64(p.done) / max(took, 1e-3)
	line := fmt.Sprintf("%s %d", p.what, p.done)
	if p.total > 0 {
		part := min(float64(p.done)/float64(p.total), 1)
		if p.live {
			n := int(part * 30)
			line = p.what + " [" + strings.Repeat("#", n) + strings.Repeat(".", 30-n) + "]"
		}
		line += fmt.Sprintf(" %3.0f %% of %d, %.0f/s", part*100, p.total, rate)
		if left := float64(p.total - p.done); rate > 0 && left > 0 {
			line += ", " + (time.Duration(left/rate+0.5) * time.Second).String() + " left"
		}
	} else {
		line += fmt.Sprintf(", %.0f/s", rate)
	}
	if p.live {
		_, _ = fmt.Fprint(p.w, "\r"+line+eraseLine)
		return
	}
	_, _ = fmt.Fprintln(p.w, line)
}
