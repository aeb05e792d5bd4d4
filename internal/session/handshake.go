package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// capabilities are what the client says it understands.
type capabilities struct {
	cancelNotify, blocked, authFailureClose bool
}

// handshake runs from the protocol header to connection.open-ok (§2.2.4).
// Before tune-ok, errors end the socket without a word, as with RabbitMQ.
func (c *Conn) handshake() error {
	if err := c.header(); err != nil {
		return err
	}
	if err := c.say(c.start()); err != nil {
		return err
	}
	m, err := c.expect(amqp.IDConnectionStartOk)
	if err != nil {
		return err
	}
	startOk, _ := m.(*amqp.ConnectionStartOk)
	if err := c.authenticate(startOk); err != nil {
		return err
	}
	if err := c.tune(); err != nil {
		return err
	}
	return c.open()
}

// start is the frame of connection.start, which is made once.
func (c *Conn) start() []byte {
	external := c.certificate() != nil
	kept := &c.cfg.Registry.starts[0]
	if external {
		kept = &c.cfg.Registry.starts[1]
	}
	if b := kept.Load(); b != nil {
		return *b
	}
	start := amqp.ConnectionStart{
		VersionMajor: 0, VersionMinor: 9, ServerProperties: c.cfg.serverProperties(),
		Mechanisms: mechanisms(external), Locales: []byte("en_US"),
	}
	b := amqp.AppendMethod(nil, 0, &start)
	kept.Store(&b)
	return b
}

// header reads the protocol header (§4.2.2).
func (c *Conn) header() error {
	w := &c.got.win
	for w.w-w.r < 8 {
		if _, err := c.fill(); err != nil {
			return err
		}
	}
	h := [8]byte(w.buf[w.r:])
	w.r += 8
	if h == [8]byte{'A', 'M', 'Q', 'P', 0, 0, 9, 1} || h == [8]byte{'A', 'M', 'Q', 'P', 1, 1, 0, 9} {
		return nil
	}
	answer := "AMQP\x03\x01\x00\x00" // AMQP 1.0 with SASL: what RabbitMQ answers
	sasl := string(h[:]) == answer
	if string(h[:6]) == "AMQP\x00\x00" && h[6] >= 9 {
		answer = "AMQP\x00\x00\x09\x01"
	}
	if err := c.say([]byte(answer)); err != nil {
		return err
	}
	if sasl {
		return errSilent
	}
	return errDone
}

// expect reads the next method, which must be id on channel 0.
func (c *Conn) expect(id amqp.MethodID) (amqp.Method, error) {
	f, err := c.nextFrame()
	if err != nil {
		return nil, err
	}
	got, args, _ := amqp.SplitMethod(f.Payload)
	if f.Type != amqp.FrameMethod || f.Channel != 0 || got != id {
		c.log().Warn("unexpected frame in the handshake", slog.String("expected", id.String()))
		return nil, errSilent
	}
	m, err := amqp.DecodeArguments(id, args)
	if err != nil {
		c.log().Warn("malformed method in the handshake", slog.String("method", id.String()), slog.String("error", err.Error()))
		return nil, errSilent
	}
	return m, nil
}

// nextFrame reads one frame that is no heartbeat.
func (c *Conn) nextFrame() (amqp.Frame, error) {
	for {
		f, n, err := amqp.ParseFrame(c.got.win.buf[c.got.win.r:c.got.win.w], c.frameMax)
		if err != nil {
			c.log().Warn("malformed frame in the handshake", slog.String("error", err.Error()))
			return f, errSilent
		}
		if n > 0 {
			c.got.win.r += n
			if f.Type == amqp.FrameHeartbeat {
				continue
			}
			return f, nil
		}
		if rest := c.got.win.buf[c.got.win.r:c.got.win.w]; len(rest) >= 7 {
			c.got.win.want = frameNeed(rest)
		}
		if _, err := c.fill(); err != nil {
			return f, err
		}
	}
}

// authenticate checks start-ok and answers with tune.
func (c *Conn) authenticate(m *amqp.ConnectionStartOk) error {
	c.clientProperties(m.ClientProperties)
	c.info.Mechanism = m.Mechanism
	identity, user, err := c.login(m)
	if errors.Is(err, errSilent) {
		return err
	}
	if err == nil && identity.Role == "guest" && identity.KeyID == "" && !loopback(c.nc) {
		err = errGuest
	}
	if err != nil {
		c.cfg.Registry.churn.LoginsRefused.Add(1)
		return c.refuseLogin(m.Mechanism, user, err)
	}
	c.cfg.Registry.churn.Logins.Add(1)
	c.identify(identity)
	for _, tag := range c.identity.Tags {
		c.impersonator = c.impersonator || tag == "impersonator"
	}
	tune := amqp.ConnectionTune{ChannelMax: ChannelMax, FrameMax: FrameMax, Heartbeat: c.cfg.Heartbeat}
	return c.say(amqp.AppendMethod(nil, 0, &tune))
}

// login runs the mechanism that the client has chosen. The error is errSilent
// when its response cannot be read.
func (c *Conn) login(m *amqp.ConnectionStartOk) (id meta.Identity, user string, err error) {
	var password string
	switch cert := c.certificate(); {
	case m.Mechanism == "PLAIN":
		user, password, err = auth.ParsePlain(m.Response)
	case m.Mechanism == "AMQPLAIN":
		user, password, err = auth.ParseAMQPlain(m.Response)
	case m.Mechanism == "EXTERNAL" && cert != nil:
		user = c.cfg.CertificateLogin.Name(cert)
		id, err = c.cfg.Authority.AuthenticateCertificate(user, cert.NotAfter)
		return id, user, err
	default:
		c.log().Warn("unknown authentication mechanism", slog.String("mechanism", m.Mechanism))
		return id, "", errSilent
	}
	if err != nil {
		c.log().Warn("malformed login", slog.String("mechanism", m.Mechanism), slog.String("error", err.Error()))
		return id, "", errSilent
	}
	if _, key := auth.PeekKey(password); c.young != nil && !key {
		c.young.Busy() // a password takes long to check
	}
	id, err = c.cfg.Authority.Authenticate(user, password)
	return id, user, err
}

// mechanisms are those that are offered, with or without a certificate.
func mechanisms(external bool) []byte {
	if external {
		return []byte("PLAIN AMQPLAIN EXTERNAL")
	}
	return []byte("PLAIN AMQPLAIN")
}

// certificate is the verified certificate that the client has shown, or nil.
func (c *Conn) certificate() *x509.Certificate {
	secure, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	s := secure.ConnectionState()
	if len(s.VerifiedChains) == 0 {
		return nil
	}
	return s.PeerCertificates[0]
}

var errGuest = errors.New("user 'guest' can only connect via localhost")

// loopback reports whether the peer is on this machine.
func loopback(nc net.Conn) bool {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	return !ok || a.IP.IsLoopback() // in memory or by a socket file
}

func (c *Conn) refuseLogin(mechanism, user string, err error) error {
	c.log().Warn("login refused", slog.String("user", user), slog.String("error", err.Error()))
	if !c.caps.authFailureClose {
		return errSilent
	}
	refusal := amqp.ConnectionErrorf(amqp.CodeAccessRefused,
		"Login was refused using authentication mechanism %s. For details see the broker logfile.", mechanism)
	return c.refuse(refusal)
}

// refuse sends connection.close during the handshake and waits for its answer.
func (c *Conn) refuse(e *amqp.Error) error {
	b := amqp.AppendMethod(nil, 0, &amqp.ConnectionClose{
		ReplyCode: e.Code, ReplyText: e.ReplyText(), ClassID: e.Class, MethodID: e.Method,
	})
	if err := c.say(b); err != nil {
		return err
	}
	c.deadline(closeOkTimeout)
	for {
		f, err := c.nextFrame()
		if err != nil {
			return errDone
		}
		if id, _, _ := amqp.SplitMethod(f.Payload); f.Type == amqp.FrameMethod && id == amqp.IDConnectionCloseOk {
			return errDone
		}
	}
}

// clientProperties reads what the client says of itself.
func (c *Conn) clientProperties(t amqp.Table) {
	c.info.ClientProperties = t
	if name, ok := t.Get("connection_name"); ok {
		c.info.UserName, _ = name.(string)
	}
	caps, _ := t.Get("capabilities")
	table, _ := caps.(amqp.Table)
	has := func(name string) bool {
		v, _ := table.Get(name)
		b, _ := v.(bool)
		return b
	}
	c.caps = capabilities{
		cancelNotify: has("consumer_cancel_notify"), blocked: has("connection.blocked"),
		authFailureClose: has("authentication_failure_close"),
	}
}

// tune takes the client's limits (§1.4.2.6).
func (c *Conn) tune() error {
	m, err := c.expect(amqp.IDConnectionTuneOk)
	if err != nil {
		return err
	}
	t, _ := m.(*amqp.ConnectionTuneOk)
	if why := checkTune(t); why != "" {
		c.log().Warn("tune-ok refused", slog.String("error", why))
		return errSilent
	}
	c.frameMax, c.channelMax = t.FrameMax, t.ChannelMax
	c.heartbeat.Store(int64(t.Heartbeat))
	return nil
}

func checkTune(t *amqp.ConnectionTuneOk) string {
	switch {
	case t.FrameMax != 0 && t.FrameMax < amqp.FrameMinSize:
		return "negotiated frame_max is lower than the minimum allowed value (8192)"
	case t.FrameMax == 0 || t.FrameMax > FrameMax:
		return "negotiated frame_max is higher than the maximum allowed value (131072)"
	case t.ChannelMax == 0 || t.ChannelMax > ChannelMax:
		return "negotiated channel_max is higher than the maximum allowed value (2047)"
	}
	return ""
}

// open enters the vhost (§1.4.2.7).
func (c *Conn) open() error {
	f, err := c.nextFrame()
	if err != nil {
		return err
	}
	id, args, _ := amqp.SplitMethod(f.Payload)
	if f.Type != amqp.FrameMethod || f.Channel != 0 {
		return c.refuse(unexpectedFrame(f))
	}
	if id != amqp.IDConnectionOpen {
		return c.refuse(amqp.ConnectionErrorf(amqp.CodeChannelError,
			"unexpected method in connection state opening").At(id))
	}
	var m amqp.ConnectionOpen
	if err := m.Decode(args); err != nil {
		return c.refuse(amqp.DecodeError(id, args, err))
	}
	v, rights := c.find(m.VirtualHost)
	if v == nil {
		// One text for a vhost that is not there, another cluster's, and one
		// without permission: a stranger learns nothing.
		c.log().Warn("vhost refused", slog.String("vhost", m.VirtualHost), slog.String("user", c.identity.Role))
		return c.refuse(amqp.ConnectionErrorf(amqp.CodeNotAllowed, "vhost %s not found", m.VirtualHost).At(id))
	}
	_ = c.nc.SetDeadline(time.Time{}) // from here on others may close it, and set another
	if e := c.cfg.Registry.admit(c, v, func() { c.enter(v, rights) }); e != nil {
		c.log().Warn("connection refused", slog.String("user", c.identity.Role), slog.String("error", e.Text))
		return c.refuse(e.At(id))
	}
	c.out.put(func(b []byte) []byte { return amqp.AppendMethod(b, 0, &amqp.ConnectionOpenOk{}) })
	c.speak()
	return nil
}

// tcpSocket is a TCP connection, or one that a load balancer has passed on.
type tcpSocket interface {
	SyscallConn() (syscall.RawConn, error)
	SetLinger(sec int) error
}

// find resolves the vhost and what the identity may do there; nil: nothing, or
// there is none.
func (c *Conn) find(wire string) (*broker.Vhost, *auth.Rights) {
	cluster, name, explicit := meta.ParseVhost(wire)
	if !explicit {
		cluster = c.identity.Cluster
	}
	if cluster != c.identity.Cluster {
		return nil, nil
	}
	v, ok := c.cfg.Broker.Vhost(meta.VhostRef{Cluster: cluster, Name: name}) // a plain name is one of the role's own cluster
	rights := c.cfg.Authority.Rights(c.identity, name)
	if !ok || rights == nil {
		return nil, nil
	}
	return v, rights
}

// enter is what a connection becomes in its vhost.
func (c *Conn) enter(v *broker.Vhost, rights *auth.Rights) {
	c.vhost = v
	c.actor.Store(&broker.Actor{User: c.identity.Role, Rights: rights, Conn: c.id})
	c.describe()
}
