package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
)

// ErrNoFinding says that a text is none that this package wrote.
var ErrNoFinding = errors.New("output: no finding of cloudtell")

// Read returns the finding that a text was made of by [JSON], [OCSF], [ASFF] or
// [ECS], whatever other systems have added to it since. The error wraps
// [ErrNoFinding] for JSON of another origin, or is that of [encoding/json].
func Read(text []byte) (detect.Finding, error) {
	var v struct {
		ID            string            `json:"id"`
		Rule          json.RawMessage   `json:"rule"`
		Unmapped      carried           `json:"unmapped"`  // OCSF
		Cloudtell     carriedFinding    `json:"cloudtell"` // ECS
		ProductFields map[string]string // ASFF
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return detect.Finding{}, fmt.Errorf("output: %w", err)
	}
	found := v.Cloudtell.Finding
	if found == nil {
		found = v.Unmapped.Cloudtell.Finding
	}
	switch {
	case found != nil:
	case v.ProductFields[asffPart(0)] != "":
		var whole strings.Builder
		for i := 0; v.ProductFields[asffPart(i)] != ""; i++ {
			whole.WriteString(v.ProductFields[asffPart(i)])
		}
		text = []byte(whole.String())
		fallthrough
	case v.ID != "" && len(v.Rule) > 0 && v.Rule[0] == '"':
		found = new(detect.Finding)
		if err := json.Unmarshal(text, found); err != nil {
			return detect.Finding{}, fmt.Errorf("output: %w", err)
		}
	}
	if found == nil || found.ID == "" || found.Rule == "" {
		return detect.Finding{}, ErrNoFinding
	}
	return *found, nil
}
