package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// line is a record as the tests write it down.
type line struct {
	time int64
	id   string
	text string
}

func sorted(t *testing.T, s *sorter) []line {
	t.Helper()
	var lines []line
	for r, err := range s.records(context.Background()) {
		require.NoError(t, err)
		_, kind, text := r.content()
		assert.Equal(t, byte('k'), kind)
		lines = append(lines, line{r.time, string(r.id()), string(text)})
	}
	return lines
}

func addAll(t *testing.T, w *writer, lines []line) {
	t.Helper()
	for _, l := range lines {
		require.NoError(t, w.add(l.time, l.id, 0, 'k', l.text))
	}
}

func TestSorterOrder(t *testing.T) {
	tests := []struct {
		name       string
		in, out    []line
		duplicates int64
	}{
		{"nothing", nil, nil, 0},
		{"one", []line{{1, "a", "x"}}, []line{{1, "a", "x"}}, 0},
		{"by time", []line{{3, "a", "x"}, {-5, "b", "y"}, {2, "c", "z"}}, []line{{-5, "b", "y"}, {2, "c", "z"}, {3, "a", "x"}}, 0},
		{"then by id", []line{{1, "b", "x"}, {1, "a", "y"}}, []line{{1, "a", "y"}, {1, "b", "x"}}, 0},
		{"copies go", []line{{1, "a", "x"}, {1, "b", "y"}, {1, "a", "x"}, {1, "a", "x"}}, []line{{1, "a", "x"}, {1, "b", "y"}}, 2},
		{"of copies that differ the least stays", []line{{1, "a", "y"}, {1, "a", "x"}}, []line{{1, "a", "x"}}, 1},
		{"one id at two times is two records", []line{{2, "a", "x"}, {1, "a", "x"}}, []line{{1, "a", "x"}, {2, "a", "x"}}, 0},
		{"an id is not a prefix of another", []line{{1, "a", "bx"}, {1, "ab", "x"}}, []line{{1, "a", "bx"}, {1, "ab", "x"}}, 0},
		{"empty id and text", []line{{1, "", ""}, {1, "", "x"}}, []line{{1, "", ""}}, 1},
	}
	for _, test := range tests {
		for _, memory := range []int64{1, 1 << 20} { // every record a run of its own, and all in memory
			t.Run(fmt.Sprintf("%s/%d bytes", test.name, memory), func(t *testing.T) {
				t.Setenv("TMPDIR", t.TempDir())
				s := newSorter(memory, 1)
				addAll(t, s.writer(), test.in)
				assert.Equal(t, test.out, sorted(t, s))
				assert.Equal(t, test.duplicates, s.duplicates)
				require.NoError(t, s.close())
			})
		}
	}
}

// TestSorterSpills compares runs on disk, merged on several levels, with a sort
// in memory.
// Of copies the one that was delivered first stays, and says when.
func TestSorterDelivery(t *testing.T) {
	s := newSorter(1<<20, 1)
	w := s.writer()
	for _, delivered := range []uint32{300, 70, 1 << 31} {
		require.NoError(t, w.add(1, "a", delivered, 'k', "x"))
	}
	n := 0
	for r, err := range s.records(context.Background()) {
		require.NoError(t, err)
		delivered, _, text := r.content()
		assert.Equal(t, uint32(70), delivered)
		assert.Equal(t, "x", string(text))
		n++
	}
	assert.Equal(t, 1, n)
	require.NoError(t, s.close())
}

func TestSorterSpills(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	random := rand.New(rand.NewPCG(1, 2))
	lines := make([]line, 20_000)
	for i := range lines {
		n := random.IntN(15_000) // a quarter are copies
		lines[i] = line{int64(n / 7), fmt.Sprintf("id-%d", n), strings.Repeat("x", n%300)}
	}
	lines[77].text = strings.Repeat("large", 4_000) // more than a writer's share
	lines[77].id = "large"

	run := func(memory int64, writers int) (out []line, runs int, duplicates int64) {
		s := newSorter(memory, writers)
		var wg sync.WaitGroup
		for part := range slices.Chunk(lines, len(lines)/writers) {
			w := s.writer()
			wg.Go(func() { addAll(t, w, part) })
		}
		wg.Wait()
		runs = len(s.runs)
		out = sorted(t, s)
		require.NoError(t, s.close())
		return out, runs, s.duplicates
	}
	want, runs, duplicates := run(1<<30, 1)
	require.Zero(t, runs)
	require.Positive(t, duplicates)
	require.Len(t, want, len(lines)-int(duplicates))
	for _, writers := range []int{1, 4} {
		got, runs, n := run(int64(8_000*writers), writers)
		assert.Greater(t, runs, 2*fanIn, "the test is meant to merge on several levels")
		assert.Equal(t, want, got)
		assert.Equal(t, duplicates, n)
	}
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, left, "temporary files are left")
}

// TestSorterHoldsItsShare pins that a writer holds no more than its share of
// record bytes, and that its memory does not grow from run to run.
func TestSorterHoldsItsShare(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newSorter(1<<16, 1)
	defer s.close()
	w := s.writer()
	for i := range 10_000 {
		require.NoError(t, w.add(int64(i), "id", 0, 'k', strings.Repeat("x", i%500)))
		require.LessOrEqual(t, w.held, 1<<16)
		require.LessOrEqual(t, len(w.blocks), 2)
	}
}

func TestSorterErrors(t *testing.T) {
	spilled := func(t *testing.T) *sorter {
		t.Setenv("TMPDIR", t.TempDir())
		s := newSorter(100, 1)
		t.Cleanup(func() { s.close() })
		addAll(t, s.writer(), []line{{3, "c", strings.Repeat("x", 80)}, {2, "b", strings.Repeat("y", 80)}, {1, "a", "z"}})
		require.Len(t, s.runs, 2)
		return s
	}
	last := func(ctx context.Context, s *sorter) (n int, last error) {
		for _, err := range s.records(ctx) {
			if last = err; err == nil {
				n++
			}
		}
		return n, last
	}
	t.Run("no temporary folder", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
		s := newSorter(1, 1)
		w := s.writer()
		require.NoError(t, w.add(1, "a", 0, 'k', "x"))
		assert.ErrorIs(t, w.add(2, "b", 0, 'k', "y"), os.ErrNotExist)
		assert.NoError(t, s.close())
	})
	t.Run("a run is gone", func(t *testing.T) {
		s := spilled(t)
		require.NoError(t, os.Remove(s.runs[1]))
		n, err := last(context.Background(), s)
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.Zero(t, n)
	})
	t.Run("a run is damaged", func(t *testing.T) {
		s := spilled(t)
		data, err := os.ReadFile(s.runs[0])
		require.NoError(t, err)
		for _, damaged := range [][]byte{data[:len(data)-1], data[:20], append(slices.Clone(data[:len(data)-6]), 1, 2, 3, 4, 5, 6)} {
			require.NoError(t, os.WriteFile(s.runs[0], damaged, 0o600))
			_, err = last(context.Background(), s)
			assert.ErrorContains(t, err, s.runs[0])
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := last(ctx, spilled(t))
		assert.True(t, errors.Is(err, context.Canceled))
	})
	t.Run("the reader stops early", func(t *testing.T) {
		s := spilled(t)
		for r, err := range s.records(context.Background()) {
			require.NoError(t, err)
			require.EqualValues(t, 1, r.time)
			break
		}
		assert.NoError(t, s.close())
	})
}
