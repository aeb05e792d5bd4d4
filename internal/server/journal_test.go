package server_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/vfs"
)

// TestJournalMetrics: a message that was stored is seen in the metrics of the
// journal.
func TestJournalMetrics(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	st, err := server.OpenTestStorage(vfs.NewMem(), logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(server.Options{Logger: logger, Storage: st, MaxMessageSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	call := func(method, path, body string) string {
		w := httptest.NewRecorder()
		s.OwnerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		if w.Code >= 300 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	call("PUT", "/api/queues/%2F/q", `{"durable":true}`)
	call("POST", "/api/exchanges/%2F/amq.default/publish",
		`{"properties":{"delivery_mode":2},"routing_key":"q","payload":"x","payload_encoding":"string"}`)
	text := call("GET", "/metrics", "")
	for _, want := range []string{`warren_journal_sync_seconds_count [1-9]`, `warren_journal_disk_bytes [1-9]`, `warren_journal_live_bytes [1-9]`} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(text) {
			t.Errorf("%s is missing", want)
		}
	}
}
