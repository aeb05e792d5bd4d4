package server

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/session"
)

// TestRevokedAtOnce: a role that is deleted is thrown out, whatever else there
// is to do because somebody changed something.
func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Logger: slog.New(slog.DiscardHandler), Version: "test", Heartbeat: 60, MaxMessageSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	c, err := s.Store().CreateCluster("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	ref := meta.VhostRef{Cluster: c.ID, Name: "orders"}
	if _, err := s.Store().CreateVhost(ref, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	_, key, err := s.Store().CreateRole(c.ID, "worker", meta.RoleOptions{})
	if err == nil {
		err = s.Store().Grant(ref, "worker", auth.Grant{Consume: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	client, node := net.Pipe()
	if !s.Go(node) {
		t.Fatal("no room")
	}
	conn, err := amqp091.Open(client, amqp091.Config{
		SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "worker", Password: key}}, Vhost: c.ID + "|orders",
	})
	if err != nil {
		t.Fatal(err)
	}
	told := conn.NotifyClose(make(chan *amqp091.Error, 1))
	time.Sleep(1500 * time.Millisecond) // after its handshake a connection is looked at once more
	busy := make(chan struct{})
	defer close(busy)
	s.later.add(func() { <-busy }) // policies of somebody with very many queues
	if _, err := s.Store().DeleteRole(c.ID, "worker"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-told:
		if want := (&amqp091.Error{}); !errors.As(e, &want) || want.Code != 320 {
			t.Errorf("it is told %v", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("a deleted role is still connected")
		_ = conn.CloseDeadline(time.Now())
	}
}

// TestRevokedOften: a role that changes again and again is looked at once for
// all of it.
func TestRevokedOften(t *testing.T) {
	t.Parallel()
	r := newRevoked()
	for range 1000 {
		r.add(session.Role{Cluster: "a", Name: "x"})
		r.add(session.Role{Cluster: "a"})
	}
	if n := len(r.take()); n != 2 || len(r.take()) != 0 {
		t.Errorf("%d roles, want 2, once", n)
	}
}
