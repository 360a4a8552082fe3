//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// batchSize is how many events the engine is given at once.
const batchSize = 1024

// timedEvents is how many events a round measures.
const timedEvents = 64 * batchSize

// A detectCase is all that rules and principals can be varied in.
type detectCase struct {
	principals int
	rules      int  // 0 means all
	keyed      bool // only events that have a principal, without AWS's own
	typical    bool // only principals whose records are of middling size
	cache      int  // profiles in memory; 0 means all
	known      bool // the organisation is, too
}

// decoded is a case that detects in decoded events, as described in
// population.go.
func (d detectCase) decoded(name string, targets ...target) benchCase {
	return benchCase{name: name, targets: targets, start: func(string) (func() (result, error), error) { return d.start() }}
}

func (d detectCase) start() (func() (result, error), error) {
	ctx := context.Background()
	set, err := newSet(d.rules, d.known)
	if err != nil {
		return nil, err
	}
	p, err := newPopulation(set, d)
	if err != nil {
		return nil, err
	}
	cache := d.cache
	if cache == 0 {
		cache = 2*p.principals() + 1<<16 // as much again for the keys that are no principals
	}
	engine, err := detect.NewEngine(set, p, &detect.EngineOptions{Shards: 1, Cache: cache})
	if err != nil {
		return nil, err
	}
	events := make([]*event.Event, batchSize)
	for i := range events {
		events[i] = new(event.Event)
	}

	// process lets time go by, without the clock.
	process := func(until time.Time) error {
		for {
			n, err := p.fill(events, false, until)
			if err != nil || n == 0 {
				return err
			}
			if _, err := engine.Process(ctx, events[:n]); err != nil {
				return err
			}
		}
	}
	// First everybody's profile comes into the cache, and grows to the size that
	// it keeps: half a day goes by. If the cache is small, what is in it is
	// replaced a few times instead.
	slot := learnt.Add(12 * time.Hour)
	approach := process
	if d.cache > 0 {
		approach = p.skip
		err = p.skip(slot.Add(-2 * window))
	} else {
		err = preload(ctx, engine, p, events)
	}
	if err != nil {
		return nil, err
	}
	if err := process(slot); err != nil {
		return nil, err
	}

	began := cpu()
	runtime.GC()
	collection := cpu() - began
	debug.FreeOSMemory()
	var inUse runtime.MemStats
	runtime.ReadMemStats(&inUse)
	memory := sizes{
		PerPrincipal: int64(inUse.HeapAlloc) / max(1, engine.Stats().Profiles),
		Resident:     memoryOf("/proc/self/status", "VmRSS"),
		Peak:         memoryOf("/proc/self/status", "VmHWM"),
	}

	return func() (result, error) {
		if err := approach(slot); err != nil {
			return result{}, err
		}
		slot = slot.Add(50 * time.Minute) // every minute of an hour has its turn
		r := result{Sizes: memory}
		// A collection costs much and comes seldom. So none takes place here,
		// and each event pays its share of one.
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		before := engine.Stats()
		var allocated uint64
		for r.Events < timedEvents {
			n, err := p.fill(events, !d.keyed, time.Time{})
			if err != nil {
				return r, err
			}
			var m0, m1 runtime.MemStats
			runtime.ReadMemStats(&m0)
			began := cpu()
			found, err := engine.Process(ctx, events[:n])
			r.CPU += cpu() - began
			runtime.ReadMemStats(&m1)
			if err != nil {
				return r, err
			}
			r.Findings += len(found)
			r.Mallocs += m1.Mallocs - m0.Mallocs
			allocated += m1.TotalAlloc - m0.TotalAlloc
			r.Events += n
		}
		r.CPU += time.Duration(float64(collection) * float64(allocated) / float64(inUse.HeapAlloc))
		after := engine.Stats()
		r.Loads = after.Loads - before.Loads
		if n := after.Evaluated - before.Evaluated; n < int64(r.Events) {
			return r, fmt.Errorf("%d of %d events were evaluated", n, r.Events)
		}
		runtime.KeepAlive(engine)
		return r, nil
	}, nil
}

// preload brings everybody's profile into the cache, by an event that is too
// late to be learnt from.
func preload(ctx context.Context, engine *detect.Engine, p *population, events []*event.Event) error {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := 0
	for batch := range p.greetings(events) {
		if _, err := engine.Process(ctx, batch); err != nil {
			return err
		}
		done += len(batch)
		if sample := p.principals() / 50; done >= sample && done-len(batch) < sample {
			if err := enoughMemory(int64(before.HeapAlloc), p.principals(), done); err != nil {
				return err
			}
		}
	}
	return nil
}

// enoughMemory judges by a few profiles whether all of them fit.
func enoughMemory(before int64, principals, done int) error {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	available := memoryOf("/proc/meminfo", "MemAvailable")
	// Profiles grow a little, and the collector wants room.
	need := (int64(now.HeapAlloc) - before) / int64(done) * int64(principals) * 3 / 2
	if available > 0 && need > available*4/5 {
		return &errUnavailable{fmt.Sprintf("about %d GB of memory would be needed, and %d GB are free", need>>30, available>>30)}
	}
	return nil
}

// newSet returns so many of the shipped rules, evenly chosen; all of them for
// 0. If the organisation is known, so is where every address is.
func newSet(rules int, known bool) (*detect.Set, error) {
	var c *techniques.Config
	if known {
		c = organisation()
	}
	all, err := techniques.All(c)
	if err != nil {
		return nil, err
	}
	if rules > len(all) {
		return nil, errors.New("there are not so many rules")
	}
	if rules == 0 {
		rules = len(all)
	}
	var some []detect.Detector
	for i := range rules {
		some = append(some, all[(2*i+1)*len(all)/(2*rules)])
	}
	return detect.NewSet(some, nil)
}

// organisation is what the owner of the generated account could tell.
func organisation() *techniques.Config {
	o := account.New(nil).Organisation()
	return &techniques.Config{
		Networks:         o.Networks,
		VPCEndpoints:     o.VPCEndpoints,
		Accounts:         []string{o.AccountID, o.PartnerAccountID},
		SensitiveBuckets: o.SensitiveBuckets,
		PublicBuckets:    o.PublicBuckets,
		Scanners:         []techniques.Scanner{{Principal: o.Scanner, Networks: []netip.Prefix{o.ScannerNetwork}}},
		Reputation: func(ip netip.Addr) string {
			if ip == o.BadAddress {
				return "on a block list"
			}
			return ""
		},
		Locate: func(ip netip.Addr) techniques.Location {
			p := o.Locate(ip)
			return techniques.Location{ASN: p.ASN, Country: p.Country, City: p.City, Hosting: p.Hosting}
		},
	}
}
