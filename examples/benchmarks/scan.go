//go:build unix

package main

import (
	"context"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// readFiles reads files one after the other and does nothing with them.
func readFiles(name string, open opener) benchCase {
	return fromFiles(name, func(paths []string) (n int, err error) {
		for _, path := range paths {
			if err := withFile(path, open.drain); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
}

// detectFiles reads files on so many cores, and runs all rules on their events:
// from files to findings, with nothing learnt before.
func detectFiles(name string, cores int) benchCase {
	c := fromFiles(name, func(paths []string) (n int, err error) {
		set, err := newSet(0, false)
		if err != nil {
			return 0, err
		}
		engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: cores})
		if err != nil {
			return 0, err
		}
		var batch []*event.Event
		for events, err := range inOrder(paths, cores) {
			if err != nil {
				return n, err
			}
			batch = batch[:0]
			for i := range events {
				batch = append(batch, &events[i])
			}
			if _, err := engine.Process(context.Background(), batch); err != nil {
				return n, err
			}
			n += len(events)
		}
		return n, nil
	})
	c.cores = cores
	return c
}

// detectEach runs all rules on each event as it is read, so that nothing of the
// event needs to be kept. A nil opener is event.Read's own.
func detectEach(name string, open opener) benchCase {
	o := &event.ReadOptions{Gzip: open, Reuse: true}
	return fromFiles(name, func(paths []string) (n int, err error) {
		set, err := newSet(0, false)
		if err != nil {
			return 0, err
		}
		engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1})
		if err != nil {
			return 0, err
		}
		for _, path := range paths {
			err := withFile(path, func(r io.Reader) error {
				for batch, err := range event.ReadBatches(r, o) {
					if err != nil {
						return err
					}
					if _, err := engine.Process(context.Background(), batch); err != nil {
						return err
					}
					n += len(batch)
				}
				return nil
			})
			if err != nil {
				return n, err
			}
		}
		return n, nil
	})
}

// fromFiles is a case that reads its files from the disk, or from what the
// system remembers of it.
func fromFiles(name string, work func(paths []string) (int, error)) benchCase {
	return benchCase{name: name, start: func(dir string) (func() (result, error), error) {
		paths, err := filesIn(dir)
		if err != nil {
			return nil, err
		}
		return func() (result, error) {
			events := 0
			r, err := timed(func() (err error) {
				events, err = work(paths)
				return err
			})
			r.Events = events
			r.Sizes.Peak = memoryOf("/proc/self/status", "VmHWM")
			return r, err
		}, nil
	}}
}

func withFile(path string, work func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return work(f)
}

// groupSize is how many bytes of files one goroutine reads at a time.
const groupSize = 256 << 10

// A batch is events in a row, or why there are no more.
type batch struct {
	events []event.Event
	err    error
}

// inOrder yields the events of files, in the order of the files. So many
// goroutines read, each some files at a time. Events may be used until the next
// are asked for.
func inOrder(paths []string, readers int) iter.Seq2[[]event.Event, error] {
	return func(yield func([]event.Event, error) bool) {
		type group struct {
			paths   []string
			batches chan batch // in their order; closed behind the last
		}
		jobs := make(chan group)
		order := make(chan group, readers) // so far may reading be ahead
		spare := make(chan []event.Event, 3*readers)
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			defer close(jobs)
			defer close(order)
			for rest := paths; len(rest) > 0; {
				g := group{firstOf(rest), make(chan batch, 1)}
				rest = rest[len(g.paths):]
				for _, to := range []chan group{order, jobs} {
					select {
					case to <- g:
					case <-stop:
						return
					}
				}
			}
		}()
		for range readers {
			go func() {
				for g := range jobs {
					readBatches(g.paths, spare, func(b batch) bool {
						select {
						case g.batches <- b:
							return true
						case <-stop:
							return false
						}
					})
					close(g.batches)
				}
			}()
		}
		for g := range order {
			for b := range g.batches {
				if !yield(b.events, b.err) || b.err != nil {
					return
				}
				select {
				case spare <- b.events[:0]:
				default:
				}
			}
		}
	}
}

// firstOf returns the first files, of groupSize together or a little more.
func firstOf(paths []string) []string {
	size := int64(0)
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil { // if not, opening it will tell
			size += info.Size()
		}
		if size >= groupSize {
			return paths[:i+1]
		}
	}
	return paths
}

// readBatches reads files and sends their events in batches, as long as that
// is wanted. Spare are those that are no longer used.
func readBatches(paths []string, spare <-chan []event.Event, send func(batch) bool) {
	room := func() []event.Event {
		select {
		case events := <-spare:
			return events
		default:
			return make([]event.Event, 0, batchSize)
		}
	}
	events := room()
	for _, path := range paths {
		wanted := true
		err := withFile(path, func(r io.Reader) error {
			for e, err := range event.Read(r, nil) {
				if err != nil {
					return err
				}
				if events = append(events, *e); len(events) == batchSize {
					if wanted = send(batch{events: events}); !wanted {
						return nil
					}
					events = room()
				}
			}
			return nil
		})
		if err != nil {
			send(batch{err: err})
		}
		if err != nil || !wanted {
			return
		}
	}
	send(batch{events: events})
}

// scanProgram builds examples/scan and runs it on the files.
func scanProgram(name string) benchCase {
	return benchCase{name: name, command: func(dir string) (*exec.Cmd, error) {
		program := filepath.Join(filepath.Dir(dir), "scan")
		if err := goBuild(program, "scan", ""); err != nil {
			return nil, err
		}
		cmd := exec.Command(program, "-quiet", dir)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		return cmd, nil
	}}
}
