package boltstore_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/baseline/boltstore"
)

func open(t testing.TB, path string, o *boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "baselines.db") }

func TestStore(t *testing.T) {
	baselinetest.Store(t, func() (baseline.Store, error) {
		f, err := os.CreateTemp(t.TempDir(), "*.db")
		if err != nil {
			return nil, err
		}
		return boltstore.Open(f.Name(), nil)
	})
}

func TestKilled(t *testing.T) {
	baselinetest.Killed(t,
		func() string { return newFile(t) },
		func(path string) (baseline.Store, error) { return boltstore.Open(path, nil) })
}

// The file remembers; a writer whose version is stale is refused.
func TestReopen(t *testing.T) {
	ctx, path := t.Context(), newFile(t)
	s := open(t, path, nil)
	require.NoError(t, s.Save(ctx, []baseline.Record{{Key: "a", Data: []byte("1")}}))
	require.NoError(t, s.Close())

	s = open(t, path, nil)
	stale, err := s.Load(ctx, []string{"a"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "a", Version: 1, Data: []byte("1")}}, stale)
	require.NoError(t, s.Save(ctx, []baseline.Record{{Key: "a", Version: 1, Data: []byte("2")}}))
	var conflict *baseline.ConflictError
	require.ErrorAs(t, s.Save(ctx, stale), &conflict)
	assert.Equal(t, []string{"a"}, conflict.Keys)

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestClosed(t *testing.T) {
	s := open(t, newFile(t), nil)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "a second time")
	_, err := s.Load(t.Context(), []string{"a"})
	require.ErrorContains(t, err, "boltstore: load 1 records: ")
	require.ErrorContains(t, s.Save(t.Context(), []baseline.Record{{Key: "a"}}), "boltstore: save 1 records: ")
	for _, err := range s.All(t.Context()) {
		require.ErrorContains(t, err, "boltstore: read all: ")
	}
}

func TestBuckets(t *testing.T) {
	ctx, path := t.Context(), newFile(t)
	for _, name := range []string{"", "other"} {
		s := open(t, path, &boltstore.Options{Bucket: name})
		require.NoError(t, s.Save(ctx, []baseline.Record{{Key: "a", Data: []byte(name)}}))
		require.NoError(t, s.Close())
	}
	records, err := open(t, path, &boltstore.Options{Bucket: "cloudtell"}).Load(ctx, []string{"a"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "a", Version: 1, Data: []byte{}}}, records)
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
	used := filepath.Join(dir, "used")
	open(t, used, nil)
	newer := filepath.Join(dir, "newer")
	require.NoError(t, open(t, newer, nil).Close())
	edit(t, newer, func(top *bolt.Bucket) error { return top.Put([]byte("schema"), []byte{2}) })

	tests := []struct {
		name, path string
		want       string
		is         error
	}{
		{"a folder that does not exist", filepath.Join(dir, "no", "file"), "no such file", os.ErrNotExist},
		{"not a database", text, "text: invalid database", nil},
		{"in use", used, "used: another process has it open", nil},
		{"a newer schema", newer, `bucket "cloudtell" has schema 02, this code reads 01`, baseline.ErrVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := boltstore.Open(tt.path, nil)
			require.ErrorContains(t, err, tt.want)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
		})
	}
}

// edit changes a file behind the store's back.
func edit(t *testing.T, path string, change func(top *bolt.Bucket) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket([]byte("cloudtell"))) }))
	require.NoError(t, db.Close())
}

// What somebody else wrote is handed on as it is, for the profile's decoder to
// refuse; its neighbours are read and saved.
func TestForeignValues(t *testing.T) {
	ctx, path, long := t.Context(), newFile(t), strings.Repeat("k", 5000)
	s := open(t, path, nil)
	require.NoError(t, s.Save(ctx, []baseline.Record{{Key: "a", Data: []byte("1")}, {Key: long, Data: []byte("2")}}))
	require.NoError(t, s.Close())
	edit(t, path, func(top *bolt.Bucket) error {
		records := top.Bucket([]byte("records"))
		var name []byte
		if err := records.ForEach(func(k, _ []byte) error { name = k; return nil }); err != nil {
			return err
		}
		if err := records.Put(slices.Clone(name), []byte("version\x01\xff\xff\xff\xff long")); err != nil {
			return err
		}
		return records.Put([]byte("b"), []byte("short"))
	})
	s = open(t, path, nil)
	records, err := s.Load(ctx, []string{"a", "b", long})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{
		{Key: "a", Version: 1, Data: []byte("1")},
		{Key: "b", Data: []byte("short")},
		{Key: long, Data: []byte("version\x01\xff\xff\xff\xff long")},
	}, records)
	require.NoError(t, s.Save(ctx, records))
}

func TestAll(t *testing.T) {
	ctx := t.Context()
	s := open(t, newFile(t), nil)
	var want []baseline.Record
	for i := range 1000 {
		want = append(want, baseline.Record{Key: fmt.Sprintf("key %04d", i), Data: fmt.Append(nil, i)})
	}
	want = append(want, baseline.Record{Key: "l" + strings.Repeat("ong", 1000), Data: []byte("1000")})
	require.NoError(t, s.Save(ctx, want))
	var got []baseline.Record
	for r, err := range s.All(ctx) {
		require.NoError(t, err)
		assert.Equal(t, uint64(1), r.Version)
		got = append(got, baseline.Record{Key: r.Key, Data: slices.Clone(r.Data)})
		require.NoError(t, s.Save(ctx, []baseline.Record{r}), "saving meanwhile is no problem")
	}
	assert.Equal(t, want, got)
	for range s.All(ctx) {
		break
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range s.All(cancelled) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// A damaged page is an error, not the end of the process, and the store can be
// closed.
func TestDamagedPage(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	path := filepath.Join(dir, "baselines.db")
	store, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	var keys []string
	var records []baseline.Record
	for i := range 20 {
		keys = append(keys, fmt.Sprint("key ", i))
		records = append(records, baseline.Record{Key: keys[i], Data: make([]byte, 1000)})
	}
	require.NoError(t, store.Save(ctx, records))
	require.NoError(t, store.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	size := os.Getpagesize()
	noticed := 0
	for at := 2 * size; at < len(whole); at += size { // behind the two that begin the file
		damaged := bytes.Clone(whole)
		copy(damaged[at:], "nothing of")           // its number and its kind
		path := filepath.Join(dir, fmt.Sprint(at)) // bbolt may not let go of a file
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		store, err := boltstore.Open(path, nil)
		if err != nil {
			require.ErrorIs(t, err, baseline.ErrCorrupt)
			noticed++
			continue
		}
		if _, err := store.Load(ctx, keys); err != nil {
			require.ErrorIs(t, err, baseline.ErrCorrupt)
			noticed++
			for range 2 {
				require.ErrorIs(t, store.Save(ctx, records), baseline.ErrCorrupt)
			}
			var last error
			for _, err := range store.All(ctx) {
				last = err
			}
			require.ErrorIs(t, last, baseline.ErrCorrupt)
		}
		require.NoError(t, store.Close())
	}
	assert.Greater(t, noticed, 3)
}
