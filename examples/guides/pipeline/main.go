// Command pipeline is the detection stage of a pipeline, complete: it takes log
// files one after the other, keeps what it learns in a folder, and prints
// findings as lines of JSON and, at the end, incidents. The guide embed.md goes
// through it.
//
//	go run ./examples/guides/pipeline -state FOLDER PATH...
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/customstore"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	state := flag.String("state", "", "`folder` to keep what is learnt in")
	config := flag.String("config", "", "JSON `file` that says what is known about the organisation")
	history := flag.String("history", "", "learn from the logs at this `path` first, without findings")
	flag.Parse()
	if *state == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(ctx, *state, *config, *history, flag.Args(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, state, config, history string, paths []string, out io.Writer) error {
	p, err := open(state, config, out)
	if err != nil {
		return err
	}
	if history != "" {
		if err := p.each(history, func(name string) error { return p.file(ctx, name, p.warm) }); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := p.each(path, func(name string) error { return p.file(ctx, name, p.detect) }); err != nil {
			return err
		}
	}
	return p.close()
}

// A pipeline takes in log files.
type pipeline struct {
	engine  *detect.Engine
	joiner  *incident.Joiner
	state   string
	out     io.Writer
	refused int // records that could not be read
}

// open makes the pipeline go on where the last one that had the folder stopped.
func open(state, config string, out io.Writer) (*pipeline, error) {
	var c techniques.Config
	if config != "" {
		text, err := os.ReadFile(config)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", config, err)
		}
	}
	detectors, err := techniques.All(&c)
	if err != nil {
		return nil, err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return nil, err
	}
	store, err := customstore.Open(filepath.Join(state, "baselines"))
	if err != nil {
		return nil, err
	}
	backoff := &detect.Backoff{Wait: wait, Report: func(attempt int, err error) {
		log.Printf("store, attempt %d: %v", attempt, err)
	}}
	engine, err := detect.NewEngine(set, store, &detect.EngineOptions{
		Updates: true, // the joiner wants to see findings go on
		Retry:   backoff.Retry,
	})
	if err != nil {
		return nil, err
	}
	joiner, err := incident.NewJoiner(nil)
	if err != nil {
		return nil, err
	}
	record, err := os.ReadFile(filepath.Join(state, "incidents"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := joiner.UnmarshalBinary(record); err != nil {
		return nil, err
	}
	return &pipeline{engine: engine, joiner: joiner, state: state, out: out}, nil
}

// wait waits, but not longer than the context lasts.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// each calls take with the log files at a path, in the order in which they were
// delivered. A pipeline that is told about new files does not need this.
func (p *pipeline) each(path string, take func(name string) error) error {
	var names []string
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".json.gz") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(delivered(a), delivered(b)) })
	for _, name := range names {
		if err := take(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// delivered returns the time in the name of one of CloudTrail's files:
// 111122223333_CloudTrail_eu-west-1_20260117T1415Z_p1IMaFR5MSvQWMsH.json.gz
func delivered(name string) string {
	if parts := strings.Split(filepath.Base(name), "_"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// file takes in one file. It returns without an error only when all of the file
// is on disk: then the message that announced it may be acknowledged. Otherwise
// the file can be given again, and what was evaluated counts as duplicate.
func (p *pipeline) file(ctx context.Context, name string, take func(context.Context, []*event.Event) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var batch event.Batch // copies: what Read yields is reused
	for e, err := range event.Read(f, &event.ReadOptions{Reuse: true}) {
		if bad := (*event.DecodeError)(nil); errors.As(err, &bad) {
			p.refused++ // one record; the next may be fine
			log.Printf("%s: %v", name, bad)
			continue
		}
		if err != nil {
			return err // the file could not be read to its end
		}
		batch.Add(e)
		if len(batch.Events()) == 2000 {
			if err := take(ctx, batch.Events()); err != nil {
				return err
			}
			batch.Reset()
		}
	}
	if err := take(ctx, batch.Events()); err != nil {
		return err
	}
	return p.engine.Flush(ctx)
}

// detect evaluates a batch. An error does not void the findings.
func (p *pipeline) detect(ctx context.Context, batch []*event.Event) error {
	findings, err := p.engine.Process(ctx, batch)
	for _, e := range batch {
		p.joiner.Observe(e)
	}
	for _, f := range findings {
		p.joiner.Add(f)
		if f.Revision == 0 || f.Raised {
			err = errors.Join(err, json.NewEncoder(p.out).Encode(f))
		}
	}
	return err
}

// warm learns from a batch. The joiner learns who obtained which key.
func (p *pipeline) warm(ctx context.Context, batch []*event.Event) error {
	for _, e := range batch {
		p.joiner.Observe(e)
	}
	return p.engine.Warm(ctx, batch)
}

// close prints the incidents that a person should know of, and keeps what the
// joiner knows.
func (p *pipeline) close() error {
	for _, in := range p.joiner.Incidents() {
		if in.Severity >= detect.Medium {
			fmt.Fprintf(p.out, "%s incident, score %d: %s\n", in.Severity, in.Score, in.Title)
		}
	}
	s := p.engine.Stats()
	fmt.Fprintf(p.out, "%d events: %d evaluated, %d duplicate, %d late, %d rejected; %d records refused\n",
		s.Events, s.Evaluated, s.Duplicate, s.Late, s.Rejected, p.refused)
	record, err := p.joiner.AppendBinary(nil)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.state, "incidents"), record, 0o600)
}
