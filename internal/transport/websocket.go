package transport

import (
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// Subprotocol is the WebSocket subprotocol of AMQP 0-9-1. A client may name none.
const Subprotocol = "amqp"

// WebSocket answers requests by giving serve a connection whose bytes are those of the binary
// messages, however they are cut; serve returns when it is done with the connection. Pages of any
// origin may connect: a login is part of AMQP, and no cookie opens a connection.
func WebSocket(serve func(nc net.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{Subprotocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
		})
		if err != nil {
			return // Accept has answered
		}
		if r.Header.Get("Sec-WebSocket-Protocol") != "" && ws.Subprotocol() != Subprotocol {
			_ = ws.Close(websocket.StatusPolicyViolation, "the subprotocol is "+Subprotocol)
			return
		}
		serve(websocket.NetConn(r.Context(), ws, websocket.MessageBinary))
	})
}
