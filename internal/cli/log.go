package cli

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/internal/config"
)

const (
	// logWait is how long a line of the log may wait for others to be written with it. A write for each
	// connection that opens costs a quarter of all that it takes. A node that crashes loses the lines of so
	// long; warnings and errors do not wait.
	logWait = 100 * time.Millisecond
	// logMost is how many bytes wait at most.
	logMost = 32 << 10
)

// logger writes in the format and from the level of a configuration; level
// changes it. Flush is to be called at the end.
func logger(w io.Writer, c *config.Config, level *slog.LevelVar) (log *slog.Logger, flush func()) {
	setLevel(level, c)
	o := &slog.HandlerOptions{Level: level}
	g := newGathered(w)
	var h slog.Handler = slog.NewTextHandler(g, o)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(g, o)
	}
	return slog.New(urgent{h, g}), g.flush
}

func setLevel(level *slog.LevelVar, c *config.Config) {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel)) // Validate saw to it
	level.Set(l)
}

// urgent has what is not only information written at once.
type urgent struct {
	slog.Handler

	to *gathered
}

// Handle implements slog.Handler.
func (u urgent) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface's
	err := u.Handler.Handle(ctx, r)
	if r.Level > slog.LevelInfo {
		u.to.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.to}
}

// WithGroup implements slog.Handler.
func (u urgent) WithGroup(name string) slog.Handler {
	return urgent{u.Handler.WithGroup(name), u.to}
}

// gathered is a writer that writes some lines at a time.
type gathered struct {
	writing sync.Mutex // held while w is written to; before mu
	w       io.Writer

	mu    sync.Mutex // guards what follows
	lines []byte
	spare []byte // the memory of the lines before
	later *time.Timer
}

func newGathered(w io.Writer) *gathered {
	g := &gathered{w: w}
	g.later = time.AfterFunc(logWait, g.flush)
	g.later.Stop()
	return g
}

// Write implements io.Writer.
func (g *gathered) Write(line []byte) (int, error) {
	g.mu.Lock()
	if len(g.lines) == 0 {
		g.later.Reset(logWait)
	}
	g.lines = append(g.lines, line...)
	full := len(g.lines) >= logMost
	g.mu.Unlock()
	if full {
		g.flush()
	}
	return len(line), nil
}

// flush writes the lines that wait.
func (g *gathered) flush() {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	lines := g.lines
	g.lines = g.spare[:0]
	g.later.Stop()
	g.mu.Unlock()
	if len(lines) > 0 {
		_, _ = g.w.Write(lines) // a log that cannot be written ends nothing
	}
	g.mu.Lock()
	g.spare = lines
	g.mu.Unlock()
}
