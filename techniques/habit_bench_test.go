//go:build unix

package techniques_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// BenchmarkHabit runs all rules, on one goroutine, over decoded events of many
// principals that do what they always do: the principals of the generated
// account, each of them many times, after three weeks of learning. It reports
// CPU time, the collector's included, for the machine may have other things to
// do, and the sizes of the records. CLOUDTELL_MILLION adds a run with a million
// principals, which needs some 20 GB.
func BenchmarkHabit(b *testing.B) {
	sizes := []int{10_000}
	if os.Getenv("CLOUDTELL_MILLION") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("principals=%d", n), func(b *testing.B) { benchmarkHabit(b, n) })
	}
}

// habitDays is how long the principals have been known when the clock starts.
const habitDays = 22

func benchmarkHabit(b *testing.B, principals int) {
	ctx := context.Background()
	var past, present []*event.Event // present: the two days that are replayed
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for r := range account.New(&account.Options{Seed: 1, Days: habitDays + 2}).Records() {
		e, err := event.Parse(r.JSON)
		require.NoError(b, err)
		if detect.ByPrincipal.Key(e) == "" {
			continue
		}
		if e.Time.Before(start.AddDate(0, 0, habitDays)) {
			past = append(past, e)
		} else {
			present = append(present, e)
		}
	}
	detectors, err := techniques.All(nil)
	require.NoError(b, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(b, err)

	store := &baseline.Memory{}
	engine, err := detect.NewEngine(set, store, &detect.EngineOptions{Shards: 1})
	require.NoError(b, err)
	for batch := range slices.Chunk(past, 4096) {
		_, err := engine.Process(ctx, batch)
		require.NoError(b, err)
	}
	require.NoError(b, engine.Flush(ctx))
	copies := multiply(b, store, principals)

	engine, err = detect.NewEngine(set, store, &detect.EngineOptions{Shards: 1, Cache: 1 << 21})
	require.NoError(b, err)
	last := make(map[string]*event.Event)
	for _, e := range slices.Concat(past, present) {
		last[e.Principal.Key] = e
	}
	for e := range replay(slices.Collect(maps.Values(last)), copies) { // an old event brings the profile into the cache
		old := e.Clone()
		old.Time = start
		_, err := engine.Process(ctx, []*event.Event{old})
		require.NoError(b, err)
	}
	next, stop := iter.Pull(replay(present, copies))
	defer stop()
	batch := make([]*event.Event, 4096)
	for i := range batch {
		batch[i] = new(event.Event)
	}
	process := func(n int) (found int, cpu time.Duration, mallocs uint64) {
		for i := range n {
			e, ok := next()
			if !ok {
				b.Fatal("out of events")
			}
			*batch[i] = e
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		spent := cpuTime(b)
		findings, err := engine.Process(ctx, batch[:n])
		spent = cpuTime(b) - spent
		runtime.ReadMemStats(&after)
		require.NoError(b, err)
		return len(findings), spent, after.Mallocs - before.Mallocs
	}
	for range 64 * principals / len(batch) { // everything that grows grows
		process(len(batch))
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var found int
	var cpu time.Duration
	var mallocs uint64
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(b.N-done, len(batch))
		f, t, m := process(n)
		found, cpu, mallocs, done = found+f, cpu+t, mallocs+m, done+n
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64(mallocs)/float64(b.N), "mallocs/event")
	b.ReportMetric(float64(found)/float64(b.N), "findings/event")
	b.ReportMetric(float64(memory.HeapAlloc)/float64(engine.Stats().Profiles)/1000, "heap-KB/profile")
	reportRecords(b, store, copies)
	runtime.KeepAlive(engine)
}

// multiply gives every principal's record to as many others that it makes so
// many of them, and returns how many of each that are.
func multiply(b *testing.B, store *baseline.Memory, principals int) int {
	var originals, more []baseline.Record
	for r := range store.All() {
		if strings.HasPrefix(r.Key, "principal/") {
			originals = append(originals, r)
		}
	}
	copies := principals / len(originals)
	for _, r := range originals {
		for i := 1; i < copies; i++ {
			more = append(more, baseline.Record{Key: fmt.Sprintf("%s#%d", r.Key, i), Data: r.Data})
		}
	}
	require.NoError(b, store.Save(context.Background(), more))
	return copies
}

// replay yields the events of so many copies of each principal, each copy's in
// the order of time: some events of the first copy, the same of the second, and
// so on, so that different events follow one another.
func replay(events []*event.Event, copies int) iter.Seq[event.Event] {
	names := make(map[string][]string)
	for _, e := range events {
		if names[e.Principal.Key] == nil {
			keys := []string{e.Principal.Key}
			for i := 1; i < copies; i++ {
				keys = append(keys, fmt.Sprintf("%s#%d", e.Principal.Key, i))
			}
			names[e.Principal.Key] = keys
		}
	}
	return func(yield func(event.Event) bool) {
		for some := range slices.Chunk(events, 64) {
			for i := range copies {
				for _, e := range some {
					c := *e
					c.Principal.Key = names[e.Principal.Key][i]
					if i > 0 {
						c.ID = fmt.Sprintf("%08x%s", i, e.ID[8:])
					}
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

func reportRecords(b *testing.B, store *baseline.Memory, copies int) {
	var sizes []int
	for r := range store.All() {
		if strings.HasPrefix(r.Key, "principal/") {
			sizes = append(sizes, len(r.Data))
		}
	}
	slices.Sort(sizes)
	b.ReportMetric(float64(sizes[len(sizes)/2]), "record-p50")
	b.ReportMetric(float64(sizes[len(sizes)*99/100]), "record-p99")
	b.ReportMetric(float64(sizes[len(sizes)-1]), "record-max")
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
