package bench

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is where a broker is and who asks.
type target struct {
	addr, user, password, vhost string
}

// parseURL reads amqp://user:password@host:port/vhost; what is left out is guest, guest, 5672 and
// the vhost "/". The vhost is percent-encoded, as everywhere.
func parseURL(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return target{}, errors.New("the URL is not understood; it has the form amqp://user:password@host:port/vhost")
	}
	switch {
	case u.Scheme == "amqps":
		return target{}, errors.New("bench measures without TLS: give an amqp:// URL")
	case u.Scheme != "amqp" || u.Hostname() == "":
		return target{}, fmt.Errorf("%s is no AMQP URL; it has the form amqp://user:password@host:port/vhost", u.Redacted())
	}
	t := target{user: "guest", password: "guest", vhost: "/"}
	port := u.Port()
	if port == "" {
		port = "5672"
	}
	t.addr = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	if vhost := strings.TrimPrefix(u.Path, "/"); vhost != "" {
		t.vhost = vhost
	}
	return t, nil
}
