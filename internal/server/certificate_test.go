package server_test

import (
	"net"
	"net/http/httptest"
	"regexp"
	"strconv"
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
	metric := func() string {
		w := httptest.NewRecorder()
		n.OwnerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		return w.Body.String()
	}
	const name = "warren_certificate_expiry_timestamp_seconds"
	if strings.Contains(metric(), name) {
		t.Error("there is a metric of no certificate")
	}
	certificates := n.certificates()
	ends := certificates.Expires()
	if len(ends) != 2 || ends[0].Clients || !ends[1].Clients || !ends[1].At.Equal(n.ca.cert.NotAfter) {
		t.Fatalf("two files end: %+v, the authority %v", ends, n.ca.cert.NotAfter)
	}
	end := ends[0].At
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
	want = `"cacertfile_expires_on":"` + n.ca.cert.NotAfter.UTC().Format(time.RFC3339) + `"`
	if status, body := check("1/days"); status != 503 || !strings.Contains(body, want) {
		t.Errorf("the authority of clients ends too: %d %s, want %s", status, body, want)
	}
	for use, at := range map[string]time.Time{"server": end, "client_ca": n.ca.cert.NotAfter} {
		if !regexp.MustCompile(name + `\{use="` + use + `",file="[^"]+"\} ` + strconv.FormatInt(at.Unix(), 10) + "\n").MatchString(metric()) {
			t.Errorf("the metric of %s, %d, is missing", use, at.Unix())
		}
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
