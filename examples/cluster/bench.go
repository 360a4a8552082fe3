//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

// A measured is what one way of detection took for all events.
type measured struct {
	name     string
	messages int64
	route    usage // into the queue
	detect   usage
}

// A usage is time that passed, and time this process computed.
type usage struct{ wall, cpu time.Duration }

func measure(f func() error) (usage, error) {
	begin, before := time.Now(), cpu()
	err := f()
	return usage{time.Since(begin), cpu() - before}, err
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for a bad argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// better keeps the lower of what two rounds took.
func (u *usage) better(v usage) {
	if u.wall == 0 || v.wall < u.wall {
		u.wall = v.wall
	}
	if u.cpu == 0 || v.cpu < u.cpu {
		u.cpu = v.cpu
	}
}

// bench measures the same records in the process and through queues: from text
// to findings, one worker on one goroutine. It goes through all ways in turns.
func bench(ctx context.Context, out io.Writer, n, rounds int) error {
	var log []string
	for r := range account.New(&account.Options{Attacks: true}).Records() {
		if len(log) == n {
			break
		}
		log = append(log, r.JSON)
	}
	set, err := newSet()
	if err != nil {
		return err
	}
	ways := []func() (measured, error){
		func() (m measured, err error) {
			m.name = "engine in the process"
			m.detect, err = measure(func() error { return evaluate(ctx, set, log) })
			return m, err
		},
		func() (measured, error) {
			m := workertest.NewMemory(partitions)
			return through(ctx, "worker, queue and store in memory", set, log, &connection{
				queue: m, sink: m, store: &baseline.Memory{},
				source: func(context.Context) (worker.Source, func(), error) { return m.Source(1024), func() {}, nil },
			})
		},
	}
	for _, c := range []cell{{kind: jetStream, servers: 1}, {kind: jetStream, servers: 3}, {kind: kafka, servers: 1, apart: true}} {
		ways = append(ways, func() (measured, error) { return served(ctx, c, set, log) })
	}
	rows := make([]measured, len(ways))
	for range rounds {
		for i, way := range ways {
			m, err := way()
			if err != nil {
				return err
			}
			rows[i].name, rows[i].messages = m.name, m.messages
			rows[i].route.better(m.route)
			rows[i].detect.better(m.detect)
		}
	}
	table(out, len(log), rows)
	return nil
}

func table(out io.Writer, n int, rows []measured) {
	fmt.Fprintf(out, "%d events\n\n", n)
	fmt.Fprintf(out, "| %-40s | messages | routed/s | detected/s | CPU µs/event | times |\n|---|--:|--:|--:|--:|--:|\n", "")
	rate := func(u usage) string {
		if u.wall == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(n)/u.wall.Seconds())
	}
	for _, r := range rows {
		fmt.Fprintf(out, "| %-40s | %8d | %8s | %10s | %12.1f | %5.2f |\n", r.name, r.messages, rate(r.route), rate(r.detect),
			float64(r.detect.cpu.Microseconds())/float64(n), rows[0].detect.wall.Seconds()/r.detect.wall.Seconds())
	}
}

// evaluate runs an engine of one shard.
func evaluate(ctx context.Context, set *detect.Set, log []string) error {
	en, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1})
	if err != nil {
		return err
	}
	for records := range slices.Chunk(log, 1000) {
		var events []*event.Event
		for _, r := range records {
			e, err := event.Parse(r)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		if _, err := en.Process(ctx, events); err != nil {
			return err
		}
	}
	return en.Flush(ctx)
}

// served measures a worker of this process with servers in others.
func served(ctx context.Context, c cell, set *detect.Set, log []string) (m measured, err error) {
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	r := &run{cell: c, dir: dir}
	defer r.end()
	if err := r.start(ctx); err != nil {
		return m, err
	}
	var conn *connection
	err = eventually(ctx, func() (bool, error) {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		conn, err = r.link.open(short, set)
		return err == nil, err
	})
	if err != nil {
		return m, err
	}
	defer conn.close()
	name := fmt.Sprintf("worker, %s of %d", c.kind, c.servers)
	if c.apart {
		name += ", records in JetStream"
	}
	return through(ctx, name, set, log, conn)
}

// through routes the log into a queue, and then has one worker empty it.
func through(ctx context.Context, name string, set *detect.Set, log []string, conn *connection) (m measured, err error) {
	m.name = name
	router, err := worker.NewRouter(set, conn.queue, partitions, nil)
	if err != nil {
		return m, err
	}
	m.route, err = measure(func() error {
		for records := range slices.Chunk(log, 1000) {
			if err := router.Route(ctx, "log", []byte(`{"Records":[`+strings.Join(records, ",")+`]}`)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	m.messages = router.Stats().Messages
	source, leave, err := conn.source(ctx)
	if err != nil {
		return m, err
	}
	defer leave()
	counted := &counting{Source: source, want: m.messages}
	w, err := worker.New(set, counted, conn.store, conn.sink, nil)
	if err != nil {
		return m, err
	}
	// Joining a group takes a while, and is not what is measured.
	if counted.first, err = source.Next(ctx); err != nil {
		return m, err
	}
	m.detect, err = measure(func() error { return w.Run(ctx) })
	if s := w.Stats(); err == nil && s.Applied != m.messages {
		err = errors.New("not every message was applied once")
	}
	return m, err
}

// counting is a source that ends when a number of messages has come.
type counting struct {
	worker.Source
	first      []worker.Message // delivered already
	want, have int64
}

func (c *counting) Next(ctx context.Context) ([]worker.Message, error) {
	if c.have >= c.want {
		return nil, io.EOF
	}
	batch := c.first
	c.first = nil
	if batch == nil {
		var err error
		if batch, err = c.Source.Next(ctx); err != nil {
			return nil, err
		}
	}
	c.have += int64(len(batch))
	return batch, nil
}
