package mgmt

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// slow is a body of which the rest comes when it is told to.
type slow struct {
	begun   chan struct{}
	release chan struct{}
	rest    io.Reader
	once    bool
}

func newSlow(text string) *slow {
	return &slow{begun: make(chan struct{}), release: make(chan struct{}), rest: strings.NewReader(text)}
}

// Read implements io.Reader.
func (s *slow) Read(b []byte) (int, error) {
	if !s.once {
		s.once = true
		close(s.begun)
		<-s.release
	}
	return s.rest.Read(b)
}

// send makes a request with a body of a length.
func (n *node) send(t *testing.T, key, method, path string, body io.Reader, length int64) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, body)
	req.ContentLength = length
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	} else {
		req.SetBasicAuth("guest", "guest")
	}
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, req)
	return w
}

// TestShareOfLarge: large requests of a cluster wait for one another, others go
// on.
func TestShareOfLarge(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	vhost := n.cluster + "%7Corders"
	path, text := "/api/definitions/"+vhost, `{"queues":[{"name":"big","durable":true}]}`
	body, done := newSlow(text), make(chan int)
	go func() { done <- n.send(t, n.boss, "POST", path, body, 40<<20).Code }()
	<-body.begun
	if w := n.send(t, n.boss, "POST", path, strings.NewReader(text), 40<<20); w.Code != http.StatusTooManyRequests {
		t.Errorf("a second one: %d %s", w.Code, w.Body)
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"a small one":           n.send(t, n.boss, "POST", path, strings.NewReader(text), int64(len(text))),
		"one for which is room": n.send(t, n.boss, "POST", path, strings.NewReader(text), 20<<20),
		"one of somebody else":  n.send(t, "", "POST", "/api/definitions/%2F", strings.NewReader(text), 40<<20),
	} {
		if w.Code/100 != 2 {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	close(body.release)
	if code := <-done; code/100 != 2 {
		t.Errorf("the first: %d", code)
	}
	if w := n.send(t, n.boss, "POST", path, strings.NewReader(text), 40<<20); w.Code/100 != 2 {
		t.Errorf("the next: %d %s", w.Code, w.Body)
	}
	if w := n.send(t, n.boss, "POST", path, bytes.NewReader(bytes.Repeat([]byte(" "), maxVhostDefinitions+1)), -1); w.Code != 400 {
		t.Errorf("one that is too large: %d", w.Code)
	}
	if len(n.shares.of) != 0 {
		t.Errorf("%d clusters are known when there are no requests", len(n.shares.of))
	}
}

// TestShareOfMessages: neither do messages that are answered take more.
func TestShareOfMessages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	vhost := n.cluster + "%7Corders"
	n.send(t, n.boss, "PUT", "/api/queues/"+vhost+"/q", strings.NewReader(`{"durable":true}`), 16)
	message := `{"routing_key":"q","properties":{},"payload":"` + strings.Repeat("x", 1<<20) + `","payload_encoding":"string"}`
	for range 3 {
		if w := n.send(t, n.boss, "POST", "/api/exchanges/"+vhost+"/amq.default/publish", strings.NewReader(message), int64(len(message))); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	get := func() (int, int) {
		text := `{"count":10,"ackmode":"ack_requeue_true","encoding":"auto"}`
		w := n.send(t, n.boss, "POST", "/api/queues/"+vhost+"/q/get", strings.NewReader(text), int64(len(text)))
		return w.Code, strings.Count(w.Body.String(), `"payload_bytes":1048576`)
	}
	if code, got := get(); code != 200 || got != 3 {
		t.Fatalf("%d, %d messages", code, got)
	}
	if !n.shares.enter(n.cluster) || !n.shares.take(n.cluster, 0, maxLarge-3<<20) {
		t.Fatal("no room")
	}
	if code, got := get(); code != 200 || got != 2 { // they are a bit larger than their bodies
		t.Errorf("with 3 MiB left: %d, %d messages", code, got)
	}
	n.shares.take(n.cluster, maxLarge, 3<<20)
	if code, _ := get(); code != http.StatusTooManyRequests {
		t.Errorf("with nothing left: %d", code)
	}
	n.shares.leave(n.cluster, maxLarge)
	if code, got := get(); code != 200 || got != 3 {
		t.Errorf("at the end: %d, %d messages", code, got)
	}
}

// TestShareOfRequests: a cluster has so many requests in progress, and others
// have theirs.
func TestShareOfRequests(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	path, body := "/api/definitions/"+n.cluster+"%7Corders", make([]*slow, maxRequests)
	done := make(chan int)
	for i := range body {
		body[i] = newSlow(`{"queues":[{"name":"q` + strconv.Itoa(i) + `","durable":true}]}`)
		go func() { done <- n.send(t, n.boss, "POST", path, body[i], 100).Code }()
	}
	for _, b := range body {
		<-b.begun
	}
	if w := n.send(t, n.boss, "GET", "/api/whoami", http.NoBody, 0); w.Code != http.StatusTooManyRequests {
		t.Errorf("one more: %d %s", w.Code, w.Body)
	}
	if w := n.send(t, "", "GET", "/api/whoami", http.NoBody, 0); w.Code != 200 {
		t.Errorf("another cluster's: %d %s", w.Code, w.Body)
	}
	for _, b := range body {
		close(b.release)
	}
	for range body {
		if code := <-done; code/100 != 2 {
			t.Errorf("one of them: %d", code)
		}
	}
	if w := n.send(t, n.boss, "GET", "/api/whoami", http.NoBody, 0); w.Code != 200 {
		t.Errorf("the next: %d %s", w.Code, w.Body)
	}
}
