package baseline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// In the steady state, when a key shows nothing new, folding and asking
// allocate nothing.
func TestQuietEventsDoNotAllocate(t *testing.T) {
	h := newHistory(t, every()...)
	for d := 1; d <= 20; d++ {
		for i := range 300 { // more than a record remembers ids
			h.add(on(d, "10:00:00").Add(time.Duration(i)*time.Second), fmt.Sprint(i%10))
		}
	}
	agents := make([]string, 10)
	for i := range agents {
		agents[i] = fmt.Sprint(i)
	}
	at := on(21, "10:00:00")
	events := make([]*event.Event, 4000)
	for i := range events {
		events[i] = newEvent(1<<20+i, at.Add(time.Duration(i)*time.Second), agents[i%10])
	}
	next := 0
	fold := func() {
		if h.profile.Fold(events[next]) != baseline.Evaluated {
			panic("not evaluated")
		}
		next++
	}
	for range 600 { // grow what grows once
		fold()
	}
	assert.Zero(t, testing.AllocsPerRun(1000, fold), "Fold")
	for _, f := range h.layout.Features() {
		var answer func()
		v := h.profile.View(events[next-1])
		switch f := f.(type) {
		case *baseline.Of[baseline.Novelty]:
			answer = func() { f.In(v); f.Age(v) }
		case *baseline.Of[baseline.Window]:
			answer = func() { f.In(v) }
		case *baseline.Of[baseline.Rates]:
			answer = func() { f.In(v).Past() }
		case *baseline.Of[baseline.Progress]:
			answer = func() { f.In(v) }
		case *baseline.Of[baseline.Absence]:
			answer = func() { f.In(v) }
		}
		assert.Zero(t, testing.AllocsPerRun(100, answer), f.ID())
	}
}

func BenchmarkFold(b *testing.B) {
	features := every()
	l, err := baseline.NewLayout(0, features...)
	require.NoError(b, err)
	const keys = 10_000
	profiles := make([]*baseline.Profile, keys)
	for i := range profiles {
		profiles[i] = l.NewProfile()
	}
	e := newEvent(0, on(1, "00:00:00"), "")
	agents := make([]string, 16)
	for i := range agents {
		agents[i] = fmt.Sprint("agent ", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e.ID = ids[i%len(ids)]
		e.Time = e.Time.Add(100 * time.Millisecond)
		e.UserAgent = agents[i%len(agents)]
		profiles[i%keys].Fold(e)
	}
	b.StopTimer()
	largest := 0
	for _, p := range profiles {
		record, err := p.AppendBinary(nil)
		require.NoError(b, err)
		largest = max(largest, len(record))
	}
	b.ReportMetric(float64(largest), "record-bytes")
}

// ids are the ids of a benchmark's events.
var ids = func() []string {
	list := make([]string, 1<<17)
	for i := range list {
		list[i] = newEvent(i, time.Time{}, "").ID
	}
	return list
}()
