package baseline_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

func TestDistinct(t *testing.T) {
	type at struct {
		clock string
		value string
	}
	tests := []struct {
		name   string
		window time.Duration
		before []at
		last   at
		want   []string
	}{
		{"cold start", time.Hour, nil, at{"10:00:00", "a"}, []string{"a"}},
		{"no value", time.Hour, []at{{"10:00:00", "a"}}, at{"10:00:00", ""}, []string{"a"}},
		{"the same value again counts once", time.Hour, []at{{"10:00:00", "a"}, {"10:01:00", "a"}}, at{"10:02:00", "a"}, []string{"a"}},
		{"different values", time.Hour, []at{{"10:00:00", "b"}, {"10:20:00", "c"}}, at{"10:40:00", "a"}, []string{"b", "c", "a"}},
		{"a value beyond the window is left out", time.Hour, []at{{"10:00:00", "a"}, {"10:30:00", "b"}}, at{"11:01:00", "c"}, []string{"b", "c"}},
		{"a value seen again counts as of then too", time.Hour, []at{{"10:00:00", "a"}, {"10:50:00", "a"}}, at{"11:30:00", "b"}, []string{"a", "b"}},
		{"the window never spans more than its length", time.Hour, []at{{"10:00:00", "a"}}, at{"11:00:00", "b"}, []string{"b"}},
		{"a late event stands in the best window that contains it", time.Hour,
			[]at{{"09:30:00", "a"}, {"10:20:00", "b"}, {"10:21:00", "c"}}, at{"10:10:00", "d"}, []string{"a", "d", "b", "c"}},
		{"a late event does not join what is too far apart", time.Hour,
			[]at{{"09:10:00", "a"}, {"10:20:00", "b"}, {"10:21:00", "c"}}, at{"10:08:00", "d"}, []string{"d", "b", "c"}},
		{"a short window", time.Minute, []at{{"10:00:00", "a"}, {"10:00:20", "b"}, {"10:00:40", "c"}}, at{"10:01:05", "d"}, []string{"b", "c", "d"}},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				f := baseline.Distinct("agent", agent, 20, tt.window)
				h := newHistory(t, f)
				for _, e := range tt.before {
					h.add(on(1, e.clock), e.value)
					if reload {
						h.reload()
					}
				}
				w := f.In(h.add(on(1, tt.last.clock), tt.last.value))
				assert.Equal(t, tt.want, w.Values())
				assert.Equal(t, len(tt.want), w.Count)
				assert.Len(t, w.EventIDs(), len(tt.want))
			})
		}
	}
}

func TestDistinctNamesTheLatestEvent(t *testing.T) {
	f := baseline.Distinct("agent", agent, 4, time.Hour)
	h := newHistory(t, f)
	first := h.add(on(1, "10:00:00"), "a").Event.ID
	late := h.add(on(1, "10:10:00"), "a").Event.ID
	h.add(on(1, "10:05:00"), "a")
	w := f.In(h.add(on(1, "10:06:00"), "a"))
	assert.Equal(t, []string{late}, w.EventIDs())
	assert.NotEqual(t, first, late)

	var zero baseline.Window
	assert.Empty(t, zero.Values())
	assert.Empty(t, zero.EventIDs())
}

// Ids of any form are taken; those that are no UUID and too long are left out.
func TestDistinctEventIDs(t *testing.T) {
	tests := []struct{ id, want string }{
		{"6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f51", "6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f51"},
		{"short-id", "short-id"},
		{"", ""},
		{"00000000-0000-0000-0000-000000000000", ""}, // no event has it
		{"6F1C2A52-3C1F-4ED0-9A5B-0D6B1F0F8F51", ""}, // not the form that AWS writes
		{"6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f-1", ""},
		{"------------------------------------", ""},
		{strings.Repeat("x", 16), ""},
		{strings.Repeat("x", 15), strings.Repeat("x", 15)},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			f := baseline.Distinct("agent", agent, 4, time.Hour)
			h := newHistory(t, f)
			e := newEvent(1, on(1, "10:00:00"), "a")
			e.ID = tt.id
			h.profile.Fold(e)
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			assert.Equal(t, want, f.In(h.profile.View(e)).EventIDs())
			h.reload()
			assert.Equal(t, want, f.In(h.profile.View(e)).EventIDs())
		})
	}
}

func TestDistinctKeepsTheLatestValues(t *testing.T) {
	f := baseline.Distinct("agent", agent, 10, time.Hour)
	h := newHistory(t, f)
	var w baseline.Window
	for i := range 1000 {
		w = f.In(h.add(on(1, "10:00:00").Add(time.Duration(i)*time.Second), fmt.Sprint(i)))
	}
	assert.Equal(t, 10, w.Count)
	assert.Equal(t, []string{"990", "991", "992", "993", "994", "995", "996", "997", "998", "999"}, w.Values())
}

// The largest answer that any event of a burst gets is the same in any order.
func TestDistinctInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, window := range []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour, day} {
		for range 50 {
			var events []*event.Event
			spread := int(min(window*2, baseline.Lateness) / time.Second)
			for i := range 12 {
				at := on(1, "23:55:00").Add(time.Duration(rng.IntN(spread)) * time.Second)
				events = append(events, newEvent(i+1, at, fmt.Sprint(rng.IntN(8))))
			}
			most := func() (count int) {
				f := baseline.Distinct("agent", agent, 20, window)
				h := newHistory(t, f)
				for _, e := range events {
					assert.Equal(t, baseline.Evaluated, h.profile.Fold(e))
					count = max(count, f.In(h.profile.View(e)).Count)
				}
				return count
			}
			want := most()
			for range 10 {
				rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				assert.Equal(t, want, most(), "window %v", window)
			}
		}
	}
}

func TestDistinctEach(t *testing.T) {
	f := baseline.DistinctEach("agents", func(list []string, e *event.Event) []string {
		return append(list, strings.Split(e.UserAgent, ",")...)
	}, 20, time.Hour)
	h := newHistory(t, f)
	w := f.In(h.add(on(1, "10:00:00"), "a,b,,c,a"))
	assert.Equal(t, []string{"a", "b", "c"}, w.Values())
	assert.Len(t, w.EventIDs(), 1, "one event, named once")
}

// Whatever comes, goes and is saved meanwhile, every value keeps its own label.
func TestValuesOfAllLengths(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	f := baseline.Distinct("agent", agent, 8, time.Hour)
	h := newHistory(t, f)
	var latest []string // as labels, oldest first
	for i := range 2000 {
		value := strings.Repeat(fmt.Sprint(i, "é"), 1+random.IntN(20))
		shown := value
		if len(value) > 32 {
			shown = strings.ToValidUTF8(value[len(value)-29:], "")
			shown = "…" + shown
		}
		if latest = append(latest, shown); len(latest) > 8 {
			latest = latest[1:]
		}
		w := f.In(h.add(on(1, "10:00:00").Add(time.Duration(i)*time.Millisecond), value))
		require.Equal(t, latest, w.Values())
		require.True(t, w.Contains(value))
		if random.IntN(5) == 0 {
			h.reload()
		}
	}
}
