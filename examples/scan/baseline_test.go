package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func memory(t *testing.T, records ...baseline.Record) *baseline.Memory {
	t.Helper()
	var m baseline.Memory
	require.NoError(t, m.Save(context.Background(), records))
	return &m
}

func TestBaselineFile(t *testing.T) {
	tests := []struct {
		name    string
		records []baseline.Record
	}{
		{"empty", nil},
		{"one", []baseline.Record{{Key: "principal/a", Data: []byte("x")}}},
		{"several", []baseline.Record{{Key: "a", Data: []byte{0, 0}}, {Key: "b\x00\n", Data: nil}, {Key: "c", Data: bytes.Repeat([]byte("y"), detect.MaxRecordBytes)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "baseline")
			for range 2 { // the second time, over the first
				require.NoError(t, saveBaseline(file, memory(t, test.records...)))
			}
			m, err := loadBaseline(file)
			require.NoError(t, err)
			var got []baseline.Record
			for r := range m.All() {
				assert.EqualValues(t, 1, r.Version)
				got = append(got, baseline.Record{Key: r.Key, Data: r.Data})
			}
			require.Len(t, got, len(test.records))
			for i := range got {
				assert.Equal(t, test.records[i].Key, got[i].Key)
				assert.True(t, bytes.Equal(test.records[i].Data, got[i].Data))
			}
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, left, 1, "temporary files are left")
		})
	}
}

func TestBaselineFileAbsent(t *testing.T) {
	m, err := loadBaseline(filepath.Join(t.TempDir(), "absent"))
	require.NoError(t, err)
	assert.Zero(t, m.Len())
}

// TestBaselineFileDamaged cuts a baseline file at every byte and flips every
// bit: nothing of it is accepted.
func TestBaselineFileDamaged(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, writeBaseline(&b, memory(t,
		baseline.Record{Key: "principal/a", Data: []byte("some")}, baseline.Record{Key: "principal/b", Data: []byte("more")}).All()))
	whole := b.Bytes()
	_, err := readBaseline(bytes.NewReader(whole))
	require.NoError(t, err)
	for i := range whole {
		_, err := readBaseline(bytes.NewReader(whole[:i]))
		require.ErrorIs(t, err, errBaselineDamaged, "cut at byte %d", i)
		for bit := range 8 {
			flipped := slices.Clone(whole)
			flipped[i] ^= 1 << bit
			_, err := readBaseline(bytes.NewReader(flipped))
			if i == len(baselineMagic) {
				require.ErrorIs(t, err, errBaselineVersion)
			} else {
				require.ErrorIs(t, err, errBaselineDamaged, "bit %d of byte %d flipped", bit, i)
			}
		}
	}
	_, err = readBaseline(bytes.NewReader(append(slices.Clone(whole), 'x')))
	require.ErrorIs(t, err, errBaselineDamaged, "a byte too many")

	file := filepath.Join(t.TempDir(), "cut")
	require.NoError(t, os.WriteFile(file, whole[:40], 0o600))
	_, err = loadBaseline(file)
	assert.ErrorContains(t, err, file)
}

// TestBaselineFileAllocation pins that a forged length costs no memory.
func TestBaselineFileAllocation(t *testing.T) {
	forged := baselineMagic + string(rune(baselineVersion)) + "\xff\xff\xff\xff" + strings.Repeat("x", 100)
	_, err := readBaseline(strings.NewReader(forged))
	require.ErrorIs(t, err, errBaselineDamaged)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = readBaseline(strings.NewReader(forged))
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestBaselineFileNotSaved(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "baseline")
	require.NoError(t, saveBaseline(file, memory(t, baseline.Record{Key: "old", Data: []byte("x")})))
	tooLarge := memory(t, baseline.Record{Key: "new", Data: make([]byte, maxDataBytes+1)})
	require.ErrorContains(t, saveBaseline(file, tooLarge), "too large")
	m, err := loadBaseline(file)
	require.NoError(t, err)
	assert.Equal(t, 1, m.Len(), "the old file stands")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "temporary files are left")
	assert.ErrorIs(t, saveBaseline(filepath.Join(dir, "absent", "baseline"), &baseline.Memory{}), os.ErrNotExist)
}
