package outputcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/securityhub/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ocsf11 "github.com/valllabh/ocsf-schema-golang/ocsfvalidate/1.1"
)

// golden returns the documents of a golden file.
func golden(t *testing.T, name string) (docs []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../detect/output/testdata", name+".json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &docs))
	require.NotEmpty(t, docs)
	return docs
}

// edited returns a document with a change made to it.
func edited(t *testing.T, doc json.RawMessage, change func(map[string]any)) json.RawMessage {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(doc, &v))
	change(v)
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// ocsfMistakes are documents that a check of OCSF must refuse, or it checks
// nothing.
func ocsfMistakes(t *testing.T, doc json.RawMessage) map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"an attribute that there is not": edited(t, doc, func(v map[string]any) { v["severty_id"] = 1 }),
		"one missing":                    edited(t, doc, func(v map[string]any) { delete(v, "finding_info") }),
		"one deep inside missing":        edited(t, doc, func(v map[string]any) { delete(v["metadata"].(map[string]any), "product") }),
		"another type":                   edited(t, doc, func(v map[string]any) { v["time"] = "1769342940000" }),
		"a number that stands for none":  edited(t, doc, func(v map[string]any) { v["severity_id"] = 7 }),
	}
}

// TestOCSF11 uses what schema.ocsf.io publishes for version 1.1.0, as the module
// ocsf-schema-golang carries it: the JSON Schema of the class, and the whole
// schema, because the former allows names that the latter does not have. The
// JSON Schema is that of the class with all profiles, so it wants an attribute
// of the profile security_control, which is not applied.
func TestOCSF11(t *testing.T) {
	whole := readExport(t, "schema/v1.1-schema.json", "cloud")
	check := func(doc json.RawMessage) error {
		return errors.Join(whole.check(doc, "detection_finding"),
			ocsf11.Validate("detection_finding", edited(t, doc, func(v map[string]any) { v["action_id"] = 0 })))
	}
	for i, doc := range golden(t, "ocsf-1.1.0") {
		assert.NoError(t, check(doc), "document %d", i)
	}
	for name, doc := range ocsfMistakes(t, golden(t, "ocsf-1.1.0")[0]) {
		assert.Error(t, check(doc), name)
	}
	assert.ErrorContains(t, check(golden(t, "ocsf-1.6.0")[0]), "anomaly_analyses", "1.1.0 does not know it")
}

// TestOCSF16 uses a table of the attributes of version 1.6.0, written down from
// its schema: no package registry that CI reaches has a later one than 1.2.0.
func TestOCSF16(t *testing.T) {
	s := readSchema(t, "testdata/ocsf-1.6.0.txt")
	for i, doc := range golden(t, "ocsf-1.6.0") {
		assert.NoError(t, s.check(doc, "detection_finding"), "document %d", i)
	}
	mistakes := ocsfMistakes(t, golden(t, "ocsf-1.6.0")[0])
	mistakes["an analysis of nothing"] = edited(t, golden(t, "ocsf-1.6.0")[0], func(v map[string]any) {
		delete(v["anomaly_analyses"].([]any)[0].(map[string]any), "anomalies")
	})
	mistakes["evidence of nothing"] = edited(t, golden(t, "ocsf-1.6.0")[0], func(v map[string]any) {
		v["evidences"] = []any{map[string]any{"name": "x"}}
	})
	for name, doc := range mistakes {
		assert.Error(t, s.check(doc, "detection_finding"), name)
	}
}

// TestASFF uses the AWS SDK: its types know every field's name and type, and its
// client what is required. The request goes nowhere.
func TestASFF(t *testing.T) {
	var sent int
	client := securityhub.New(securityhub.Options{
		Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
		HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
			sent++
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
				Body: io.NopCloser(strings.NewReader(`{"FailedCount":0,"SuccessCount":1}`))}, nil
		}),
	})
	send := func(doc json.RawMessage) error {
		d := json.NewDecoder(bytes.NewReader(doc))
		d.DisallowUnknownFields()
		var f types.AwsSecurityFinding
		if err := d.Decode(&f); err != nil {
			return err
		}
		if err := limits(&f, len(doc)); err != nil {
			return err
		}
		_, err := client.BatchImportFindings(context.Background(), &securityhub.BatchImportFindingsInput{Findings: []types.AwsSecurityFinding{f}})
		return err
	}
	docs := golden(t, "asff")
	for i, doc := range docs {
		assert.NoError(t, send(doc), "document %d", i)
	}
	assert.Equal(t, len(docs), sent)
	for name, change := range map[string]func(map[string]any){
		"a field that there is not":   func(v map[string]any) { v["Severty"] = 1 },
		"one missing":                 func(v map[string]any) { delete(v, "ProductArn") },
		"a resource without its type": func(v map[string]any) { delete(v["Resources"].([]any)[0].(map[string]any), "Type") },
		"a title that is too long":    func(v map[string]any) { v["Title"] = strings.Repeat("x", 257) },
		"no resources":                func(v map[string]any) { v["Resources"] = []any{} },
		"an unknown severity": func(v map[string]any) {
			v["FindingProviderFields"].(map[string]any)["Severity"].(map[string]any)["Label"] = "BAD"
		},
	} {
		assert.Error(t, send(edited(t, docs[0], change)), name)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// limits checks what the SDK leaves to the service: the lengths that the API
// reference states.
func limits(f *types.AwsSecurityFinding, size int) error {
	var problems []error
	within := func(what string, s *string, most int) {
		if n := len([]rune(aws.ToString(s))); n == 0 || n > most {
			problems = append(problems, errors.New(what+" is missing or too long"))
		}
	}
	within("Title", f.Title, 256)
	within("Description", f.Description, 1024)
	within("Id", f.Id, 512)
	within("GeneratorId", f.GeneratorId, 512)
	within("AwsAccountId", f.AwsAccountId, 12)
	if n := len(f.Resources); n < 1 || n > 32 {
		problems = append(problems, errors.New("number of resources"))
	}
	for _, r := range f.Resources {
		within("a resource's id", r.Id, 512)
	}
	if f.Remediation != nil {
		within("the recommendation", f.Remediation.Recommendation.Text, 512)
	}
	if len(f.ProductFields) > 50 {
		problems = append(problems, errors.New("number of product fields"))
	}
	for k, v := range f.ProductFields {
		within("a product field's name", &k, 128)
		within("a product field", &v, 2048)
	}
	for _, at := range []*string{f.CreatedAt, f.UpdatedAt, f.FirstObservedAt, f.LastObservedAt} {
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", aws.ToString(at)); err != nil {
			problems = append(problems, err)
		}
	}
	if known := types.SeverityLabel("").Values(); !contains(known, f.FindingProviderFields.Severity.Label) {
		problems = append(problems, errors.New("severity"))
	}
	if size > 240_000 {
		problems = append(problems, errors.New("size"))
	}
	return errors.Join(problems...)
}

func contains[T comparable](list []T, v T) bool {
	for _, e := range list {
		if e == v {
			return true
		}
	}
	return false
}

// TestECS uses the types that Elastic publishes for TypeScript: the compiler
// knows every field's name, and the values that are allowed.
func TestECS(t *testing.T) {
	npm := need(t, "npm")
	if _, err := os.Stat("node_modules/typescript/bin/tsc"); err != nil {
		out, err := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	here, err := os.Getwd()
	require.NoError(t, err)
	var source strings.Builder
	declare := func(doc json.RawMessage) {
		line := new(bytes.Buffer)
		require.NoError(t, json.Compact(line, doc))
		fmt.Fprintf(&source, "alerts.push(%s);\n", line)
	}
	fmt.Fprintf(&source, "import type { Ecs } from %q;\n", filepath.Join(here, "node_modules/@elastic/ecs/generated/index"))
	source.WriteString("const alerts: (Ecs & { cloudtell: { finding: unknown; attack_version: string } })[] = [];\n")
	docs := golden(t, "ecs")
	for _, doc := range docs {
		declare(doc)
	}
	for _, change := range []func(map[string]any){
		func(v map[string]any) { v["rule"].(map[string]any)["titel"] = "x" },
		func(v map[string]any) { v["ecs"].(map[string]any)["version"] = "1.0.0" },
		func(v map[string]any) { v["event"].(map[string]any)["severity"] = "high" },
		func(v map[string]any) { v["threat"].(map[string]any)["technique"].(map[string]any)["id"] = 7 },
	} {
		source.WriteString("// @ts-expect-error\n") // an error itself, if the next line has none
		declare(edited(t, docs[0], change))
	}
	file := filepath.Join(t.TempDir(), "alerts.ts")
	require.NoError(t, os.WriteFile(file, []byte(source.String()), 0o644))
	out, err := exec.Command(need(t, "node"), "node_modules/typescript/bin/tsc", "--noEmit", "--strict", file).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// need returns where a program is. Without it CI fails, and a developer's test
// is skipped.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs %s", program)
		}
		t.Skipf("%s is not installed", program)
	}
	return path
}
