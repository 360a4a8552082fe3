package detect_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// quietDetectors ask features of each kind and have nothing to report about a
// key that does what it always does.
func quietDetectors() []detect.Detector {
	burst := baseline.Distinct("agent", agent, 20, 10*time.Minute)
	calls := baseline.Rate("calls", func(*event.Event) int64 { return 1 }, time.Minute)
	learning := info("novel")
	learning.Learn = 7 * day
	return []detect.Detector{
		novel(agents, learning),
		detect.New(info("burst", burst), func(p *detect.Pass) {
			if w := burst.In(p); w.Count >= 15 {
				p.Report("", fmt.Sprint(w.Count))
			}
		}),
		detect.New(info("rate", calls), func(p *detect.Pass) {
			if r := calls.In(p); r.Now >= 1_000_000 && float64(r.Now) > 10*r.Past().Typical {
				p.Report("", fmt.Sprint(r.Now))
			}
		}),
	}
}

func TestQuietEventsDoNotAllocate(t *testing.T) {
	en := newEngine(t, newSet(t, quietDetectors()...), nil, &detect.EngineOptions{Shards: 1, Dedup: 64})
	names := []string{"a", "b", "c"}
	n := 0
	for d := 1; d <= 20; d++ {
		for i := range 300 {
			n++
			process(t, en, newEvent(n, on(d, "10:00:00").Add(time.Duration(i)*time.Second), "alice", names[i%3]))
		}
	}
	const batch = 100
	var batches [][]*event.Event
	for b := range 60 {
		var events []*event.Event
		for i := range batch {
			n++
			events = append(events, newEvent(n, on(21, "10:00:00").Add(time.Duration(b*batch+i)*time.Second), "alice", names[i%3]))
		}
		batches = append(batches, events)
	}
	run := func() {
		findings, err := en.Process(context.Background(), batches[0])
		if err != nil || len(findings) > 0 {
			panic(fmt.Sprint("not quiet: ", findings, err))
		}
		batches = batches[1:]
	}
	for range 8 { // grow what grows once
		run()
	}
	// A batch may cost a few allocations, an event none.
	assert.Less(t, testing.AllocsPerRun(40, run), float64(batch)/10)
	assert.Equal(t, int64(20*300+8*batch+41*batch), en.Stats().Evaluated)
}

func BenchmarkDetect(b *testing.B) {
	for _, detectors := range []int{3, 12} {
		b.Run(fmt.Sprintf("detectors=%d", detectors), func(b *testing.B) {
			list := quietDetectors()
			for i := range detectors - 3 {
				list = append(list, novel(agents, func() detect.Info {
					info := info(fmt.Sprint("novel-", i))
					info.Learn = 7 * day
					return info
				}()))
			}
			var store baseline.Memory
			en := newEngine(b, newSet(b, list...), &store, &detect.EngineOptions{Shards: 1})
			const keys = 10_000
			var events []*event.Event
			for i := range 4 * keys {
				at := on(1, "00:00:00").Add(time.Duration(i) * 25 * time.Second) // eleven days
				events = append(events, newEvent(i, at, fmt.Sprint("p", i%keys), fmt.Sprint("agent ", i%keys%7)))
			}
			require.NoError(b, en.Warm(context.Background(), events))
			b.ReportAllocs()
			b.ResetTimer()
			for done, round := 0, 1; done < b.N; round++ {
				for batch := range slices.Chunk(events, 2000) {
					b.StopTimer()
					for _, e := range batch { // the same calls, later
						e.Time = e.Time.Add(time.Duration(len(events)) * 25 * time.Second)
						e.ID = fmt.Sprintf("%08x%s", round, e.ID[8:])
					}
					b.StartTimer()
					_, err := en.Process(context.Background(), batch)
					require.NoError(b, err)
					if done += len(batch); done >= b.N {
						break
					}
				}
			}
			b.StopTimer()
			require.NoError(b, en.Flush(context.Background()))
			largest := 0
			for r := range store.All() {
				largest = max(largest, len(r.Data))
			}
			b.ReportMetric(float64(largest), "record-bytes")
		})
	}
}

// BenchmarkApply is a step of one event, as stream processors take them.
func BenchmarkApply(b *testing.B) {
	set := newSet(b, echo(info("echo", agents)))
	events := []*event.Event{newEvent(1, on(1, "10:00:00"), "alice", "a")}
	b.ReportAllocs()
	for b.Loop() {
		_, err := set.Apply(detect.ByPrincipal, nil, events, func(detect.Finding) {})
		require.NoError(b, err)
	}
}

// BenchmarkUpdates is a batch of a burst's events, each of which adds to a
// finding that names the last 64.
func BenchmarkUpdates(b *testing.B) {
	burst := baseline.Distinct("id", func(e *event.Event) string { return e.ID }, 64, 10*time.Minute)
	set := newSet(b, detect.New(info("burst", burst), func(p *detect.Pass) {
		w := burst.In(p)
		p.Report("", fmt.Sprintf("%d different calls", w.Count), detect.Evidence{Name: "calls", Observed: fmt.Sprint(w.Count), EventIDs: w.EventIDs()})
	}))
	en := newEngine(b, set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	events := make([]*event.Event, 1000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n += len(events) {
		b.StopTimer()
		for i := range events {
			events[i] = newEvent(n+i, on(1, "10:00:00").Add(time.Duration(n+i)*time.Second), "alice", "a")
		}
		b.StartTimer()
		_, err := en.Process(context.Background(), events)
		require.NoError(b, err)
	}
}
