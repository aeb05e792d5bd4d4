package mgmt

import (
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/session"
)

func (a *API) connectionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/connections", needLogin, a.listConnections},
		{http.MethodGet, "/api/vhosts/{vhost}/connections", needVhost, a.listConnections},
		{http.MethodGet, "/api/connections/{name}", needLogin, a.getConnection},
		{http.MethodDelete, "/api/connections/{name}", needLogin, a.closeConnection},
		{http.MethodGet, "/api/connections/{name}/channels", needLogin, a.connectionChannels},
		{http.MethodGet, "/api/connections/{name}/sessions", needLogin, a.connectionSessions},
		{http.MethodGet, "/api/connections/username/{user}", needLogin, a.userConnections},
		{http.MethodDelete, "/api/connections/username/{user}", needLogin, a.closeUserConnections},
	}
}

// connectionView is a connection in RabbitMQ's form.
type connectionView struct {
	Name             string    `json:"name"`
	UserProvidedName string    `json:"user_provided_name,omitempty"`
	User             string    `json:"user"`
	Actor            string    `json:"user_who_performed_action"`
	Cluster          string    `json:"cluster"`
	Vhost            string    `json:"vhost"`
	Protocol         string    `json:"protocol"`
	Mechanism        string    `json:"auth_mechanism"`
	State            string    `json:"state"`
	Node             string    `json:"node"`
	Type             string    `json:"type"`
	Channels         int       `json:"channels"`
	ChannelMax       int       `json:"channel_max"`
	FrameMax         int       `json:"frame_max"`
	Timeout          int       `json:"timeout"`
	PeerHost         string    `json:"peer_host"`
	PeerPort         int       `json:"peer_port"`
	Host             string    `json:"host"`
	Port             int       `json:"port"`
	SSL              bool      `json:"ssl"`
	ConnectedAt      int64     `json:"connected_at"`
	ClientProperties arguments `json:"client_properties"`

	traffic
	*secrecy
}

// traffic is what went over a connection, or those of a vhost.
type traffic struct {
	Received        uint64  `json:"recv_oct"`
	ReceivedDetails details `json:"recv_oct_details"`
	Sent            uint64  `json:"send_oct"`
	SentDetails     details `json:"send_oct_details"`
	Reads           uint64  `json:"recv_cnt"`
	Writes          uint64  `json:"send_cnt"`
	Pending         int     `json:"send_pend"`
}

// secrecy is what RabbitMQ says of TLS; nothing is told but that there is any.
type secrecy struct {
	Protocol *string `json:"ssl_protocol"`
	Exchange *string `json:"ssl_key_exchange"`
	Cipher   *string `json:"ssl_cipher"`
	Hash     *string `json:"ssl_hash"`
	Subject  *string `json:"peer_cert_subject"`
	Issuer   *string `json:"peer_cert_issuer"`
	Serial   *string `json:"peer_cert_serial_number"`
	Validity *string `json:"peer_cert_validity"`
}

func newTraffic(t *session.Traffic, list []history.Sample[session.Traffic], s span) traffic {
	return traffic{
		Received: t.Received, ReceivedDetails: changes(list, s, func(t *session.Traffic) float64 { return float64(t.Received) }),
		Sent: t.Sent, SentDetails: changes(list, s, func(t *session.Traffic) float64 { return float64(t.Sent) }),
		Reads: t.Reads, Writes: t.Writes,
	}
}

func (a *API) connectionView(i *session.Info, s span) connectionView {
	wire := i.Vhost.Name
	if v, ok := a.Broker.Vhost(i.Vhost); ok {
		wire = v.Wire()
	}
	w := connectionView{
		Name: i.Name, UserProvidedName: i.UserName, User: i.User, Actor: i.User, Cluster: i.Cluster, Vhost: wire,
		Protocol: "AMQP 0-9-1", State: "running", Node: a.NodeName, Type: "network", Channels: len(i.Channels),
		ChannelMax: int(i.ChannelMax), FrameMax: int(i.FrameMax), Timeout: i.Heartbeat,
		ConnectedAt: i.ConnectedAt.UnixMilli(), ClientProperties: arguments(i.ClientProperties),
		SSL: i.TLS, Mechanism: i.Mechanism, traffic: newTraffic(&i.Traffic, i.History, s), secrecy: &secrecy{},
	}
	if i.Blocked {
		w.State = "blocked"
	}
	w.PeerHost, w.PeerPort = splitAddress(i.Peer.String())
	w.Host, w.Port = splitAddress(i.Local.String())
	return w
}

// splitAddress takes host:port apart; a socket file has no port.
func splitAddress(s string) (string, int) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return s, 0
	}
	n, _ := strconv.Atoi(port)
	return host, n
}

// connections are those that the caller may see: all of the clusters it
// administers, else its own.
func (a *API) connections(c *call) []*session.Conn {
	return slices.DeleteFunc(a.Registry.Living(), func(conn *session.Conn) bool {
		cluster, role, _ := conn.Owner()
		return !c.administers(cluster) && (!c.defaultTag("monitoring") || c.req.Method != http.MethodGet) &&
			(cluster != c.identity.Cluster || role != c.identity.Role)
	})
}

// ofVhost are the connections of the vhost in the path, or all.
func (a *API) ofVhost(c *call) ([]*session.Conn, error) {
	all := a.connections(c)
	if c.value("vhost") == "" {
		return all, nil
	}
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(conn *session.Conn) bool {
		_, _, of := conn.Owner()
		return of != v.Ref()
	}), nil
}

func (a *API) listConnections(c *call) (any, error) {
	all, err := a.ofVhost(c)
	if err != nil {
		return nil, err
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	return listing.List(c.req.URL.Query(), all, &listing.Lister[*session.Conn]{
		Name:  func(conn *session.Conn) string { return conn.Name() },
		Order: func(a, b *session.Conn) int { return compareText(a.Name(), b.Name()) },
		View: func(conn *session.Conn) any {
			i := conn.Info()
			return a.connectionView(&i, s.data)
		},
		Keys: map[string]func(*session.Conn) float64{
			"recv_oct": func(conn *session.Conn) float64 { return float64(conn.Traffic().Received) },
			"send_oct": func(conn *session.Conn) float64 { return float64(conn.Traffic().Sent) },
		},
	})
}

// connection is the connection in the path.
func (a *API) connection(c *call) (*session.Conn, error) {
	for _, conn := range a.connections(c) {
		if conn.Name() == c.value("name") {
			return conn, nil
		}
	}
	return nil, errMissing()
}

func (a *API) getConnection(c *call) (any, error) {
	conn, err := a.connection(c)
	if err != nil {
		return nil, err
	}
	s, err := c.spans()
	if err != nil {
		return nil, err
	}
	i := conn.Info()
	return listing.One(c.req.URL.Query(), a.connectionView(&i, s.data))
}

// reason is what a connection is told that is closed from here.
func (c *call) reason() string {
	if reason := c.req.Header.Get("X-Reason"); reason != "" {
		return reason
	}
	return "Closed via management plugin"
}

func (a *API) closeConnection(c *call) (any, error) {
	conn, err := a.connection(c)
	if err != nil {
		return nil, err
	}
	conn.Force(c.reason())
	return nil, nil
}

func (a *API) connectionSessions(c *call) (any, error) {
	if _, err := a.connection(c); err != nil {
		return nil, err
	}
	return nil, errBad("connection does not use AMQP 1.0")
}

// ofUser are the connections of the user in the path.
func (a *API) ofUser(c *call) []*session.Conn {
	return slices.DeleteFunc(a.connections(c), func(conn *session.Conn) bool {
		_, role, _ := conn.Owner()
		return role != c.value("user")
	})
}

func (a *API) userConnections(c *call) (any, error) {
	type view struct {
		Name  string `json:"name"`
		Vhost string `json:"vhost"`
		User  string `json:"user"`
		Node  string `json:"node"`
	}
	all := []view{}
	for _, conn := range a.ofUser(c) {
		i := conn.Info()
		w := a.connectionView(&i, span{})
		all = append(all, view{w.Name, w.Vhost, w.User, w.Node})
	}
	return listing.Views(c.req.URL.Query(), all, func(v view) string { return v.Name })
}

func (a *API) closeUserConnections(c *call) (any, error) {
	for _, conn := range a.ofUser(c) {
		conn.Force(c.reason())
	}
	return nil, nil
}
