package mgmt

import (
	"encoding/json"
	"net/http"

	"github.com/warrenmq/warren/internal/meta"
)

func (a *API) userRoutes() []route {
	return []route{
		{http.MethodGet, "/api/users", needAdmin, a.listUsers},
		{http.MethodGet, "/api/users/{user}", needAdmin, a.getUser},
		{http.MethodPut, "/api/users/{user}", needAdmin, a.putUser},
		{http.MethodDelete, "/api/users/{user}", needAdmin, a.deleteUser},
	}
}

// userView is a user of the default cluster. A password's hash is not shown:
// who can read it can try passwords on it.
type userView struct {
	Name     string     `json:"name"`
	Tags     []string   `json:"tags"`
	Limits   meta.Quota `json:"limits"`
	Disabled bool       `json:"disabled"`
}

func newUserView(r meta.Role) userView {
	v := userView{Name: r.Name, Tags: r.Tags, Limits: r.Limits, Disabled: r.Disabled}
	if v.Limits == nil {
		v.Limits = meta.Quota{}
	}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	return v
}

func (a *API) listUsers(*call) (any, error) {
	roles, err := a.Store.Roles("")
	if err != nil {
		return nil, err
	}
	list := []userView{}
	for _, r := range roles {
		list = append(list, newUserView(r))
	}
	return list, nil
}

func (a *API) getUser(c *call) (any, error) {
	r, err := a.Store.Role("", c.value("user"))
	return newUserView(r), err
}

func (a *API) putUser(c *call) (any, error) {
	var in struct {
		Password     string
		PasswordHash string `json:"password_hash"`
		Algorithm    string `json:"hashing_algorithm"`
		Tags         json.RawMessage
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Tags == nil {
		return nil, errBad("[{key_missing,tags}]")
	}
	var tags tagList
	var list []string
	if json.Unmarshal(in.Tags, &list) == nil {
		tags = list
	} else if json.Unmarshal(in.Tags, &tags) != nil {
		return nil, errBad("tags must be a list or a text with commas")
	}
	isNew, err := a.Store.PutUser("", c.value("user"), meta.UserOptions{
		Password: in.Password, PasswordHash: in.PasswordHash, Tags: tags,
	})
	return put(isNew, err)
}

func (a *API) deleteUser(c *call) (any, error) {
	_, err := a.Store.DeleteRole("", c.value("user"))
	return nil, err
}
