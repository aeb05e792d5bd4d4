package mgmt

import (
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/warrenmq/warren/internal/session"
)

func (a *API) connectionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/connections", needLogin, a.listConnections},
		{http.MethodGet, "/api/vhosts/{vhost}/connections", needVhost, a.listConnections},
		{http.MethodGet, "/api/connections/{name}", needLogin, a.getConnection},
		{http.MethodDelete, "/api/connections/{name}", needLogin, a.closeConnection},
		{http.MethodGet, "/api/channels", needLogin, a.listChannels},
		{http.MethodGet, "/api/vhosts/{vhost}/channels", needVhost, a.listChannels},
	}
}

// connectionView is a connection in RabbitMQ's form.
type connectionView struct {
	Name             string    `json:"name"`
	UserProvidedName string    `json:"user_provided_name,omitempty"`
	User             string    `json:"user"`
	Cluster          string    `json:"cluster"`
	Vhost            string    `json:"vhost"`
	Protocol         string    `json:"protocol"`
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
}

func (a *API) connectionView(i *session.Info) connectionView {
	wire := i.Vhost.Name
	if v, ok := a.Broker.Vhost(i.Vhost); ok {
		wire = v.Wire()
	}
	w := connectionView{
		Name: i.Name, UserProvidedName: i.UserName, User: i.User, Cluster: i.Cluster, Vhost: wire,
		Protocol: "AMQP 0-9-1", State: "running", Node: a.NodeName, Type: "network", Channels: len(i.Channels),
		ChannelMax: int(i.ChannelMax), FrameMax: int(i.FrameMax), Timeout: i.Heartbeat,
		ConnectedAt: i.ConnectedAt.UnixMilli(), ClientProperties: arguments(i.ClientProperties),
		SSL: i.TLS,
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
func (a *API) connections(c *call) []session.Info {
	var list []session.Info
	for _, i := range a.Registry.Connections() {
		if c.administers(i.Cluster) || c.defaultTag("monitoring") && c.req.Method == http.MethodGet ||
			i.Cluster == c.identity.Cluster && i.User == c.identity.Role {
			list = append(list, i)
		}
	}
	return list
}

func (a *API) ofVhost(c *call) ([]session.Info, error) {
	list := a.connections(c)
	if c.value("vhost") == "" {
		return list, nil
	}
	v, err := c.vhost()
	if err != nil {
		return nil, err
	}
	kept := list[:0]
	for _, i := range list {
		if i.Vhost == v.Ref() {
			kept = append(kept, i)
		}
	}
	return kept, nil
}

func (a *API) listConnections(c *call) (any, error) {
	infos, err := a.ofVhost(c)
	list := []connectionView{}
	for i := range infos {
		list = append(list, a.connectionView(&infos[i]))
	}
	return list, err
}

func (a *API) getConnection(c *call) (any, error) {
	for _, i := range a.connections(c) {
		if i.Name == c.value("name") {
			return a.connectionView(&i), nil
		}
	}
	return nil, errMissing()
}

func (a *API) closeConnection(c *call) (any, error) {
	for _, i := range a.connections(c) {
		if i.Name == c.value("name") {
			reason := c.req.Header.Get("X-Reason")
			if reason == "" {
				reason = "Closed via management plugin"
			}
			a.Registry.CloseNamed(i.Name, reason)
			return nil, nil
		}
	}
	return nil, errMissing()
}

// channelView is a channel in RabbitMQ's form.
type channelView struct {
	Name           string         `json:"name"`
	Number         int            `json:"number"`
	User           string         `json:"user"`
	Vhost          string         `json:"vhost"`
	Node           string         `json:"node"`
	State          string         `json:"state"`
	ConsumerCount  int            `json:"consumer_count"`
	Unacked        int            `json:"messages_unacknowledged"`
	GlobalPrefetch int            `json:"global_prefetch_count"`
	Connection     map[string]any `json:"connection_details"`
}

func channelName(connection string, number uint16) string {
	return fmt.Sprintf("%s (%d)", connection, number)
}

func (a *API) listChannels(c *call) (any, error) {
	infos, err := a.ofVhost(c)
	list := []channelView{}
	for i := range infos {
		w := a.connectionView(&infos[i])
		for _, ch := range infos[i].Channels {
			list = append(list, channelView{
				Name: channelName(w.Name, ch.Number), Number: int(ch.Number), User: w.User, Vhost: w.Vhost, Node: a.NodeName,
				State: "running", ConsumerCount: ch.Consumers, Unacked: ch.Unacked, GlobalPrefetch: ch.Global,
				Connection: map[string]any{"name": w.Name, "peer_host": w.PeerHost, "peer_port": w.PeerPort},
			})
		}
	}
	return list, err
}
