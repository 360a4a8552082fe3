package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// A trail that logs no data events leaves every rule about S3 objects blind,
// and the command says so of each by name.
func TestCoverageOfManagementOnly(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for r := range small().Records() {
		if !strings.Contains(r.JSON, `"eventCategory":"Data"`) {
			lines.WriteString(r.JSON + "\n")
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "management.ndjson"), []byte(lines.String()), 0o600))
	text := scanned("-quiet", "-coverage", dir).stdout
	require.Contains(t, text, "NOT SEEN  S3 data events or server access logs")
	require.Contains(t, text, "Log S3 objects: data events of type AWS::S3::Object")
	blind := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  BLIND, for want of S3 data events or server access logs:") {
			blind = line
		}
	}
	all, err := techniques.All(nil)
	require.NoError(t, err)
	n := 0
	for _, d := range all {
		if info := d.Info(); info.Needs == detect.S3DataEvents {
			assert.Contains(t, blind, " "+info.Name, "%s is blind", info.Name)
			n++
		}
	}
	require.Greater(t, n, 5)
	assert.NotContains(t, blind, "userdata-bulk")
}

func TestCoverageForms(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	plain := scanned("-quiet", dir)
	text := scanned("-quiet", "-coverage", dir)
	rest, ok := strings.CutPrefix(text.stdout, plain.stdout)
	require.True(t, ok, "it comes after the findings, which stay as they are")
	assert.Contains(t, rest, "seen      read-only management events")
	assert.Regexp(t, `half within [1-9]m\d+s, 95% within \d+m\d+s`, rest, "the names of the files tell")
	assert.Contains(t, scanned("-quiet", "-coverage", "-format", "markdown", dir).stdout, "\n## Coverage: what was logged\n\n- seen: read-only ")

	lines := strings.Split(strings.TrimSpace(scanned("-quiet", "-coverage", "-format", "json", dir).stdout), "\n")
	var c struct{ Coverage coverage.Report }
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &c))
	assert.NotEmpty(t, c.Coverage.Rules)
	assert.Greater(t, c.Coverage.Delivery.Count, int64(1000))
}

// How long a decision took is known for what was found, as far as the files say
// when they came: within CloudTrail's ten minutes or so.
func TestCoverageOfDecisions(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	findings := len(scanned("-quiet", "-format", "json", dir).findings(t))
	lines := strings.Split(strings.TrimSpace(scanned("-quiet", "-coverage", "-format", "json", dir).stdout), "\n")
	var c struct {
		Coverage struct {
			Answer struct {
				Count int
				Max   int     `json:"max_seconds"`
				Hour  float64 `json:"within_hour"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &c))
	assert.Equal(t, findings, c.Coverage.Answer.Count)
	assert.Greater(t, c.Coverage.Answer.Max, 60)
	assert.LessOrEqual(t, c.Coverage.Answer.Max, 15*60)
	assert.Equal(t, 1.0, c.Coverage.Answer.Hour)
	assert.Contains(t, scanned("-quiet", "-coverage", dir).stdout, "from the event to the decision, for what was found: half within")
	assert.NotContains(t, scanned("-quiet", "-coverage", trail(t, small(), func(n int, _ account.File) string { return fmt.Sprint(n) })).stdout, "to the decision")
}

func TestNavigatorFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "layer.json")
	got := scanned("-quiet", "-navigator", file, trail(t, small(), asDelivered))
	require.Equal(t, statusDone, got.status, got.stderr)
	assert.NotContains(t, got.stdout, "COVERAGE")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var layer struct {
		Techniques []struct {
			TechniqueID string
			Score       int
		}
	}
	require.NoError(t, json.Unmarshal(text, &layer))
	found := make(map[string]bool)
	for _, technique := range layer.Techniques {
		found[technique.TechniqueID] = found[technique.TechniqueID] || technique.Score > 0
	}
	for _, id := range []string{"T1078", "T1530", "T1552", "T1580", "T1619"} {
		assert.True(t, found[id], "%s was found", id)
	}
	got = scanned("-quiet", "-navigator", filepath.Join(file, "impossible"), trail(t, small(), asDelivered))
	assert.Equal(t, statusTrouble, got.status)
}

func TestDeliveryTime(t *testing.T) {
	for name, want := range map[string]string{
		"a/111122223333_CloudTrail_us-east-1_20260105T0910Z_abcdefghijklmnop.json.gz": "2026-01-05T09:10:00Z",
		"logs/2026-01-05-09-10-11-0123456789ABCDEF":                                   "2026-01-05T09:10:11Z",
		"logs/app2026-01-05-09-10-11-0123456789ABCDEF":                                "2026-01-05T09:10:11Z",
		"111122223333_CloudTrail-NetworkActivity_us-east-1_20260105T0910Z_x.json.gz":  "2026-01-05T09:10:00Z",
		"111122223333_CloudTrail_us-east-1_20269905T0910Z_abcdefghijklmnop.json.gz":   "",
		"-": "", "all.ndjson": "",
	} {
		got := newInput(name, true).deliveryTime()
		if want == "" {
			assert.Zero(t, got, name)
			continue
		}
		assert.Equal(t, want, got.Format(time.RFC3339), name)
	}
}

// What a person decides about the findings of one scan holds for the next.
func TestVerdicts(t *testing.T) {
	dir := t.TempDir()
	trail := trail(t, small(), asDelivered)
	learnt := filepath.Join(dir, "learnt")
	first := scanned("-quiet", "-format", "json", "-rules", "first-seen-source-ip", "-baseline", learnt, trail)
	require.Equal(t, statusDone, first.status, first.stderr)
	require.Len(t, first.findings(t), 1)

	judged := filepath.Join(dir, "judged.json")
	say := func(verdict string) {
		line := strings.Replace(strings.TrimSpace(first.stdout), "{", `{"verdict":"`+verdict+`",`, 1)
		require.NoError(t, os.WriteFile(judged, []byte(line+"\n"), 0o600))
	}
	// The same calls eight days later, when the first finding stands no more.
	later := filepath.Join(dir, "later.ndjson")
	var lines bytes.Buffer
	for r := range small().Records() {
		if r.Attack != "" {
			text := strings.ReplaceAll(r.JSON, "2026-01-21T", "2026-01-29T")
			lines.WriteString(strings.ReplaceAll(text, `"eventID":"`, `"eventID":"x`) + "\n")
		}
	}
	require.NoError(t, os.WriteFile(later, lines.Bytes(), 0o600))
	again := func(args ...string) []detect.Finding {
		data, err := os.ReadFile(learnt)
		require.NoError(t, err)
		copied := filepath.Join(dir, "copy")
		require.NoError(t, os.WriteFile(copied, data, 0o600))
		c := scanned(append([]string{"-quiet", "-format", "json", "-rules", "first-seen-source-ip", "-baseline", copied}, append(args, later)...)...)
		require.Equal(t, statusDone, c.status, c.stderr)
		return c.findings(t)
	}
	assert.Len(t, again(), 1)
	say("benign")
	assert.Empty(t, again("-verdicts", judged))
	say("malicious")
	assert.Len(t, again("-verdicts", judged), 1)

	for _, bad := range []string{`{"id":"x"}`, `{"verdict":"benign"}`, `{"id":"x","verdict":"maybe"}`, `{"id":`} {
		require.NoError(t, os.WriteFile(judged, []byte(bad), 0o600))
		c := scanned("-verdicts", judged, later)
		assert.Equal(t, statusTrouble, c.status)
		assert.Contains(t, c.stderr, "judged.json: value 1: ", bad)
	}
	require.NoError(t, os.WriteFile(judged, []byte(`{"id":"x","rule":"getobject-rate-over-baseline","scope":"principal","key":"k","verdict":"benign"}`), 0o600))
	c := scanned("-verdicts", judged, later)
	assert.Equal(t, statusDone, c.status)
	assert.Contains(t, c.stderr, "learnt nothing from 1 verdict\n  x, getobject-rate-over-baseline is about an amount")
	require.NoError(t, os.WriteFile(judged, []byte(`{"id":"x","scope":"nowhere","key":"k","unusual":[{"feature":"f","value":"v","hash":"1"}],"verdict":"benign"}`), 0o600))
	c = scanned("-verdicts", judged, later)
	assert.Equal(t, statusTrouble, c.status, "a verdict that cannot be kept is a problem")
	assert.Contains(t, c.stderr, `scope "nowhere"`)
}

func TestExplainOption(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	id := scanned("-quiet", "-format", "json", "-rules", "first-seen-source-ip", dir).findings(t)[0].EventIDs[0]
	plain := scanned("-quiet", dir).stdout
	text, ok := strings.CutSuffix(scanned("-quiet", "-explain", id, dir).stdout, plain)
	require.True(t, ok, "it comes before the findings, which stay as they are")
	require.True(t, strings.HasPrefix(text, "EVENT "+id+", "), text)
	head, rest, ok := strings.Cut(text, "\nlooked at without a finding by ")
	require.True(t, ok, text)
	assert.Regexp(t, `(?m)^reported by \d+ rules$`, head)
	assert.Regexp(t, `(?m)^  first-seen-source-ip: [a-z]+, calls from `, head)
	assert.Contains(t, head, "\n    passed  the call succeeded: yes\n")
	looked, others, ok := strings.Cut(rest, "\nnot looked at by ")
	require.True(t, ok, text)
	assert.Regexp(t, `(?m)^  root-use: root's credentials were used: no$`, looked)
	assert.Contains(t, looked, "malicious-ip: -bad-addresses is set: no")
	assert.Contains(t, others, "userdata-bulk")
	assert.Contains(t, others, "vpce-denied", "also what is about another key than the event's")
	fenced := scanned("-quiet", "-format", "markdown", "-explain", id, dir).stdout
	assert.True(t, strings.HasPrefix(fenced, "```\nEVENT "+id), fenced[:100])

	var x struct {
		Event        string
		Explanations []detect.Explanation
	}
	for line := range strings.Lines(scanned("-quiet", "-format", "json", "-explain", id, dir).stdout) {
		if strings.HasPrefix(line, `{"event":`) {
			require.NoError(t, json.Unmarshal([]byte(line), &x))
		}
	}
	assert.Equal(t, id, x.Event)
	assert.Greater(t, len(x.Explanations), 20)

	missing := scanned("-quiet", "-explain", "no-such-id", dir)
	assert.Equal(t, statusTrouble, missing.status)
	assert.Contains(t, missing.stderr, "no event with the id no-such-id was scanned")
	assert.Equal(t, plain, missing.stdout)
}

// What an event is explained by is what was known when it came, not what came
// later in the same scan.
func TestExplainedAtItsTime(t *testing.T) {
	var first, file string
	for r := range small().Records() {
		if r.Attack != "" && strings.Contains(r.JSON, `"DescribeInstanceAttribute"`) && first == "" {
			e, err := event.Parse(r.JSON)
			require.NoError(t, err)
			first = e.ID
		}
		file += r.JSON + "\n"
	}
	name := filepath.Join(t.TempDir(), "all.ndjson")
	require.NoError(t, os.WriteFile(name, []byte(file), 0o600))
	text := scanned("-quiet", "-explain", first, name).stdout
	assert.Contains(t, text, "userdata-bulk: instances within 24 hours, neither launched by the principal nor read regularly: 1 of at least 10")
}

// What a person reads names the command's flags, not the library's fields.
func TestFlagsForFields(t *testing.T) {
	all, err := techniques.All(nil)
	require.NoError(t, err)
	for _, d := range all {
		info := d.Info()
		for _, text := range append(append([]string{info.Hook}, info.Benign...), info.Respond...) {
			assert.NotContains(t, asFlags.Replace(text), "Config.", info.Name)
		}
	}
}

// Anybody may name a bucket: its name is no markup, nor an order to a terminal.
func TestCoverageOfHostileNames(t *testing.T) {
	r := &coverage.Report{
		Buckets: []coverage.Bucket{{Name: "[pay](http://evil)\x1b[2J\u202e", Logged: true}, {Name: "<b>dark</b>"}},
		Regions: []coverage.Count{{Name: "a|b", Events: 1}},
		Advice:  []string{"Objects of 1 buckets that were seen are not logged: <b>dark</b>."},
	}
	var markdown, text, line strings.Builder
	require.NoError(t, printCoverage(&markdown, "markdown", r))
	assert.Contains(t, markdown.String(), `\[pay\](http://evil)`)
	assert.NotContains(t, markdown.String(), " <b>")
	assert.Contains(t, markdown.String(), `a\|b`)
	require.NoError(t, printCoverage(&text, "text", r))
	require.NoError(t, printCoverage(&line, "json", r))
	for _, got := range []string{markdown.String(), text.String(), line.String()} {
		assert.NotContains(t, got, "\x1b")
		assert.NotContains(t, got, "\u202e")
	}
	var back struct{ Coverage coverage.Report }
	require.NoError(t, json.Unmarshal([]byte(line.String()), &back))
	assert.Equal(t, r.Buckets, back.Coverage.Buckets, "JSON spells it")
}
