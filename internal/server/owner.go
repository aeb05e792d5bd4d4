package server

import (
	"crypto/subtle"
	"errors"
	"net"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/session"
)

// AMQPSocketName is the file in a data directory at which the directory's
// owner speaks AMQP to the running node.
const AMQPSocketName = "amqp.sock"

// OwnerPassword is what the data directory's owner logs in with at the AMQP
// socket, the user name being the id of the cluster that is meant. It is no
// secret: who may open the socket file is the owner.
const OwnerPassword = "owner"

// owner is the authority of a socket that only the owner can open.
type owner struct{ rights *auth.Rights }

var errNotOwner = errors.New("not the owner's login")

func newOwner() (owner, error) {
	rights, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	return owner{rights}, err
}

// Authenticate implements session.Authority.
func (o owner) Authenticate(user, password string) (meta.Identity, error) {
	if subtle.ConstantTimeCompare([]byte(password), []byte(OwnerPassword)) == 0 {
		return meta.Identity{}, errNotOwner
	}
	return meta.Identity{Cluster: user, Role: "owner", Tags: []string{"administrator"}}, nil
}

// AuthenticateCertificate implements session.Authority.
func (o owner) AuthenticateCertificate(string, time.Time) (meta.Identity, error) {
	return meta.Identity{}, errNotOwner
}

// Rights implements session.Authority.
func (o owner) Rights(meta.Identity, string) *auth.Rights { return o.rights }

// Stale implements session.Authority.
func (o owner) Stale(meta.Identity) bool { return false }

// Limits implements session.Authority.
func (o owner) Limits(meta.Identity, string) (ofVhost, ofRole meta.Quota) { return nil, nil }

// ServeOwnerAMQP accepts connections at a socket that only the owner of the
// data directory can open, until the server is closed.
func (s *Server) ServeOwnerAMQP(l net.Listener) error {
	authority, err := newOwner()
	if err != nil {
		return err
	}
	c := s.config
	c.Authority = authority
	return s.serve(l, func(nc net.Conn) { session.Serve(&c, nc) })
}
