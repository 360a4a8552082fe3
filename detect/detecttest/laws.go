package detecttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest/stream"
)

// A law is what every detector keeps, whatever it looks for.
type law struct {
	name, sentence string
	holds          func(tr *trial, events []*event.Event) error
}

var laws = []law{
	{"Frozen", "saving and loading a profile between any two events changes nothing", frozen},
	{"Alone", "a key's findings do not depend on other keys", alone},
	{"Sharded", "n goroutines give the findings of one", sharded},
	{"Shuffled", "delivery out of order within the allowed lateness loses and adds no episode", shuffled},
	{"Duplicated", "a record delivered again changes nothing", duplicated},
	{"Bounded", "50,000 hostile values never take a record over MaxBytes, nor findings over theirs", bounded},
	{"Untouched", "a detector never modifies or keeps the event", untouched},
	{"Resumed", "after a crash, the last saved records and a replay from there give the same findings", resumed},
	{"Clock", "the same run at another time gives the same findings", clock},
	{"Joined", "a feature added to old records starts cold", joined},
	{"Accounted", "events in = evaluated + duplicate + late + rejected, at every moment", accounted},
}

// TestDetector holds detectors to the contract of [detect.Detector] and to the
// laws of the package, on the given events and on streams made of them:
// recombined, out of order, with duplicates, among other keys, and as a flood
// of hostile values. It returns an error that names each law that was broken,
// or nil. The events should make the detectors report, and should have been
// decoded from CloudTrail records, so that others can be made of them.
//
// The streams are random but the same in every run. The laws Sharded and
// Alone find more under the race detector.
func TestDetector(detectors []detect.Detector, events []*event.Event) error {
	tr, err := newTrial(detectors, events)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range laws {
		errs = append(errs, tr.check(l))
	}
	return errors.Join(errs...)
}

// Laws is [TestDetector] with a subtest for each law. Besides, it runs the
// detectors under another wall clock.
func Laws(t *testing.T, detectors []detect.Detector, events []*event.Event) {
	t.Helper()
	tr, err := newTrial(detectors, events)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			if l.name == "Clock" {
				tr.elsewhen = func(f func()) { synctest.Test(t, func(*testing.T) { f() }) }
			}
			if err := tr.check(l); err != nil {
				t.Error(err)
			}
		})
	}
}

// A trial is detectors on trial, and the streams they are tried on.
type trial struct {
	detectors []detect.Detector
	set       *detect.Set
	given     []*event.Event
	random    []*event.Event
	// elsewhen runs a function under another wall clock; nil if that cannot be
	// done.
	elsewhen func(func())
}

func newTrial(detectors []detect.Detector, events []*event.Event) (*trial, error) {
	for _, d := range detectors {
		if !reflect.DeepEqual(d.Info(), d.Info()) {
			return nil, fmt.Errorf("detector %q: Info does not return the same value every time", d.Info().Name)
		}
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, errors.New("detecttest: no events to try the detectors on")
	}
	given := slices.Clone(events)
	slices.SortStableFunc(given, func(a, b *event.Event) int { return a.Time.Compare(b.Time) })
	return &trial{detectors: detectors, set: set, given: given, random: stream.Recombine(newRand(), given)}, nil
}

// newRand returns a source of the same numbers in every run.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(2026, 11)) }

func (tr *trial) check(l law) error {
	if err := l.holds(tr, clones(tr.given)); err != nil {
		return fmt.Errorf("%s: %s: on the given events: %w", l.name, l.sentence, err)
	}
	if l.name == "Bounded" {
		return nil // it floods with the same kinds of events
	}
	if err := l.holds(tr, clones(tr.random)); err != nil {
		return fmt.Errorf("%s: %s: on events recombined at random: %w", l.name, l.sentence, err)
	}
	return nil
}

// clones returns events of their own, so that a law that a detector breaks does
// not spoil the next one, nor the caller's events.
func clones(events []*event.Event) []*event.Event {
	own := make([]*event.Event, len(events))
	for i, e := range events {
		own[i] = e.Clone()
	}
	return own
}

func frozen(tr *trial, events []*event.Event) error {
	want, err := apply(tr.set, events, len(events))
	if err != nil {
		return err
	}
	got, err := apply(tr.set, events, 1)
	if err != nil {
		return err
	}
	return differ(want, "without saving", got, "saved and loaded at each event")
}

func alone(tr *trial, events []*event.Event) error {
	mixed := stream.AmongOthers(newRand(), events)
	want, err := apply(tr.set, mixed, len(mixed))
	if err != nil {
		return err
	}
	got, err := tr.process(mixed)
	if err != nil {
		return err
	}
	return differ(want, "each key alone", got, "all keys together")
}

func sharded(tr *trial, events []*event.Event) error {
	mixed := stream.AmongOthers(newRand(), events)
	want, err := tr.processBatches(mixed, 1)
	if err != nil {
		return err
	}
	each, err := tr.process(mixed)
	if err != nil {
		return err
	}
	if err := differ(last(want), "a batch", last(each), "each event alone"); err != nil {
		return err
	}
	for _, shards := range []int{2, 8} {
		got, err := tr.processBatches(mixed, shards)
		if err != nil {
			return err
		}
		if err := differ(want, "one goroutine", got, fmt.Sprintf("%d goroutines", shards)); err != nil {
			return err
		}
	}
	return nil
}

func shuffled(tr *trial, events []*event.Event) error {
	inOrder, err := tr.process(events)
	if err != nil {
		return err
	}
	rng := newRand()
	for range 4 {
		outOfOrder, err := tr.process(stream.Shuffle(rng, events, baseline.Lateness))
		if err != nil {
			return err
		}
		if err := tr.sameEpisodes(inOrder, outOfOrder); err != nil {
			return err
		}
	}
	return nil
}

// sameEpisodes compares the episodes of two runs. Their beginnings may differ
// by the lateness, and so may their ends; a report at the very end of an
// episode may therefore begin the next one in one run and not in the other.
func (tr *trial) sameEpisodes(inOrder, outOfOrder []detect.Finding) error {
	const manySubjects = "many"
	quiet := make(map[string]time.Duration)
	for _, i := range tr.set.Infos() {
		quiet[i.Name] = i.Quiet
		if i.Quiet == 0 {
			quiet[i.Name] = baseline.Day
		}
	}
	a, b := last(inOrder), last(outOfOrder)
	crowded := make(map[[2]string]bool) // which subjects are named in a flood depends on the order
	for _, f := range slices.Concat(a, b) {
		if f.Subject == manySubjects {
			crowded[[2]string{f.Rule, f.Key}] = true
		}
	}
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= baseline.Lateness }
	missing := func(these, those []detect.Finding) []detect.Finding {
		return slices.DeleteFunc(slices.Clone(these), func(f detect.Finding) bool {
			return slices.ContainsFunc(those, func(g detect.Finding) bool {
				if f.Rule != g.Rule || f.Scope != g.Scope || f.Key != g.Key {
					return false
				}
				if crowded[[2]string{f.Rule, f.Key}] {
					return true
				}
				return f.Subject == g.Subject && (near(f.First, g.First) || near(f.First, g.First.Add(quiet[g.Rule])))
			})
		})
	}
	if lost := missing(a, b); len(lost) > 0 {
		return fmt.Errorf("lost:%s", describe(first(lost)))
	}
	if added := missing(b, a); len(added) > 0 {
		return fmt.Errorf("added:%s", describe(first(added)))
	}
	return nil
}

func duplicated(tr *trial, events []*event.Event) error {
	want, err := tr.process(events)
	if err != nil {
		return err
	}
	got, err := tr.process(stream.Duplicate(newRand(), events))
	if err != nil {
		return err
	}
	return differ(want, "each record once", got, "some records again")
}

func bounded(tr *trial, events []*event.Event) error {
	for _, scope := range tr.set.Scopes() {
		if err := tr.flood(scope, events); err != nil {
			return err
		}
	}
	return nil
}

// subjectsPerQuiet is the number of findings that a rule may report about one
// key within its quiet interval: about twenty subjects, and all others.
const subjectsPerQuiet = 21

func (tr *trial) flood(scope *detect.Scope, events []*event.Event) error {
	const (
		size  = 50_000
		batch = 500
		step  = 30 * time.Second
	)
	limit := tr.set.MaxBytes(scope)
	findings := make(map[string]int) // by rule
	var record []byte
	flood := stream.NewFlood(scope.Key, events)
	if flood == nil {
		return nil // nothing in these events concerns the scope
	}
	for i := 0; i < size; i += batch {
		var es []*event.Event
		for j := range batch {
			es = append(es, flood.Event(i+j, time.Duration(i+j)*step))
		}
		var err error
		record, err = tr.set.Apply(scope, record, es, func(f detect.Finding) {
			if f.Revision == 0 {
				findings[f.Rule]++
			}
		})
		if err != nil {
			return err
		}
		if len(record) > limit {
			return fmt.Errorf("after %d values a record of scope %q has %d bytes, over %d", i+batch, scope.Name, len(record), limit)
		}
	}
	for _, i := range tr.set.Infos() {
		quiet := i.Quiet
		if quiet == 0 {
			quiet = baseline.Day
		}
		intervals := int(size*step/quiet) + 1
		if n := findings[i.Name]; n > subjectsPerQuiet*intervals {
			return fmt.Errorf("rule %q reports %d findings about one key in %d of its quiet intervals", i.Name, n, intervals)
		}
	}
	return nil
}

func untouched(tr *trial, events []*event.Event) error {
	var modified error
	var watched []detect.Detector
	for _, d := range tr.detectors {
		watched = append(watched, detect.New(d.Info(), func(p *detect.Pass) {
			before := p.Event.Clone()
			d.Detect(p)
			if e := p.Event.Clone(); modified == nil && !reflect.DeepEqual(e, before) {
				modified = fmt.Errorf("event %s (%s) was modified", before.ID, before.Name)
			}
		}))
	}
	set, err := detect.NewSet(watched, nil)
	if err != nil {
		return err
	}
	// Whoever keeps an event sees another one the next time.
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	if err != nil {
		return err
	}
	var got []detect.Finding
	var reused event.Event
	for _, e := range events {
		reused = *e.Clone()
		findings, err := engine.Process(context.Background(), []*event.Event{&reused})
		if err != nil {
			return err
		}
		if modified != nil {
			return modified
		}
		if !reflect.DeepEqual(&reused, e) { // by a feature
			return fmt.Errorf("event %s (%s) was modified", e.ID, e.Name)
		}
		got = append(got, findings...)
	}
	want, err := tr.process(events)
	if err != nil {
		return err
	}
	return differ(want, "events of their own", got, "one event, reused")
}

func resumed(tr *trial, events []*event.Event) error {
	whole, err := tr.process(events)
	if err != nil {
		return err
	}
	rng := newRand()
	var store baseline.Memory
	var pieces []detect.Finding
	ctx := context.Background()
	for saved := 0; saved < len(events); {
		// A worker starts, saves once, and crashes some time later.
		engine, err := detect.NewEngine(tr.set, &store, &detect.EngineOptions{Shards: 1, Updates: true})
		if err != nil {
			return err
		}
		upTo := min(saved+1+rng.IntN(1+len(events)/3), len(events))
		findings, err := engine.Process(ctx, events[saved:upTo])
		if err != nil {
			return err
		}
		pieces = append(pieces, findings...)
		if err := engine.Flush(ctx); err != nil {
			return err
		}
		findings, err = engine.Process(ctx, events[upTo:min(upTo+rng.IntN(50), len(events))])
		if err != nil {
			return err
		}
		pieces = append(pieces, findings...)
		saved = upTo
	}
	return differ(last(whole), "no crash", last(pieces), "crashes")
}

func clock(tr *trial, events []*event.Event) error {
	want, err := tr.process(events)
	if err != nil {
		return err
	}
	got, err := tr.process(events)
	if err != nil {
		return err
	}
	if err := differ(want, "the first run", got, "the second run"); err != nil || tr.elsewhen == nil {
		return err
	}
	tr.elsewhen(func() { got, err = tr.process(events) })
	if err != nil {
		return err
	}
	return differ(want, "today", got, "on another day")
}

func joined(tr *trial, events []*event.Event) error {
	// The records are made by a detector of each scope that has no feature.
	var plain []detect.Detector
	for i, scope := range tr.set.Scopes() {
		plain = append(plain, detect.New(detect.Info{
			Name: fmt.Sprintf("detecttest-plain-%d", i), Doc: "Reports nothing.",
			Technique: "T1078", Severity: detect.Low, Scope: scope,
		}, func(*detect.Pass) {}))
	}
	old, err := detect.NewSet(plain, nil)
	if err != nil {
		return err
	}
	half := len(events) / 2
	for half > 0 && events[half-1].Time.Equal(events[half].Time) {
		half-- // what is in the record at that time is not what comes
	}
	want, err := applyTo(tr.set, make(records), events[half:], len(events))
	if err != nil {
		return err
	}
	kept := make(records)
	if _, err := applyTo(old, kept, events[:half], len(events)); err != nil {
		return err
	}
	got, err := applyTo(tr.set, kept, events[half:], len(events))
	if err != nil {
		return err
	}
	return differ(want, "no records", got, "records of other features")
}

func accounted(tr *trial, events []*event.Event) error {
	rng := newRand()
	delivered := stream.Shuffle(rng, stream.Duplicate(rng, events), baseline.Lateness)
	for range len(events) / 10 { // and some that come much too late
		delivered = append(delivered, events[rng.IntN(len(events))])
	}
	store := &flakyStore{rng: rng}
	engine, err := detect.NewEngine(tr.set, store, &detect.EngineOptions{Shards: 2, Cache: 4})
	if err != nil {
		return err
	}
	given := 0
	for batch := range slices.Chunk(delivered, 64) {
		_, err := engine.Process(context.Background(), batch)
		if err != nil && !errors.Is(err, errFlaky) {
			return err
		}
		given += len(batch)
		if err := addsUp(engine.Stats(), given); err != nil {
			return err
		}
	}
	return nil
}

func addsUp(s detect.Stats, given int) error {
	if sum := s.Evaluated + s.Duplicate + s.Late + s.Rejected; s.Events != int64(given) || sum != s.Events {
		return fmt.Errorf("%d events given, %d counted: %d evaluated + %d duplicate + %d late + %d rejected",
			given, s.Events, s.Evaluated, s.Duplicate, s.Late, s.Rejected)
	}
	return nil
}

// A flakyStore is a memory that fails every third time or so.
type flakyStore struct {
	memory baseline.Memory
	rng    *rand.Rand
	mu     sync.Mutex
}

var errFlaky = errors.New("detecttest: the store fails on purpose")

func (s *flakyStore) fails() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(3) == 0
}

func (s *flakyStore) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if s.fails() {
		return nil, errFlaky
	}
	return s.memory.Load(ctx, keys)
}

func (s *flakyStore) Save(ctx context.Context, records []baseline.Record) error {
	if s.fails() {
		return errFlaky
	}
	return s.memory.Save(ctx, records)
}

// process runs events through an engine, each in a batch of its own, and returns
// every revision of every finding.
func (tr *trial) process(events []*event.Event) ([]detect.Finding, error) {
	return tr.run(events, 1, 1)
}

// processBatches runs events through an engine in batches. Of the revisions that
// one brings a finding it returns those that the engine does.
func (tr *trial) processBatches(events []*event.Event, shards int) ([]detect.Finding, error) {
	return tr.run(events, 500, shards)
}

func (tr *trial) run(events []*event.Event, batch, shards int) ([]detect.Finding, error) {
	engine, err := detect.NewEngine(tr.set, nil, &detect.EngineOptions{Shards: shards, Updates: true})
	if err != nil {
		return nil, err
	}
	var all []detect.Finding
	for batch := range slices.Chunk(events, batch) {
		findings, err := engine.Process(context.Background(), batch)
		if err != nil {
			return nil, err
		}
		all = append(all, findings...)
	}
	return all, nil
}

// differ compares two runs finding by finding.
func differ(want []detect.Finding, how string, got []detect.Finding, otherwise string) error {
	a, b := canonical(want), canonical(got)
	if reflect.DeepEqual(a, b) {
		return nil
	}
	only := func(these, those []detect.Finding) []detect.Finding {
		return first(slices.DeleteFunc(slices.Clone(these), func(f detect.Finding) bool {
			return slices.ContainsFunc(those, func(g detect.Finding) bool { return reflect.DeepEqual(f, g) })
		}))
	}
	return fmt.Errorf("%s gives %d reports, %s %d; only the former:%s\nonly the latter:%s",
		how, len(a), otherwise, len(b), describe(only(a, b)), describe(only(b, a)))
}

// first returns as many findings as a person wants to read.
func first(findings []detect.Finding) []detect.Finding { return findings[:min(len(findings), 3)] }

func canonical(findings []detect.Finding) []detect.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b detect.Finding) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return a.Revision - b.Revision
	})
	return sorted
}
