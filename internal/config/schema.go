package config

import (
	"encoding/json"
	"reflect"
)

// Schema returns the JSON schema of the configuration file.
func Schema() ([]byte, error) {
	byDefault := reflect.ValueOf(Default())
	fields := map[string]any{}
	for i := range byDefault.NumField() {
		kind := "string"
		if byDefault.Field(i).CanInt() {
			kind = "integer"
		}
		fields[byDefault.Type().Field(i).Tag.Get("yaml")] = map[string]any{"type": kind, "default": byDefault.Field(i).Interface()}
	}
	b, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Warren's configuration",
		"type": "object", "additionalProperties": false, "properties": fields,
	}, "", "  ")
	return append(b, '\n'), err
}
