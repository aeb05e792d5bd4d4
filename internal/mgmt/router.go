package mgmt

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxSegments bounds the parts of a path.
const maxSegments = 16

// router finds the route of a request, part by part of its path: a word is
// tried before a name in braces, wherever RabbitMQ has both. Parts are
// unescaped one by one, so that %2F is a name and no border.
type router struct {
	words map[string]*router
	any   *router
	here  []*route
}

// newRouter returns a router of routes.
func newRouter(routes []route) *router {
	root := &router{}
	for i := range routes {
		root.add(&routes[i])
	}
	return root
}

func (r *router) add(t *route) {
	for _, part := range strings.Split(t.path, "/")[1:] {
		if strings.HasPrefix(part, "{") {
			if r.any == nil {
				r.any = &router{}
			}
			r = r.any
			continue
		}
		if r.words == nil {
			r.words = map[string]*router{}
		}
		if r.words[part] == nil {
			r.words[part] = &router{}
		}
		r = r.words[part]
	}
	r.here = append(r.here, t)
}

// find returns the route for a method and the parts of a path, and the values
// of the names in it; allow are the methods that the path has otherwise.
func (r *router) find(method string, parts, values []string) (found *route, _, allow []string) {
	if len(parts) == 0 {
		for _, t := range r.here {
			if t.method == method {
				return t, values, nil
			}
			allow = append(allow, t.method)
		}
		return nil, nil, allow
	}
	if next := r.words[parts[0]]; next != nil {
		t, v, a := next.find(method, parts[1:], values)
		if t != nil {
			return t, v, nil
		}
		allow = a
	}
	if r.any != nil { // also of nothing: the default exchange's name
		t, v, a := r.any.find(method, parts[1:], append(slices.Clip(values), parts[0]))
		if t != nil {
			return t, v, nil
		}
		allow = append(allow, a...)
	}
	return nil, nil, allow
}

// names are the names in a route's path, in order.
func (t *route) names() []string {
	var list []string
	for part := range strings.SplitSeq(t.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			list = append(list, strings.TrimSuffix(name, "}"))
		}
	}
	return list
}

// split takes a request's path apart; a slash at the end counts for nothing.
func splitPath(u *url.URL) ([]string, bool) {
	parts := strings.Split(strings.TrimSuffix(u.EscapedPath(), "/"), "/")[1:]
	if len(parts) > maxSegments {
		return nil, false
	}
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, false
		}
	}
	return parts, true
}

// mux builds the registry's handler.
func (a *API) mux(login func(*http.Request) (caller, error)) http.Handler {
	root := newRouter(a.routes)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		method := req.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		parts, ok := splitPath(req.URL)
		if !ok {
			writeError(w, errMissing())
			return
		}
		t, values, allow := root.find(method, parts, nil)
		switch {
		case t != nil:
			a.serve(w, req, t, values, login)
		case len(allow) > 0:
			if slices.Contains(allow, http.MethodGet) {
				allow = append(allow, http.MethodHead)
			}
			slices.Sort(allow)
			h.Set("Allow", strings.Join(slices.Compact(allow), ", "))
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			writeError(w, errMissing())
		}
	})
}
