//go:build unix

// Cluster runs detection on several machines' worth of processes, breaks them,
// and compares what they found with what a single process finds:
//
//	go run . show      # three JetStream servers, workers; some of them die
//	go run . matrix    # everything that can die, one after the other
//	go run . bench     # events per second: in the process, JetStream, Kafka
//
// Servers and workers are processes of their own, started from this program, so
// that they can be killed. All listen on the loopback interface only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if child(os.Getenv(childEnv)) {
		return
	}
	short := flag.Bool("short", false, "matrix: only some of the cells")
	only := flag.String("cell", "", "matrix: only the cells with this in their name")
	events := flag.Int("events", 20_000, "bench: so many events")
	rounds := flag.Int("rounds", 3, "bench: measure so often, and take the best")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch flag.Arg(0) {
	case "show":
		err = show(ctx, os.Stdout)
	case "matrix":
		err = matrix(ctx, os.Stdout, *short, *only)
	case "bench":
		err = bench(ctx, os.Stdout, *events, *rounds)
	default:
		err = errors.New("usage: cluster [-short] [-cell name] [-events n] [-rounds n] show|matrix|bench")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// show runs a cell in which several things die, and tells the story.
func show(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "three JetStream servers, two workers; a worker and a server are killed -9 and come back")
	return report(ctx, out, cell{
		name: "show", kind: jetStream, servers: 3, at: "after save", n: 2,
		act: func(ctx context.Context, r *run) error {
			if err := killWorker(ctx, r); err != nil {
				return err
			}
			return killBroker(ctx, r)
		},
	})
}

// matrix runs the cells and prints a line for each.
func matrix(ctx context.Context, out io.Writer, short bool, only string) error {
	var errs []error
	start := time.Now()
	n := 0
	for _, c := range cells {
		if short && !c.short || !strings.Contains(c.name, only) {
			continue
		}
		n++
		errs = append(errs, report(ctx, out, c))
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Fprintf(out, "%d cells in %s\n", n, time.Since(start).Round(time.Second))
	return errors.Join(errs...)
}

func report(ctx context.Context, out io.Writer, c cell) error {
	o, err := c.run(ctx)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.name, err)
		fmt.Fprintf(out, "FAIL  %v\n", err)
		return err
	}
	fmt.Fprintf(out, "ok    %-52s %4d events, %2d alerts: none lost, no others, none twice (%d known by their ids as given again); %s\n",
		c.name, o.events, o.alerts, o.again, o.took.Round(100*time.Millisecond))
	return nil
}
