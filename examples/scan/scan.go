package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
)

// batchSize is the number of events that detection takes at once.
const batchSize = 1024

// dedup is the number of ids by which the engine knows duplicates of busy keys.
// The sorter has dropped nearly all of them.
const dedup = 1 << 14

// maxSpent is the number of the sorter's batches that events on their way to
// detection may keep in memory.
const maxSpent = 256

// A scanner runs one scan.
type scanner struct {
	options  *options
	engine   *detect.Engine
	intake   *intake
	history  int      // files read for -warm
	copies   int64    // records dropped as exact copies, which the engine does not see
	problems notes    // of detection
	unlearnt notes    // verdicts of which nothing can be learnt
	rules    []string // names of all
	answered bool     // what -explain asks
	// arrived says when the events of the batch at hand were delivered, by id,
	// if the coverage is asked for.
	arrived map[string]time.Time
}

// scan does what the options say. Its error is one that ended the scan.
func scan(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) (status int, err error) {
	set, err := o.newSet()
	if err != nil {
		return 0, err
	}
	learnt := &baseline.Memory{}
	if o.baseline != "" {
		if err := learnt.Restore(o.baseline); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if o.output != "" { // what is there is lost only now, when the options have proved good
		file, createErr := os.Create(o.output)
		if createErr != nil {
			return 0, createErr
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		stdout = file
	}
	engine, err := detect.NewEngine(set, learnt, &detect.EngineOptions{Shards: o.shards, Dedup: dedup, Updates: true})
	if err != nil {
		return 0, err
	}
	s := &scanner{options: o, engine: engine, arrived: make(map[string]time.Time), intake: &intake{
		stdin: stdin,
		// A record from the future is a mistake, and would make all that follow
		// look late.
		options: event.ReadOptions{NotAfter: time.Now().Add(time.Hour)},
		lag:     o.lag,
	}}
	if o.coverage || o.navigator != "" || o.format == "html" {
		if s.intake.watch, err = coverage.New(set.Infos()); err != nil {
			return 0, err
		}
	}
	for _, info := range set.Infos() {
		s.rules = append(s.rules, info.Name)
	}
	stop := func() {}
	if !o.quiet && isTerminal(stderr) && !(o.forMachines() && isTerminal(stdout)) {
		stop = s.intake.progress.show(stderr)
		defer stop()
	}

	err = s.fold(ctx, o.warm, func(events []*event.Event) error {
		s.problem(engine.Warm(ctx, events))
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.history = s.intake.reading.files
	s.intake.foreign.findings = nil // of what is only learnt from, nothing is reported
	s.judge(ctx, o.verdicts)
	joiner, joined, err := newJoiner(ctx, o, learnt)
	if err != nil {
		return 0, fmt.Errorf("baseline %s: %w", o.baseline, err)
	}
	r := newReport(o, set.Infos(), joiner, stdout)
	detected := func(events []*event.Event) error {
		findings, problem := engine.Process(ctx, events)
		s.problem(problem)
		s.timed(findings)
		r.saw(events)
		return r.add(findings)
	}
	err = s.fold(ctx, o.paths, func(events []*event.Event) error {
		// An event is explained by what was known when it was evaluated.
		if i := s.asked(events); i >= 0 {
			if err := detected(events[:i+1]); err != nil {
				return err
			}
			if err := s.explain(ctx, events[i], stdout); err != nil {
				return err
			}
			events = events[i+1:]
		}
		return detected(events)
	})
	if err != nil {
		return 0, err
	}
	stop()
	if o.rules == nil { // otherwise these rules' findings only
		if err := r.add(s.intake.foreign.list()); err != nil {
			return 0, err
		}
	}
	r.unread = s.intake.reading.unread()
	r.suppressed = engine.Stats().Suppressed
	if s.intake.watch != nil {
		r.coverage = s.intake.watch.Report()
	}
	if err := r.close(); err != nil {
		return 0, err
	}
	s.problem(errors.Join(r.unwritten...))
	if err := s.reportCoverage(r, stdout); err != nil {
		return 0, err
	}
	if o.incidents != "" {
		if err := writeIncidents(o.incidents, r.incidents); err != nil {
			return 0, err
		}
	}
	// What was learnt is kept only once its findings are out: had they been
	// lost, another scan would not find them again.
	if o.baseline != "" {
		s.problem(engine.Flush(ctx)) // about some profiles; the others are there
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := keepIncidents(ctx, joiner, learnt, joined); err != nil {
			return 0, err
		}
		if err := learnt.Snapshot(o.baseline); err != nil {
			return 0, err
		}
	}
	return s.conclude(r, stderr), nil
}

// reportCoverage prints and writes what the options ask for.
func (s *scanner) reportCoverage(r *report, stdout io.Writer) error {
	if s.options.navigator != "" {
		if err := writeNavigator(s.options.navigator, r.coverage, r.byTechnique); err != nil {
			return err
		}
	}
	if !s.options.coverage || s.options.format == "html" { // the page has it
		return nil
	}
	return printCoverage(stdout, s.options.format, r.coverage)
}

// timed tells the coverage how late findings came: with the delivery of the
// last of their events that was.
func (s *scanner) timed(findings []detect.Finding) {
	for i := range findings {
		var last time.Time
		for _, id := range findings[i].EventIDs {
			if at := s.arrived[id]; at.After(last) {
				last = at
			}
		}
		if s.intake.watch != nil {
			s.intake.watch.Found(&findings[i], last)
		}
	}
}

// fold reads all that the paths name, puts it in order and gives it to process
// in batches, which are valid until process returns.
func (s *scanner) fold(ctx context.Context, paths []string, process func([]*event.Event) error) (err error) {
	if len(paths) == 0 {
		return nil
	}
	// The garbage collector lets memory grow to about twice what is in use, and
	// the rest of the scan uses some.
	sorter := newSorter(s.options.memory * 3 / 8)
	defer func() { err = errors.Join(err, sorter.close()) }()
	p := &s.intake.progress
	events := make([]*event.Event, 0, batchSize)
	next := func() error {
		if len(events) > 0 {
			if err := process(events); err != nil {
				return err
			}
			p.evaluated.Add(int64(len(events)))
			p.clock.Store(events[len(events)-1].Time.Unix())
		}
		clear(events)
		clear(s.arrived)
		events = events[:0]
		sorter.recycle()
		return ctx.Err()
	}
	take := func(before int64) error {
		for {
			e, ok, err := sorter.next(before)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if e.delivered > 0 {
				s.arrived[strings.Clone(e.event.ID)] = time.Unix(int64(e.delivered), 0)
			}
			if events = append(events, e.event); len(events) == batchSize {
				if err := next(); err != nil {
					return err
				}
			}
		}
		if len(sorter.spent) > maxSpent {
			for i, e := range events {
				events[i] = e.Clone()
			}
			sorter.recycle()
		}
		return nil
	}
	add := func(b *batch) error { return sorter.add(ctx, b) }
	if err := s.intake.read(ctx, paths, add, take); err != nil {
		return err
	}
	if err := take(math.MaxInt64); err != nil {
		return err
	}
	s.copies += sorter.duplicates
	return next()
}

// problem notes an error that does not end the scan; one note for each of
// several that are joined.
func (s *scanner) problem(err error) {
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.problems.add(strings.TrimSuffix(line, "\n"), "")
		}
	}
}

// conclude says on w how the scan went, and returns its exit status.
func (s *scanner) conclude(r *report, w io.Writer) int {
	c, stats := &s.intake.reading, s.engine.Stats()
	list := func(what string, n *notes) {
		if n.total == 0 {
			return
		}
		fmt.Fprintf(w, "%s\n", what)
		kept := n.first()
		for _, note := range kept {
			fmt.Fprintf(w, "  %s\n", clean(join(note.name, note.why)))
		}
		if more := n.total - len(kept); more > 0 {
			fmt.Fprintf(w, "  and %s more\n", digits(int64(more)))
		}
	}
	if !s.options.quiet {
		if s.options.forMachines() || s.options.output != "" {
			fmt.Fprintf(w, "%s; %s\n", r.headline(), r.scope())
		}
		fmt.Fprintf(w, "read %s from %s: %s evaluated, %s duplicate, %s late, %s rejected\n",
			count(c.records, "record"), count(int64(c.files), "file"), digits(stats.Evaluated),
			digits(stats.Duplicate+s.copies), digits(stats.Late), digits(stats.Rejected))
		if stats.Late > 0 {
			fmt.Fprintln(w, "late are events older than what was seen of the same principal before: in the baseline or -warm, or because they were delivered later than -lag allows")
		}
		list(fmt.Sprintf("learnt nothing from %s", count(int64(s.unlearnt.total), "verdict")), &s.unlearnt)
		list(fmt.Sprintf("skipped %s without a log", count(int64(c.skipped.total), "path")), &c.skipped)
	}
	list(count(int64(c.unreadable.total), "record")+" could not be read", &c.unreadable)
	list(count(int64(c.failed.total), "path")+" could not be read, or not to the end", &c.failed)
	list("detection had problems", &s.problems)
	unanswered := s.options.explain != "" && !s.answered
	if unanswered {
		fmt.Fprintf(w, "-explain: no event with the id %s was scanned\n", clean(s.options.explain))
	}

	nothing := r.events == 0 && r.findings == 0 && (c.files == s.history || c.unreadable.total > 0)
	if nothing {
		fmt.Fprintln(w, "no log was read")
	}
	switch {
	case nothing || unanswered || c.failed.total > 0 || s.problems.total > 0:
		return statusTrouble
	case r.failed:
		return statusFound
	}
	return statusDone
}
