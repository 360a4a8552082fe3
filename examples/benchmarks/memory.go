//go:build unix

package main

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

// recordSizes is a case about the records that all rules keep of the principals
// of a larger account, with attacks, after so many days. As one, all events are
// a single principal's, who so does whatever anybody does.
func recordSizes(name string, days int, asOne bool) benchCase {
	return benchCase{name: name, start: func(string) (func() (result, error), error) {
		return func() (result, error) {
			set, err := newSet(0, false)
			if err != nil {
				return result{}, err
			}
			var store baseline.Memory
			engine, err := detect.NewEngine(set, &store, &detect.EngineOptions{Shards: 1})
			if err != nil {
				return result{}, err
			}
			ctx := context.Background()
			var r result
			var batch []*event.Event
			process := func() error {
				r.Events += len(batch)
				_, err := engine.Process(ctx, batch)
				batch = batch[:0]
				return err
			}
			a := account.New(&account.Options{Seed: 1, Days: days, Scale: 4, Attacks: true, Traps: true})
			for record := range a.Records() {
				e, err := event.Parse(record.JSON)
				if err != nil {
					return r, err
				}
				if asOne && detect.ByPrincipal.Key(e) != "" {
					e.Principal.Key = "everybody"
				}
				if batch = append(batch, e); len(batch) == batchSize {
					if err := process(); err != nil {
						return r, err
					}
				}
			}
			if err := process(); err != nil {
				return r, err
			}
			if err := engine.Flush(ctx); err != nil {
				return r, err
			}
			r.Sizes = sizesOf(&store)
			r.Sizes.Bound = int64(set.MaxBytes(detect.ByPrincipal))
			return r, nil
		}, nil
	}}
}

// sizesOf measures the records of principals.
func sizesOf(store *baseline.Memory) (s sizes) {
	var all []int64
	var sum int64
	for r := range store.All() {
		if scope, _, _ := strings.Cut(r.Key, "/"); scope == detect.ByPrincipal.Name {
			all = append(all, int64(len(r.Data)))
			sum += int64(len(r.Data))
		}
	}
	if len(all) == 0 {
		return s
	}
	slices.Sort(all)
	n := len(all)
	return sizes{Records: int64(n), Mean: sum / int64(n), P50: all[n/2], P99: all[n*99/100], Largest: all[n-1]}
}

// storedRecords is a case about the memory that so many principals' records
// need in a [baseline.Memory].
func (d detectCase) storedRecords(name string, targets ...target) benchCase {
	return benchCase{name: name, targets: targets, start: func(string) (func() (result, error), error) {
		set, err := newSet(0, false)
		if err != nil {
			return nil, err
		}
		p, err := newPopulation(set, d)
		if err != nil {
			return nil, err
		}
		ctx := context.Background()
		var store baseline.Memory
		for i := range p.copies {
			var records []baseline.Record
			for key := range p.seen {
				storeKey := detect.ByPrincipal.Name + "/" + p.name(key)[i]
				records = append(records, baseline.Record{Key: storeKey, Data: p.template(storeKey)})
			}
			if err := store.Save(ctx, records); err != nil {
				return nil, err
			}
		}
		return func() (result, error) {
			r := result{Sizes: sizesOf(&store)}
			debug.FreeOSMemory()
			r.Sizes.Resident = memoryOf("/proc/self/status", "VmRSS")
			return r, nil
		}, nil
	}}
}
