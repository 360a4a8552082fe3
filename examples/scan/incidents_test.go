package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/examples/account"
)

// readIncidents reads what -incidents wrote.
func readIncidents(t *testing.T, name string) []incident.Incident {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var list []incident.Incident
	for line := range strings.Lines(string(text)) {
		var in incident.Incident
		require.NoError(t, json.Unmarshal([]byte(line), &in))
		list = append(list, in)
	}
	return list
}

// The account's one attack goes through all five techniques: it is one
// incident, and that is what a person reads first.
func TestIncidentsComeFirst(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	file := filepath.Join(t.TempDir(), "incidents.json")
	got := scanned("-quiet", "-incidents", file, dir)
	require.Equal(t, statusDone, got.status, got.stderr)
	require.True(t, strings.HasPrefix(got.stdout, "== INCIDENT 1 of 1  CRITICAL, score "), got.stdout[:100])
	assert.Less(t, strings.Index(got.stdout, "== INCIDENT"), strings.Index(got.stdout, "== arn:aws:iam::"))

	list := readIncidents(t, file)
	require.Len(t, list, 1)
	assert.Equal(t, incident.Collection, list[0].Stage)
	assert.Equal(t, []string{"arn:aws:iam::111122223333:user/alex"}, list[0].Principals)
	techniques := make(map[detect.Technique]bool)
	for _, technique := range list[0].Techniques {
		techniques[technique.Parent()] = true
	}
	assert.Len(t, techniques, 5)
	assert.Contains(t, got.stdout, list[0].ID)

	markdown := scanned("-quiet", "-format", "markdown", dir).stdout
	assert.Less(t, strings.Index(markdown, "## Incidents"), strings.Index(markdown, "## Findings"))
	assert.NotContains(t, scanned("-quiet", "-min-severity", "critical", "-rules", "first-seen-source-ip", dir).stdout, "INCIDENT")
	assert.Equal(t, statusTrouble, scanned("-quiet", "-incidents", filepath.Join(file, "impossible"), dir).status)
}

// A scan goes on with the incidents of the one before: the attack, cut in two
// files, is one incident of one id.
func TestIncidentsGoOn(t *testing.T) {
	dir := t.TempDir()
	learnt, file := filepath.Join(dir, "learnt"), filepath.Join(dir, "incidents.json")
	var before, after strings.Builder
	attack := 0
	for r := range small().Records() {
		if r.Attack != "" {
			attack++
		}
		if attack <= 40 {
			before.WriteString(r.JSON + "\n")
		} else {
			after.WriteString(r.JSON + "\n")
		}
	}
	first, second := filepath.Join(dir, "first.ndjson"), filepath.Join(dir, "second.ndjson")
	require.NoError(t, os.WriteFile(first, []byte(before.String()), 0o600))
	require.NoError(t, os.WriteFile(second, []byte(after.String()), 0o600))

	require.Equal(t, statusDone, scanned("-quiet", "-baseline", learnt, "-incidents", file, first).status)
	half := readIncidents(t, file)
	require.Len(t, half, 1)
	require.Equal(t, statusDone, scanned("-quiet", "-baseline", learnt, "-incidents", file, second).status)
	whole := readIncidents(t, file)
	require.Len(t, whole, 1)
	assert.Equal(t, half[0].ID, whole[0].ID)
	assert.Greater(t, whole[0].Score, half[0].Score)
	assert.Greater(t, len(whole[0].Timeline), len(half[0].Timeline))

	// The same logs once more bring nothing, so there is nothing to tell.
	require.Equal(t, statusDone, scanned("-quiet", "-baseline", learnt, "-incidents", file, "-fail-on", "info", second).status)
	assert.Empty(t, readIncidents(t, file))

	// A month later, nothing happens: what is over is not told again.
	later := filepath.Join(dir, "later.ndjson")
	for r := range account.New(&account.Options{Seed: 5, Small: true}).Records() {
		text := strings.ReplaceAll(r.JSON, "2026-01-", "2026-02-")
		require.NoError(t, os.WriteFile(later, []byte(text), 0o600))
		break
	}
	require.Equal(t, statusDone, scanned("-quiet", "-baseline", learnt, "-incidents", file, later).status)
	assert.Empty(t, readIncidents(t, file))
}

// An incident can be graver than its findings, and -fail-on knows it.
func TestFailOnIncident(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	for _, f := range scanned("-quiet", "-format", "json", dir).findings(t) {
		require.Less(t, f.Severity, detect.Critical)
	}
	assert.Equal(t, statusFound, scanned("-quiet", "-fail-on", "critical", dir).status)
	assert.Equal(t, statusDone, scanned("-quiet", "-fail-on", "critical", "-rules", "first-seen-source-ip", dir).status)
}

func TestWrap(t *testing.T) {
	assert.Equal(t, []string{"one two", "three", "a-word-that-is-long", "four"}, wrap("one two  three a-word-that-is-long four", 8))
	assert.Equal(t, []string{""}, wrap("", 8))
}
