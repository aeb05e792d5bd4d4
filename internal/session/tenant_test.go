package session_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/server"
)

// tenant is a cluster with a vhost and a role, on a node with a port.
type tenant struct {
	node    *server.Server
	address string
	ref     meta.VhostRef
	key     string
}

func newTenant(t *testing.T, g auth.Grant, change ...func(o *server.Options)) *tenant {
	t.Helper()
	o := server.Options{Logger: slog.New(slog.DiscardHandler), Heartbeat: 60, MaxMessageSize: 1 << 20}
	for _, f := range change {
		f(&o)
	}
	node, err := server.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = node.ServeAMQP(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if err := node.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	c, err := node.Store().CreateCluster("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	x := &tenant{node: node, address: l.Addr().String(), ref: meta.VhostRef{Cluster: c.ID, Name: "orders"}}
	if _, err := node.Store().CreateVhost(x.ref, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, x.key, err = node.Store().CreateRole(c.ID, "worker", meta.RoleOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := node.Store().Grant(x.ref, "worker", g); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *tenant) wire() string { return x.ref.Cluster + "|" + x.ref.Name }

func (x *tenant) dial(vhost, role, key string) (*amqp091.Connection, error) {
	return amqp091.DialConfig("amqp://"+x.address, amqp091.Config{
		Vhost: vhost, SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: role, Password: key}},
	})
}

func (x *tenant) channel(t *testing.T) (*amqp091.Connection, *amqp091.Channel) {
	t.Helper()
	conn, err := x.dial(x.wire(), "worker", x.key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return conn, ch
}

// login sends a login and returns the server's answer.
func (x *tenant) login(t *testing.T, user, password string) string {
	t.Helper()
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), "tcp", x.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	p := &peer{nc, bufio.NewReader(nc)}
	hello := amqp.AppendMethod([]byte("AMQP\x00\x00\x09\x01"), 0, &amqp.ConnectionStartOk{
		ClientProperties: amqp.Table{{Key: "capabilities", Value: amqp.Table{{Key: "authentication_failure_close", Value: true}}}},
		Mechanism:        "PLAIN", Response: []byte("\x00" + user + "\x00" + password), Locale: "en_US",
	})
	if _, err := nc.Write(hello); err != nil {
		t.Fatal(err)
	}
	if _, err := p.frame(20 * time.Second); err != nil { // connection.start
		t.Fatal(err)
	}
	f, err := p.frame(20 * time.Second)
	if err != nil {
		return err.Error()
	}
	return p.answer(t, f)
}

var both = auth.Grant{Produce: true, Consume: true}

// TestStrangers: who may not enter learns nothing from the answer.
func TestStrangers(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	other, err := x.node.Store().CreateCluster("other", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.node.Store().CreateVhost(meta.VhostRef{Cluster: other.ID, Name: "orders"}, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.node.Store().CreateVhost(meta.VhostRef{Cluster: x.ref.Cluster, Name: "closed"}, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, vhost := range []string{other.ID + "|orders", other.ID + "|none", x.ref.Cluster + "|none", x.ref.Cluster + "|closed", "/", "none"} {
		_, err := x.dial(vhost, "worker", x.key)
		var e *amqp091.Error
		if !errors.As(err, &e) || e.Code != 530 || e.Reason != "NOT_ALLOWED - vhost "+vhost+" not found" {
			t.Errorf("vhost %s: %v", vhost, err)
		}
	}
	for _, login := range [][2]string{{"worker", x.key + "x"}, {"worker", "wrong"}, {"nobody", x.key}, {"guest", x.key}, {"worker", ""}} {
		want := "connection.close ReplyCode=403 ReplyText=\"ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. " +
			"For details see the broker logfile.\""
		if got := x.login(t, login[0], login[1]); got != want {
			t.Errorf("login %s: %s", login[0], got)
		}
	}
	for _, vhost := range []string{x.wire(), "/" + x.wire(), "orders"} { // a plain name is one of the role's own cluster
		conn, err := x.dial(vhost, "worker", x.key)
		if err != nil {
			t.Errorf("vhost %s: %v", vhost, err)
			continue
		}
		_ = conn.Close()
	}
}

// TestGrants: produce and consume are separate.
func TestGrants(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, err error) {
		t.Helper()
		var e *amqp091.Error
		if !errors.As(err, &e) || e.Code != 403 {
			t.Errorf("not refused: %v", err)
		}
	}
	t.Run("consume", func(t *testing.T) {
		t.Parallel()
		x := newTenant(t, auth.Grant{Consume: true})
		_, ch := x.channel(t)
		q, err := ch.QueueDeclare("q", false, false, false, false, amqp091.Table{"x-unknown": int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind(q.Name, "k", "amq.direct", false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
		if err := ch.PublishWithContext(t.Context(), "amq.direct", "k", false, false, amqp091.Publishing{}); err != nil {
			t.Fatal(err)
		}
		refused(t, <-closed)
	})
	t.Run("produce", func(t *testing.T) {
		t.Parallel()
		x := newTenant(t, auth.Grant{Produce: true})
		_, ch := x.channel(t)
		if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind("q", "k", "amq.direct", false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.PublishWithContext(t.Context(), "amq.direct", "k", false, false, amqp091.Publishing{}); err != nil {
			t.Fatal(err)
		}
		_, _, err := ch.Get("q", true)
		refused(t, err)
	})
}

// TestRevocation: a revoked role's connections end and its deliveries stop
// within a second.
func TestRevocation(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(x *tenant) error{
		"disabled":           func(x *tenant) error { return x.node.Store().SetDisabled(x.ref.Cluster, "worker", true) },
		"key reset":          func(x *tenant) error { _, err := x.node.Store().ResetKey(x.ref.Cluster, "worker", 0); return err },
		"deleted":            func(x *tenant) error { _, err := x.node.Store().DeleteRole(x.ref.Cluster, "worker"); return err },
		"permission revoked": func(x *tenant) error { return x.node.Store().Revoke(x.ref, "worker") },
		"vhost deleted":      func(x *tenant) error { return x.node.Store().DeleteVhost(x.ref) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTenant(t, both)
			conn, ch := x.channel(t)
			if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := ch.ConsumeWithContext(t.Context(), "q", "", true, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
			closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
			if err := revoke(x); err != nil {
				t.Fatal(err)
			}
			select {
			case e := <-closed:
				if e == nil || e.Code != 320 {
					t.Errorf("closed with %v", e)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the connection lives on")
			}
			if _, err := x.dial(x.wire(), "worker", x.key); err == nil {
				t.Error("the old key still opens a connection")
			}
		})
	}
}

// TestLessPermission: a consumer whose read permission goes is cancelled, its
// connection lives on.
func TestLessPermission(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	conn, ch := x.channel(t)
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.ConsumeWithContext(t.Context(), "q", "mine", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	cancelled := ch.NotifyCancel(make(chan string, 1))
	if err := x.node.Store().Grant(x.ref, "worker", auth.Grant{Produce: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case tag := <-cancelled:
		if tag != "mine" {
			t.Errorf("cancelled %q", tag)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the consumer lives on")
	}
	if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{}); err != nil {
		t.Fatal(err)
	}
	if conn.IsClosed() {
		t.Error("the connection was closed")
	}
}
