package account

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Third-party logs, where they are present.
const corpus = "../../../shared/corpus"

// The records have the members that AWS writes, with values of the same kind.
func TestShapeOfRealRecords(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus, "*-*", "*.json*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no corpus beside the repository")
	}
	// In none of the corpus's examples, but documented or in its other logs.
	known := map[string]bool{
		".sharedEventID string": true, ".vpcEndpointId string": true, ".vpcEndpointAccountId string": true, ".resources.ARNPrefix string": true,
		".sessionCredentialFromConsole string": true, ".userIdentity.identityProvider string": true,
		".userIdentity.sessionContext.ec2RoleDelivery string":                       true,
		".userIdentity.sessionContext.webIdFederationData.federatedProvider string": true,
		".userIdentity.sessionContext.webIdFederationData.attributes object":        true,
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var records []any
		if json.Unmarshal(data, &records) == nil {
			shape(records, "", known)
		}
	}
	strange := map[string]string{}
	for record := range New(&Options{Days: 1, Traps: true}).Records() {
		var r any
		if err := json.Unmarshal([]byte(record.JSON), &r); err != nil {
			t.Fatal(err)
		}
		members := map[string]bool{}
		shape(r, "", members)
		for m := range members {
			if !known[m] {
				strange[m] = record.JSON
			}
		}
	}
	for m, example := range strange {
		t.Errorf("no real record has%s: %.400s", m, example)
	}
}

// shape collects the paths of a record's members and what their values are,
// without what the API itself decides.
func shape(v any, path string, members map[string]bool) {
	kind := "number"
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		switch path {
		case ".requestParameters", ".responseElements", ".additionalEventData":
		default:
			for name, value := range v {
				shape(value, path+"."+name, members)
			}
		}
	case []any:
		for _, item := range v {
			shape(item, path, members)
		}
		return
	case string:
		kind = "string"
	case bool:
		kind = "bool"
	case nil:
		kind = "null"
	}
	members[path+" "+kind] = true
}
