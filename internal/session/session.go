// Package session is one AMQP 0-9-1 connection: the handshake, the channels,
// and the goroutines that serve it: the reader, and a writer while there is
// much to write.
//
// The reader (Serve) runs the protocol. It takes all that one socket read
// brought before it moves on: publishes are gathered into a batch that enters
// each queue once, acknowledgements into runs that settle together. The writer
// pulls: it sends what the reader put into the outbox, then takes messages for
// the consumers that were woken, up to a buffer's worth at a time, and writes
// once. A consumer whose socket is full simply does not pull.
//
// Owners. Conn and channel fields belong to the reader unless their comment
// names a lock. Channel.mu guards what reader and writer share of a channel;
// outbox.mu what anybody may send. Lock order: channel.mu, broker locks,
// outbox.mu.
package session

import (
	"log/slog"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// Authority decides who may connect and what they may do.
type Authority interface {
	// Authenticate checks a SASL PLAIN or AMQPLAIN login.
	Authenticate(user, password string) (meta.Identity, error)
	// AuthenticateCertificate checks a SASL EXTERNAL login: name is what the
	// client's verified certificate says, which is good until expires.
	AuthenticateCertificate(name string, expires time.Time) (meta.Identity, error)
	// Rights returns what the identity may do in a vhost of its cluster; nil
	// when it may not enter.
	Rights(id meta.Identity, vhost string) *auth.Rights
	// Stale reports whether an identity must not be served any more.
	Stale(id meta.Identity) bool
	// Limits returns the limits of a vhost of the identity's cluster and those
	// of its role.
	Limits(id meta.Identity, vhost string) (ofVhost, ofRole meta.Quota)
}

// Limits of a connection. They are offered in connection.tune or answered
// with the error that names them.
const (
	// FrameMax is the largest frame, in bytes.
	FrameMax = 131072
	// ChannelMax is the largest number of channels of a connection.
	ChannelMax = 2047
	// DefaultHeartbeat is what the server proposes, in seconds.
	DefaultHeartbeat = 60
	// HandshakeFrameMax is the largest frame before tune-ok: role keys and
	// client properties need more than RabbitMQ's 8 KiB.
	HandshakeFrameMax = 64 << 10
	// HandshakeTimeout bounds the whole handshake.
	HandshakeTimeout = 10 * time.Second
	// SilentCloseDelay is how long a refused client without
	// authentication_failure_close is kept before its socket is closed.
	SilentCloseDelay = 3 * time.Second
	// MaxContentSize is the largest body that a content header may announce.
	MaxContentSize = 512 << 20
	// DefaultMaxMessageSize is the largest body that is accepted.
	DefaultMaxMessageSize = 16 << 20
	// MaxConsumersPerChannel bounds basic.consume.
	MaxConsumersPerChannel = 10_000
	// MaxTransactionBytes and MaxTransactionMessages bound what a transaction
	// holds back until it commits.
	MaxTransactionBytes    = 64 << 20
	MaxTransactionMessages = 100_000
	// maxHeldMessages is how many of the largest messages the channels of a
	// connection hold together, of contents that are not all there yet and of
	// transactions: nobody else counts them.
	maxHeldMessages = 16
)

// Config is what all sessions of a node share.
type Config struct {
	Broker    *broker.Broker
	Authority Authority
	Registry  *Registry
	Logger    *slog.Logger
	// Version is the server's version in connection.start.
	Version string
	// ClusterName is the installation's name in connection.start.
	ClusterName string
	// MaxMessageSize in bytes; 0: DefaultMaxMessageSize.
	MaxMessageSize uint64
	// CertificateLogin is the part of a client's certificate that is its name.
	CertificateLogin auth.CertificateLogin
	// Heartbeat proposed in connection.tune, in seconds.
	Heartbeat uint16
}

func (c *Config) maxMessage() uint64 {
	if c.MaxMessageSize > 0 {
		return c.MaxMessageSize
	}
	return DefaultMaxMessageSize
}

// maxHeld is maxHeldMessages in bytes, and at least two full transactions.
func (c *Config) maxHeld() uint64 { return max(maxHeldMessages*c.maxMessage(), 2*MaxTransactionBytes) }

// serverProperties is the table of connection.start (§1.4.2.1).
func (c *Config) serverProperties() amqp.Table {
	var caps amqp.Table
	for _, name := range []string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "per_consumer_qos", "direct_reply_to", "authentication_failure_close",
	} {
		caps = append(caps, amqp.Field{Key: name, Value: true})
	}
	return amqp.Table{
		{Key: "capabilities", Value: caps},
		{Key: "cluster_name", Value: c.ClusterName},
		{Key: "copyright", Value: "The Warren authors"},
		{Key: "information", Value: "Licensed under the Apache License 2.0"},
		{Key: "platform", Value: "Go"},
		{Key: "product", Value: "Warren"},
		{Key: "version", Value: c.Version},
	}
}
