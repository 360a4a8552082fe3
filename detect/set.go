package detect

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// Errors of sets.
var (
	// ErrDetector says that a detector's Info is not acceptable.
	ErrDetector = errors.New("detect: bad detector")
	// ErrKey says that an event was given to the record of another key.
	ErrKey = errors.New("detect: event of another key")
)

// MaxRecordBytes is the most that the records of a set may need for one key.
const MaxRecordBytes = 1 << 20

// SetOptions configures a [Set]. Nil, and the zero value of every field, mean
// the defaults.
type SetOptions struct {
	// Lateness is how far behind its key's latest event an event may come and
	// still be evaluated, up to [baseline.MaxLateness]. Findings are exact for
	// events up to [baseline.Lateness] late. The default is baseline.Lateness.
	Lateness time.Duration
	// Suppressions lists the findings not to report. The default is none.
	Suppressions []Suppression
}

// A Set is detectors made ready to run together. It never changes, so any
// number of goroutines may use it.
type Set struct {
	infos        []Info
	suppressions []Suppression
	groups       []*group // one per scope
}

// A group is the detectors of one scope, which share a key's record.
type group struct {
	scope    *Scope
	layout   *baseline.Layout
	episodes *baseline.Of[struct{}]
	rules    []rule
	index    *event.Index

	conditions []*Condition // of the rules, each once
	tests      []test       // of the conditions
	gates      []gate       // of the rules
}

// A gate is what keeps most rules from being run. Gates lie together, because
// those of all rules are looked at for each event.
type gate struct {
	needs  uint64        // bits of conditions
	silent time.Duration // for so long it has nothing to say
}

type rule struct {
	detector  Detector
	info      Info
	hash      uint32
	quiet     time.Duration
	learnDays int
	ages      []ageing
}

// ageing is what [baseline.Of] answers whatever its type.
type ageing interface {
	Age(baseline.Viewer) baseline.Age
}

func isAgeing(f baseline.Feature) bool {
	_, ok := f.(ageing)
	return ok
}

// NewSet checks the detectors and puts them together. It returns an error that
// wraps [ErrDetector] unless every detector has a well-formed name of its own,
// a doc, a technique, a severity, valid event patterns, non-negative durations
// and a threshold in its own range, if any; [baseline.ErrFeature] if features cannot stand together; and an
// error if a key's record could exceed [MaxRecordBytes], or a suppression has
// no reason or no end.
func NewSet(detectors []Detector, o *SetOptions) (*Set, error) {
	if o == nil {
		o = &SetOptions{}
	}
	s := &Set{suppressions: o.Suppressions}
	for _, sup := range o.Suppressions {
		if sup.Reason == "" || sup.Expires.IsZero() {
			return nil, fmt.Errorf("detect: suppression of %q needs a reason and an expiry", sup.Rule)
		}
	}
	names := make(map[string]bool)
	hashes := make(map[uint32]string)
	for _, d := range detectors {
		if d == nil {
			return nil, fmt.Errorf("%w: nil", ErrDetector)
		}
		info := d.Info()
		if err := check(&info); err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrDetector, info.Name, err)
		}
		hash := uint32(baseline.Hash(info.Name) >> 32)
		if names[info.Name] || hashes[hash] != "" {
			return nil, fmt.Errorf("%w: two have the name %q", ErrDetector, info.Name)
		}
		names[info.Name], hashes[hash] = true, info.Name
		r := rule{detector: d, info: info, hash: hash, quiet: info.Quiet, learnDays: info.LearnDays}
		if r.quiet == 0 {
			r.quiet = 24 * time.Hour
		}
		if r.learnDays == 0 {
			r.learnDays = 3
		}
		for _, f := range info.Uses {
			if a, ok := f.(ageing); ok {
				r.ages = append(r.ages, a)
			}
		}
		s.infos = append(s.infos, info)
		g := s.group(info.scope())
		g.rules = append(g.rules, r)
	}
	scopes := make(map[string]bool)
	for _, g := range s.groups {
		if g.scope.Name == "" || g.scope.Key == nil || scopes[g.scope.Name] {
			return nil, fmt.Errorf("%w: scope %q has no name, no key, or the name of another", ErrDetector, g.scope.Name)
		}
		scopes[g.scope.Name] = true
		if err := g.compile(o.Lateness); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) group(scope *Scope) *group {
	for _, g := range s.groups {
		if g.scope == scope {
			return g
		}
	}
	g := &group{scope: scope, episodes: newEpisodesFeature()}
	s.groups = append(s.groups, g)
	return g
}

func (g *group) compile(lateness time.Duration) error {
	features := []baseline.Feature{g.episodes}
	patterns := make([][]string, len(g.rules))
	for i := range g.rules {
		patterns[i] = g.rules[i].info.Events
		needs, err := g.bits(g.rules[i].info.Conditions)
		if err != nil {
			return fmt.Errorf("%q: %w", g.rules[i].info.Name, err)
		}
		info := &g.rules[i].info
		gate := gate{needs: needs}
		if info.Cold == Silent {
			gate.silent = info.Learn
		}
		g.gates = append(g.gates, gate)
		for _, f := range g.rules[i].info.Uses {
			if !slices.Contains(features, f) {
				features = append(features, f)
			}
		}
	}
	var err error
	if g.layout, err = baseline.NewLayout(lateness, features...); err != nil {
		return fmt.Errorf("scope %q: %w", g.scope.Name, err)
	}
	if n := g.layout.MaxBytes(); n > MaxRecordBytes {
		return fmt.Errorf("%w: the features of scope %q may need %d bytes per key, over %d", ErrDetector, g.scope.Name, n, MaxRecordBytes)
	}
	if g.index, err = event.NewIndex(patterns...); err != nil {
		return fmt.Errorf("%w: %w", ErrDetector, err)
	}
	return nil
}

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	techniqueForm = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
)

func check(i *Info) error {
	switch {
	case !nameForm.MatchString(i.Name):
		return errors.New("the name is not lower-case words with hyphens")
	case i.Doc == "":
		return errors.New("no doc")
	case !techniqueForm.MatchString(string(i.Technique)):
		return fmt.Errorf("technique %q is not the id of an ATT&CK technique", i.Technique)
	case i.Severity == Silent || i.Severity > Critical || i.Cold > Critical:
		return errors.New("the severity is silent or unknown")
	case i.Quiet < 0 || i.Learn < 0 || i.LearnDays < 0 || i.LearnDays > 30:
		return errors.New("a duration is negative, or LearnDays is over 30")
	case i.Learn > 0 && !slices.ContainsFunc(i.Uses, isAgeing):
		return errors.New("it learns, but uses no feature that tells its age")
	case slices.Contains(i.Uses, nil):
		return errors.New("a feature is nil")
	}
	if t := i.Threshold; t != (Threshold{}) && (t.Of == "" || t.Min < 1 || t.Value < t.Min || t.Value > t.Max) {
		return fmt.Errorf("the threshold %d of %q is not from %d, above 0, to %d", t.Value, t.Of, t.Min, t.Max)
	}
	return nil
}

// Infos returns the infos of the set's detectors, in the order given.
func (s *Set) Infos() []Info { return slices.Clone(s.infos) }

// Scopes returns the scopes in use, in the order of their first detector. An
// engine keeps one record per scope and key.
func (s *Set) Scopes() []*Scope {
	var scopes []*Scope
	for _, g := range s.groups {
		scopes = append(scopes, g.scope)
	}
	return scopes
}

// MaxBytes is an upper bound of the size of a scope's records, in bytes; 0 for
// a scope that is not in use.
func (s *Set) MaxBytes(scope *Scope) int {
	for _, g := range s.groups {
		if g.scope == scope {
			return g.layout.MaxBytes()
		}
	}
	return 0
}

// Apply is detection as one step: it takes a key's record, empty for a new
// key, and the key's next events, reports findings, and returns the record to
// keep. It does no I/O, reads no clock and keeps no state, so it runs on any
// engine that keeps bytes by key.
//
// The events must all have the key, under the scope, of the first;
// [ErrKey] is returned otherwise. Events that the record has seen already, and
// late ones, are passed over. emit is called in the order of the events, with
// suppressed findings too, which say so.
//
// On an error the record returned is nil and the given one stands: findings
// already emitted have the same IDs when the step is taken again. A detector
// that panics does not stop the others; the panic is returned as a
// [*PanicError] together with the new record. If the scope's Key panics, that is a
// PanicError too, but there is no new record.
func (s *Set) Apply(scope *Scope, record []byte, events []*event.Event, emit func(Finding)) ([]byte, error) {
	g, err := s.groupOf(scope)
	if err != nil {
		return nil, err
	}
	profile, err := g.layout.Decode(record)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return record, nil
	}
	key := ""
	for i, e := range events {
		k, err := g.scope.Of(e)
		if i == 0 {
			key = k
		}
		if err != nil {
			return nil, err
		}
		if k == "" || k != key {
			return nil, fmt.Errorf("%w: %q in a step of %q", ErrKey, k, key)
		}
	}
	st := step{set: s, scratch: scratches.Get().(*baseline.Scratch), emit: func(f Finding) {
		f.detach()
		emit(f)
	}}
	defer func() {
		st.scratch.Clear()
		scratches.Put(st.scratch)
	}()
	for _, e := range events {
		st.detect(g, key, profile, e)
	}
	if record, err = profile.AppendBinary(nil); err != nil {
		return nil, errors.Join(err, st.err)
	}
	return record, st.err
}

// scratches are used again: one is far larger than what a step of a few events
// needs besides.
var scratches = sync.Pool{New: func() any { return baseline.NewScratch() }}

// groupOf returns the group of a scope; nil means [ByPrincipal], as in [Info].
func (s *Set) groupOf(scope *Scope) (*group, error) {
	scope = cmp.Or(scope, ByPrincipal)
	for _, g := range s.groups {
		if g.scope == scope {
			return g, nil
		}
	}
	return nil, fmt.Errorf("detect: scope %q is not in use", scope.Name)
}

// A step evaluates events one at a time. One goroutine owns it.
type step struct {
	set  *Set
	emit func(Finding)
	pass Pass
	err  error // the first panic

	firsts  bool // see Pass
	scratch *baseline.Scratch
}

// fold folds an event without running any rules.
func (st *step) fold(p *baseline.Profile, e *event.Event) baseline.Outcome {
	outcome := p.FoldIn(st.scratch, e)
	if f := st.scratch.Panicked(); f != nil {
		st.fail(&PanicError{Feature: f.Feature, EventID: strings.Clone(e.ID), Value: f.Value, Stack: f.Stack})
	}
	return outcome
}

// detect folds an event and runs the rules that want it.
func (st *step) detect(g *group, key string, p *baseline.Profile, e *event.Event) baseline.Outcome {
	outcome := st.fold(p, e)
	if outcome != baseline.Evaluated {
		return outcome
	}
	rules := g.index.Lookup(e)
	if len(rules) == 0 {
		return outcome
	}
	st.open(g, key, p, e)
	known, met := e.Time.Sub(p.First()), st.hold(g, st.pass.Event)
	for i := 0; i < len(rules); {
		i = st.runFrom(i, rules, g, known, met)
	}
	return outcome
}

// open makes the pass for an event that the profile has folded.
func (st *step) open(g *group, key string, p *baseline.Profile, e *event.Event) {
	st.pass = Pass{
		View:     *p.View(e),
		key:      key,
		profile:  p,
		scratch:  st.scratch,
		group:    g,
		emit:     st.emit,
		suppress: st.set.suppressions,
		checks:   st.pass.checks,
		firsts:   st.firsts,
	}
}

// close lets go of the event.
func (st *step) close() {
	st.pass = Pass{checks: st.pass.checks[:0]}
	st.scratch.Clear()
}

func (st *step) begin(r *rule) {
	st.pass.rule, st.pass.checks = r, st.pass.checks[:0]
	if st.pass.about.Key != "" {
		st.pass.about = event.Principal{}
	}
}

// runFrom runs rules that the event gets through to, from one of the given ones
// on up to one that panics, and returns which is to follow.
func (st *step) runFrom(at int, rules []int, g *group, known time.Duration, met uint64) (next int) {
	defer func() {
		if v := recover(); v != nil {
			st.panicked(&g.rules[rules[at]], v)
			next = at + 1
		}
	}()
	for ; at < len(rules); at++ {
		i := rules[at]
		// No feature knows the key for longer than the profile does: a rule that
		// is silent while it learns has nothing to say yet.
		if gate := &g.gates[i]; gate.needs&^met == 0 && known >= gate.silent {
			st.begin(&g.rules[i])
			g.rules[i].detector.Detect(&st.pass)
		}
	}
	return at
}

// panicked keeps that a rule panicked.
func (st *step) panicked(r *rule, v any) {
	st.fail(&PanicError{Rule: r.info.Name, EventID: strings.Clone(st.pass.Event.ID), Value: v, Stack: debug.Stack()})
}

// fail keeps the first panic.
func (st *step) fail(e *PanicError) {
	if st.err == nil {
		st.err = e
	}
}

// A PanicError says that a function which sets are made of panicked on an event.
// One of Rule, Feature and Scope says whose. If it is a detector's or a feature's,
// the event counts as evaluated: all other detectors ran, and all other features
// took it in. If it is a scope's Key, the event has no key there: an engine
// evaluates it in other scopes, and counts it as rejected.
type PanicError struct {
	Rule    string // the name of a detector
	Feature string // the ID of a feature
	Scope   string // the name of a scope
	EventID string
	Value   any    // what the function panicked with
	Stack   []byte // the goroutine's stack at that point
}

// Error implements error.
func (e *PanicError) Error() string {
	what, name := "rule", e.Rule
	switch {
	case e.Feature != "":
		what, name = "feature", e.Feature
	case e.Scope != "":
		what, name = "scope", e.Scope
	}
	return fmt.Sprintf("detect: %s %q panicked on event %s: %v", what, name, e.EventID, e.Value)
}

// OnlyPanics reports whether an error says nothing but that something panicked
// ([*PanicError]): then giving the same events again would be of no use. What else
// an [Engine] returns are errors of its store, which may be well later. Nil says
// nothing at all: false.
func OnlyPanics(err error) bool {
	switch e := err.(type) {
	case *PanicError:
		return true
	case interface{ Unwrap() error }:
		return OnlyPanics(e.Unwrap())
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(err error) bool { return !OnlyPanics(err) })
	}
	return false
}
