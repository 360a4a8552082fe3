package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
)

// A report gathers findings and what there is to say about the whole scan. It
// depends on the distinct events alone: not on their files, their order or
// their copies.
type report struct {
	options *options
	printer printer
	joiner  *incident.Joiner

	quiet map[string]time.Duration   // by rule: how long a finding may grow
	open  map[string]*detect.Finding // by id: those that still may

	events      int64
	first, last time.Time
	principals  map[string]struct{} // without AWS services
	findings    int
	hidden      int // below -min-severity
	failed      bool
	reported    map[string]struct{} // ids of the findings
	bySeverity  [detect.Critical + 1]int
	byRule      map[string]int64
	byTechnique map[detect.Technique]int // a sub-technique counts for its parent, too
	byPrincipal map[string]*tally

	// What the end of the scan adds.
	incidents  []incident.Incident
	suppressed map[string]int64 // by rule
	unread     string           // what is missing, or ""
	coverage   *coverage.Report // if the options or the form ask for it
	unwritten  []error          // findings that the form has no place for
}

// A tally is what was found about one principal.
type tally struct {
	principal, name string
	findings        int
	worst           detect.Severity
	techniques      map[detect.Technique]bool
}

// A printer prints findings that do not change any more, in the order that the
// form asks for.
type printer interface {
	finding(detect.Finding) error
	close(*report) error
}

func newReport(o *options, infos []detect.Info, joiner *incident.Joiner, w io.Writer) *report {
	r := &report{
		options:     o,
		joiner:      joiner,
		quiet:       make(map[string]time.Duration),
		open:        make(map[string]*detect.Finding),
		principals:  make(map[string]struct{}),
		reported:    make(map[string]struct{}),
		byRule:      make(map[string]int64),
		byTechnique: make(map[detect.Technique]int),
		byPrincipal: make(map[string]*tally),
	}
	for _, info := range infos {
		r.quiet[info.Name] = cmp.Or(info.Quiet, 24*time.Hour)
	}
	r.printer = newPrinter(r, bufio.NewWriter(w))
	return r
}

// saw counts events.
func (r *report) saw(events []*event.Event) {
	if r.events == 0 && len(events) > 0 {
		r.first = events[0].Time
	}
	for _, e := range events {
		r.events++
		r.last = e.Time
		r.joiner.Observe(e)
		if e.Principal.Kind == event.Service {
			continue
		}
		if _, known := r.principals[e.Principal.Key]; !known {
			r.principals[strings.Clone(e.Principal.Key)] = struct{}{}
		}
	}
}

// add takes in findings and their later revisions, and prints those that
// cannot grow any more: later events would be new findings.
func (r *report) add(findings []detect.Finding) error {
	for _, f := range findings {
		r.open[f.ID] = &f
		r.joiner.Add(f)
	}
	return r.settle(func(f *detect.Finding) bool { return r.last.Sub(f.First) >= r.quiet[f.Rule] })
}

// close prints what is left, and the summary.
func (r *report) close() error {
	if err := r.settle(func(*detect.Finding) bool { return true }); err != nil {
		return err
	}
	r.incidents = r.worthTelling()
	return r.printer.close(r)
}

func (r *report) settle(done func(*detect.Finding) bool) error {
	var settled []detect.Finding
	for _, f := range r.open {
		if done(f) {
			settled = append(settled, *f)
		}
	}
	slices.SortFunc(settled, byTime)
	for _, f := range settled {
		delete(r.open, f.ID)
		r.count(&f)
		if f.Severity < r.options.minSeverity {
			r.hidden++
			continue
		}
		if err := r.printer.finding(f); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) count(f *detect.Finding) {
	r.findings++
	r.reported[f.ID] = struct{}{}
	r.bySeverity[f.Severity]++
	r.byRule[f.Rule]++
	if f.Technique != "" {
		r.byTechnique[f.Technique]++
	}
	if parent := f.Technique.Parent(); parent != f.Technique {
		r.byTechnique[parent]++
	}
	r.fails(f.Severity)
	t := r.byPrincipal[f.Principal]
	if t == nil {
		t = &tally{principal: f.Principal, name: f.PrincipalName, techniques: make(map[detect.Technique]bool)}
		r.byPrincipal[f.Principal] = t
	}
	t.findings++
	t.worst = max(t.worst, f.Severity)
	if f.Technique != "" {
		t.techniques[f.Technique.Parent()] = true
	}
}

// fails makes the scan fail if -fail-on says so of the severity of a finding or
// an incident.
func (r *report) fails(s detect.Severity) {
	r.failed = r.failed || r.options.failOn != detect.Silent && s >= r.options.failOn
}

func byTime(a, b detect.Finding) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}

func bySeverity(a, b detect.Finding) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), byTime(a, b))
}

// String says it in one line: "arn:…: 3 findings, up to high, T1078, T1552".
func (t *tally) String() string {
	s := fmt.Sprintf("%s: %s, up to %s", t.principal, count(int64(t.findings), "finding"), t.worst)
	for _, t := range slices.Sorted(maps.Keys(t.techniques)) {
		s += ", " + string(t)
	}
	return s
}

// tallies returns the principals found, those of most concern first.
func (r *report) tallies() []*tally {
	return slices.SortedFunc(maps.Values(r.byPrincipal), func(a, b *tally) int {
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(len(b.techniques), len(a.techniques)),
			cmp.Compare(b.findings, a.findings), cmp.Compare(a.principal, b.principal))
	})
}

// severities counts the findings in words: "1 critical, 2 high".
func (r *report) severities() string {
	var parts []string
	for s := detect.Critical; s > detect.Silent; s-- {
		if n := r.bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", digits(int64(n)), s))
		}
	}
	return strings.Join(parts, ", ")
}

// headline says in one line what was found.
func (r *report) headline() string {
	s := "no findings"
	if r.findings > 0 {
		s = count(int64(r.findings), "finding") + ": " + r.severities()
	}
	if r.hidden > 0 {
		s += fmt.Sprintf("; %s below %s not shown", digits(int64(r.hidden)), r.options.minSeverity)
	}
	return s
}

// scope says in one line what was scanned.
func (r *report) scope() string {
	if r.events == 0 {
		return "no events"
	}
	return fmt.Sprintf("%s from %s to %s, by %s", count(r.events, "event"), moment(r.first), moment(r.last),
		count(int64(len(r.principals)), "principal"))
}

// suppressions says in one line what was kept back, or "".
func (r *report) suppressions() string { return byName(r.suppressed) }

// byName writes counts in the order of their names: "a 1, b 2".
func byName(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, name+" "+digits(counts[name]))
	}
	return strings.Join(parts, ", ")
}
