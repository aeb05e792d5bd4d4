// Package listing answers requests for lists as RabbitMQ's API does: filtered,
// sorted, a page at a time, with the columns that are asked for. It makes the
// views of what is shown, and sorts no further than that.
package listing

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Sizes of pages, as RabbitMQ has them.
const (
	defaultPageSize = 100
	maxPageSize     = 500
	maxNameFilter   = 1024
)

// Lister says how objects of one kind are listed: handles are cheap, a view
// costs something and is made for what is shown.
type Lister[T any] struct {
	Name  func(T) string // what ?name= looks at
	Order func(a, b T) int
	View  func(T) any
	// Keys and Texts are columns that can be sorted by without a view.
	Keys  map[string]func(T) float64
	Texts map[string]func(T) string
}

// page is RabbitMQ's answer to a request with ?page=.
type page struct {
	FilteredCount int   `json:"filtered_count"`
	ItemCount     int   `json:"item_count"`
	Items         []any `json:"items"`
	Page          int   `json:"page"`
	PageCount     int   `json:"page_count"`
	PageSize      int   `json:"page_size"`
	TotalCount    int   `json:"total_count"`
}

// Stream is a list of which each element is made while it is written.
type Stream struct {
	Len int
	At  func(i int) any
}

// query is what a request wants of a list.
type query struct {
	paged      bool
	page, size int
	match      func(string) bool // nil: all
	sort       string
	reverse    bool
	columns    *columns // nil: all
	find       members
}

func newQuery(v url.Values) (q query, err error) {
	q.find = members{}
	q.sort, q.reverse = v.Get("sort"), v.Get("sort_reverse") == "true"
	if q.columns, err = newColumns(v); err != nil {
		return q, err
	}
	if !v.Has("page") {
		return q, nil
	}
	q.paged, q.size = true, defaultPageSize
	var bad error
	if q.page, bad = strconv.Atoi(v.Get("page")); bad == nil && v.Has("page_size") {
		q.size, bad = strconv.Atoi(v.Get("page_size"))
	}
	if bad != nil {
		return q, &Error{"bad_request", "Pagination parameters are invalid"}
	}
	if q.page < 1 || q.size < 1 || q.size > maxPageSize {
		return q, &Error{
			"invalid_pagination_parameters",
			fmt.Sprintf("Invalid pagination parameters: page number %d, page size %d", q.page, q.size),
		}
	}
	q.match, err = nameFilter(v)
	return q, err
}

// nameFilter is what ?name= and ?use_regex= ask for: a part of the name, or a
// pattern.
func nameFilter(v url.Values) (func(string) bool, error) {
	name := v.Get("name")
	switch {
	case name == "":
		return nil, nil
	case len(name) > maxNameFilter:
		return nil, bad("the name has %d bytes, the limit is %d", len(name), maxNameFilter)
	case v.Get("use_regex") == "true":
		pattern, err := regexp.Compile("(?i)" + name)
		if err != nil {
			return nil, bad("the name is no regular expression: %v", err)
		}
		return pattern.MatchString, nil
	}
	name = strings.ToLower(name)
	return func(s string) bool { return strings.Contains(strings.ToLower(s), name) }, nil
}

// List answers a request for a list of items, with a [Stream] or a page, in RabbitMQ's order: by what is
// asked for, else by vhost and name.
func List[T any](v url.Values, items []T, l *Lister[T]) (any, error) {
	q, err := newQuery(v)
	if err != nil {
		return nil, err
	}
	total := len(items)
	if q.match != nil {
		items = slices.DeleteFunc(items, func(t T) bool { return !q.match(l.Name(t)) })
	}
	from, to := 0, len(items)
	if q.paged {
		if from = len(items); q.page-1 <= from/q.size { // else there would be too many to count
			from = min((q.page-1)*q.size, len(items))
		}
		to = min(from+q.size, len(items))
		if from >= len(items) && q.page > 1 {
			return nil, &Error{"page_out_of_range", fmt.Sprintf(
				"Page out of range, page: %d page size: %d, len: %d", q.page, q.size, len(items))}
		}
	}
	if err := arrange(items, from, to, l, &q); err != nil {
		return nil, err
	}
	shown := items[from:to]
	at := func(i int) any {
		v := l.View(shown[i])
		if q.columns != nil {
			return q.columns.of(v, q.find)
		}
		return v
	}
	if !q.paged {
		return Stream{len(shown), at}, nil
	}
	p := page{
		FilteredCount: len(items), ItemCount: len(shown), Items: make([]any, len(shown)), Page: q.page,
		PageCount: (len(items) + q.size - 1) / q.size, PageSize: q.size, TotalCount: total,
	}
	for i := range shown {
		p.Items[i] = at(i)
	}
	return p, nil
}

// arrange puts the items that belong at places from to to there, in order; what
// lies elsewhere is of no use any more.
func arrange[T any](items []T, from, to int, l *Lister[T], q *query) error {
	sign := 1
	if q.reverse {
		sign = -1
	}
	if q.sort == "" {
		part(items, from, to, func(a, b T) int { return sign * l.Order(a, b) })
		return nil
	}
	if number, ok := l.Keys[q.sort]; ok {
		arrangeBy(items, from, to, number, ordered(cmp.Compare[float64], sign), l.Order)
		return nil
	}
	if text, ok := l.Texts[q.sort]; ok {
		arrangeBy(items, from, to, text, ordered(strings.Compare, sign), l.Order)
		return nil
	}
	path, err := parseColumn(q.sort)
	if err != nil {
		return err
	}
	arrangeBy(items, from, to, func(t T) any { return q.find.at(l.View(t), path) }, ordered(compareKeys, sign), l.Order)
	return nil
}

// arrangeBy is arrange by a key that is read once an item; equal ones are in
// the usual order. What is sorted are keys and indexes: items are larger.
func arrangeBy[T, K any](items []T, from, to int, key func(T) K, by func(a, b K) int, order func(a, b T) int) {
	type keyed struct {
		key K
		at  int32
	}
	all := make([]keyed, len(items))
	for i := range items {
		all[i] = keyed{key(items[i]), int32(i)}
	}
	part(all, from, to, func(a, b keyed) int {
		if by := by(a.key, b.key); by != 0 {
			return by
		}
		return order(items[a.at], items[b.at])
	})
	sorted := make([]T, 0, to-from)
	for _, k := range all[from:to] {
		sorted = append(sorted, items[k.at])
	}
	copy(items[from:to], sorted)
}

// ordered is a comparison, the other way round when sign is -1.
func ordered[K any](compare func(a, b K) int, sign int) func(a, b K) int {
	return func(a, b K) int { return sign * compare(a, b) }
}

// compareKeys orders values as Erlang does: numbers, then booleans and null,
// then texts, then everything else, which is equal.
func compareKeys(a, b any) int {
	ra, na, sa := keyOf(a)
	rb, nb, sb := keyOf(b)
	return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(na, nb), strings.Compare(sa, sb))
}

func keyOf(v any) (rank int, n float64, s string) {
	switch v := v.(type) {
	case nil:
		return 1, 0, ""
	case bool:
		if v {
			return 1, 2, ""
		}
		return 1, 1, ""
	case string:
		return 2, 0, v
	case float64:
		return 0, v, ""
	}
	return 3, 0, ""
}

// part sorts only as far as items[from:to] needs it.
func part[T any](items []T, from, to int, compare func(a, b T) int) {
	const few = 32
	if to*8 < len(items) {
		least(items, to, compare)
		items = items[:to]
	}
	for len(items) > few && from < to {
		if from <= 0 && to >= len(items) {
			break
		}
		lower, higher := split(items, compare)
		switch {
		case to <= lower:
			items, to = items[:lower], min(to, lower)
		case from >= higher:
			items, from, to = items[higher:], from-higher, to-higher
		default: // the wanted range crosses a border
			part(items[:lower], min(from, lower), min(to, lower), compare)
			if higher < to {
				part(items[higher:], max(0, from-higher), to-higher, compare)
			}
			return
		}
	}
	if from < to {
		slices.SortFunc(items, compare)
	}
}

// least moves the n least items to the front, in no order: a heap of n, the
// greatest on top, that all others are compared with once.
func least[T any](items []T, n int, compare func(a, b T) int) {
	if n == 0 {
		return
	}
	heap := items[:n]
	down := func(i int) {
		for {
			child := 2*i + 1
			if child >= n {
				return
			}
			if child+1 < n && compare(heap[child+1], heap[child]) > 0 {
				child++
			}
			if compare(heap[child], heap[i]) <= 0 {
				return
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	for i := n/2 - 1; i >= 0; i-- {
		down(i)
	}
	for i := n; i < len(items); i++ {
		if compare(items[i], heap[0]) < 0 {
			items[i], heap[0] = heap[0], items[i]
			down(0)
		}
	}
}

// split moves what is less than one of the items to the front and what is
// greater to the end: items[:lower] and items[higher:].
func split[T any](items []T, compare func(a, b T) int) (lower, higher int) {
	n := len(items)
	pivot := median(items[n/4], items[n/2], items[n/4*3], compare)
	higher = n
	for i := 0; i < higher; {
		switch by := compare(items[i], pivot); {
		case by < 0:
			items[i], items[lower] = items[lower], items[i]
			lower++
			i++
		case by > 0:
			higher--
			items[i], items[higher] = items[higher], items[i]
		default:
			i++
		}
	}
	return lower, higher
}

func median[T any](a, b, c T, compare func(a, b T) int) T {
	if compare(a, b) > 0 {
		a, b = b, a
	}
	if compare(b, c) > 0 {
		b = c
	}
	if compare(a, b) > 0 {
		b = a
	}
	return b
}

// Views answers with a list of views that are cheap to make, in the order in
// which they are given.
func Views[T any](v url.Values, items []T, name func(T) string) (any, error) {
	at := make(map[*T]int, len(items))
	handles := make([]*T, len(items))
	for i := range items {
		handles[i] = &items[i]
		at[handles[i]] = i
	}
	return List(v, handles, &Lister[*T]{
		Name:  func(t *T) string { return name(*t) },
		Order: func(a, b *T) int { return cmp.Compare(at[a], at[b]) },
		View:  func(t *T) any { return *t },
	})
}

// Error is a refusal of a request: RabbitMQ's word for it and its reason.
type Error struct{ Word, Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

func bad(format string, a ...any) error { return &Error{"bad_request", fmt.Sprintf(format, a...)} }
