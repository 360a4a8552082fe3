package baseline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

const day = baseline.Day

// on returns the time of a clock reading on a day; day 1 is a Monday.
func on(day int, clock string) time.Time {
	c, err := time.Parse("15:04:05", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 1, 4+day, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
}

// agent is the value that features under test remember.
func agent(e *event.Event) string { return e.UserAgent }

// A history is one key's profile, and a way to add events to it.
type history struct {
	t       testing.TB
	layout  *baseline.Layout
	profile *baseline.Profile
	events  int
}

func newHistory(t testing.TB, features ...baseline.Feature) *history {
	l, err := baseline.NewLayout(0, features...)
	require.NoError(t, err)
	return &history{t: t, layout: l, profile: l.NewProfile()}
}

// add folds an event of its own id and returns its view.
func (h *history) add(at time.Time, agent string) *baseline.View {
	h.t.Helper()
	h.events++
	e := newEvent(h.events, at, agent)
	require.Equal(h.t, baseline.Evaluated, h.profile.Fold(e))
	return h.profile.View(e)
}

// daily adds an event at ten o'clock on each of the days from first to last.
func (h *history) daily(first, last int, agent string) {
	h.t.Helper()
	for d := first; d <= last; d++ {
		h.add(on(d, "10:00:00"), agent)
	}
}

// reload saves and loads the profile.
func (h *history) reload() {
	h.t.Helper()
	h.profile = reloaded(h.t, h.layout, h.profile)
}

func reloaded(t testing.TB, l *baseline.Layout, p *baseline.Profile) *baseline.Profile {
	t.Helper()
	record, err := p.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(record), l.MaxBytes())
	q, err := l.Decode(record)
	require.NoError(t, err)
	again, err := q.AppendBinary(nil)
	require.NoError(t, err)
	require.Equal(t, record, again, "a record decoded encodes to the same bytes")
	return q
}

func newEvent(n int, at time.Time, agent string) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), Category: event.Management, Time: at,
		Source: "sts.amazonaws.com", Name: "GetCallerIdentity", Operation: "GetCallerIdentity", UserAgent: agent,
	}
}
