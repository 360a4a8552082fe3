package output_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC)

// learnt is a finding with everything that a finding can have.
var learnt = detect.Finding{
	ID: "4f9a1c52-0d6e-4b7a-9a51-7c3b2f1e8d90", Revision: 2, Raised: true,
	Rule: "userdata-bulk", Technique: "T1552.005", Tactic: detect.CredentialAccess, Severity: detect.High,
	Title: "ci read the user data of 14 instances",
	Scope: "principal", Key: "arn:aws:iam::111122223333:role/ci", Principal: "arn:aws:iam::111122223333:role/ci", PrincipalName: "ci",
	Session: "build-7", AccessKeyID: "ASIAEXAMPLEKEY000001", Subject: "many", AccountID: "111122223333", Region: "eu-west-1",
	SourceAddress: "198.51.100.7", UserAgent: "aws-cli/2.15.0 Python/3.11.6",
	Time: noon, First: noon.Add(-4 * time.Minute), Last: noon.Add(9 * time.Minute),
	EventIDs: []string{"a1b2c3d4-0000-4000-8000-000000000001", "a1b2c3d4-0000-4000-8000-000000000002"},
	Evidence: []detect.Evidence{
		{Name: "instances within 24 hours", Observed: "14", Expected: "at most 2 on 19 of 20 days", EventIDs: []string{"a1b2c3d4-0000-4000-8000-000000000003"}},
		{Name: "network of the caller", Observed: "198.51.100.0/24", Expected: "10 networks, none of them this one"},
		{Name: "denied calls", Observed: "3"},
	},
	Learned: detect.Learned{Mature: true, Since: noon.AddDate(0, 0, -20), Days: 15, Events: 41203},
	Unusual: []baseline.Unusual{{Feature: "network/v1", Value: "198.51.100.0/24", Hash: 0xfedcba9876543210}},
	Checks: []detect.Check{
		{Condition: "the call succeeded", Passed: true},
		{Condition: "an AWS service made the call", Passed: true, Guard: true},
		{Condition: "different instances within 24 hours", Passed: true, Observed: 14, Threshold: 10},
	},
	Benign: []string{"an inventory tool started to read user data"}, Respond: []string{"Revoke the sessions of the role.", "Look for secrets in the user data."},
	Mitigations: []string{"Keep secrets out of user data."},
}

// findings are of all kinds that the formats have to tell apart.
func findings() []detect.Finding {
	plain := detect.Finding{ // needs no learning, is from inside AWS, and about no sub-technique
		ID: "00000000-0000-4000-8000-00000000000b", Rule: "bucket-opened", Technique: "T1530", Tactic: detect.Collection, Severity: detect.Critical,
		Title: "the bucket “payroll” was opened to everybody", Scope: "principal", Key: "arn:aws:iam::111122223333:root",
		Principal: "arn:aws:iam::111122223333:root", PrincipalName: "root", Subject: "payroll", AccountID: "111122223333", Region: "us-east-1",
		SourceAddress: "cloudformation.amazonaws.com", UserAgent: "cloudformation.amazonaws.com", Time: noon, First: noon, Last: noon,
		EventIDs: []string{"a1b2c3d4-0000-4000-8000-000000000004"}, Evidence: []detect.Evidence{{Name: "grant", Observed: "READ to AllUsers"}},
		Learned: detect.Learned{Mature: true}, Suppressed: "the web site",
	}
	bare := detect.Finding{ // what another source of findings may leave out
		ID: "00000000-0000-4000-8000-00000000000c", Rule: "guardduty/Recon:IAMUser/MaliciousIPCaller", Severity: detect.Informational,
		Title: "an API call from a known bad address", Principal: "anonymous", AccountID: "444455556666", Region: "cn-north-1",
		SourceAddress: "2001:db8::7", Time: noon,
	}
	hostile := learnt
	hostile.ID, hostile.Revision, hostile.Severity = "00000000-0000-4000-8000-00000000000d", 0, detect.Low
	hostile.Title = "</script><img src=x onerror=alert(1)> \x1b[2J\u202e *bold* |\n# heading"
	hostile.Principal, hostile.Key = "arn:aws:iam::111122223333:user/"+strings.Repeat("é", 300), "x"
	hostile.UserAgent = strings.Repeat(`"\`, 3000)
	hostile.SourceAddress = "fe80::1%25eth0"
	hostile.Evidence = []detect.Evidence{{Name: "`name`", Observed: strings.Repeat("\x00", 2000), Expected: strings.Repeat("界", 1500)}}
	return []detect.Finding{learnt, plain, bare, hostile}
}

// formats are the formats of machines, by the names of their golden files.
var formats = map[string]func(*detect.Finding) ([]byte, error){
	"json": output.JSON,
	"ocsf-1.6.0": func(f *detect.Finding) ([]byte, error) {
		return output.OCSF(f, nil)
	},
	"ocsf-1.1.0": func(f *detect.Finding) ([]byte, error) {
		return output.OCSF(f, &output.Options{OCSF: output.OCSF11})
	},
	"ecs":  func(f *detect.Finding) ([]byte, error) { return output.ECS(f, nil) },
	"asff": func(f *detect.Finding) ([]byte, error) { return output.ASFF(f, nil) },
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(string(want), string(got)), "go test -update rewrites %s", path)
}

// TestGolden pins every byte of every format. The golden files are held to the
// schemas, as far as those are to be had, in examples/outputcheck.
func TestGolden(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			var docs []json.RawMessage
			for _, f := range findings() {
				text, err := format(&f)
				require.NoError(t, err)
				require.NotContains(t, string(text), "\n", "it is one line")
				docs = append(docs, text)
			}
			text, err := json.MarshalIndent(docs, "", "  ")
			require.NoError(t, err)
			golden(t, name+".json", append(text, '\n'))
		})
	}
	t.Run("markdown", func(t *testing.T) {
		var b bytes.Buffer
		for _, f := range findings() {
			b.Write(output.Markdown(&f))
			b.WriteByte('\n')
		}
		golden(t, "markdown.md", b.Bytes())
	})
}

// TestRead holds the formats to their promise: the finding comes back whole.
func TestRead(t *testing.T) {
	for name, format := range formats {
		for _, f := range findings() {
			text, err := format(&f)
			require.NoError(t, err)
			got, err := output.Read(text)
			require.NoError(t, err, name)
			assert.Empty(t, cmp.Diff(viaJSON(t, f), got), "%s of %s", name, f.ID)
		}
	}
}

// viaJSON returns the finding without what JSON cannot tell from nothing.
func viaJSON(t *testing.T, f detect.Finding) (same detect.Finding) {
	text, err := json.Marshal(f)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &same))
	return same
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{`{}`, `null`, `{"id":"x"}`, `{"id":"x","rule":{"name":"y"}}`, `{"eventID":"x"}`, `{"cloudtell":{"finding":{}}}`, `{"ProductFields":{"a":"b"}}`} {
		_, err := output.Read([]byte(text))
		assert.ErrorIs(t, err, output.ErrNoFinding, text)
	}
	for _, text := range []string{``, `{`, `[]`, `{"ProductFields":{"cloudtell/finding/00":"{"}}`} {
		_, err := output.Read([]byte(text))
		assert.Error(t, err, text)
	}
}

// at returns what a path leads to in JSON: names of members, and numbers of
// elements; "*" collects from all elements.
func at(v any, path ...string) any {
	for i, step := range path {
		switch of := v.(type) {
		case map[string]any:
			v = of[step]
		case []any:
			if step == "*" {
				var all []any
				for _, e := range of {
					all = append(all, at(e, path[i+1:]...))
				}
				return all
			}
			var n int
			fmt.Sscan(step, &n)
			v = of[n]
		default:
			return nil
		}
	}
	return v
}

// TestEvidence reads evidence, conditions and events where each format's readers
// look for them, not where Read does.
func TestEvidence(t *testing.T) {
	decode := func(name string) any {
		text, err := formats[name](&learnt)
		require.NoError(t, err)
		var v any
		require.NoError(t, json.Unmarshal(text, &v))
		return v
	}
	events := []any{"a1b2c3d4-0000-4000-8000-000000000001", "a1b2c3d4-0000-4000-8000-000000000002", "a1b2c3d4-0000-4000-8000-000000000003"}
	observed := []any{"14", "198.51.100.0/24", "3"}
	conditions := []any{"the call succeeded", "an AWS service made the call", "different instances within 24 hours"}
	for _, version := range []string{"ocsf-1.6.0", "ocsf-1.1.0"} {
		v := decode(version)
		assert.Equal(t, observed, at(v, "evidences", "*", "data", "observed"))
		assert.Equal(t, learnt.Evidence[0].Expected, at(v, "evidences", "0", "data", "expected"))
		assert.Equal(t, events, at(v, "finding_info", "related_events", "*", "uid"))
		assert.Equal(t, conditions, at(v, "unmapped", "cloudtell", "finding", "checks", "*", "condition"))
		assert.Equal(t, "T1552.005", at(v, "finding_info", "attacks", "0", "sub_technique", "uid"))
		assert.Equal(t, detect.ATTACKVersion, at(v, "finding_info", "attacks", "0", "version"))
		assert.Equal(t, float64(noon.Add(9*time.Minute).UnixMilli()), at(v, "time"))
		assert.Equal(t, 200402.0, at(v, "type_uid"), "a revision is an update")
	}
	v := decode("ocsf-1.6.0")
	assert.Equal(t, observed[:2], at(v, "anomaly_analyses", "0", "anomalies", "*", "observations", "0", "value"))
	assert.Equal(t, learnt.Evidence[1].Expected, at(v, "anomaly_analyses", "0", "baselines", "1", "observations", "0", "value"))
	assert.Equal(t, true, at(v, "is_alert"))
	assert.Nil(t, at(decode("ocsf-1.1.0"), "anomaly_analyses"))
	assert.Nil(t, at(decode("ocsf-1.1.0"), "is_alert"))

	v = decode("ecs")
	assert.Equal(t, observed, at(v, "cloudtell", "finding", "evidence", "*", "observed"))
	assert.Equal(t, conditions, at(v, "cloudtell", "finding", "checks", "*", "condition"))
	assert.Equal(t, events[:2], at(v, "cloudtell", "finding", "event_ids"))
	assert.Equal(t, "198.51.100.7", at(v, "source", "ip"))
	assert.Equal(t, []any{"T1552.005"}, at(v, "threat", "technique", "subtechnique", "id"))

	v = decode("asff")
	assert.Contains(t, at(v, "Description"), "instances within 24 hours: 14 (expected: at most 2 on 19 of 20 days)")
	assert.Contains(t, at(v, "ProductFields", "cloudtell/evidence"), "denied calls: 3")
	assert.Contains(t, at(v, "ProductFields", "cloudtell/finding/00"), events[0])
	assert.Equal(t, "HIGH", at(v, "FindingProviderFields", "Severity", "Label"))
	assert.Equal(t, []any{"AwsIamRole", "AwsIamAccessKey", "Other"}, at(v, "Resources", "*", "Type"))
}

func TestOptions(t *testing.T) {
	later := noon.Add(time.Hour)
	text, err := output.ASFF(&learnt, &output.Options{Time: later, Region: "us-gov-west-1"})
	require.NoError(t, err)
	assert.Contains(t, string(text), `"UpdatedAt":"2026-01-25T13:00:00.000Z"`)
	assert.Contains(t, string(text), `"ProductArn":"arn:aws-us-gov:securityhub:us-gov-west-1:111122223333:product/111122223333/default"`)
	_, err = output.OCSF(&learnt, &output.Options{OCSF: "2.0.0"})
	assert.ErrorContains(t, err, `"2.0.0"`)
	f := learnt
	f.AccountID = ""
	_, err = output.ASFF(&f, nil)
	assert.ErrorContains(t, err, "no account id")
	_, err = output.ASFF(&f, &output.Options{AccountID: "111122223333"})
	assert.NoError(t, err)
	f.Region = ""
	_, err = output.ASFF(&f, &output.Options{AccountID: "111122223333"})
	assert.ErrorContains(t, err, "no region")
}

// A finding that somebody has made too large still gets through, cut.
func TestTooLarge(t *testing.T) {
	f := learnt
	f.UserAgent = strings.Repeat("x", 300_000)
	for range 40 {
		f.Evidence = append(f.Evidence, detect.Evidence{Name: "n", Observed: strings.Repeat("界", 100_000)})
	}
	text, err := output.ASFF(&f, nil)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(text), 240_000)
	got, err := output.Read(text)
	require.NoError(t, err)
	assert.Equal(t, f.EventIDs, got.EventIDs)
	assert.Regexp(t, "^x+…$", got.UserAgent)

	for range 2000 {
		f.Checks = append(f.Checks, learnt.Checks...)
	}
	_, err = output.ASFF(&f, nil)
	assert.ErrorIs(t, err, output.ErrTooLarge)
}

func TestBatches(t *testing.T) {
	var all []detect.Finding
	for i := range 250 {
		f := learnt
		f.ID = fmt.Sprint("finding-", i)
		if i%5 == 0 {
			f.AccountID = "444455556666"
		}
		all = append(all, f)
	}
	older := all[3]
	older.Revision = 1
	nobody := learnt
	nobody.ID, nobody.AccountID = "nobody's", ""
	all = append(all, older, nobody)
	batches, err := output.Batches(all, nil)
	assert.ErrorContains(t, err, "nobody's")
	var sizes []int
	seen := make(map[string]int)
	for _, b := range batches {
		sizes = append(sizes, len(b.Findings))
		body, err := json.Marshal(b)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(body), 6_000_000)
		var request struct {
			Findings []struct{ Id, AwsAccountId string }
		}
		require.NoError(t, json.Unmarshal(body, &request))
		for _, f := range request.Findings {
			assert.Equal(t, b.AccountID, f.AwsAccountId)
			seen[f.Id]++
		}
	}
	assert.Equal(t, []int{50, 100, 100}, sizes)
	assert.Len(t, seen, 250)
	for id, n := range seen {
		assert.Equal(t, 1, n, id)
	}

	// Large findings fill a batch by their size.
	for i := range all {
		all[i].UserAgent, all[i].AccountID = strings.Repeat("\x01", 12_000), "111122223333"
	}
	batches, err = output.Batches(all[:100], nil)
	require.NoError(t, err)
	require.Greater(t, len(batches), 1)
	for _, b := range batches {
		body, err := json.Marshal(b)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(body), 6_000_000)
	}
	empty, err := output.Batches(nil, nil)
	require.NoError(t, err)
	assert.Empty(t, empty)
}

// FuzzFormats holds every format to its promise for whatever a log may say.
// TestMarkdownLinks pins that no reader of Markdown makes a link of what an intruder
// chose, as GitHub's does of bare addresses, and that code shows as it is.
func TestMarkdownLinks(t *testing.T) {
	x := learnt
	x.Title = "read HTTPS://evil.example, www.evil.example and a@evil.example"
	x.UserAgent = "https://agent.example | a"
	text := string(output.Markdown(&x))
	assert.Contains(t, text, `### high: read HTTPS\://evil.example, www\.evil.example and a\@evil.example`)
	assert.Contains(t, text, "`https://agent.example | a`")
}

func FuzzFormats(f *testing.F) {
	for _, x := range findings() {
		f.Add(x.Title, x.Principal, x.SourceAddress, x.UserAgent, uint8(x.Severity))
	}
	f.Fuzz(func(t *testing.T, title, principal, source, agent string, severity uint8) {
		x := learnt
		x.Title, x.Principal, x.SourceAddress, x.UserAgent, x.Severity = title, principal, source, agent, detect.Severity(severity%6)
		want := viaJSON(t, x)
		for name, format := range formats {
			text, err := format(&x)
			require.NoError(t, err, name)
			require.True(t, json.Valid(text), name)
			got, err := output.Read(text)
			require.NoError(t, err, name)
			if len(agent)+len(title)+len(principal)+len(source) < 10_000 {
				require.Empty(t, cmp.Diff(want, got), name)
			}
		}
		require.NotContains(t, string(output.Markdown(&x)), "\x1b")
	})
}
