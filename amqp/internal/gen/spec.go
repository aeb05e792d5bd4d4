package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// spec is the specification as it stands in the JSON file.
type spec struct {
	Protocol   string      `json:"protocol"`
	ReplyCodes []replyCode `json:"replyCodes"`
	Properties []property  `json:"properties"`
	Classes    []class     `json:"classes"`
}

// replyCode is a number that close and return methods carry.
type replyCode struct {
	Name  string `json:"name"`
	Code  uint16 `json:"code"`
	Scope string `json:"scope"` // What the error ends, "channel" or "connection"; "" for no error.
}

// property is a property of basic's content.
type property struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Bit  uint   `json:"bit"` // Of the property flags.
}

type class struct {
	Name    string   `json:"name"`
	ID      uint16   `json:"id"`
	Methods []method `json:"methods"`
}

type method struct {
	Name        string  `json:"name"`
	ID          uint16  `json:"id"`
	From        string  `json:"from"` // Who may send it: "client", "server" or "both".
	Synchronous bool    `json:"synchronous"`
	Content     bool    `json:"content"` // A content header and a body follow.
	Doc         string  `json:"doc"`     // What the method does, to follow its name.
	Fields      []field `json:"fields"`
}

type field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Reserved bool   `json:"reserved"` // Skipped on reading, zero on writing.
}

// fieldTypes are the types of method arguments.
var fieldTypes = []string{"bit", "octet", "short", "long", "longlong", "shortstr", "longstr", "table"}

// parseSpec reads the JSON and checks that a generator can rely on it.
func parseSpec(src []byte) (*spec, error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	var s spec
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	errs := []error{s.checkCodes()}
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			if err := m.check(); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", c.Name, m.Name, err))
			}
		}
	}
	return &s, errors.Join(errs...)
}

func (s *spec) checkCodes() error {
	for _, c := range s.ReplyCodes {
		if !slices.Contains([]string{"", "channel", "connection"}, c.Scope) {
			return fmt.Errorf("reply code %d: unknown scope %q", c.Code, c.Scope)
		}
	}
	return nil
}

func (m *method) check() error {
	if !slices.Contains([]string{"client", "server", "both"}, m.From) {
		return fmt.Errorf("unknown sender %q", m.From)
	}
	if m.Doc == "" {
		return errors.New("no doc")
	}
	for _, f := range m.Fields {
		if !slices.Contains(fieldTypes, f.Type) {
			return fmt.Errorf("field %s: unknown type %q", f.Name, f.Type)
		}
	}
	return nil
}

// goName turns the words of a dashed name into a Go name: "reply-to-id" becomes ReplyToID.
func goName(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		if word == "id" {
			b.WriteString("ID")
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// constName turns a dashed name into the form of reply texts: NOT_FOUND.
func constName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Channel returns the codes of errors that end a channel.
func (s *spec) Channel() []replyCode { return s.scoped("channel") }

// Connection returns the codes of errors that end a connection.
func (s *spec) Connection() []replyCode { return s.scoped("connection") }

func (s *spec) scoped(scope string) []replyCode {
	return slices.DeleteFunc(slices.Clone(s.ReplyCodes), func(c replyCode) bool {
		return c.Scope != scope
	})
}

// IDs returns the list of the id constants of the methods that have a trait: "content",
// "synchronous", or "client" or "server" for who may send them.
func (s *spec) IDs(trait string) string {
	var ids []string
	for _, c := range s.Classes {
		for _, m := range c.Methods {
			if m.is(trait) {
				ids = append(ids, "ID"+goName(c.Name)+goName(m.Name))
			}
		}
	}
	return strings.Join(ids, ",\n")
}

func (m *method) is(trait string) bool {
	switch trait {
	case "content":
		return m.Content
	case "synchronous":
		return m.Synchronous
	}
	return m.From == trait || m.From == "both"
}
