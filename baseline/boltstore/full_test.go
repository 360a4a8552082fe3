//go:build unix

package boltstore_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/boltstore"
	"github.com/cloudtell/cloudtell/detect/detecttest"
)

// An engine outlives a full disk, and what it saves then is in the file.
func TestFullDisk(t *testing.T) {
	path := newFile(t)
	store := open(t, path, nil)
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	limit := func(size uint64) { // of the files that this process writes: to it, a full disk
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	}
	defer limit(old.Cur)
	require.NoError(t, detecttest.TestOutage(store, detecttest.Outage{
		Begin: func() { limit(64 << 10) }, End: func() { limit(old.Cur) }, Error: "file too large",
	}))
	saved := all(t, store)
	require.NoError(t, store.Close())
	require.Len(t, saved, 1000)
	require.Equal(t, saved, all(t, open(t, path, nil)))
}

func all(t *testing.T, store *boltstore.Store) (records []baseline.Record) {
	for r, err := range store.All(context.Background()) {
		require.NoError(t, err)
		records = append(records, r)
	}
	return records
}
