package detecttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Run plays every *.txt file of fsys as a subtest, and every case of a file as
// a subtest of that: -run 'TestScenarios/userdata-bulk/near_miss' selects some.
// newDetectors makes the detectors for a case's config, nil without one; of
// them, only the scenario's rule runs.
func Run(t *testing.T, fsys fs.FS, newDetectors func(config []byte) ([]detect.Detector, error)) {
	t.Helper()
	files, err := fs.Glob(fsys, "*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("detecttest: no scenario files (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
			text, err := fs.ReadFile(fsys, file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(file, string(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range s.Cases {
				t.Run(c.Name, func(t *testing.T) {
					if err := c.Check(newDetectors); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// Check plays the case and returns an error that names every expectation that
// was not met and every finding that was not expected. The case runs twice, in
// an [detect.Engine] of one shard as a single batch and through
// [detect.Set.Apply] event by event, which must agree.
func (c *Case) Check(newDetectors func(config []byte) ([]detect.Detector, error)) error {
	detectors, err := newDetectors(c.Config)
	if err != nil {
		return fmt.Errorf("%s: make the detectors: %w", c.position(c.Line), err)
	}
	i := slices.IndexFunc(detectors, func(d detect.Detector) bool { return d.Info().Name == c.scenario.Rule })
	if i < 0 {
		return fmt.Errorf("%s: there is no rule %q", c.position(c.Line), c.scenario.Rule)
	}
	set, err := detect.NewSet(detectors[i:i+1], nil)
	if err != nil {
		return fmt.Errorf("%s: %w", c.position(c.Line), err)
	}
	findings, err := process(set, c.events)
	if err != nil {
		return fmt.Errorf("%s: %w", c.position(c.Line), err)
	}
	applied, err := apply(set, c.events, 1)
	if err != nil {
		return fmt.Errorf("%s: %w", c.position(c.Line), err)
	}
	applied = last(applied)
	if !reflect.DeepEqual(findings, applied) {
		return fmt.Errorf("%s: the engine and Set.Apply disagree; the engine found%s\nSet.Apply found%s",
			c.position(c.Line), describe(findings), describe(applied))
	}
	return c.compare(findings)
}

func (c *Case) position(line int) string { return fmt.Sprintf("%s:%d", c.scenario.Name, line) }

// process runs the events through an engine and returns the last revision of
// each finding, in the order of their first reports.
func process(set *detect.Set, events []*event.Event) ([]detect.Finding, error) {
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	if err != nil {
		return nil, err
	}
	findings, err := engine.Process(context.Background(), events)
	return last(findings), err
}

// records are the records of each scope, by key.
type records map[*detect.Scope]map[string][]byte

// apply runs the events through [detect.Set.Apply], each key in steps of so
// many events, and returns every revision of every finding.
func apply(set *detect.Set, events []*event.Event, step int) ([]detect.Finding, error) {
	return applyTo(set, make(records), events, step)
}

// applyTo is apply on existing records, which it updates.
func applyTo(set *detect.Set, kept records, events []*event.Event, step int) ([]detect.Finding, error) {
	var findings []detect.Finding
	for _, scope := range set.Scopes() {
		if kept[scope] == nil {
			kept[scope] = make(map[string][]byte)
		}
		var keys []string
		byKey := make(map[string][]*event.Event)
		for _, e := range events {
			if key := scope.Key(e); key != "" {
				if byKey[key] == nil {
					keys = append(keys, key)
				}
				byKey[key] = append(byKey[key], e)
			}
		}
		for _, key := range keys {
			for es := range slices.Chunk(byKey[key], step) {
				record, err := set.Apply(scope, kept[scope][key], es, func(f detect.Finding) {
					findings = append(findings, f)
				})
				if err != nil {
					return nil, err
				}
				kept[scope][key] = record
			}
		}
	}
	return findings, nil
}

// last keeps the last revision of each finding, without the suppressed ones.
func last(findings []detect.Finding) []detect.Finding {
	byID := make(map[string]detect.Finding)
	for _, f := range findings {
		if known, ok := byID[f.ID]; f.Suppressed == "" && (!ok || f.Revision > known.Revision) {
			byID[f.ID] = f
		}
	}
	var kept []detect.Finding
	for _, f := range byID {
		kept = append(kept, f)
	}
	slices.SortFunc(kept, func(a, b detect.Finding) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return kept
}

// compare pairs expectations and findings one to one.
func (c *Case) compare(findings []detect.Finding) error {
	var wanted []*expectation
	for _, x := range c.expectations {
		for range x.count {
			wanted = append(wanted, x)
		}
	}
	keys := c.keys()
	met := pair(len(wanted), len(findings), func(i, j int) bool {
		return wanted[i].matches(&findings[j], keys[wanted[i].by])
	})
	var errs []error
	var unmet *expectation
	for i, x := range wanted {
		if met[i] < 0 && x != unmet { // once for each line
			unmet = x
			errs = append(errs, fmt.Errorf("%s: not found: %s", c.position(x.line), x))
		}
	}
	var unexpected []detect.Finding
	for j, f := range findings {
		if !slices.Contains(met, j) {
			unexpected = append(unexpected, f)
		}
	}
	if len(unexpected) > 0 {
		errs = append(errs, fmt.Errorf("%s: not expected:%s", c.position(c.Line), describe(unexpected)))
	}
	if len(errs) > 0 && len(findings) > len(unexpected) {
		errs = append(errs, fmt.Errorf("the other findings were expected"))
	}
	return errors.Join(errs...)
}

// keys returns the keys that each expected principal has in the case: that of
// its plain calls, and those of its calls as they stand in the case.
func (c *Case) keys() map[*principal][]string {
	keys := make(map[*principal][]string)
	for _, x := range c.expectations {
		probe := call{by: x.by, service: "sts", name: "GetCallerIdentity", region: "us-east-1"}
		if record, err := probe.record(DayOne, 1, 1, "probe"); err == nil {
			if e, err := event.Parse(record); err == nil {
				keys[x.by] = append(keys[x.by], e.Principal.Key)
			}
		}
	}
	for i, by := range c.callers {
		if e := c.events[i]; keys[by] != nil && !slices.Contains(keys[by], e.Principal.Key) {
			keys[by] = append(keys[by], e.Principal.Key)
		}
	}
	return keys
}

func (x *expectation) matches(f *detect.Finding, keys []string) bool {
	return f.Severity == x.severity &&
		slices.Contains(keys, f.Principal) &&
		(x.subject == nil || *x.subject == f.Subject) &&
		strings.Contains(f.Title, x.title) &&
		(x.events == 0 || x.events == len(f.EventIDs)) &&
		(x.day == 0 || x.day == dayNumber(f.Time))
}

// String says the expectation in the words of the language.
func (x *expectation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s by %s", x.severity, x.by.name)
	if x.subject != nil {
		fmt.Fprintf(&b, " subject %q", *x.subject)
	}
	if x.events > 0 {
		fmt.Fprintf(&b, " events %d", x.events)
	}
	if x.title != "" {
		fmt.Fprintf(&b, " title %q", x.title)
	}
	if x.day > 0 {
		fmt.Fprintf(&b, " on day %d", x.day)
	}
	if x.count > 1 {
		fmt.Fprintf(&b, " count %d", x.count)
	}
	return b.String()
}

func dayNumber(t time.Time) int { return int(t.Sub(DayOne)/baseline.Day) + 1 }

// describe lists findings for a person to read.
func describe(findings []detect.Finding) string {
	if len(findings) == 0 {
		return " nothing"
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\n  %s %s by %s (%s) subject %q events %d on day %d at %s\n    %s",
			f.Severity, f.Rule, f.Principal, f.PrincipalName, f.Subject, len(f.EventIDs),
			dayNumber(f.Time), f.Time.Format(time.TimeOnly), f.Title)
		for _, ev := range f.Evidence {
			fmt.Fprintf(&b, "\n    %s: %s", ev.Name, ev.Observed)
			if ev.Expected != "" {
				fmt.Fprintf(&b, "; expected: %s", ev.Expected)
			}
		}
		fmt.Fprintf(&b, "\n    %s", f.Learned)
	}
	return b.String()
}

// pair matches n things with m others, as many as can be matched one to one,
// and returns for each of the n its partner or -1. It is Kuhn's algorithm:
// a thing takes the partner of another one that can find a new partner.
func pair(n, m int, fits func(i, j int) bool) []int {
	partner := make([]int, m) // of each of the m
	for j := range partner {
		partner[j] = -1
	}
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool {
		for j := range m {
			if tried[j] || !fits(i, j) {
				continue
			}
			tried[j] = true
			if partner[j] < 0 || place(partner[j], tried) {
				partner[j] = i
				return true
			}
		}
		return false
	}
	for i := range n {
		place(i, make([]bool, m))
	}
	result := make([]int, n)
	for i := range result {
		result[i] = slices.Index(partner, i)
	}
	return result
}
