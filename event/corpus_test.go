package event_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
)

// readCorpus decodes the files of a folder of the real logs, which lie beside
// the repository where there are any. It skips the test where there are none.
func readCorpus(t *testing.T, folder, pattern string, visit func(file string, e *event.Event)) (files int) {
	t.Helper()
	root := filepath.Join("..", "..", "shared", "corpus", folder)
	if _, err := os.Stat(root); err != nil {
		t.Skip("no real logs here: ", err)
	}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, d.Name()); err != nil || !ok {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files++
		for e, err := range event.Read(f, nil) {
			if assert.NoError(t, err, path) {
				visit(path, e)
			}
		}
		return nil
	}))
	return files
}

func TestCorpusTrail(t *testing.T) {
	events := 0
	ids, principals := map[string]bool{}, map[event.Principal]int{}
	files := readCorpus(t, "background-trail", "*.json.gz", func(file string, e *event.Event) {
		events++
		ids[strings.Clone(e.ID)] = true
		principals[e.Clone().Principal]++
		assert.True(t, strings.HasPrefix(e.Version, "1."), file)
		assert.True(t, strings.HasPrefix(filepath.Base(file), e.AccountID), file)
	})
	t.Logf("%d events with %d IDs in %d files; %d principals", events, len(ids), files, len(principals))
	assert.Equal(t, 15434, events)
	assert.Equal(t, map[event.Principal]int{
		{Kind: event.Service, Key: "service:cloudtrail.amazonaws.com", Name: "cloudtrail.amazonaws.com"}:       9704,
		{Kind: event.Service, Key: "service:delivery.logs.amazonaws.com", Name: "delivery.logs.amazonaws.com"}: 5730,
	}, principals)
}

func TestCorpusExamples(t *testing.T) {
	kinds, tools := map[event.Kind]int{}, map[event.Tool]int{}
	seen := map[string]bool{}
	files := readCorpus(t, "event-examples", "*.cloudtrail", func(file string, e *event.Event) {
		kinds[e.Principal.Kind]++
		tools[e.Tool]++
		seen[file] = true
		assert.NotContains(t, e.Operation, "2015", file)
		assert.NotContains(t, e.Operation, "2020_", file)
		assert.False(t, strings.HasPrefix(e.UserAgent, "["), file)
	})
	t.Logf("%d files, %d with records; kinds %v, tools %v", files, len(seen), kinds, tools)
	assert.Equal(t, 584, files) // the other two of the folder are a web page and its script
	assert.Zero(t, tools[event.ToolNone])
	assert.Positive(t, kinds[event.User])
	assert.Positive(t, kinds[event.SSO])
}

func TestCorpusAttacks(t *testing.T) {
	var denied int
	readCorpus(t, "simulated-attacks", "*user-data*.json", func(_ string, e *event.Event) {
		if e.Is("ec2", "DescribeInstanceAttribute") && e.Denied() {
			denied++
			assert.Equal(t, event.Role, e.Principal.Kind)
			assert.Equal(t, "stratus-red-team-get-usr-data-role", e.Principal.Name)
			assert.True(t, e.ReadOnly)
		}
	})
	assert.Equal(t, 15, denied)
}
