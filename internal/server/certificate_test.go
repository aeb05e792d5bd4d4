package server_test

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/transport"
)

// TestCertificateExpiration: the health check looks at the certificates that
// clients are shown, also after they were renewed.
func TestCertificateExpiration(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	check := func(within string) (int, string) {
		w := httptest.NewRecorder()
		n.OwnerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/health/checks/certificate-expiration/"+within, nil))
		return w.Code, w.Body.String()
	}
	if status, body := check("1/years"); status != 200 {
		t.Errorf("without a certificate: %d %s", status, body)
	}
	certificates := n.certificates()
	end := certificates.Expires()
	if left := time.Until(end); left < 50*time.Minute || left > time.Hour {
		t.Errorf("an hour's certificate ends in %v", left)
	}
	n.Presents(certificates)
	n.Presents(certificates)
	if status, body := check("0/days"); status != 200 {
		t.Errorf("none has ended: %d %s", status, body)
	}
	want := `"certfile_expires_on":"` + end.UTC().Format(time.RFC3339) + `"`
	if status, body := check("1/days"); status != 503 || !strings.Contains(body, want) {
		t.Errorf("one ends in an hour: %d %s, want %s", status, body, want)
	}
	cert, key := n.ca.sign(t, "warren.test", 7, 48*time.Hour)
	n.write(n.files.Certificate, append(cert, n.ca.pem...)) // the chain counts
	n.write(n.files.Key, key)
	n.clock.Add(10)
	if status, body := check("1/days"); (status == 200) != n.ca.cert.NotAfter.After(time.Now().Add(24*time.Hour)) {
		t.Errorf("renewed: %d %s, the authority ends %v", status, body, n.ca.cert.NotAfter)
	}
	other := n.certificates()
	n.listen(func(l net.Listener) error { return n.ServeLayered(l, transport.Layers{TLS: other}) })
}
