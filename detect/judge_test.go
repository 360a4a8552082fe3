package detect_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// What a person decides about a finding, taken from its JSON, decides about
// the next event, in the engine, in another one on the same store, and in the
// pure step.
func TestJudge(t *testing.T) {
	ctx, store, set := context.Background(), &baseline.Memory{}, newSet(t, novel(agents, info("novel")))
	en := newEngine(t, set, store, nil)
	for d := 1; d <= 20; d++ {
		process(t, en, newEvent(d, on(d, "10:00:00"), "alice", "a"))
	}
	found := process(t, en, newEvent(21, on(21, "10:00:00"), "alice", "b"))
	require.Len(t, found, 1)
	require.Len(t, found[0].Unusual, 1)
	assert.Equal(t, "b", found[0].Unusual[0].Value)
	line, err := json.Marshal(found[0])
	require.NoError(t, err)
	var f detect.Finding
	require.NoError(t, json.Unmarshal(line, &f))

	require.NoError(t, en.Flush(ctx))
	records, err := store.Load(ctx, []string{"principal/alice"})
	require.NoError(t, err)
	judged, err := set.Judge(records[0].Data, &f, baseline.Benign)
	require.NoError(t, err)
	assert.Empty(t, apply(t, set, judged, newEvent(22, on(23, "10:00:00"), "alice", "b")), "in the pure step")

	fresh := newEngine(t, set, store, nil) // the profile is in the store only
	require.NoError(t, fresh.Judge(ctx, &f, baseline.Benign))
	assert.Empty(t, process(t, fresh, newEvent(22, on(23, "10:00:00"), "alice", "b")))
	require.NoError(t, fresh.Flush(ctx))
	again := newEngine(t, set, store, nil)
	assert.Empty(t, process(t, again, newEvent(23, on(25, "10:00:00"), "alice", "b")), "the verdict is in the record")

	require.NoError(t, again.Judge(ctx, &f, baseline.Malicious))
	for d := 26; d <= 45; d++ {
		assert.Len(t, process(t, again, newEvent(d, on(d, "11:00:00"), "alice", "b")), 1, "day %d: it never becomes normal", d)
	}
}

func TestJudgeRefused(t *testing.T) {
	ctx, set := context.Background(), newSet(t, novel(agents, info("novel")), echo(info("echo")))
	store := &faultyStore{}
	en := newEngine(t, set, store, nil)
	found := process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a"))
	require.Len(t, found, 2)
	for _, f := range found {
		err := en.Judge(ctx, &f, baseline.Benign)
		if f.Rule == "echo" {
			assert.ErrorIs(t, err, baseline.ErrVerdict, "the rule remembers nothing")
			continue
		}
		assert.NoError(t, err)
		elsewhere, nobody, other := f, f, f
		elsewhere.Scope, nobody.Key = "bucket", ""
		other.Unusual = []baseline.Unusual{{Feature: "no such", Value: "a"}}
		assert.ErrorIs(t, en.Judge(ctx, &elsewhere, baseline.Benign), detect.ErrKey)
		assert.ErrorIs(t, en.Judge(ctx, &nobody, baseline.Benign), detect.ErrKey)
		assert.ErrorIs(t, en.Judge(ctx, &other, baseline.Benign), baseline.ErrVerdict)
		stranger := other
		stranger.Key = "nobody we know"
		require.NoError(t, en.Flush(ctx))
		saves := store.saves.Load()
		assert.ErrorIs(t, en.Judge(ctx, &stranger, baseline.Benign), baseline.ErrVerdict)
		require.NoError(t, en.Flush(ctx))
		assert.Equal(t, saves, store.saves.Load(), "what keeps nothing saves nothing")
		record, err := set.Judge(nil, &stranger, baseline.Benign)
		assert.ErrorIs(t, err, baseline.ErrVerdict)
		assert.Nil(t, record)
		_, err = set.Judge([]byte("rubbish!"), &f, baseline.Benign)
		assert.ErrorIs(t, err, baseline.ErrCorrupt)
		store.loadErr = errDown
		assert.ErrorIs(t, newEngine(t, set, store, nil).Judge(ctx, &f, baseline.Benign), errDown)
	}
}
