package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
)

// line is a record as the tests write it down.
type line struct {
	time int64 // seconds after noon
	id   string
	text string
}

func (l line) event(t *testing.T) *event.Event {
	t.Helper()
	e, err := event.Parse(fmt.Sprintf(`{"eventTime":%q,"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":%q,"errorMessage":%q}`,
		noon.Add(time.Duration(l.time)*time.Second).Format(time.RFC3339), l.id, l.text))
	require.NoError(t, err)
	return e
}

// addAll adds batches of so many lines.
func addAll(t *testing.T, s *sorter, size int, lines []line) {
	t.Helper()
	for part := range slices.Chunk(lines, size) {
		var b batch
		for _, l := range part {
			b.add(l.event(t), 0)
		}
		b.sort()
		require.NoError(t, s.add(t.Context(), &b))
	}
}

// sorted takes out what is before a time.
func sorted(t *testing.T, s *sorter, before int64) []line {
	t.Helper()
	var lines []line
	for {
		e, ok, err := s.next(before)
		require.NoError(t, err)
		if !ok {
			s.recycle()
			return lines
		}
		lines = append(lines, line{int64(e.event.Time.Sub(noon).Seconds()), strings.Clone(e.event.ID), strings.Clone(e.event.ErrorMessage)})
	}
}

const allTime = math.MaxInt64

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
	}
	for _, test := range tests {
		for _, memory := range []int64{1, 1 << 20} { // every record a run of its own, and all in memory
			for _, size := range []int{1, 100} {
				t.Run(fmt.Sprintf("%s/%d bytes/batches of %d", test.name, memory, size), func(t *testing.T) {
					t.Setenv("TMPDIR", t.TempDir())
					s := newSorter(memory)
					addAll(t, s, size, test.in)
					assert.Equal(t, test.out, sorted(t, s, allTime))
					assert.Equal(t, test.duplicates, s.duplicates)
					assert.Zero(t, s.held)
					assert.Zero(t, s.files)
					require.NoError(t, s.close())
				})
			}
		}
	}
}

// Of copies the one that was delivered first stays, and says when.
func TestSorterDelivery(t *testing.T) {
	for _, memory := range []int64{1, 1 << 20} {
		t.Setenv("TMPDIR", t.TempDir())
		s := newSorter(memory)
		for _, delivered := range []uint32{300, 70, 1 << 31} {
			var b batch
			b.add(line{1, "a", "x"}.event(t), delivered)
			require.NoError(t, s.add(t.Context(), &b))
		}
		e, ok, err := s.next(allTime)
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, uint32(70), e.delivered)
		assert.Empty(t, sorted(t, s, allTime))
		require.NoError(t, s.close())
	}
}

// TestSorterKinds pins that an event comes back from the disk as it was.
func TestSorterKinds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	text := found + "\n" + strings.ReplaceAll(`{"detail-type":"AWS API Call via CloudTrail","detail":`+found+`}`, "6f1c", "7f1c")
	access := `79a5 logs [21/Jan/2026:03:12:44 +0000] 192.0.2.3 - 3E57427F3EXAMPLE REST.GET.OBJECT a.txt "GET /logs/a.txt HTTP/1.1" 200 - 5 5 7 7 "-" "curl/8.0" - abc - - - logs.s3.amazonaws.com TLSv1.3 - -`
	s := newSorter(1)
	defer s.close()
	want := make(map[string]*event.Event)
	for _, input := range []string{text, access} {
		var b batch
		for e, err := range event.Read(strings.NewReader(input), nil) {
			require.NoError(t, err)
			b.add(e, 0)
			want[e.ID] = e.Clone()
		}
		b.sort()
		require.NoError(t, s.add(t.Context(), &b))
	}
	require.Len(t, want, 3)
	for range 3 {
		e, ok, err := s.next(allTime)
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, want[e.event.ID], e.event)
		delete(want, e.event.ID)
	}
}

// TestSorterSpills compares runs on disk, merged on several levels, with a sort
// in memory.
func TestSorterSpills(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	random := rand.New(rand.NewPCG(1, 2))
	lines := make([]line, 20_000)
	for i := range lines {
		n := random.IntN(15_000) // a quarter are copies
		lines[i] = line{int64(n / 7), fmt.Sprintf("id-%d", n), strings.Repeat("x", n%300)}
	}
	lines[77].text = strings.Repeat("large", 40_000) // more than the memory
	lines[77].id = "large"

	run := func(memory int64) (out []line, runs int, duplicates int64) {
		s := newSorter(memory)
		addAll(t, s, 50, lines)
		assert.LessOrEqual(t, s.held, int(memory))
		assert.LessOrEqual(t, s.files, fanIn)
		assert.Empty(t, s.spent, "what went to the disk is let go")
		out = sorted(t, s, allTime)
		require.NoError(t, s.close())
		return out, s.created, s.duplicates
	}
	want, runs, duplicates := run(1 << 30)
	require.Zero(t, runs)
	require.Positive(t, duplicates)
	require.Len(t, want, len(lines)-int(duplicates))
	got, runs, n := run(150_000)
	assert.Greater(t, runs, 2*fanIn, "the test is meant to merge on several levels")
	assert.Equal(t, want, got)
	assert.Equal(t, duplicates, n)
	empty(t, tmp)
}

// TestSorterStreams takes events out while more are added, as for files that
// come in the order of delivery.
func TestSorterStreams(t *testing.T) {
	const enough = 1 << 24
	for _, memory := range []int64{1, 200_000, enough} {
		t.Setenv("TMPDIR", t.TempDir())
		random := rand.New(rand.NewPCG(3, 4))
		s := newSorter(memory)
		var out []line
		const span = 50
		for tick := range int64(100) {
			out = append(out, sorted(t, s, noon.Add(time.Duration(tick)*time.Second).UnixNano())...)
			var lines []line
			for range 10 {
				at := tick + random.Int64N(span)
				lines = append(lines, line{at, fmt.Sprint(at, "-", random.IntN(3)), "x"})
			}
			addAll(t, s, 5, lines)
			assert.Less(t, s.held, 3*enough/4, "what has come out is let go")
		}
		out = append(out, sorted(t, s, allTime)...)
		assert.True(t, slices.IsSortedFunc(out, func(a, b line) int { return int(a.time - b.time) }))
		assert.Equal(t, 1000, len(out)+int(s.duplicates))
		assert.Positive(t, s.duplicates)
		assert.Equal(t, memory < enough, s.created > 0)
		require.NoError(t, s.close())
	}
}

// TestBatchesAreUsedAgain pins that the memory of events that have come out
// serves the next.
func TestBatchesAreUsedAgain(t *testing.T) {
	s := newSorter(1 << 30)
	var e *event.Event
	add := func() {
		b := batches.Get().(*batch)
		for range 50 {
			b.add(e, 0)
		}
		require.NoError(t, s.add(t.Context(), b))
		for ok := true; ok; {
			_, ok, _ = s.next(allTime)
		}
		s.recycle()
	}
	e = line{1, "a", "x"}.event(t)
	assert.Less(t, testing.AllocsPerRun(100, add), 10.0)
}

func TestSorterErrors(t *testing.T) {
	spilled := func(t *testing.T) (s *sorter, runs []string) {
		t.Setenv("TMPDIR", t.TempDir())
		s = newSorter(1)
		t.Cleanup(func() { s.close() })
		addAll(t, s, 1, []line{{3, "c", strings.Repeat("x", 80)}, {2, "b", strings.Repeat("y", 80)}})
		for _, src := range s.sources.items {
			runs = append(runs, src.file.file.Name())
		}
		require.Len(t, runs, 2)
		return s, runs
	}
	t.Run("no temporary folder", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
		s := newSorter(1)
		var b batch
		b.add(line{1, "a", "x"}.event(t), 0)
		assert.ErrorIs(t, s.add(t.Context(), &b), os.ErrNotExist)
		assert.NoError(t, s.close())
	})
	t.Run("a run is damaged", func(t *testing.T) {
		_, runs := spilled(t)
		data, err := os.ReadFile(runs[0])
		require.NoError(t, err)
		for _, damaged := range [][]byte{data[:len(data)-1], data[:20], append(slices.Clone(data[:len(data)-6]), 1, 2, 3, 4, 5, 6)} {
			require.NoError(t, os.WriteFile(runs[0], damaged, 0o600))
			r, err := openRun(runs[0])
			require.NoError(t, err)
			for err == nil {
				_, err = r.next()
			}
			assert.ErrorContains(t, err, runs[0])
			require.NoError(t, r.close())
		}
	})
	t.Run("a run has an impossible size in it", func(t *testing.T) {
		_, runs := spilled(t)
		f, err := os.Create(runs[0])
		require.NoError(t, err)
		w, err := newRunWriter(f)
		require.NoError(t, err)
		_, err = w.zip.Write(binary.AppendUvarint(make([]byte, 5), 1<<62))
		require.NoError(t, err)
		require.NoError(t, w.flush())
		require.NoError(t, f.Close())
		r, err := openRun(runs[0])
		require.NoError(t, err)
		_, err = r.next()
		assert.ErrorContains(t, err, runs[0])
		require.NoError(t, r.close())
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := newSorter(1)
		var b batch
		b.add(line{1, "a", "x"}.event(t), 0)
		assert.ErrorIs(t, s.add(ctx, &b), context.Canceled)
		assert.NoError(t, s.close())
	})
}
