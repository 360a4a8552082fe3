//go:build unix

// Storebench compares the stores of baselines with each other:
//
//	go run . engine     # what durability costs an engine with all rules
//	go run . queues     # the same through JetStream and Kafka, by examples/cluster
//	go run . records    # many records in each store: size and latency
//
// Several may be asked for in one run.
// It starts a Valkey or Redis and a PostgreSQL of its own, in a folder that it
// removes; those that are not installed are left out.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	var b bench
	flag.IntVar(&b.days, "days", 6, "engine: days of the generated account's log; the last third is measured")
	flag.IntVar(&b.scale, "scale", 1, "engine: size of the account")
	flag.IntVar(&b.batch, "batch", 4000, "engine: events to a batch, after each of which the engine flushes")
	flag.IntVar(&b.rounds, "rounds", 5, "engine: measure each store so often")
	flag.IntVar(&b.records, "records", 20_000, "records: how many")
	flag.IntVar(&b.size, "size", 1600, "records: bytes of each")
	flag.IntVar(&b.batches, "batches", 100, "records: how many batches are then loaded and saved, chosen at random")
	flag.Parse()
	runs := map[string]func(context.Context, []place) error{"engine": b.engine, "queues": queues, "records": b.fill}
	unknown := func(name string) bool { return runs[name] == nil }
	if flag.NArg() == 0 || slices.ContainsFunc(flag.Args(), unknown) {
		fmt.Fprintln(os.Stderr, "usage: storebench [flags] engine|queues|records …")
		flag.PrintDefaults()
		os.Exit(2)
	}
	places, stop, err := startAll()
	for _, name := range flag.Args() {
		if err == nil {
			err = runs[name](context.Background(), places)
		}
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "storebench:", err)
		os.Exit(1)
	}
}

// queues has examples/cluster measure, whose first line is an engine in process,
// too.
func queues(ctx context.Context, _ []place) error {
	c := exec.CommandContext(ctx, "go", "run", "github.com/cloudtell/cloudtell/examples/cluster", "bench")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	fmt.Println()
	return c.Run()
}

type bench struct{ days, scale, batch, rounds, records, size, batches int }

// A place is where stores of one kind can be opened, each of them empty.
type place struct {
	name string
	dir  string // what is on disk is in here
	open func(ctx context.Context, n int) (baseline.Store, error)
}

func closeStore(s baseline.Store) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// engine prints events per second with each store, and what they take of the
// process's own CPU time; the servers' is not in that. The first line is an
// engine that never flushes: detection in process, without a store to speak of.
func (b *bench) engine(ctx context.Context, places []place) error {
	events, err := b.events()
	if err != nil {
		return err
	}
	history, measured := events[:len(events)*2/3], events[len(events)*2/3:]
	inProcess := place{name: "in process, no flush", open: places[0].open}
	cases := append([]place{inProcess}, places...)
	walls, cpus := make(map[string][]float64), make(map[string][]float64)
	saves := make(map[string]int64)
	for round := range b.rounds {
		for _, c := range cases {
			wall, cpu, saved, err := b.run(ctx, c, round, history, measured, c.name != inProcess.name)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			n := float64(len(measured))
			walls[c.name] = append(walls[c.name], wall.Seconds()/n)
			cpus[c.name] = append(cpus[c.name], cpu.Seconds()/n)
			saves[c.name] = saved
		}
	}
	batches := (len(measured) + b.batch - 1) / b.batch
	fmt.Printf("\n%d events in %d batches, after %d of history; %s, %d rounds, median\n\n", len(measured), batches, len(history), runtime.Version(), b.rounds)
	fmt.Printf("| %-20s | %11s | %9s | %6s | %12s | %6s |\n|---|--:|--:|--:|--:|--:|\n", "store", "saves/batch", "events/s", "times", "CPU us/event", "times")
	wall, cpu := quantile(walls[inProcess.name], 0.5), quantile(cpus[inProcess.name], 0.5)
	for _, c := range cases {
		w, u := quantile(walls[c.name], 0.5), quantile(cpus[c.name], 0.5)
		fmt.Printf("| %-20s | %11.0f | %9.0f | %6.2f | %12.2f | %6.2f |\n", c.name, float64(saves[c.name])/float64(batches), 1/w, wall/w, u*1e6, cpu/u)
	}
	return nil
}

// run measures one engine on one store, with a warm cache.
func (b *bench) run(ctx context.Context, p place, n int, history, measured []*event.Event, flush bool) (wall, cpu time.Duration, saved int64, err error) {
	store, err := p.open(ctx, n)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, closeStore(store)) }()
	detectors, err := techniques.All(nil)
	if err != nil {
		return 0, 0, 0, err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	engine, err := detect.NewEngine(set, store, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	for batch := range slices.Chunk(history, b.batch) {
		if _, err := engine.Process(ctx, batch); err != nil {
			return 0, 0, 0, err
		}
	}
	if err := engine.Flush(ctx); err != nil {
		return 0, 0, 0, err
	}
	before := engine.Stats().Saves
	runtime.GC()
	start, used := time.Now(), cpuTime()
	for batch := range slices.Chunk(measured, b.batch) {
		if _, err := engine.Process(ctx, batch); err != nil {
			return 0, 0, 0, err
		}
		if !flush {
			continue
		}
		if err := engine.Flush(ctx); err != nil {
			return 0, 0, 0, err
		}
	}
	return time.Since(start), cpuTime() - used, engine.Stats().Saves - before, nil
}

// cpuTime returns the time that the process has used, on all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (b *bench) events() ([]*event.Event, error) {
	var events []*event.Event
	for r := range account.New(&account.Options{Days: b.days, Scale: b.scale, Attacks: true, Traps: true}).Records() {
		e, err := event.Parse(r.JSON)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// fill prints what many records take in each store, and how long batches do.
func (b *bench) fill(ctx context.Context, places []place) error {
	const batch = 1000
	fmt.Printf("\n%d records of %d bytes, in batches of %d; %s\n\n", b.records, b.size, batch, runtime.Version())
	fmt.Printf("| %-20s | %9s | %9s | %19s | %19s | %19s |\n|---|--:|--:|--:|--:|--:|\n",
		"store", "MB", "fill s", "new p50/p99 ms", "load p50/p99 ms", "save p50/p99 ms")
	for _, p := range places {
		store, err := p.open(ctx, b.rounds) // not one of engine's
		if err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(1, 2))
		start := time.Now()
		var created, loads, saves []float64
		timed := func(list *[]float64, f func() error) error {
			start := time.Now()
			err := f()
			*list = append(*list, float64(time.Since(start))/1e6)
			return err
		}
		for n := 0; n < b.records; n += batch {
			var records []baseline.Record
			for i := n; i < min(n+batch, b.records); i++ {
				records = append(records, baseline.Record{Key: key(i), Data: b.data(rng)})
			}
			if err := timed(&created, func() error { return store.Save(ctx, records) }); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		filled := time.Since(start)
		for range b.batches {
			chosen := make(map[string]bool)
			for len(chosen) < min(batch, b.records) {
				chosen[key(rng.IntN(b.records))] = true
			}
			keys := slices.Collect(maps.Keys(chosen))
			var records []baseline.Record
			if err := timed(&loads, func() (err error) { records, err = store.Load(ctx, keys); return err }); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			for i := range records {
				if records[i].Version == 0 || len(records[i].Data) != b.size {
					return fmt.Errorf("%s: %q is not as it was saved", p.name, records[i].Key)
				}
				records[i].Data = b.data(rng)
			}
			if err := timed(&saves, func() error { return store.Save(ctx, records) }); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		if err := closeStore(store); err != nil {
			return err
		}
		size := "-"
		if p.dir != "" {
			bytes, err := onDisk(p.dir)
			if err != nil {
				return err
			}
			size = fmt.Sprint(bytes / 1e6)
		}
		fmt.Printf("| %-20s | %9s | %9.1f | %19s | %19s | %19s |\n", p.name, size, filled.Seconds(), spread(created), spread(loads), spread(saves))
	}
	return nil
}

func key(i int) string {
	return fmt.Sprintf("principal/arn:aws:iam::%012d:role/service-%d", 111122223333+i%500, i)
}

// data returns bytes that do not compress, as the hashes in profiles do not.
func (b *bench) data(rng *rand.Rand) []byte {
	data := make([]byte, 0, b.size+8)
	for len(data) < b.size {
		data = binary.LittleEndian.AppendUint64(data, rng.Uint64())
	}
	return data[:b.size]
}

func spread(v []float64) string {
	return fmt.Sprintf("%.1f / %.1f", quantile(v, 0.5), quantile(v, 0.99))
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[int(q*float64(len(v)-1)+0.5)]
}

// missing says what is not measured.
func missing(name string) {
	fmt.Fprintln(os.Stderr, strings.TrimSpace(name), "is not installed: left out")
}
