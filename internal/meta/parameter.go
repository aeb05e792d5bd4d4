package meta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Parameter is a global parameter of the installation: a name and any JSON. Warren acts on
// [ParamClusterName] and keeps the others for the tools that set them.
type Parameter struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value,omitempty"`
}

// ParamClusterName is the global parameter that holds the name of the installation.
const ParamClusterName = "cluster_name"

func (p Parameter) check(s *State, op Op) error {
	if p.Name == "" {
		return fmt.Errorf("%w: a global parameter needs a name", ErrInvalid)
	}
	if _, ok := s.parameters[p.Name]; !ok && op == OpDelete {
		return fmt.Errorf("%w: there is no global parameter %q", ErrNotFound, p.Name)
	}
	return nil
}

func (p Parameter) put(s *State) []Change {
	s.parameters[p.Name] = p
	return nil
}

func (p Parameter) remove(s *State) []Change {
	delete(s.parameters, p.Name)
	return nil
}

// SetParameter sets a global parameter, and says whether it is new.
func (s *Store) SetParameter(name string, value json.RawMessage) (created bool, err error) {
	var compact bytes.Buffer
	if name == "" || len(name) > MaxName || len(value) > MaxParameter || json.Compact(&compact, value) != nil {
		return false, fmt.Errorf("%w: a global parameter has a name of 1 to %d bytes and a JSON value of up to %d", ErrInvalid, MaxName, MaxParameter)
	}
	p := Parameter{Name: name, Value: compact.Bytes()}
	if name == ParamClusterName {
		var text string
		if json.Unmarshal(value, &text) != nil || text == "" || len(text) > MaxName {
			return false, fmt.Errorf("%w: cluster_name is a text of 1 to %d bytes", ErrInvalid, MaxName)
		}
	}
	err = s.mutate(func() (Record, error) {
		existing, ok := s.state.parameters[name]
		if created = !ok; created && len(s.state.parameters) >= MaxParameters {
			return Record{}, fmt.Errorf("%w: there are %d global parameters, which is the limit; delete one first", ErrInvalid, MaxParameters)
		}
		return putUnless(existing, p)
	})
	return created && err == nil, err
}

// ClearParameter takes a global parameter away.
func (s *Store) ClearParameter(name string) error {
	return s.mutate(func() (Record, error) { return Record{Op: OpDelete, Subject: Parameter{Name: name}}, nil })
}

// Parameters gives the global parameters, ordered by name.
func (s *Store) Parameters() []Parameter {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Parameter, 0, len(s.state.parameters))
	for _, name := range slices.Sorted(maps.Keys(s.state.parameters)) {
		list = append(list, s.state.parameters[name])
	}
	return list
}

// ClusterName is the name of the installation, or otherwise when none was set.
func (s *Store) ClusterName(otherwise string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var name string
	if json.Unmarshal(s.state.parameters[ParamClusterName].Value, &name) != nil || name == "" {
		return otherwise
	}
	return name
}
