//go:build unix && goexperiment.jsonv2

package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
)

// jsonV2Cases are the cases that need GOEXPERIMENT=jsonv2, which makes
// encoding/json v1 the new code, too.
func jsonV2Cases(each splitter) []benchCase {
	return []benchCase{inMemory("encoding/json/v2", structs[jsontext.Value](each, func(b []byte, v any) error { return json.Unmarshal(b, v) }))}
}
