package customstore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/examples/customstore"
)

func TestContract(t *testing.T) {
	baselinetest.Store(t, func() (baseline.Store, error) { return customstore.Open(t.TempDir()) })
}

// TestRestart pins what the kit cannot know: records outlive the process, in one
// file each, whatever their keys look like, and nothing else is left behind.
func TestRestart(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	keys := []string{"principal/arn:aws:iam::111122223333:user/alice", "../escape", "line\nbreak", strings.Repeat("long", 1000)}
	for saves := range uint64(3) {
		store, err := customstore.Open(dir)
		require.NoError(t, err)
		records, err := store.Load(ctx, keys)
		require.NoError(t, err)
		for i, r := range records {
			assert.Equal(t, keys[i], r.Key)
			assert.Equal(t, saves, r.Version)
			if saves > 0 {
				assert.Equal(t, "data\nof "+r.Key, string(r.Data))
			}
			records[i].Data = []byte("data\nof " + r.Key)
		}
		require.NoError(t, store.Save(ctx, records))
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, len(keys))
}

func TestDamagedFile(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	store, err := customstore.Open(dir)
	require.NoError(t, err)
	record := []baseline.Record{{Key: "a", Data: []byte("x")}}
	require.NoError(t, store.Save(ctx, record))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, files[0].Name()), nil, 0o600))
	_, err = store.Load(ctx, []string{"a"})
	assert.ErrorContains(t, err, "no record")
	assert.Error(t, store.Save(ctx, record), "a record that cannot be read is not overwritten")
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := customstore.Open(file)
	assert.Error(t, err)
}
