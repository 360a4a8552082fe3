package techniques_test

import (
	"cmp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// BenchmarkRecord is what it costs to have a profile in a store instead of in
// memory: reading records and writing them, of the fifth of the generated account's
// principals whose records are of middling size after three weeks, and of all.
// It reports the memory that a profile takes that was read, too.
func BenchmarkRecord(b *testing.B) {
	layout, records := habitRecords(b)
	n := len(records)
	for _, some := range []struct {
		name    string
		records [][]byte
	}{{"typical", records[n*2/5 : n*3/5]}, {"all", records}} {
		total := 0
		var profiles []*baseline.Profile
		for _, r := range some.records {
			p, err := layout.Decode(r)
			require.NoError(b, err)
			profiles = append(profiles, p)
			total += len(r)
		}
		size := float64(total) / float64(len(profiles))
		b.Run(some.name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				_, err := layout.Decode(some.records[i%len(some.records)])
				require.NoError(b, err)
			}
			b.ReportMetric(size, "record-B")
			b.ReportMetric(heapOf(b, layout, some.records), "heap-B")
		})
		b.Run(some.name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for i := range b.N {
				var err error
				buf, err = profiles[i%len(profiles)].AppendBinary(buf[:0])
				require.NoError(b, err)
			}
		})
	}
}

// habitRecords returns the records of the generated account's principals,
// smallest first.
func habitRecords(b *testing.B) (*baseline.Layout, [][]byte) {
	detectors, err := techniques.All(nil)
	require.NoError(b, err)
	var features []baseline.Feature
	for _, d := range detectors {
		info := d.Info()
		if info.Scope != nil {
			continue // not about principals
		}
		for _, f := range info.Uses {
			if !slices.Contains(features, f) {
				features = append(features, f)
			}
		}
	}
	layout, err := baseline.NewLayout(0, features...)
	require.NoError(b, err)
	profiles := make(map[string]*baseline.Profile)
	scratch := baseline.NewScratch()
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for r := range account.New(&account.Options{Seed: 1, Start: start, Days: 21}).Records() {
		e, err := event.Parse(r.JSON)
		require.NoError(b, err)
		key := e.Principal.Key
		if key == "" || e.Principal.Kind == event.Service {
			continue
		}
		if profiles[key] == nil {
			profiles[key] = layout.NewProfile()
		}
		profiles[key].FoldIn(scratch, e)
	}
	var records [][]byte
	for _, p := range profiles {
		r, err := p.AppendBinary(nil)
		require.NoError(b, err)
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b []byte) int { return cmp.Compare(len(a), len(b)) })
	return layout, records
}

// heapOf returns the bytes that a profile takes.
func heapOf(b *testing.B, layout *baseline.Layout, records [][]byte) float64 {
	var before, after runtime.MemStats
	profiles := make([]*baseline.Profile, max(1000, len(records)))
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range profiles {
		p, err := layout.Decode(records[i%len(records)])
		require.NoError(b, err)
		profiles[i] = p
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc) / float64(len(profiles))
	runtime.KeepAlive(profiles)
	return heap
}
