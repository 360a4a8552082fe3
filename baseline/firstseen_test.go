package baseline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

func TestFirstSeen(t *testing.T) {
	tests := []struct {
		name    string
		options *baseline.FirstSeenOptions
		before  func(h *history)
		at      time.Time
		value   string
		want    baseline.Novelty
	}{
		{
			name:   "cold start: the first event of all is new",
			before: func(*history) {},
			at:     on(1, "10:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", New: true},
		},
		{
			name:   "an event without a value is not new",
			before: func(h *history) { h.daily(1, 20, "a") },
			at:     on(21, "10:00:00"), value: "",
			want: baseline.Novelty{Known: 1},
		},
		{
			name:   "seen again the same day, still new",
			before: func(h *history) { h.add(on(1, "09:00:00"), "a") },
			at:     on(1, "10:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", New: true},
		},
		{
			name:   "seen in the initial period: normal from the next day",
			before: func(h *history) { h.add(on(1, "09:00:00"), "a") },
			at:     on(2, "10:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", Days: 1, Known: 1, Unseen: 1.0 / 5},
		},
		{
			name:   "a day is not over until Lateness after midnight",
			before: func(h *history) { h.add(on(1, "09:00:00"), "a") },
			at:     on(2, "00:14:59"), value: "a",
			want: baseline.Novelty{Value: "a", New: true},
		},
		{
			name: "on probation: seen once after the initial period is not normal",
			before: func(h *history) {
				h.daily(1, 20, "a")
				h.add(on(21, "10:00:00"), "b")
			},
			at: on(22, "10:00:00"), value: "b",
			want: baseline.Novelty{Value: "b", New: true, Days: 1, Known: 1, Unseen: 1.0 / 25},
		},
		{
			name: "on probation: three days within less than the span",
			before: func(h *history) {
				h.daily(1, 20, "a")
				h.daily(21, 26, "b")
			},
			at: on(27, "10:00:00"), value: "b",
			want: baseline.Novelty{Value: "b", New: true, Days: 6, Known: 1},
		},
		{
			name: "on probation: the span is over, but it was seen on two days only",
			before: func(h *history) {
				h.daily(1, 20, "a")
				h.add(on(21, "10:00:00"), "b")
				h.add(on(28, "10:00:00"), "b")
			},
			at: on(28, "11:00:00"), value: "b",
			want: baseline.Novelty{Value: "b", New: true, Days: 1, Known: 1, Unseen: 1.0 / 25},
		},
		{
			name: "probation over: three days, seven days ago",
			before: func(h *history) {
				h.daily(1, 20, "a")
				h.daily(21, 23, "b")
			},
			at: on(28, "10:00:00"), value: "b",
			want: baseline.Novelty{Value: "b", Days: 3, Known: 2},
		},
		{
			name: "forgotten after Retain without being seen",
			before: func(h *history) {
				h.daily(1, 10, "a")
				h.daily(11, 41, "b")
			},
			at: on(41, "11:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", New: true, Known: 1},
		},
		{
			name: "seen on the last day of Retain",
			before: func(h *history) {
				h.daily(1, 10, "a")
				h.daily(11, 39, "b")
			},
			at: on(40, "10:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", Days: 2, Known: 2}, // of the last 32 days
		},
		{
			name:    "options: one day is enough",
			options: &baseline.FirstSeenOptions{Learn: day, Days: 1, Span: day},
			before: func(h *history) {
				h.daily(1, 3, "a")
				h.add(on(4, "10:00:00"), "b")
			},
			at: on(5, "10:00:00"), value: "b",
			want: baseline.Novelty{Value: "b", Days: 1, Known: 2, Unseen: 1.0 / 8},
		},
		{
			name: "unseen mass: every day shows a value that no other shows",
			before: func(h *history) {
				for d := 1; d <= 4; d++ {
					h.add(on(d, "10:00:00"), "a")
					h.add(on(d, "11:00:00"), fmt.Sprint("once ", d))
				}
			},
			at: on(5, "10:00:00"), value: "a",
			want: baseline.Novelty{Value: "a", Days: 4, Known: 5, Unseen: 0.5},
		},
		{
			name:   "unseen mass: today is left out",
			before: func(h *history) { h.daily(1, 4, "a"); h.add(on(5, "10:00:00"), "b") },
			at:     on(5, "10:01:00"), value: "a",
			want: baseline.Novelty{Value: "a", Days: 4, Known: 1},
		},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				f := baseline.FirstSeen("agent", agent, tt.options)
				h := newHistory(t, f)
				tt.before(h)
				if reload {
					h.reload()
				}
				got := f.In(h.add(tt.at, tt.value))
				assert.Equal(t, tt.want.Value, got.Value, "Value")
				assert.Equal(t, tt.want.New, got.New, "New")
				assert.Equal(t, tt.want.Days, got.Days, "Days")
				assert.Equal(t, tt.want.Known, got.Known, "Known")
				assert.InDelta(t, tt.want.Unseen, got.Unseen, 1e-9, "Unseen")
			})
		}
	}
}

func TestFirstSeenFloodKeepsWhatIsNormal(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 16})
	h := newHistory(t, f)
	var normal []string
	for i := range 12 { // three quarters of the room
		normal = append(normal, fmt.Sprint("normal ", i))
	}
	for d := 1; d <= 3; d++ {
		for _, v := range normal {
			h.add(on(d, "10:00:00"), v)
		}
	}
	for d := 4; d <= 20; d++ {
		for i := range 100 {
			h.add(on(d, "12:00:00"), fmt.Sprint("flood ", d, i))
		}
	}
	n := f.In(h.add(on(21, "10:00:00"), "stranger"))
	assert.True(t, n.New)
	for _, v := range normal {
		assert.True(t, n.Established(v), v)
	}
	assert.Greater(t, n.Unseen, 0.05)
}

// A key with more new values than there is room for forgets them, but not that
// they came.
func TestFirstSeenUnseenWhenFull(t *testing.T) {
	for _, each := range []int{2, 10, 100} { // a day; there is room for 16
		t.Run(fmt.Sprint(each), func(t *testing.T) {
			f := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 16})
			h := newHistory(t, f)
			for d := 1; d <= 25; d++ {
				h.add(on(d, "10:00:00"), "normal")
				for i := range each {
					h.add(on(d, "12:00:00"), fmt.Sprint("runner ", d, i))
				}
			}
			assert.InDelta(t, 25.0/29, f.In(h.add(on(26, "12:00:00"), "runner")).Unseen, 1e-9)
			for i := range each { // however many there already are today
				h.add(on(26, "12:00:00"), fmt.Sprint("runner 26", i))
			}
			assert.InDelta(t, 25.0/29, f.In(h.add(on(26, "12:00:00"), "runner")).Unseen, 1e-9)
			h.reload()
			assert.InDelta(t, 25.0/29, f.In(h.add(on(26, "12:00:01"), "runner")).Unseen, 1e-9, "the record has it")
			assert.Zero(t, f.In(h.add(on(60, "12:00:00"), "runner")).Unseen, "a month without")
		})
	}
}

// A flood of one day counts as one day with new values.
func TestFirstSeenUnseenAfterAFlood(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 16})
	h := newHistory(t, f)
	for d := 1; d <= 20; d++ {
		h.add(on(d, "10:00:00"), "normal")
	}
	for i := range 100 {
		h.add(on(21, "12:00:00"), fmt.Sprint("flood ", i))
	}
	assert.InDelta(t, 1.0/25, f.In(h.add(on(22, "10:00:00"), "stranger")).Unseen, 1e-9)
}

func TestFirstSeenExamples(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	h := newHistory(t, f)
	long := "arn:aws:iam::111122223333:role/" + strings.Repeat("x", 40) + "é"
	h.add(on(1, "10:00:00"), "b")
	h.add(on(1, "10:00:00"), "a")
	h.add(on(2, "10:00:00"), long)
	n := f.In(h.add(on(3, "10:00:00"), "new"))
	assert.Equal(t, []string{"…" + long[len(long)-29:], "a", "b"}, n.Examples(5), "latest first, long ones cut at the front")
	assert.Len(t, n.Examples(2), 2)
	assert.Empty(t, n.Examples(0))
	assert.False(t, n.Established("new"))
	assert.False(t, n.Established("never"))
	assert.True(t, n.Established("a"))

	var zero baseline.Novelty
	assert.Empty(t, zero.Examples(3))
	assert.False(t, zero.Established("a"))
}

func TestFirstSeenEach(t *testing.T) {
	f := baseline.FirstSeenEach("agents", func(list []string, e *event.Event) []string {
		if e.UserAgent == "" {
			return nil
		}
		return append(list, strings.Split(e.UserAgent, ",")...)
	}, nil)
	h := newHistory(t, f)
	h.add(on(1, "10:00:00"), "a,b,,c")
	assert.Equal(t, "a", f.In(h.add(on(2, "10:00:00"), "a,b")).Value, "nothing is new: the first")
	n := f.In(h.add(on(2, "10:00:00"), "a,x,y"))
	assert.Equal(t, "x", n.Value, "the first that is new")
	assert.True(t, n.New)
	assert.Empty(t, f.In(h.add(on(2, "10:00:00"), "")).Value)
}

// Values are judged by the day. Around midnight the order of arrival must not
// matter all the same.
func TestFirstSeenAroundMidnight(t *testing.T) {
	type folded struct {
		at    time.Time
		value string
	}
	tests := []struct {
		name   string
		before func(h *history)
		events []folded
	}{
		{
			name: "at the end of probation",
			before: func(h *history) {
				h.daily(1, 20, "a")
				h.daily(21, 22, "b")
			},
			events: []folded{{on(27, "23:58:00"), "b"}, {on(28, "00:05:00"), "b"}, {on(28, "00:12:00"), "b"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []byte
			for i, order := range [][]folded{tt.events, reversed(tt.events)} {
				h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
				tt.before(h)
				for _, e := range order {
					h.profile.Fold(newEvent(1000+e.at.Minute(), e.at, e.value))
				}
				record, err := h.profile.AppendBinary(nil)
				require.NoError(t, err)
				if i == 0 {
					want = record
					continue
				}
				assert.Equal(t, want, record, "the order leaves a trace")
			}
		})
	}
}

func reversed[T any](s []T) []T {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
