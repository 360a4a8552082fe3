//go:build unix

package boltstore_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/boltstore"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

var agents = baseline.FirstSeen("agent", func(e *event.Event) string { return e.UserAgent }, nil)

// newEngine returns an engine whose profiles remember user agents.
func newEngine(t *testing.T, store baseline.Store) *detect.Engine {
	t.Helper()
	info := detect.Info{
		Name: "agents", Doc: "Remembers.", Technique: "T1078", Tactic: detect.InitialAccess,
		Severity: detect.Low, Uses: []baseline.Feature{agents},
	}
	set, err := detect.NewSet([]detect.Detector{detect.New(info, func(*detect.Pass) {})}, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, store, &detect.EngineOptions{Shards: 2})
	require.NoError(t, err)
	return engine
}

// calls returns one call of each of many users, in an hour.
func calls(t *testing.T, hour int) []*event.Event {
	var events []*event.Event
	for i := range 500 {
		events = append(events, eventtest.Record{
			Call: "sts:GetCallerIdentity", By: eventtest.User(eventtest.Account, fmt.Sprint("user-", i)),
			At: eventtest.Start.Add(time.Duration(hour) * time.Hour), Agent: fmt.Sprint("agent-", hour),
		}.Event(t))
	}
	return events
}

// When the disk is full, Flush says so, the engine keeps what it has learnt,
// and a later Flush stores it.
func TestFullDisk(t *testing.T) {
	ctx, path := context.Background(), newFile(t)
	store := open(t, path, nil)
	engine := newEngine(t, store)
	memory := &baseline.Memory{}
	reference := newEngine(t, memory)
	learn := func(hour int) {
		require.NoError(t, engine.Warm(ctx, calls(t, hour)))
		require.NoError(t, reference.Warm(ctx, calls(t, hour)))
	}

	learn(0)
	require.NoError(t, engine.Flush(ctx))
	learn(1)
	limitFiles(t, 64<<10, func() {
		require.ErrorContains(t, engine.Flush(ctx), "file too large")
		learn(2) // and goes on
		require.ErrorContains(t, engine.Flush(ctx), "file too large")
	})
	require.NoError(t, engine.Flush(ctx))
	require.NoError(t, store.Close())

	require.NoError(t, reference.Flush(ctx))
	assert.Equal(t, 500, memory.Len())
	stored, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	defer stored.Close()
	for want := range memory.All() {
		got, err := stored.Load(ctx, []string{want.Key})
		require.NoError(t, err)
		require.Equal(t, want.Data, got[0].Data, want.Key)
	}
}

// limitFiles runs f while no file of the process can be written beyond size:
// to a program, a full disk.
func limitFiles(t *testing.T, size uint64, f func()) {
	t.Helper()
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }()
	f()
}
