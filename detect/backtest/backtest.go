package backtest

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
)

// An Event is an event with its label.
type Event struct {
	*event.Event
	// Attack names the attack that the event is part of; "" is honest work.
	Attack string
}

// Options configures [Run]. Nil, and the zero value of every field, mean the
// defaults.
type Options struct {
	// Learn is the time at the stream's beginning in which the detectors learn
	// what is normal. Findings made in it count neither as true nor as false;
	// attacks in it do count. The default is 14 days.
	Learn time.Duration
	// Notify is the least severity of findings that a person is told of. The
	// default is [detect.High].
	Notify detect.Severity
	// Set configures the set of the detectors. Findings that it suppresses are
	// none. The default is nil.
	Set *detect.SetOptions
	// Incidents configures how findings are joined into incidents. The default
	// is nil.
	Incidents *incident.Options
}

// Run replays a stream of events, in the order in which it yields them, and
// reports what the detectors made of it. An attack is found by a finding that
// names one of its events.
//
// The events must stay as they are while Run runs: those of [event.Read], which
// reuses them, have to be cloned, as [Label] does. A [*event.DecodeError] in
// the stream is counted; any other error ends the run, as do a detector that
// panics and the end of the context. One goroutine does the work.
//
// Memory holds the profiles, the findings, the ids of the attacks' events, and
// eight bytes for each principal.
func Run(ctx context.Context, detectors []detect.Detector, events iter.Seq2[Event, error], o *Options) (*Report, error) {
	if o == nil {
		o = &Options{}
	}
	if o.Learn < 0 || o.Notify > detect.Critical {
		return nil, errors.New("backtest: the learning period is negative, or the severity unknown")
	}
	set, err := detect.NewSet(detectors, o.Set)
	if err != nil {
		return nil, err
	}
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	if err != nil {
		return nil, err
	}
	joiner, err := incident.NewJoiner(o.Incidents)
	if err != nil {
		return nil, err
	}
	r := newReplay(engine, joiner, set.Infos())
	for e, err := range events {
		var undecodable *event.DecodeError
		switch {
		case errors.As(err, &undecodable):
			r.undecodable++
			continue
		case err != nil:
			return nil, err
		}
		if err := r.take(ctx, e); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.report(cmp.Or(o.Learn, 14*baseline.Day), cmp.Or(o.Notify, detect.High)), nil
}

// Label labels the events of a stream such as [event.Read]'s, and clones them.
// attack returns the name of the attack that an event is part of, or "".
func Label(events iter.Seq2[*event.Event, error], attack func(*event.Event) string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range events {
			var labelled Event
			if err == nil {
				labelled = Event{Event: e.Clone(), Attack: attack(e)}
			}
			if !yield(labelled, err) {
				return
			}
		}
	}
}

// A replay is a run under way.
type replay struct {
	engine     *detect.Engine
	joiner     *incident.Joiner
	rules      []Rule
	thresholds map[string]detect.Threshold // by rule
	one        []*event.Event              // at a time: see take

	undecodable int64
	start, end  time.Time
	principals  map[uint64]struct{} // hashes of their keys
	labels      map[string]string   // the attack, by event id
	attacks     map[string]*Attack
	findings    map[string]*Finding
}

func newReplay(engine *detect.Engine, joiner *incident.Joiner, infos []detect.Info) *replay {
	r := &replay{
		engine:     engine,
		joiner:     joiner,
		thresholds: make(map[string]detect.Threshold),
		one:        make([]*event.Event, 1),
		principals: make(map[uint64]struct{}),
		labels:     make(map[string]string),
		attacks:    make(map[string]*Attack),
		findings:   make(map[string]*Finding),
	}
	for i := range infos {
		r.rules = append(r.rules, Rule{Name: infos[i].Name, Threshold: infos[i].Threshold})
		r.thresholds[infos[i].Name] = infos[i].Threshold
	}
	return r
}

// take takes in an event and what is found by it. An engine that is given several
// returns of a finding's revisions the last, but each report may be of an attack.
func (r *replay) take(ctx context.Context, e Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.start.IsZero() || e.Time.Before(r.start) {
		r.start = e.Time
	}
	if e.Time.After(r.end) {
		r.end = e.Time
	}
	if key := detect.ByPrincipal.Key(e.Event); key != "" {
		r.principals[baseline.Hash(key)] = struct{}{}
	}
	if e.Attack != "" {
		r.attacked(e)
	}
	r.joiner.Observe(e.Event)
	r.one[0] = e.Event
	findings, err := r.engine.Process(ctx, r.one)
	for i := range findings {
		r.found(&findings[i])
	}
	return err
}

func (r *replay) attacked(e Event) {
	a := r.attacks[e.Attack]
	if a == nil {
		a = &Attack{Name: e.Attack, Start: e.Time, End: e.Time}
		r.attacks[e.Attack] = a
	}
	if _, again := r.labels[e.ID]; again {
		return
	}
	r.labels[e.ID] = e.Attack
	a.Events++
	if e.Time.Before(a.Start) {
		a.Start = e.Time
	}
	if e.Time.After(a.End) {
		a.End = e.Time
	}
}

// found takes in a finding, or what became of one.
func (r *replay) found(f *detect.Finding) {
	k := r.findings[f.ID]
	if k == nil {
		k = &Finding{}
		r.findings[f.ID] = k
	}
	k.Finding = *f
	r.joiner.Add(*f)
	for _, c := range f.Checks {
		if c.Passed && c.Threshold > 0 && c.Condition == r.thresholds[f.Rule].Of {
			k.Reached = max(k.Reached, c.Observed)
		}
	}
	var seen []string // attacks, by this very report
	for _, id := range f.EventIDs {
		if attack := r.labels[id]; attack != "" && !slices.Contains(seen, attack) {
			seen = append(seen, attack)
		}
	}
	for _, attack := range seen {
		if !slices.Contains(k.Attacks, attack) {
			k.Attacks = append(k.Attacks, attack)
		}
		r.attacks[attack].sighted(f)
	}
}

// sighted takes in a finding that names one of the attack's events. Its last
// event is the one that made the rule speak.
func (a *Attack) sighted(f *detect.Finding) {
	if a.Detected == nil {
		a.Detected = make(map[detect.Severity]time.Time)
	}
	for s := detect.Informational; s <= f.Severity; s++ {
		if at, ok := a.Detected[s]; !ok || f.Last.Before(at) {
			a.Detected[s] = f.Last
		}
	}
	i := slices.IndexFunc(a.FoundBy, func(s Sighting) bool { return s.Rule == f.Rule })
	if i < 0 {
		a.FoundBy = append(a.FoundBy, Sighting{Rule: f.Rule, At: f.Last})
		i = len(a.FoundBy) - 1
	}
	s := &a.FoundBy[i]
	s.Severity = max(s.Severity, f.Severity)
	if f.Last.Before(s.At) {
		s.At = f.Last
	}
}

func (r *replay) report(learn time.Duration, notify detect.Severity) *Report {
	report := &Report{
		Start: r.start, End: r.end, Judged: r.start.Add(learn), Notify: notify,
		Principals: len(r.principals), Undecodable: r.undecodable, Stats: r.engine.Stats(),
		Rules: r.rules,
	}
	if judged := r.end.Sub(report.Judged); judged > 0 {
		report.PrincipalDays = judged.Hours() / 24 * float64(report.Principals)
	}
	for _, in := range r.joiner.Incidents() {
		report.Incidents = append(report.Incidents, r.incident(in, report.Judged))
	}
	for _, a := range r.attacks {
		report.Attacks = append(report.Attacks, *a)
	}
	for _, f := range r.findings {
		f.Learning = f.Time.Before(report.Judged)
		report.Findings = append(report.Findings, *f)
	}
	report.sum()
	return report
}

// incident tells of which attacks an incident is, and these of it.
func (r *replay) incident(in incident.Incident, judged time.Time) Incident {
	k := Incident{Incident: in, Learning: in.First.Before(judged)}
	counts := make(map[string]int) // findings, by attack
	for _, step := range in.Timeline {
		for _, attack := range r.findings[step.ID].Attacks {
			counts[attack]++
		}
	}
	for _, attack := range slices.Sorted(maps.Keys(counts)) {
		k.Attacks = append(k.Attacks, attack)
		a := r.attacks[attack]
		a.Incidents = append(a.Incidents, Part{ID: in.ID, Severity: in.Severity, Findings: counts[attack]})
	}
	return k
}
