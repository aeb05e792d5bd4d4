package mgmt

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/warrenmq/warren/internal/listing"
	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) userRoutes() []route {
	return []route{
		{http.MethodGet, "/api/users", needAdmin, a.listUsers},
		{http.MethodGet, "/api/users/{user}", needAdmin, a.getUser},
		{http.MethodPut, "/api/users/{user}", needAdmin, a.putUser},
		{http.MethodDelete, "/api/users/{user}", needAdmin, a.deleteUser},
		{http.MethodGet, "/api/users/without-permissions", needAdmin, a.usersWithoutPermissions},
		{http.MethodPost, "/api/users/bulk-delete", needAdmin, a.deleteUsers},
	}
}

// userView is a user of the default cluster in RabbitMQ's form.
type userView struct {
	Name         string     `json:"name"`
	PasswordHash string     `json:"password_hash"`
	Algorithm    string     `json:"hashing_algorithm"`
	Tags         []string   `json:"tags"`
	Limits       meta.Quota `json:"limits"`
	Disabled     bool       `json:"disabled"`
}

// The names of the ways to hash passwords; the first two are RabbitMQ's.
const (
	hashSHA256 = "rabbit_password_hashing_sha256"
	hashSHA512 = "rabbit_password_hashing_sha512"
	hashArgon  = "argon2id"
)

// algorithm tells by what a hash was made.
func algorithm(hash string) string {
	const rabbit512 = 92 // characters of base64 of a salt and SHA-512
	switch {
	case strings.HasPrefix(hash, "$"):
		return hashArgon
	case len(hash) == rabbit512:
		return hashSHA512
	}
	return hashSHA256
}

func newUserView(r meta.Role) userView {
	v := userView{
		Name: r.Name, PasswordHash: r.PasswordHash, Algorithm: algorithm(r.PasswordHash), Tags: r.Tags, Limits: r.Limits, Disabled: r.Disabled,
	}
	if v.Limits == nil {
		v.Limits = meta.Quota{}
	}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	return v
}

func (a *API) userViews(wanted func(*meta.Role) bool) ([]userView, error) {
	roles, err := a.Store.Roles("")
	if err != nil {
		return nil, err
	}
	list := []userView{}
	for i := range roles {
		if wanted(&roles[i]) {
			list = append(list, newUserView(roles[i]))
		}
	}
	return list, nil
}

func (a *API) listUsers(c *call) (any, error) {
	list, err := a.userViews(func(*meta.Role) bool { return true })
	if err != nil {
		return nil, err
	}
	return listing.Views(c.req.URL.Query(), list, func(u userView) string { return u.Name })
}

func (a *API) usersWithoutPermissions(c *call) (any, error) {
	list, err := a.userViews(func(r *meta.Role) bool {
		permissions, err := a.Store.RolePermissions("", r.Name)
		return err == nil && len(permissions) == 0
	})
	if err != nil {
		return nil, err
	}
	return listing.Views(c.req.URL.Query(), list, func(u userView) string { return u.Name })
}

func (a *API) deleteUsers(c *call) (any, error) {
	var in struct{ Users []string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := mandatory(key{"users", in.Users != nil}); err != nil {
		return nil, err
	}
	for _, name := range in.Users {
		if _, err := a.Store.DeleteRole("", name); err != nil && !errors.Is(err, meta.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}

func (a *API) getUser(c *call) (any, error) {
	r, err := a.Store.Role("", c.value("user"))
	return newUserView(r), err
}

// userInput is a user as clients give one.
type userInput struct {
	Password     *string
	PasswordHash *string `json:"password_hash"`
	Algorithm    string  `json:"hashing_algorithm"`
	Tags         json.RawMessage
	Limits       meta.Quota
}

// options checks a user.
func (in *userInput) options() (meta.UserOptions, error) {
	var o meta.UserOptions
	if err := mandatory(key{"tags", in.Tags != nil}); err != nil {
		return o, err
	}
	var tags tagList
	var list []string
	if json.Unmarshal(in.Tags, &list) == nil {
		tags = list
	} else if json.Unmarshal(in.Tags, &tags) != nil {
		return o, errBad("tags must be a list or a text with commas")
	}
	o.Tags = tags
	switch {
	case in.Password != nil && in.PasswordHash != nil:
		return o, errBad("both_password_and_password_hash_are_provided")
	case in.Password != nil && *in.Password == "":
		return o, errBad("Password must not be blank; a user that cannot log in with one has the password_hash \"\"")
	case in.Password != nil:
		o.Password = *in.Password
	case in.PasswordHash != nil:
		o.PasswordHash = *in.PasswordHash
	}
	switch in.Algorithm {
	case "", hashSHA256, hashSHA512, hashArgon:
	default:
		return o, errBad("hashing_algorithm %.80q is not supported: %s and %s are", in.Algorithm, hashSHA256, hashSHA512)
	}
	return o, nil
}

func (a *API) putUser(c *call) (any, error) {
	var in userInput
	if err := c.read(&in); err != nil {
		return nil, err
	}
	o, err := in.options()
	if err != nil {
		return nil, err
	}
	return put(a.Store.PutUser("", c.value("user"), o))
}

func (a *API) deleteUser(c *call) (any, error) {
	_, err := a.Store.DeleteRole("", c.value("user"))
	return nil, err
}
