package event_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// TestBatch holds copies beside those of Clone, in a batch that is used again.
func TestBatch(t *testing.T) {
	big := eventtest.Record{Call: "s3:GetObject", Request: map[string]any{"key": strings.Repeat("k", 40<<10)}}.JSON()
	files := []string{string(logFile(100)), string(logFile(30)), accessLine + "\n" + accessLine, string(logFile(1)) + big + record("after"), string(logFile(50)), ""}
	var batch event.Batch
	for _, file := range files {
		var want []*event.Event
		for e, err := range event.Read(strings.NewReader(file), &event.ReadOptions{Reuse: true}) {
			assert.NoError(t, err)
			assert.Equal(t, e, batch.Add(e))
			want = append(want, e.Clone())
		}
		assert.Len(t, batch.Events(), len(want))
		for i, e := range batch.Events() {
			assert.Equal(t, want[i], e)
			for _, other := range batch.Events()[:i] {
				assert.NotSame(t, other, e)
				assert.False(t, e.Access != nil && e.Access == other.Access)
			}
		}
		batch.Reset()
		assert.Empty(t, batch.Events())
	}
}

func TestBatchAllocations(t *testing.T) {
	file := logFile(1000)
	var batch event.Batch
	allocations := testing.AllocsPerRun(3, func() {
		for e := range event.Read(bytes.NewReader(file), &event.ReadOptions{Reuse: true}) {
			batch.Add(e)
		}
		assert.Len(t, batch.Events(), 1000)
		batch.Reset()
	})
	assert.Less(t, allocations/1000, 0.05)
}
