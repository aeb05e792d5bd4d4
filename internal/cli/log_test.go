package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/internal/config"
)

// counted counts the writes.
type counted struct {
	mu     sync.Mutex // guards what follows
	text   bytes.Buffer
	writes int
	err    error
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	if c.err != nil {
		return 0, c.err
	}
	return c.text.Write(p)
}

func (c *counted) got() (text string, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String(), c.writes
}

// TestLogGathers: lines of information wait for others, those that matter do not, and all stay in order.
func TestLogGathers(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			var w counted
			log, flush := logger(&w, &config.Config{LogLevel: "info", LogFormat: format}, &slog.LevelVar{})
			check := func(when string, writes int, words ...string) {
				t.Helper()
				synctest.Wait()
				text, n := w.got()
				if lines := strings.Count(text, "\n"); n != writes || lines != len(words) {
					t.Errorf("%s: %d writes and %d lines, want %d and %d", when, n, lines, writes, len(words))
				}
				rest := text
				for _, word := range words {
					var found bool
					if _, rest, found = strings.Cut(rest, word); !found {
						t.Errorf("%s: %q is not in its place in %q", when, word, text)
					}
				}
			}
			log.Info("one")
			log.With(slog.String("of", "many")).Info("two")
			log.Debug("none")
			check("at once", 0)
			time.Sleep(logWait)
			check("in a moment", 1, "one", "two")
			log.Info("three")
			log.WithGroup("of").Warn("four")
			check("after a warning", 2, "one", "two", "three", "four")
			time.Sleep(time.Minute)
			check("much later", 2, "one", "two", "three", "four")
			log.Info("five")
			flush()
			check("at the end", 3, "one", "two", "three", "four", "five")
			for range logMost/50 + 1 {
				log.Info("a line that is not short")
			}
			synctest.Wait()
			if _, n := w.got(); n < 4 {
				t.Error("what waits has no bound")
			}
			flush()
		})
	}
}

// TestLogFails: a log that cannot be written keeps nothing and stops nobody.
func TestLogFails(t *testing.T) {
	t.Parallel()
	w := counted{err: errors.New("no space")}
	log, flush := logger(&w, &config.Config{LogLevel: "info"}, &slog.LevelVar{})
	log.Error("one")
	w.err = nil
	log.Error("two")
	flush()
	if s, _ := w.got(); strings.Contains(s, "one") || !strings.Contains(s, "two") {
		t.Errorf("written: %q", s)
	}
}
