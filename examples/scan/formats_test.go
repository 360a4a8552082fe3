package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
	"github.com/cloudtell/cloudtell/event"
)

const quickstart = "../../testdata/quickstart"

// Every form for machines holds the same findings, whole.
func TestFormats(t *testing.T) {
	want := make(map[string]detect.Finding)
	for _, f := range scanned("-quiet", "-format", "json", quickstart).findings(t) {
		want[f.ID] = f
	}
	require.NotEmpty(t, want)
	for _, format := range formats {
		if !(&options{format: format}).forMachines() {
			continue
		}
		t.Run(format, func(t *testing.T) {
			c := scanned("-quiet", "-format", format, quickstart)
			require.Equal(t, statusDone, c.status, c.stderr)
			var docs []json.RawMessage
			for line := range strings.Lines(c.stdout) {
				if format != "asff" {
					docs = append(docs, json.RawMessage(line))
					continue
				}
				var request struct{ Findings []json.RawMessage }
				require.NoError(t, json.Unmarshal([]byte(line), &request))
				docs = append(docs, request.Findings...)
			}
			got := make(map[string]detect.Finding)
			for _, doc := range docs {
				f, err := output.Read(doc)
				require.NoError(t, err)
				got[f.ID] = f
			}
			assert.Empty(t, cmp.Diff(want, got))
		})
	}
}

// A report that is there outlives a command that was mistyped.
func TestOutputFileKept(t *testing.T) {
	page := file(t, "report.html", "the last one")
	for _, args := range [][]string{{"-rules", "no-such-rule"}, {"-baseline", file(t, "baseline", "rubbish")}} {
		c := scanned(append(args, "-o", page, quickstart)...)
		require.Equal(t, statusTrouble, c.status)
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		assert.Equal(t, "the last one", string(text))
	}
}

func TestOutputFile(t *testing.T) {
	page := filepath.Join(t.TempDir(), "report.html")
	c := scanned("-format", "html", "-o", page, quickstart)
	require.Equal(t, statusDone, c.status, c.stderr)
	assert.Empty(t, c.stdout)
	assert.Contains(t, c.stderr, "findings:", "who does not see the findings is told how many there are")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, part := range []string{"<!doctype html>", "Content-Security-Policy", `id="coverage"`, "</html>"} {
		assert.Contains(t, string(text), part)
	}
	assert.NotContains(t, string(text), "ZgotmplZ", "what html/template refuses to write")

	c = scanned("-format", "html", "-o", filepath.Join(t.TempDir(), "no", "such", "folder"), quickstart)
	assert.Equal(t, statusTrouble, c.status)
	if _, err := os.Stat("/dev/full"); err == nil {
		c = scanned("-format", "html", "-o", "/dev/full", quickstart)
		assert.Equal(t, statusTrouble, c.status, "a full disk is no success")
		assert.Contains(t, c.stderr, "no space left")
	}
}

func TestFormatsRefuse(t *testing.T) {
	for want, args := range map[string][]string{
		"it is one of text, json, markdown, html": {"-format", "pdf"},
		"no -coverage": {"-format", "ocsf", "-coverage"},
		"no -explain":  {"-format", "asff", "-explain", "x"},
	} {
		c := scanned(append(args, quickstart)...)
		assert.Equal(t, statusTrouble, c.status)
		assert.Contains(t, c.stderr, want)
	}
}

// A finding that names no account cannot go to Security Hub. That is said, and
// the others go.
func TestUnwritten(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "findings.jsonl")
	text, err := os.ReadFile("../../detect/guardduty/testdata/findings.jsonl")
	require.NoError(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	lines[0] = strings.Replace(lines[0], `"accountId":"111122223333"`, `"accountId":""`, 1)
	require.NoError(t, os.WriteFile(logs, []byte(strings.Join(lines, "")), 0o644))
	c := scanned("-quiet", "-format", "asff", logs)
	assert.Equal(t, statusTrouble, c.status)
	assert.Contains(t, c.stderr, "16afba5c5c43e07c9e3e5e2e544e95df")
	assert.Contains(t, c.stdout, "26afba5c5c43e07c9e3e5e2e544e95df")
}

// A finding of GuardDuty that was archived since it was last counted up is
// archived, whichever of the two is read first.
func TestGuardDutyArchived(t *testing.T) {
	open := `{"id":"theirs","type":"Recon:IAMUser/TorIPCaller","accountId":"111122223333","severity":5,
		"createdAt":"2026-01-05T10:00:00Z","service":{"serviceName":"guardduty","count":2}}`
	archived := strings.Replace(open, `"count":2`, `"count":2,"archived":true`, 1)
	again := strings.Replace(open, `"count":2`, `"count":3`, 1)
	for _, tt := range []struct {
		records []string
		listed  int
	}{
		{[]string{open}, 1}, {[]string{open, archived}, 0}, {[]string{archived, open}, 0}, {[]string{again, archived, open}, 1},
	} {
		var o foreign
		for _, text := range tt.records {
			require.NoError(t, o.add(&event.DecodeError{Err: event.ErrGuardDuty, Text: text}))
		}
		assert.Len(t, o.list(), tt.listed, tt.records)
	}
}

// Findings of GuardDuty among the logs join the incidents of those they are
// about, under their own ids.
func TestGuardDuty(t *testing.T) {
	var about detect.Finding
	for _, f := range scanned("-quiet", "-format", "json", quickstart).findings(t) {
		if strings.Contains(f.Principal, ":user/") && f.Severity > about.Severity {
			about = f
		}
	}
	require.NotEmpty(t, about.Principal)
	dir := t.TempDir()
	theirs := `{"version":"0","detail-type":"GuardDuty Finding","detail":{"id":"theirs","type":"Recon:IAMUser/TorIPCaller","accountId":"` + about.AccountID + `","severity":5,
		"createdAt":"` + about.Time.Format("2006-01-02T15:04:05Z") + `","title":"called from Tor","resource":{"accessKeyDetails":{"userType":"IAMUser","userName":"` + about.PrincipalName + `"}},
		"service":{"serviceName":"guardduty","count":2}}}`
	archived := strings.NewReplacer(`"theirs"`, `"archived"`, `"count":2`, `"archived":true`).Replace(theirs)
	older := strings.NewReplacer(`called from Tor`, `an earlier revision`, `"count":2`, `"count":1`).Replace(theirs)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "guardduty.jsonl"), []byte(theirs+archived+older+`{"service":{"serviceName":"guardduty"}}`), 0o644))
	incidents := filepath.Join(dir, "incidents")
	c := scanned("-format", "json", "-incidents", incidents, quickstart, dir)
	assert.Contains(t, c.stderr, "1 record could not be read")
	assert.Contains(t, c.stderr, "not a finding")
	found := ids(c.findings(t))
	assert.Contains(t, found, "theirs")
	assert.NotContains(t, found, "archived")
	assert.NotContains(t, c.stdout, "an earlier revision")
	text, err := os.ReadFile(incidents)
	require.NoError(t, err)
	joined := false
	for line := range strings.Lines(string(text)) {
		joined = joined || strings.Contains(line, `"theirs"`) && strings.Contains(line, about.ID)
	}
	assert.True(t, joined, "the two findings about %s are one incident", about.Principal)

	assert.NotContains(t, scanned("-quiet", "-format", "json", "-warm", dir, quickstart).stdout, `"id":"theirs"`, "it is learnt from only")
	assert.NotContains(t, scanned("-quiet", "-format", "json", "-rules", about.Rule, quickstart, dir).stdout, `"id":"theirs"`)
}
