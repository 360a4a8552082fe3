package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 1, 21, 12, 0, 0, 0, time.UTC)

// sample returns findings of several severities, some of them with later
// revisions.
func sample() []detect.Finding {
	bulk := detect.Finding{
		ID: "id-bulk", Rule: "userdata-bulk", Technique: "T1552.005", Tactic: detect.CredentialAccess, Severity: detect.High,
		Title:     "user data of 12 instances requested within 24 hours",
		Principal: "arn:aws:iam::111122223333:role/deploy", PrincipalName: "deploy", Session: "ci-17", AccessKeyID: "ASIAIOSFODNN7EXAMPLE",
		AccountID: "111122223333", Region: "us-east-1", SourceAddress: "198.51.100.7", UserAgent: "aws-cli/2.15.30",
		Time: noon, First: noon, Last: noon.Add(time.Minute), Revision: 2,
		EventIDs: []string{"e1", "e2", "e3", "e4", "e5"},
		Evidence: []detect.Evidence{{Name: "instances asked for within 24 hours", Observed: "12: i-01, i-02", Expected: "fewer than 10"}},
		Learned:  detect.Learned{Mature: true, Since: noon.AddDate(0, 0, -16), Days: 12, Events: 4100},
		Benign:   []string{"A posture scanner reads every instance's configuration."},
		Respond:  []string{"Ask the principal's owner.", "Rotate the secrets."}, Mitigations: []string{"Require IMDSv2."},
	}
	earlier := bulk
	earlier.Revision, earlier.Title = 0, "user data of 10 instances requested within 24 hours"
	second := bulk
	second.ID, second.Time, second.First, second.Last = "id-second", noon.Add(-time.Hour), noon.Add(-time.Hour), noon.Add(-time.Hour)
	second.Principal, second.PrincipalName, second.Revision = "arn:aws:iam::111122223333:user/alice", "alice", 0
	forged := detect.Finding{
		ID: "id-forged", Rule: "new-tool", Technique: "T1078.004", Tactic: detect.InitialAccess, Severity: detect.Low,
		Title:     "first use of \x1b[2J\x1b[31m|nice`tool`\r\n# Heading <script>\u202e\u009b\U000e0041",
		Principal: "arn:aws:iam::111122223333:user/alice", PrincipalName: "alice", UserAgent: "`|\x07" + strings.Repeat("x", 3*maxText),
		Time: noon.Add(time.Hour), First: noon.Add(time.Hour), Last: noon.Add(time.Hour), EventIDs: []string{"e6"},
		Respond: []string{"Ask alice."},
	}
	info := forged
	info.ID, info.Severity = "id-info", detect.Informational
	return []detect.Finding{earlier, second, forged, bulk, info}
}

func emptyJoiner(t *testing.T) *incident.Joiner {
	t.Helper()
	j, _, err := newJoiner(t.Context(), &options{}, &baseline.Memory{})
	require.NoError(t, err)
	return j
}

func render(t *testing.T, o *options, findings []detect.Finding) string {
	t.Helper()
	var b bytes.Buffer
	r := newReport(o, []detect.Info{{Name: "userdata-bulk"}, {Name: "new-tool", Quiet: time.Minute}}, emptyJoiner(t), &b)
	r.saw([]*event.Event{
		{Time: noon.Add(-2 * time.Hour), Principal: event.Principal{Kind: event.User, Key: "alice"}},
		{Time: noon, Principal: event.Principal{Kind: event.Service, Key: "service:ec2.amazonaws.com"}},
		{Time: noon.Add(2 * time.Hour), Principal: event.Principal{Kind: event.Role, Key: "deploy"}},
	})
	require.NoError(t, r.add(findings))
	r.suppressed = map[string]int64{"root-use": 3}
	r.unread = "1 path and 2 records could not be read"
	require.NoError(t, r.close())
	return b.String()
}

func TestReportGolden(t *testing.T) {
	for _, format := range []string{"text", "json", "markdown"} {
		t.Run(format, func(t *testing.T) {
			got := render(t, &options{format: format, minSeverity: detect.Low}, sample())
			golden := filepath.Join("testdata", "report."+format)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

// TestReportIsSafe pins that no text from a log reaches the terminal, or the
// structure of a document, as anything but text.
func TestReportIsSafe(t *testing.T) {
	for _, format := range []string{"text", "markdown", "json"} {
		for _, r := range render(t, &options{format: format}, sample()) {
			require.True(t, unicode.IsPrint(r) || r == '\n', "%s prints %U", format, r)
		}
	}
	assert.NotContains(t, render(t, &options{format: "markdown"}, sample()), "<script>")
}

func TestReportNothing(t *testing.T) {
	for _, format := range []string{"text", "markdown"} {
		assert.Contains(t, render(t, &options{format: format}, nil), "no findings")
	}
	assert.Empty(t, render(t, &options{format: "json"}, nil))
}

// TestReportJSON pins the fields that consumers rely on.
func TestReportJSON(t *testing.T) {
	out := render(t, &options{format: "json"}, sample())
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, 4)
	for _, line := range lines {
		var f map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &f))
		for _, field := range []string{"id", "rule", "technique", "tactic", "severity", "principal", "time", "title"} {
			assert.IsType(t, "", f[field], field)
		}
		assert.Contains(t, f, "event_ids")
		assert.Contains(t, f, "evidence")
	}
}

// TestReportSettles pins that the findings as JSON leave memory once they can
// grow no more, and not before.
func TestReportSettles(t *testing.T) {
	var b bytes.Buffer
	r := newReport(&options{format: "json"}, []detect.Info{{Name: "short", Quiet: time.Hour}, {Name: "day"}}, emptyJoiner(t), &b)
	at := func(after time.Duration, findings ...detect.Finding) string {
		b.Reset()
		r.saw([]*event.Event{{Time: noon.Add(after)}})
		require.NoError(t, r.add(findings))
		var titles []string
		for line := range strings.Lines(b.String()) {
			var f detect.Finding
			require.NoError(t, json.Unmarshal([]byte(line), &f))
			titles = append(titles, f.Title)
		}
		return strings.Join(titles, " ")
	}
	finding := func(id, rule, title string) detect.Finding {
		return detect.Finding{ID: id, Rule: rule, Title: title, Time: noon, First: noon}
	}
	assert.Empty(t, at(0, finding("1", "short", "s"), finding("2", "day", "d")))
	assert.Empty(t, at(time.Hour-1, finding("1", "short", "s+")))
	assert.Equal(t, "s+", at(time.Hour))
	assert.Empty(t, at(24*time.Hour-1, finding("2", "day", "d+")))
	assert.Equal(t, "d+", at(24*time.Hour))
	assert.Empty(t, r.open)
}

// TestReportIsBounded pins that a flood of findings leaves the most severe.
func TestReportIsBounded(t *testing.T) {
	var findings []detect.Finding
	for i := range 5 * maxPrinted {
		f := detect.Finding{ID: fmt.Sprint(i), Rule: "r", Severity: detect.Low, Title: "flood", Time: noon, First: noon}
		if i%maxPrinted == 17 {
			f.Severity, f.Title = detect.Critical, "the one that matters"
		}
		findings = append(findings, f)
	}
	var w worst
	for _, f := range findings {
		require.NoError(t, w.finding(f))
		require.LessOrEqual(t, len(w.kept), 2*maxPrinted)
	}
	out := render(t, &options{format: "text"}, findings)
	assert.Equal(t, 5, strings.Count(out, "the one that matters"))
	assert.Equal(t, maxPrinted-5, strings.Count(out, "flood"))
	assert.Contains(t, out, "4,000 more findings of lower severity left out")
	assert.Contains(t, out, "5,000 findings: 5 critical, 4,995 low")
	assert.Contains(t, render(t, &options{format: "markdown"}, findings), "4,000 more findings")
}

func TestReportFailOn(t *testing.T) {
	tests := []struct {
		on     detect.Severity
		failed bool
	}{
		{detect.Silent, false}, {detect.Informational, true}, {detect.High, true}, {detect.Critical, false},
	}
	for _, test := range tests {
		r := newReport(&options{failOn: test.on, minSeverity: detect.Critical}, nil, emptyJoiner(t), &bytes.Buffer{})
		require.NoError(t, r.add(sample()))
		require.NoError(t, r.close())
		assert.Equal(t, test.failed, r.failed, test.on)
	}
}

// broken is a disk that is full.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestReportCannotBeWritten(t *testing.T) {
	for _, format := range []string{"text", "json", "markdown"} {
		r := newReport(&options{format: format}, nil, emptyJoiner(t), bufio.NewWriterSize(broken{}, 16))
		err := r.add(sample())
		if err == nil {
			err = r.close()
		}
		assert.ErrorIs(t, err, os.ErrClosed, format)
	}
}

func TestDigits(t *testing.T) {
	tests := map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"}
	for n, want := range tests {
		assert.Equal(t, want, digits(n))
	}
	assert.Equal(t, "1 file", count(1, "file"))
	assert.Equal(t, "0 files", count(0, "file"))
}
