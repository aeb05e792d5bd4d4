package mgmt

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

// caller is who makes a request.
type caller struct {
	owner    bool // of the data directory
	identity meta.Identity
}

func (c *caller) tag(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.identity.Tags, n) })
}

// call is one request.
type call struct {
	*caller

	api    *API
	req    *http.Request
	header http.Header       // of the answer
	values map[string]string // of the names in the path
	large  int64             // bytes that it took
}

// value is a named part of the path.
func (c *call) value(name string) string { return c.values[name] }

// statusError is an error with its HTTP status and RabbitMQ's error word.
type statusError struct {
	status      int
	word        string
	explanation string
}

func (e *statusError) Error() string { return e.explanation }

func errMissing() error {
	return &statusError{http.StatusNotFound, "Object Not Found", "Not Found"}
}

func errBad(format string, a ...any) error {
	return &statusError{http.StatusBadRequest, "bad_request", fmt.Sprintf(format, a...)}
}

func errForbidden(reason string) error {
	return &statusError{http.StatusUnauthorized, "not_authorised", reason}
}

// created is an answer with status 201.
type created struct {
	body     any
	location string
}

// withStatus is an answer with another status.
type withStatus struct {
	status int
	body   any
}

// login checks a request's credentials.
func (a *API) login(r *http.Request) (caller, error) {
	user, password, ok := r.BasicAuth()
	if !ok {
		user, password, ok = bearer(r)
	}
	if ok {
		id, err := a.Store.Authenticate(user, password)
		if err == nil {
			a.attempts.good.Add(1)
			if a.LoggedIn != nil {
				a.LoggedIn(r)
			}
			return caller{identity: id}, nil
		}
		a.attempts.bad.Add(1)
	}
	return caller{}, &statusError{http.StatusUnauthorized, "not_authorized", "Not_Authorized"}
}

// bearer is the login of a role by its key alone (RFC 6750): the key says whose
// it is.
func bearer(r *http.Request) (role, key string, ok bool) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", "", false
	}
	role, _ = auth.PeekRole(key)
	return role, key, true // one that is none is refused as a wrong password is
}

// serve runs one route.
func (a *API) serve(
	w http.ResponseWriter, req *http.Request, r *route, values []string, login func(*http.Request) (caller, error),
) {
	who, err := login(req)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="Warren"`)
		writeError(w, err)
		return
	}
	c := &call{caller: &who, api: a, req: req, header: w.Header(), values: make(map[string]string, len(values))}
	for i, name := range r.names() {
		c.values[name] = values[i]
	}
	if !c.owner {
		if !a.shares.enter(who.identity.Cluster) {
			writeError(w, errBusy("the cluster has %d requests in progress", maxRequests))
			return
		}
		defer func() { a.shares.leave(who.identity.Cluster, c.large) }()
	}
	req.Body = http.MaxBytesReader(w, req.Body, maxDefinitions)
	if err := c.allowed(r.need); err != nil {
		writeError(w, err)
		return
	}
	answer, err := r.handle(c)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := writeAnswer(w, answer); err != nil {
		a.Logger.Debug("answer not written", slog.String("path", req.URL.Path), slog.String("error", err.Error()))
	}
}

// allowed checks what the registry demands.
func (c *call) allowed(n need) error {
	switch n {
	case needLogin:
		if c.owner || c.tag("management", "policymaker", "monitoring", "administrator") {
			return nil
		}
		return errForbidden("Not management user")
	case needMonitor:
		if c.installation() || c.defaultTag("monitoring") {
			return nil
		}
		return errForbidden("Not monitor user")
	case needObjects:
		if c.tag("administrator") {
			return nil
		}
		return c.allowed(needMonitor)
	case needVhost:
		if err := c.allowed(needLogin); err != nil {
			return err
		}
		_, err := c.vhost()
		return err
	case needCluster:
		return c.clusterAllowed()
	case needAdmin:
		if c.installation() {
			return nil
		}
		return errForbidden("Not administrator user")
	}
	return errForbidden("Access refused.")
}

// installation reports whether the caller may do everything: the owner, or an
// administrator among the users of the default cluster.
func (c *call) installation() bool { return c.owner || c.defaultTag("administrator") }

func (c *call) defaultTag(tag string) bool {
	return c.identity.Cluster == c.api.Store.DefaultCluster().ID && c.tag(tag)
}

// administers reports whether the caller is an administrator of a cluster.
func (c *call) administers(cluster string) bool {
	return c.installation() || c.identity.Cluster == cluster && c.tag("administrator")
}

func (c *call) clusterAllowed() error {
	id := c.clusterID()
	if _, err := c.api.Store.Cluster(id); err != nil || !c.administers(id) {
		if c.installation() {
			return errMissing()
		}
		return errForbidden("Not administrator user") // whether the cluster exists is not said
	}
	return nil
}

// clusterID is the cluster in the path.
func (c *call) clusterID() string {
	if id := c.value("cluster"); id != "default" {
		return id
	}
	return c.api.Store.DefaultCluster().ID
}

// vhost is the vhost in the path, if the caller may see it.
func (c *call) vhost() (*broker.Vhost, error) { return c.named(c.value("vhost")) }

func (c *call) named(wire string) (*broker.Vhost, error) {
	cluster, name, explicit := meta.ParseVhost(wire)
	if !explicit {
		cluster = c.api.Store.DefaultCluster().ID
	}
	v, ok := c.api.Broker.Vhost(meta.VhostRef{Cluster: cluster, Name: name})
	if !ok || !c.sees(v) {
		return nil, errMissing()
	}
	return v, nil
}

// sees reports whether the caller may see a vhost.
func (c *call) sees(v *broker.Vhost) bool {
	ref := v.Ref()
	if c.administers(ref.Cluster) || c.defaultTag("monitoring") && c.req.Method == http.MethodGet {
		return true
	}
	return c.identity.Cluster == ref.Cluster && c.api.Store.Rights(c.identity, ref.Name) != nil
}

// vhosts are the vhosts of the path, or all that the caller sees.
func (c *call) vhosts() ([]*broker.Vhost, error) {
	if c.value("vhost") != "" {
		v, err := c.vhost()
		return []*broker.Vhost{v}, err
	}
	list := slices.DeleteFunc(c.api.Broker.Vhosts(), func(v *broker.Vhost) bool { return !c.sees(v) })
	slices.SortFunc(list, func(a, b *broker.Vhost) int { return strings.Compare(a.Wire(), b.Wire()) })
	return list, nil
}

// actor is on whose behalf the broker acts.
func (c *call) actor(v *broker.Vhost) *broker.Actor {
	if c.administers(v.Ref().Cluster) {
		return &broker.Actor{User: c.user(), Rights: c.api.all}
	}
	return &broker.Actor{User: c.user(), Rights: c.api.Store.Rights(c.identity, v.Ref().Name)}
}

func (c *call) user() string {
	if c.owner {
		return "owner"
	}
	return c.identity.Role
}

// read decodes the request's body; an empty one leaves v as it is.
func (c *call) read(v any) error { return c.readUpTo(v, maxBody) }

func (c *call) readUpTo(v any, most int64) error {
	if err := c.takeBody(most); err != nil {
		return err
	}
	return decodeUpTo(c.req.Body, v, most)
}

// takeBody takes what the body of a request needs that may have most bytes.
func (c *call) takeBody(most int64) error {
	n := most
	if c.req.ContentLength >= 0 {
		n = min(most, c.req.ContentLength)
	}
	if n <= maxBody {
		return nil
	}
	return c.take(n)
}

func decodeUpTo(r io.Reader, v any, most int64) error {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return errBad("the body could not be read: %v", err)
	}
	if int64(len(b)) > most {
		return errBad("the body is larger than the limit of %d bytes", most)
	}
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		if e, ok := errors.AsType[*statusError](err); ok {
			return e
		}
		return errBad("not_json")
	}
	return nil
}

// writeAnswer writes what a handler returned.
func writeAnswer(w http.ResponseWriter, answer any) error {
	status := http.StatusOK
	switch v := answer.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case raw:
		w.Header().Set("Content-Type", v.contentType)
		w.WriteHeader(status)
		return v.write(w)
	case withStatus:
		status, answer = v.status, v.body
	case created:
		status, answer = http.StatusCreated, v.body
		if v.location != "" {
			w.Header().Set("Location", v.location)
		}
		if v.body == nil {
			w.WriteHeader(status)
			return nil
		}
	}
	if list, ok := answer.(listing.Stream); ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		return writeStream(w, list)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		writeError(w, err)
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(text, '\n'))
	return err
}

// writeStream writes a list element by element: there may be very many.
func writeStream(w io.Writer, list listing.Stream) error {
	b := bufio.NewWriterSize(w, streamBuffer)
	before := byte('[')
	for i := range list.Len {
		_ = b.WriteByte(before) // Flush tells
		before = ','
		text, err := json.Marshal(list.At(i))
		if err != nil {
			return err
		}
		_, _ = b.Write(text)
	}
	if list.Len == 0 {
		_ = b.WriteByte(before)
	}
	_ = b.WriteByte(']')
	return b.Flush()
}

// streamBuffer is how much of a list is gathered for one write, in bytes.
const streamBuffer = 64 << 10

// writeError writes an error in RabbitMQ's form.
func writeError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	if f, ok := errors.AsType[*failed](err); ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(f) // the client has gone
		return
	}
	e := asStatus(err)
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": e.word, "reason": e.explanation}) // the client has gone
}

// asStatus gives an error of the layers below its HTTP form.
func asStatus(err error) *statusError {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		switch e.Code {
		case amqp.CodeNotFound:
			return &statusError{http.StatusNotFound, "Object Not Found", "Not Found"}
		case amqp.CodeAccessRefused, amqp.CodeNotAllowed:
			return &statusError{http.StatusUnauthorized, "not_authorised", "Access refused."}
		}
		return &statusError{http.StatusBadRequest, "bad_request", e.Text}
	}
	if e, ok := errors.AsType[*listing.Error](err); ok {
		return &statusError{http.StatusBadRequest, e.Word, e.Reason}
	}
	if e, ok := errors.AsType[*policy.Error](err); ok {
		return &statusError{http.StatusBadRequest, "bad_request", e.Error()}
	}
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return &statusError{http.StatusNotFound, "Object Not Found", "Not Found"}
	case errors.Is(err, meta.ErrProtected):
		return &statusError{http.StatusPreconditionFailed, "precondition_failed", err.Error()}
	case errors.Is(err, meta.ErrExists), errors.Is(err, meta.ErrInUse), errors.Is(err, meta.ErrInvalid):
		return &statusError{http.StatusBadRequest, "bad_request", err.Error()}
	}
	return &statusError{http.StatusInternalServerError, "internal_error", err.Error()}
}

// amqpError makes a broker's answer an error that is nil when there is none.
func amqpError(e *amqp.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// put is the answer to PUT: 201 for a new object, 204 for one that was there.
func put(isNew bool, err error) (any, error) {
	if err != nil || !isNew {
		return nil, err
	}
	return created{}, nil
}

// key is a key of a request's body, and whether it is there.
type key struct {
	name string
	is   bool
}

// mandatory refuses a body without some keys, in RabbitMQ's words.
func mandatory(keys ...key) error {
	var missing []string
	for _, k := range keys {
		if !k.is {
			missing = append(missing, "{key_missing,"+k.name+"}")
		}
	}
	if missing != nil {
		return errBad("[%s]", strings.Join(missing, ","))
	}
	return nil
}
