package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

// report makes a report, and tells how many its episode had before.
func (c *episodes) report(rule uint32, subject string, at time.Time, quiet time.Duration) (overflow bool, ep *episode, revision int) {
	overflow, ep = c.of(rule, baseline.Hash(subject), at, quiet)
	revision = int(ep.count)
	ep.add(at)
	return overflow, ep, revision
}

func TestEpisodes(t *testing.T) {
	const quiet = 24 * time.Hour
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	type report struct {
		after   time.Duration
		subject string
	}
	type span struct {
		subject       string
		anchor, named time.Duration
		reports       int64
	}
	tests := []struct {
		name    string
		reports []report
		want    []span // the episodes as they stand in the end, by first report
	}{
		{"one report", []report{{0, "a"}}, []span{{"a", 0, 0, 1}}},
		{"reports within the quiet interval are one", []report{{0, "a"}, {time.Hour, "a"}, {quiet - 1e6, "a"}}, []span{{"a", 0, 0, 3}}},
		{"the interval counts from the first report, not the last", []report{{0, "a"}, {23 * time.Hour, "a"}, {25 * time.Hour, "a"}}, []span{{"a", 0, 0, 2}, {"a", 25 * time.Hour, 25 * time.Hour, 1}}},
		{"the interval's end belongs to the next", []report{{0, "a"}, {quiet, "a"}}, []span{{"a", 0, 0, 1}, {"a", quiet, quiet, 1}}},
		{"subjects stand apart", []report{{0, "a"}, {time.Minute, "b"}, {2 * time.Minute, "a"}}, []span{{"a", 0, 0, 2}, {"b", time.Minute, time.Minute, 1}}},
		{"an earlier report of the same episode, come late", []report{{10 * time.Minute, "a"}, {0, "a"}}, []span{{"a", 0, 10 * time.Minute, 2}}},
		{"what came late moves the beginning", []report{{10 * time.Minute, "a"}, {0, "a"}, {quiet + 5*time.Minute, "a"}},
			[]span{{"a", 0, 10 * time.Minute, 2}, {"a", quiet + 5*time.Minute, quiet + 5*time.Minute, 1}}},
		{"a late report of the episode before", []report{{0, "a"}, {quiet + 5*time.Minute, "a"}, {quiet - 5*time.Minute, "a"}},
			[]span{{"a", 0, 0, 2}, {"a", quiet + 5*time.Minute, quiet + 5*time.Minute, 1}}},
		{"a late report of an episode that ended before it began", []report{{10 * quiet, "a"}, {0, "a"}, {0, "a"}},
			[]span{{"a", 10 * quiet, 10 * quiet, 1}, {"a", 0, 0, 2}}},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				c := &episodes{}
				var got []span
				index := make(map[string]int)
				for _, r := range tt.reports {
					overflow, ep, revision := c.report(7, r.subject, start.Add(r.after), quiet)
					assert.False(t, overflow)
					assert.Equal(t, ep.count, int64(revision)+1)
					since := func(millis int64) time.Duration { return time.UnixMilli(millis).Sub(start) }
					s := span{r.subject, since(ep.anchor), since(ep.named), ep.count}
					id := fmt.Sprint(r.subject, ep.named)
					if i, ok := index[id]; ok {
						got[i] = s
					} else {
						index[id] = len(got)
						got = append(got, s)
					}
					if reload {
						c = reloadEpisodes(t, c)
					}
				}
				assert.Equal(t, tt.want, got)
			})
		}
	}
}

func reloadEpisodes(t testing.TB, c *episodes) *episodes {
	t.Helper()
	b, err := c.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), newEpisodesFeature().MaxBytes())
	d := &episodes{}
	if len(b) > 0 {
		require.NoError(t, d.UnmarshalBinary(b))
	}
	require.True(t, slices.Equal(c.entries, d.entries))
	return d
}

// However reports within the allowed lateness are ordered, the episodes begin
// at the same times.
func TestEpisodesInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		// Reports come in clusters no wider than the lateness, which are shuffled.
		const lateness = 15 * time.Minute
		quiet := time.Duration(1+rng.IntN(48)) * time.Hour
		var clusters [][]time.Time
		at := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
		for range 10 {
			at = at.Add(time.Duration(rng.Int64N(int64(2 * quiet))))
			var cluster []time.Time
			for range 1 + rng.IntN(4) {
				cluster = append(cluster, at.Add(time.Duration(rng.Int64N(int64(lateness)))).Truncate(time.Second))
			}
			slices.SortFunc(cluster, time.Time.Compare)
			clusters = append(clusters, cluster)
			at = at.Add(lateness)
		}
		anchors := func() []int64 {
			c := &episodes{}
			last := make(map[int64]int64) // the anchor of each finding, by its name
			for _, cluster := range clusters {
				for _, at := range cluster {
					_, ep, _ := c.report(1, "s", at, quiet)
					last[ep.named] = ep.anchor
				}
			}
			var list []int64
			for _, anchor := range last {
				list = append(list, anchor)
			}
			slices.Sort(list)
			return list
		}
		want := anchors()
		for range 5 {
			for _, cluster := range clusters {
				rng.Shuffle(len(cluster), func(i, j int) { cluster[i], cluster[j] = cluster[j], cluster[i] })
			}
			assert.Equal(t, want, anchors())
		}
	}
}

func TestEpisodesOfAFlood(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	c := &episodes{}
	findings := make(map[string]bool)
	var many int
	for i := range 50_000 {
		subject := fmt.Sprint(i)
		overflow, ep, _ := c.report(1, subject, start.Add(time.Duration(i)*time.Second), 24*time.Hour)
		if overflow {
			many, subject = many+1, manySubjects
		}
		findings[fmt.Sprint(subject, ep.named)] = true
	}
	assert.Len(t, findings, maxSubjects+1, "twenty, and one for all others")
	assert.Greater(t, many, 49_000)
	assert.LessOrEqual(t, len(c.entries), maxEntries)
	reloadEpisodes(t, c)
}

// Rules do not take each other's room while there is enough.
func TestEpisodesOfManyRules(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	c := &episodes{}
	for rule := range uint32(200) {
		c.report(rule, "s", start.Add(time.Duration(rule)*time.Second), 24*time.Hour)
	}
	assert.Len(t, c.entries, maxEntries)
	_, _, revision := c.report(199, "s", start.Add(time.Hour), 24*time.Hour)
	assert.Equal(t, 1, revision, "the latest are remembered")
	_, _, revision = c.report(0, "s", start.Add(time.Hour), 24*time.Hour)
	assert.Zero(t, revision, "the least recent is forgotten")
	reloadEpisodes(t, c)
}

func TestEpisodesRefuse(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	c := &episodes{}
	c.report(1, "a", start, time.Hour)
	c.report(1, "b", start, time.Hour)
	good, err := c.AppendBinary(nil)
	require.NoError(t, err)
	half := (len(good) - 1) / 2
	tests := []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"more entries than bytes", []byte{100}},
		{"more entries than can be", append([]byte{0x81, 0x01}, make([]byte, 4000)...)},
		{"a count near 2^64", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"a byte too many", append(slices.Clone(good), 0)},
		{"entries in disorder", slices.Concat(good[:1], good[1+half:], good[1:1+half])},
		{"the same entry twice", slices.Concat(good[:1+half], good[1:1+half])},
		{"an anchor beyond all times", append([]byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 20)...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &episodes{entries: []entry{{rule: 9}}}
			assert.Error(t, d.UnmarshalBinary(tt.b))
			assert.Equal(t, []entry{{rule: 9}}, d.entries, "left alone")
		})
	}
	for i := range good {
		assert.Error(t, new(episodes).UnmarshalBinary(good[:i]), "cut after %d bytes", i)
	}
}

func FuzzEpisodes(f *testing.F) {
	c := &episodes{}
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	for i := range 30 {
		c.report(uint32(i%3), fmt.Sprint(i%7), start.Add(time.Duration(i)*time.Hour), 5*time.Hour)
	}
	good, err := c.AppendBinary(nil)
	require.NoError(f, err)
	f.Add(good, int64(30*time.Hour), uint32(1))
	f.Add([]byte{0}, int64(0), uint32(0))
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, int64(0), uint32(1))
	f.Fuzz(func(t *testing.T, data []byte, after int64, rule uint32) {
		c := &episodes{}
		if c.UnmarshalBinary(data) != nil {
			require.Empty(t, c.entries)
			return
		}
		c = reloadEpisodes(t, c)
		at := start.Add(time.Duration(after % int64(1000*24*time.Hour)))
		for i := range 200 {
			_, ep, revision := c.report(rule, fmt.Sprint(i%50), at.Add(time.Duration(i)*time.Minute), time.Hour)
			require.LessOrEqual(t, ep.anchor, ep.named)
			require.LessOrEqual(t, ep.anchor, ep.last)
			require.Less(t, revision, math.MaxInt32)
		}
		reloadEpisodes(t, c)
	})
}
