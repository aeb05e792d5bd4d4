package listing

import (
	"net/url"
	"reflect"
	"strings"
)

// Limits of ?columns= and ?sort=.
const (
	maxColumns     = 100
	maxColumnDepth = 8
)

// columns is what ?columns= asks for: a tree of names, where a leaf takes all
// that lies below it.
type columns struct {
	whole bool
	below map[string]*columns
}

func newColumns(v url.Values) (*columns, error) {
	text := v.Get("columns")
	if text == "" {
		return nil, nil
	}
	names := strings.Split(text, ",")
	if len(names) > maxColumns {
		return nil, bad("%d columns are asked for, the limit is %d", len(names), maxColumns)
	}
	root := &columns{}
	for _, name := range names {
		path, err := parseColumn(name)
		if err != nil {
			return nil, err
		}
		root.add(path)
	}
	return root, nil
}

// One answers with a single view, or the columns of it that are asked for.
func One(v url.Values, view any) (any, error) {
	t, err := newColumns(v)
	if err != nil || t == nil {
		return view, err
	}
	return t.of(view, members{}), nil
}

// Container is a view that has its members in another way than its type shows.
type Container interface {
	// Member returns what JSON has under a name.
	Member(name string) (any, bool)
}

// parseColumn takes a dotted name apart.
func parseColumn(name string) ([]string, error) {
	path := strings.Split(strings.TrimSpace(name), ".")
	if len(path) > maxColumnDepth {
		return nil, bad("column %.80q has %d parts, the limit is %d", name, len(path), maxColumnDepth)
	}
	return path, nil
}

func (t *columns) add(path []string) {
	if len(path) == 0 {
		t.whole = true
		return
	}
	if t.below == nil {
		t.below = map[string]*columns{}
	}
	next := t.below[path[0]]
	if next == nil {
		next = &columns{}
		t.below[path[0]] = next
	}
	next.add(path[1:])
}

// of takes the columns out of a view.
func (t *columns) of(v any, find members) any {
	if t.whole {
		return v
	}
	out := make(map[string]any, len(t.below))
	for name, below := range t.below {
		if value, ok := find.member(v, name); ok {
			if below.whole {
				out[name] = value
			} else if inner, ok := below.of(value, find).(map[string]any); ok && len(inner) > 0 {
				out[name] = inner
			}
		}
	}
	return out
}

// at follows a path; numbers come as float64, as JSON has them.
func (find members) at(v any, path []string) any {
	for _, name := range path {
		var ok bool
		if v, ok = find.member(v, name); !ok {
			return nil
		}
	}
	r := indirect(reflect.ValueOf(v))
	switch {
	case !r.IsValid():
		return nil
	case r.CanInt():
		return float64(r.Int())
	case r.CanUint():
		return float64(r.Uint())
	case r.CanFloat():
		return r.Float()
	case r.Kind() == reflect.String:
		return r.String()
	case r.Kind() == reflect.Bool:
		return r.Bool()
	}
	return nil
}

func indirect(r reflect.Value) reflect.Value {
	for r.Kind() == reflect.Pointer || r.Kind() == reflect.Interface {
		if r.IsNil() {
			return reflect.Value{}
		}
		r = r.Elem()
	}
	return r
}

// members finds the members of views; it remembers where those of structures
// lie. One request uses it.
type members map[reflect.Type]map[string]field

// field is one member: where it is, and whether it is left out when empty.
type field struct {
	index     []int
	omitEmpty bool
}

// member is what a view has under a name, as its JSON would.
func (find members) member(v any, name string) (any, bool) {
	if m, ok := v.(map[string]any); ok {
		value, ok := m[name]
		return value, ok
	}
	if c, ok := v.(Container); ok {
		return c.Member(name)
	}
	r := indirect(reflect.ValueOf(v))
	if !r.IsValid() {
		return nil, false
	}
	if r.Kind() == reflect.Struct {
		return find.structMember(r, name)
	}
	if r.Kind() != reflect.Map || r.Type().Key().Kind() != reflect.String {
		return nil, false
	}
	value := r.MapIndex(reflect.ValueOf(name).Convert(r.Type().Key()))
	if !value.IsValid() {
		return nil, false
	}
	return value.Interface(), true
}

func (find members) structMember(r reflect.Value, name string) (any, bool) {
	f, ok := find.field(r.Type(), name)
	if !ok {
		return nil, false
	}
	value, err := r.FieldByIndexErr(f.index)
	if err != nil || f.omitEmpty && value.IsZero() {
		return nil, false
	}
	return value.Interface(), true
}

// field finds the member that has a name in JSON, the outermost first.
func (find members) field(t reflect.Type, name string) (field, bool) {
	known := find[t]
	if known == nil {
		known = map[string]field{}
		for _, f := range reflect.VisibleFields(t) {
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if _, ok := known[tag]; tag != "" && !f.Anonymous && f.IsExported() && !ok {
				known[tag] = field{f.Index, strings.Contains(options, "omitempty")}
			}
		}
		find[t] = known
	}
	f, ok := known[name]
	return f, ok
}
