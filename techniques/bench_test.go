package techniques_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// BenchmarkDetect runs all rules over ten days of the generated account, on one
// goroutine: decoded events, with nothing to find. An event is 1.4 KB of JSON
// or so.
func BenchmarkDetect(b *testing.B) {
	var events []*event.Event
	for r := range account.New(&account.Options{Seed: 1, Days: 10}).Records() {
		e, err := event.Parse(r.JSON)
		require.NoError(b, err)
		events = append(events, e)
	}
	detectors, err := techniques.All(nil)
	require.NoError(b, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1})
		require.NoError(b, err)
		for batch := range slices.Chunk(events, 4096) {
			_, err := engine.Process(context.Background(), batch)
			require.NoError(b, err)
		}
	}
	n := float64(b.N) * float64(len(events))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	b.ReportMetric(float64(len(detectors)), "rules")
}
