package mgmt

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// bearers logs in with keys alone.
func (n *node) bearers(t *testing.T) {
	t.Helper()
	told := 0
	n.LoggedIn = func(*http.Request) { told++ }
	parts := strings.Split(n.boss, ".")
	for header, want := range map[string]int{
		"Bearer " + n.boss: 200, "bearer " + n.boss: 200,
		"Bearer " + n.worker:     401, // it has no tag
		"Bearer " + n.boss + "x": 401,
		"Bearer " + parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])): 401,
		"Bearer " + parts[0] + ".e30." + parts[2]:                                        401,
		"Bearer guest": 401, "Bearer ": 401, "Bearer": 401, n.boss: 401, "Basic " + n.boss: 401,
	} {
		before := told
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/api/whoami", nil)
		req.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		n.Handler().ServeHTTP(w, req)
		if w.Code != want || want == 200 && !strings.Contains(w.Body.String(), `"name":"boss"`) {
			t.Errorf("%.20s…: %d %s, want %d", header, w.Code, w.Body, want)
		}
		if in := strings.Contains(w.Body.String(), "Not management user") || want == 200; (told > before) != in {
			t.Errorf("%.20s…: told of %d logins", header, told-before)
		}
	}
	n.LoggedIn = nil
}
