package mgmt

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// bearers logs in with keys alone.
func (n *node) bearers(t *testing.T) {
	t.Helper()
	parts := strings.Split(n.boss, ".")
	for header, want := range map[string]int{
		"Bearer " + n.boss: 200, "bearer " + n.boss: 200,
		"Bearer " + n.worker:     401, // it has no tag
		"Bearer " + n.boss + "x": 401,
		"Bearer " + parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])): 401,
		"Bearer " + parts[0] + ".e30." + parts[2]:                                        401,
		"Bearer guest": 401, "Bearer ": 401, "Bearer": 401, n.boss: 401, "Basic " + n.boss: 401,
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/api/whoami", nil)
		req.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		n.Handler().ServeHTTP(w, req)
		if w.Code != want || want == 200 && !strings.Contains(w.Body.String(), `"name":"boss"`) {
			t.Errorf("%.20s…: %d %s, want %d", header, w.Code, w.Body, want)
		}
	}
}
