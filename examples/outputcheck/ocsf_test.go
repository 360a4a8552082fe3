package outputcheck

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A schema is a part of the OCSF schema: its objects, by name.
type schema map[string]*object

type object struct {
	attributes map[string]attribute
	oneOf      []string // at least one of these
}

// An attribute's kind is string, integer, long, timestamp, boolean, json or the
// name of an object.
type attribute struct {
	kind     string
	array    bool
	required bool
	values   []int // those that are allowed, if any are named
}

// readSchema reads a table of objects. Its file says how it is written.
func readSchema(t *testing.T, name string) schema {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	s := make(schema)
	var o *object
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] == "#":
		case line[0] != '\t':
			o = &object{attributes: make(map[string]attribute)}
			s[fields[0]] = o
		case fields[0] == "one-of":
			o.oneOf = fields[1:]
		default:
			var a attribute
			name, required := strings.CutSuffix(fields[0], "!")
			kind, array := strings.CutSuffix(fields[1], "[]")
			a.kind, a.array, a.required = kind, array, required
			for _, v := range fields[2:] {
				n, err := strconv.Atoi(v)
				require.NoError(t, err, line)
				a.values = append(a.values, n)
			}
			o.attributes[name] = a
		}
	}
	for name, o := range s {
		for of, a := range o.attributes {
			if !slices.Contains([]string{"string", "integer", "long", "timestamp", "boolean", "json"}, a.kind) {
				require.Contains(t, s, a.kind, "%s.%s", name, of)
			}
		}
	}
	return s
}

// readExport reads the whole schema, as its server exports it, out of the module
// that carries it. Attributes of other profiles than the one are not required.
func readExport(t *testing.T, name, profile string) schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/valllabh/ocsf-schema-golang").Output()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), name))
	require.NoError(t, err)
	type exported struct {
		Attributes map[string]struct {
			Type        string
			ObjectType  string `json:"object_type"`
			Array       bool   `json:"is_array"`
			Requirement string
			Profile     string
			Enum        map[string]any
		}
		Constraints struct {
			AtLeastOne []string `json:"at_least_one"`
		}
	}
	var export struct{ Classes, Objects map[string]exported }
	require.NoError(t, json.Unmarshal(text, &export))
	s := make(schema)
	for _, of := range []map[string]exported{export.Classes, export.Objects} {
		for name, e := range of {
			o := &object{attributes: make(map[string]attribute), oneOf: e.Constraints.AtLeastOne}
			for name, x := range e.Attributes {
				a := attribute{array: x.Array, required: x.Requirement == "required" && (x.Profile == "" || x.Profile == profile)}
				switch x.Type {
				case "object_t":
					if a.kind = x.ObjectType; a.kind == "object" {
						a.kind = "json"
					}
				case "integer_t", "long_t", "timestamp_t", "boolean_t", "json_t":
					a.kind = strings.TrimSuffix(x.Type, "_t")
				default:
					a.kind = "string"
				}
				for v := range x.Enum {
					if n, err := strconv.Atoi(v); err == nil {
						a.values = append(a.values, n)
					}
				}
				o.attributes[name] = a
			}
			s[name] = o
		}
	}
	require.Contains(t, s, "detection_finding")
	return s
}

// check returns what is wrong with a document of a class, or nil.
func (s schema) check(doc []byte, class string) error {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return err
	}
	return s.object(v, class, class)
}

func (s schema) object(v any, kind, path string) error {
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is no object", path)
	}
	o := s[kind]
	var problems []error
	for name, a := range o.attributes {
		if _, ok := members[name]; a.required && !ok {
			problems = append(problems, fmt.Errorf("%s.%s is missing", path, name))
		}
	}
	if len(o.oneOf) > 0 && !slices.ContainsFunc(o.oneOf, func(name string) bool { _, ok := members[name]; return ok }) {
		problems = append(problems, fmt.Errorf("%s has none of %v", path, o.oneOf))
	}
	for name, m := range members {
		a, ok := o.attributes[name]
		if !ok {
			problems = append(problems, fmt.Errorf("%s has no attribute %s", path, name))
			continue
		}
		list := []any{m}
		if a.array {
			if list, ok = m.([]any); !ok {
				problems = append(problems, fmt.Errorf("%s.%s is no array", path, name))
			}
		}
		for _, e := range list {
			problems = append(problems, s.value(e, a, path+"."+name))
		}
	}
	return errors.Join(problems...)
}

func (s schema) value(v any, a attribute, path string) error {
	ok := true
	switch a.kind {
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "integer", "long", "timestamp":
		var n float64
		n, ok = v.(float64)
		ok = ok && n == float64(int64(n)) && (a.values == nil || slices.Contains(a.values, int(n)))
	case "json":
	default:
		return s.object(v, a.kind, path)
	}
	if !ok {
		return fmt.Errorf("%s: %v is no %s %v", path, v, a.kind, a.values)
	}
	return nil
}
