// Package reference writes the documents of the HTTP API from its registry: an
// OpenAPI 3.1 description and a page for people. What a route does is said in
// routes.txt.
package reference

import (
	_ "embed" // routes.txt
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/warrenmq/warren/internal/mgmt"
)

//go:embed routes.txt
var routes string

// described is a route with what is said of it.
type described struct {
	mgmt.Entry

	text string
	body []string // keys of the request's body; "-" before one: it may be left out
}

// all returns the routes by their paths.
func all() []described {
	texts := map[string]string{}
	for line := range strings.Lines(routes) {
		if words := strings.SplitN(strings.TrimSpace(line), " ", 3); len(words) == 3 && words[0] != "#" {
			texts[words[0]+" "+words[1]] = strings.TrimSpace(words[2])
		}
	}
	keys := regexp.MustCompile(` \{([-a-z_,]+)\}$`)
	var list []described
	for _, e := range mgmt.Registry() {
		d := described{Entry: e, text: texts[e.Method+" "+e.Path]}
		if m := keys.FindStringSubmatch(d.text); m != nil {
			d.text, d.body = strings.TrimSuffix(d.text, m[0]), strings.Split(m[1], ",")
		}
		if d.text == "" {
			d.text = "Not described yet."
		}
		list = append(list, d)
	}
	slices.SortStableFunc(list, func(a, b described) int {
		if a.resource() != b.resource() {
			return strings.Compare(a.resource(), b.resource())
		}
		return strings.Compare(a.Path, b.Path)
	})
	return list
}

// resource is the noun that a route is about.
func (d *described) resource() string {
	parts := strings.Split(strings.TrimPrefix(d.Path, "/"), "/")
	if parts[0] == "api" {
		return parts[1]
	}
	return parts[0]
}

// names are the names in braces of a path.
func (d *described) names() []string {
	var list []string
	for part := range strings.SplitSeq(d.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			list = append(list, strings.TrimSuffix(name, "}"))
		}
	}
	return list
}

// lists reports whether a route answers with a list that can be paged.
func (d *described) lists() bool {
	if d.Method != http.MethodGet {
		return false
	}
	switch d.resource() {
	case "queues", "exchanges", "connections", "channels", "consumers", "bindings", "vhosts", "users", "permissions", "policies",
		"operator-policies", "parameters", "global-parameters", "topic-permissions", "feature-flags", "nodes":
	default:
		return false
	}
	n := len(d.names())
	return n == 0 || n == 1 && (strings.HasSuffix(d.Path, "/{vhost}") && d.resource() != "vhosts" || d.resource() == "vhosts" && strings.HasSuffix(d.Path, "s"))
}

// object is a JSON object.
type object = map[string]any

// OpenAPI returns the description in OpenAPI 3.1.
func OpenAPI() ([]byte, error) {
	paths := object{}
	for _, d := range all() {
		operations, ok := paths[d.Path].(object)
		if !ok {
			operations = object{}
			paths[d.Path] = operations
		}
		operations[strings.ToLower(d.Method)] = d.operation()
	}
	document := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Warren HTTP API", "version": "1",
			"description": "RabbitMQ's management API and Warren's own for clusters and roles.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"security": []any{object{"basic": []any{}}},
		"paths":    paths,
		"components": object{
			"securitySchemes": object{"basic": object{"type": "http", "scheme": "basic"}},
			"parameters":      listParameters(),
			"schemas": object{
				"error": object{
					"type": "object", "required": []string{"error", "reason"},
					"properties": object{"error": object{"type": "string"}, "reason": object{"type": "string"}},
				},
				"page": object{
					"type": "object", "required": []string{"items", "page", "page_count", "page_size", "total_count", "filtered_count", "item_count"},
					"properties": object{
						"items": object{"type": "array", "items": object{"type": "object"}}, "page": integer(), "page_count": integer(),
						"page_size": integer(), "total_count": integer(), "filtered_count": integer(), "item_count": integer(),
					},
				},
			},
			"responses": object{"error": object{
				"description": "An error in RabbitMQ's form.",
				"content":     object{"application/json": object{"schema": object{"$ref": "#/components/schemas/error"}}},
			}},
		},
	}
	b, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return append(b, '\n'), nil
}

func integer() object { return object{"type": "integer"} }

// listParameters are those of every list.
func listParameters() object {
	parameter := func(name, kind, text string) object {
		return object{"name": name, "in": "query", "description": text, "schema": object{"type": kind}}
	}
	return object{
		"page":         parameter("page", "integer", "Which page, from 1; without it the answer is the whole list."),
		"page_size":    parameter("page_size", "integer", "Up to 500, 100 by default."),
		"name":         parameter("name", "string", "Only objects whose name has this in it."),
		"use_regex":    parameter("use_regex", "boolean", "The name is a regular expression."),
		"sort":         parameter("sort", "string", "A field to sort by, dotted where fields are nested."),
		"sort_reverse": parameter("sort_reverse", "boolean", "The greatest first."),
		"columns":      parameter("columns", "string", "The fields to answer with, separated by commas."),
	}
}

// operation describes one route.
func (d *described) operation() object {
	parameters := []any{}
	for _, name := range d.names() {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	answer := object{"type": "object"}
	if d.lists() {
		for _, name := range []string{"page", "page_size", "name", "use_regex", "sort", "sort_reverse", "columns"} {
			parameters = append(parameters, object{"$ref": "#/components/parameters/" + name})
		}
		answer = object{"oneOf": []any{
			object{"type": "array", "items": object{"type": "object"}}, object{"$ref": "#/components/schemas/page"},
		}}
	}
	media := "application/json"
	if d.resource() == "metrics" {
		media, answer = "text/plain", object{"type": "string"}
	}
	responses := object{"default": object{"$ref": "#/components/responses/error"}}
	switch d.Method {
	case http.MethodGet:
		responses["200"] = object{"description": "OK", "content": object{media: object{"schema": answer}}}
	case http.MethodPut:
		responses["201"], responses["204"] = object{"description": "Made."}, object{"description": "Was there, and is as asked for."}
	case http.MethodPost:
		responses["200"], responses["204"] = object{"description": "Done."}, object{"description": "Done."}
		responses["201"] = object{"description": "Made."}
	default:
		responses["204"] = object{"description": "Done."}
	}
	o := object{
		"operationId": d.id(), "summary": d.text, "tags": []string{d.resource()}, "description": "For: " + d.Who + ".",
		"parameters": parameters, "responses": responses,
	}
	if d.body != nil {
		o["requestBody"] = d.requestBody()
	}
	return o
}

func (d *described) requestBody() object {
	properties, required := object{}, []string{}
	for _, key := range d.body {
		name, optional := strings.CutPrefix(key, "-")
		properties[name] = object{}
		if !optional {
			required = append(required, name)
		}
	}
	return object{"content": object{"application/json": object{"schema": object{
		"type": "object", "properties": properties, "required": required,
	}}}}
}

// keys lists the keys of the body for people.
func (d *described) keys() string {
	list := make([]string, len(d.body))
	for i, key := range d.body {
		if name, optional := strings.CutPrefix(key, "-"); optional {
			list[i] = "`" + name + "`?"
		} else {
			list[i] = "`" + name + "`"
		}
	}
	return strings.Join(list, ", ")
}

// id is a name that no other route has.
func (d *described) id() string {
	words := []string{strings.ToLower(d.Method)}
	for part := range strings.SplitSeq(strings.TrimPrefix(d.Path, "/"), "/") {
		words = append(words, strings.Trim(part, "{}"))
	}
	return strings.Join(words, "_")
}

// Markdown returns the page for people.
func Markdown() []byte {
	var b strings.Builder
	list := all()
	fmt.Fprintf(&b, `# The HTTP API

Made from the registry of routes: do not edit. %d routes. For machines: [openapi.json](openapi.json).

Paths are RabbitMQ's, a vhost's slash is %%2F, a vhost of a named cluster is CLUSTER%%7CNAME. Logins are basic auth. JSON in, JSON out.

* PUT answers 201 for what is new and 204 for what was there; DELETE answers 204.
* Errors are {"error": …, "reason": …}: 400 for a body or value that is wrong, 401 for a login or a right that is missing, 404 for what
  is not there or not the caller's, 405 with the header Allow, 412 for what is protected; a failing health check is 503 with
  {"status": "failed", "reason": …}.
* Lists take page (from 1), page_size (to 500), name with use_regex, sort (a field, dotted) with sort_reverse, and columns.
* Rates are in X_details. lengths_age and lengths_incr, msg_rates_…, data_rates_…, node_stats_… ask for a series: how far back
  and how far apart, in seconds. A minute is kept, every five seconds.
* Bodies are up to 1 MiB, a published message 32 MiB, a file of definitions 256 MiB, that of a cluster's administrator 64 MiB.
* A message is refused with 503 while the node holds publishers back for memory or disk, and with 400 when it is larger than max_message_size.
* A cluster has 256 requests in progress at most; bodies of more than 1 MiB and messages in answers take 64 MiB of them together, or one
  request as much as it needs. What is more is 429.
`, len(list))
	resource := ""
	for i := range list {
		d := &list[i]
		if d.resource() != resource {
			resource = d.resource()
			fmt.Fprintf(&b, "\n## %s\n\n| route | what | for |\n|---|---|---|\n", resource)
		}
		text := strings.ReplaceAll(d.text, "|", "\\|")
		if d.body != nil {
			text += " Body: " + d.keys() + "."
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", d.Method, d.Path, text, d.Who)
	}
	return []byte(b.String())
}
