package baseline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

func TestConflictError(t *testing.T) {
	tests := []struct {
		keys int
		want string
	}{
		{1, "baseline: saved by another writer since loaded: k0"},
		{3, "baseline: saved by another writer since loaded: k0, k1, k2"},
		{5, "baseline: saved by another writer since loaded: k0, k1, k2 and 2 more"},
	}
	for _, tt := range tests {
		var e baseline.ConflictError
		for i := range tt.keys {
			e.Keys = append(e.Keys, fmt.Sprint("k", i))
		}
		assert.EqualError(t, &e, tt.want)
	}
}

func TestMemoryAll(t *testing.T) {
	var m baseline.Memory
	require.NoError(t, m.Save(t.Context(), []baseline.Record{{Key: "b", Data: []byte("2")}, {Key: "a", Data: []byte("1")}}))
	assert.Equal(t, 2, m.Len())
	var keys []string
	for r := range m.All() {
		keys = append(keys, r.Key)
		require.NoError(t, m.Save(t.Context(), []baseline.Record{{Key: "later " + r.Key}}), "saving meanwhile is no problem")
	}
	assert.Equal(t, []string{"a", "b"}, keys)
	for range m.All() {
		break
	}
}
