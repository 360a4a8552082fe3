package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const trail = "../../../testdata/quickstart"

// TestStopAndGoOn pins that a pipeline that is stopped and goes on finds what
// one that runs through does, and a second time nothing.
func TestStopAndGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("saves after each file")
	}
	days, err := filepath.Glob(trail + "/AWSLogs/111122223333/CloudTrail/*/2026/01/*")
	require.NoError(t, err)
	var first, second []string
	for _, day := range days {
		if strings.HasSuffix(day, "21") {
			second = append(second, day)
		} else {
			first = append(first, day)
		}
	}
	require.NotEmpty(t, second)

	through, state := play(t, t.TempDir(), "", trail), t.TempDir()
	// Paths are taken one after the other: days apart, the regions of one have
	// to be given together.
	before, after := t.TempDir(), t.TempDir()
	gather(t, before, first)
	gather(t, after, second)
	stopped := play(t, state, "", before)
	stopped = append(stopped, play(t, state, "", after)...)
	assert.Equal(t, findings(through), findings(stopped))
	assert.Regexp(t, "critical incident, score [0-9]+: alex: from access to collection", strings.Join(through, "\n"))

	assert.Empty(t, findings(play(t, state, "", after)))
	warm := play(t, t.TempDir(), before, after)
	assert.NotEmpty(t, findings(warm))
	assert.Less(t, len(findings(warm)), len(findings(through)), "what was found while learning is not told")
}

func TestBadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"thresholds":{"userdata-bulk":0}}`), 0o600))
	assert.ErrorContains(t, run(context.Background(), t.TempDir(), file, "", []string{trail}, new(bytes.Buffer)), "userdata-bulk")
}

func play(t *testing.T, state, history string, paths ...string) []string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), state, "", history, paths, &out))
	return strings.Split(out.String(), "\n")
}

func findings(lines []string) []string {
	var all []string
	for _, line := range lines {
		if strings.HasPrefix(line, "{") && !strings.Contains(line, `"raised":true`) {
			all = append(all, line)
		}
	}
	return all
}

// gather copies folders into one.
func gather(t *testing.T, dir string, folders []string) {
	t.Helper()
	for i, folder := range folders {
		full, err := filepath.Abs(folder)
		require.NoError(t, err)
		require.NoError(t, os.CopyFS(filepath.Join(dir, string(rune('a'+i))), os.DirFS(full)))
	}
}
