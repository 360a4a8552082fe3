package detect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func TestNewSetRefuses(t *testing.T) {
	with := func(change func(i *detect.Info)) []detect.Detector {
		i := info("rule")
		change(&i)
		return []detect.Detector{echo(i)}
	}
	scope := func(name string, key func(*event.Event) string) []detect.Detector {
		return with(func(i *detect.Info) { i.Scope = &detect.Scope{Name: name, Key: key} })
	}
	large := baseline.Custom("large", detect.MaxRecordBytes, func() *emptyCell { return &emptyCell{} },
		func(*emptyCell, *baseline.View) int { return 0 })
	tests := []struct {
		name      string
		detectors []detect.Detector
		want      error
	}{
		{"a nil detector", []detect.Detector{nil}, detect.ErrDetector},
		{"no name", with(func(i *detect.Info) { i.Name = "" }), detect.ErrDetector},
		{"a name with capitals", with(func(i *detect.Info) { i.Name = "Rule" }), detect.ErrDetector},
		{"a name with a space", with(func(i *detect.Info) { i.Name = "my rule" }), detect.ErrDetector},
		{"a name with a hyphen at its end", with(func(i *detect.Info) { i.Name = "rule-" }), detect.ErrDetector},
		{"the same name twice", append(with(func(*detect.Info) {}), echo(info("rule"))), detect.ErrDetector},
		{"no doc", with(func(i *detect.Info) { i.Doc = "" }), detect.ErrDetector},
		{"no technique", with(func(i *detect.Info) { i.Technique = "" }), detect.ErrDetector},
		{"a technique by name", with(func(i *detect.Info) { i.Technique = "Valid Accounts" }), detect.ErrDetector},
		{"no severity", with(func(i *detect.Info) { i.Severity = detect.Silent }), detect.ErrDetector},
		{"an unknown severity", with(func(i *detect.Info) { i.Severity = 9 }), detect.ErrDetector},
		{"an unknown cold severity", with(func(i *detect.Info) { i.Cold = 9 }), detect.ErrDetector},
		{"a negative quiet", with(func(i *detect.Info) { i.Quiet = -1 }), detect.ErrDetector},
		{"a negative learning period", with(func(i *detect.Info) { i.Learn = -1 }), detect.ErrDetector},
		{"more learning days than are remembered", with(func(i *detect.Info) { i.LearnDays = 31 }), detect.ErrDetector},
		{"learning without a feature", with(func(i *detect.Info) { i.Learn = 14 * day }), detect.ErrDetector},
		{"learning without a feature that tells its age", with(func(i *detect.Info) {
			i.Learn, i.Uses = 14*day, []baseline.Feature{ageless{agents}}
		}), detect.ErrDetector},
		{"a nil feature", with(func(i *detect.Info) { i.Uses = []baseline.Feature{nil} }), detect.ErrDetector},
		{"a threshold of nothing", with(func(i *detect.Info) { i.Threshold = detect.Threshold{Value: 3, Min: 1, Max: 8} }), detect.ErrDetector},
		{"a threshold above its range", with(func(i *detect.Info) { i.Threshold = detect.Threshold{Of: "things", Value: 9, Min: 1, Max: 8} }), detect.ErrDetector},
		{"a threshold below its range", with(func(i *detect.Info) { i.Threshold = detect.Threshold{Of: "things", Value: 1, Min: 2, Max: 8} }), detect.ErrDetector},
		{"a threshold that everything reaches", with(func(i *detect.Info) { i.Threshold = detect.Threshold{Of: "things", Max: 8} }), detect.ErrDetector},
		{"bad event patterns", with(func(i *detect.Info) { i.Events = []string{"GetObject"} }), detect.ErrDetector},
		{"a scope without name", scope("", detect.ByAccount.Key), detect.ErrDetector},
		{"a scope without key", scope("x", nil), detect.ErrDetector},
		{"the name of another scope", append(scope("principal", detect.ByAccount.Key), echo(info("other"))), detect.ErrDetector},
		{"records too large", with(func(i *detect.Info) { i.Uses = []baseline.Feature{large} }), detect.ErrDetector},
		{"two features with one id", with(func(i *detect.Info) {
			i.Uses = []baseline.Feature{agents, baseline.FirstSeen("agent", agent, nil)}
		}), baseline.ErrFeature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := detect.NewSet(tt.detectors, nil)
			require.ErrorIs(t, err, tt.want)
			assert.Nil(t, set)
		})
	}

	for _, s := range []detect.Suppression{{Reason: "no end"}, {Expires: on(1, "00:00:00")}} {
		_, err := detect.NewSet(nil, &detect.SetOptions{Suppressions: []detect.Suppression{s}})
		assert.Error(t, err, "%+v", s)
	}
}

type emptyCell struct{}

func (*emptyCell) Fold(*event.Event, time.Time)          {}
func (*emptyCell) AppendBinary(b []byte) ([]byte, error) { return b, nil }
func (*emptyCell) UnmarshalBinary([]byte) error          { return nil }

func TestSetDescribesItself(t *testing.T) {
	byAccount := info("second", agents)
	byAccount.Scope = detect.ByAccount
	set := newSet(t, echo(info("first", agents)), echo(byAccount), echo(info("third", agents)))
	var names []string
	for _, i := range set.Infos() {
		names = append(names, i.Name)
	}
	assert.Equal(t, []string{"first", "second", "third"}, names)
	assert.Equal(t, []*detect.Scope{detect.ByPrincipal, detect.ByAccount}, set.Scopes())
	assert.Positive(t, set.MaxBytes(detect.ByPrincipal))
	assert.Equal(t, set.MaxBytes(detect.ByPrincipal), set.MaxBytes(detect.ByAccount), "a feature is kept once per scope")
	assert.Zero(t, set.MaxBytes(detect.ByBucket))
}

// A detector gets the events that it asks for, and features get theirs all the
// same.
func TestEventsAreRouted(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	i := info("rule", f)
	i.Events = []string{"s3:GetObject"}
	var known int
	set := newSet(t, detect.New(i, func(p *detect.Pass) {
		known = f.In(p).Known
		p.Report("", p.Event.Operation)
	}))
	var record []byte
	var titles []string
	for n, operation := range []string{"ListObjects", "GetObject", "GetObject", "PutObject"} {
		e := newEvent(n, on(n+1, "10:00:00"), "alice", fmt.Sprint(n))
		e.Source, e.Name, e.Operation = "s3.amazonaws.com", operation, operation
		var err error
		record, err = set.Apply(detect.ByPrincipal, record, []*event.Event{e}, func(f detect.Finding) { titles = append(titles, f.Title) })
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"GetObject", "GetObject"}, titles)
	assert.Equal(t, 2, known)
}

func TestApply(t *testing.T) {
	set := newSet(t, echo(info("echo")))
	var findings []detect.Finding
	emit := func(f detect.Finding) { findings = append(findings, f) }
	events := []*event.Event{
		newEvent(1, on(1, "12:00:00"), "alice", "a"),
		newEvent(1, on(1, "12:00:00"), "alice", "a"), // a duplicate
		newEvent(2, on(1, "11:00:00"), "alice", "b"), // late
		newEvent(3, on(1, "11:50:00"), "alice", "c"),
	}
	record, err := set.Apply(detect.ByPrincipal, nil, events, emit)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "c"}, subjects(findings), "in the order of the events")
	assert.LessOrEqual(t, len(record), set.MaxBytes(detect.ByPrincipal))

	again, err := set.Apply(detect.ByPrincipal, record, events, emit)
	require.NoError(t, err)
	assert.Equal(t, record, again, "a step taken again changes nothing")
	assert.Len(t, findings, 2)

	same, err := set.Apply(detect.ByPrincipal, record, nil, emit)
	require.NoError(t, err)
	assert.Equal(t, record, same)
}

func TestApplyRefuses(t *testing.T) {
	cell := badCell{err: errors.New("cannot be saved")}
	bad := baseline.Custom("bad", 10, func() *badCell { return &cell }, func(*badCell, *baseline.View) int { return 0 })
	alice, bob := newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:00"), "bob", "a")
	nobody := newEvent(3, on(1, "12:00:00"), "", "a")
	tests := []struct {
		name   string
		set    *detect.Set
		scope  *detect.Scope
		record []byte
		events []*event.Event
		want   error
	}{
		{"a scope that is not in use", newSet(t, echo(info("echo"))), detect.ByBucket, nil, []*event.Event{alice}, nil},
		{"events of two keys", newSet(t, echo(info("echo"))), detect.ByPrincipal, nil, []*event.Event{alice, bob}, detect.ErrKey},
		{"an event without key", newSet(t, echo(info("echo"))), detect.ByPrincipal, nil, []*event.Event{nobody}, detect.ErrKey},
		{"a corrupt record", newSet(t, echo(info("echo"))), detect.ByPrincipal, []byte("rubbish!"), []*event.Event{alice}, baseline.ErrCorrupt},
		{"a corrupt record and no events", newSet(t, echo(info("echo"))), detect.ByPrincipal, []byte("rubbish!"), nil, baseline.ErrCorrupt},
		{"a cell that fails", newSet(t, echo(info("echo", bad))), detect.ByPrincipal, nil, []*event.Event{alice}, cell.err},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record, err := tt.set.Apply(tt.scope, tt.record, tt.events, func(detect.Finding) {})
			require.Error(t, err)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			}
			assert.Nil(t, record, "the given record stands")
		})
	}
}

type badCell struct {
	emptyCell
	err error
}

func (c *badCell) AppendBinary(b []byte) ([]byte, error) { return b, c.err }

func TestApplyWithAPanic(t *testing.T) {
	set := newSet(t, detect.New(info("bad"), func(p *detect.Pass) { panic("oh dear") }), echo(info("echo")))
	var findings []detect.Finding
	record, err := set.Apply(detect.ByPrincipal, nil, []*event.Event{
		newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:00"), "alice", "b"),
	}, func(f detect.Finding) { findings = append(findings, f) })
	var p *detect.PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, newEvent(1, time.Time{}, "", "").ID, p.EventID, "the first")
	assert.Equal(t, []string{"a", "b"}, subjects(findings))
	assert.NotNil(t, record, "what was learnt is kept")
}

// TestPanicWhileTelling pins that a finding that could not be told does not stand:
// the next report about the same is.
func TestPanicWhileTelling(t *testing.T) {
	bad := func(e *event.Event) {
		if e.UserAgent == "bad" {
			panic("oh dear")
		}
	}
	feature := baseline.FirstSeen("oops", func(e *event.Event) string { bad(e); return "value" }, nil)
	tests := []struct {
		name string
		info detect.Info
		tell func(*event.Event)
	}{
		{"the rule's evidence", info("rule"), bad},
		{"what a feature says of it", info("rule", feature), func(*event.Event) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			en := newEngine(t, newSet(t, detect.New(tt.info, func(p *detect.Pass) {
				severity := detect.Medium
				if p.Event.Region == "high" {
					severity = detect.High
				}
				p.ReportWith(severity, "subject", func() (string, []detect.Evidence) {
					tt.tell(p.Event)
					return p.Event.UserAgent, nil
				})
			})), nil, nil)
			var events []*event.Event
			for i, agent := range []string{"bad", "first", "bad", "second", "third"} {
				e := newEvent(i, on(1, "12:00:00").Add(time.Duration(i)*time.Minute), "alice", agent)
				if i >= 2 {
					e.Region = "high"
				}
				events = append(events, e)
			}
			findings, err := en.Process(t.Context(), events)
			require.ErrorAs(t, err, new(*detect.PanicError))
			require.Len(t, findings, 2)
			first, second := findings[0], findings[1]
			assert.Equal(t, "first", first.Title)
			assert.Equal(t, 0, first.Revision)
			assert.Equal(t, events[1].Time, first.Time)
			assert.Equal(t, "second", second.Title)
			assert.True(t, second.Raised)
			assert.Equal(t, first.ID, second.ID)
			assert.Equal(t, int64(1), en.Stats().Findings)
		})
	}
}

func TestFinding(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	i := info("rule", f)
	i.Benign, i.Respond, i.Mitigations = []string{"benign"}, []string{"respond"}, []string{"M1018"}
	set := newSet(t, detect.New(i, func(p *detect.Pass) {
		p.Report("subject", "title", detect.Evidence{
			Name: "agent", Observed: p.Event.UserAgent, Expected: "another", EventIDs: []string{"earlier", p.Event.ID},
		}, detect.Evidence{Name: "more", EventIDs: []string{"earlier"}})
	}))
	e := newEvent(1, on(1, "12:00:00"), "alice", "a")
	got := apply(t, set, nil, e)
	want := []detect.Finding{{
		ID: got[0].ID, Rule: "rule", Technique: "T1078", Tactic: detect.InitialAccess, Severity: detect.Medium, Title: "title",
		Scope: "principal", Key: "alice", Principal: "alice", PrincipalName: "alice", Session: "session", AccessKeyID: "AKIAEXAMPLE", Subject: "subject",
		AccountID: "111122223333", Region: "us-east-1", SourceAddress: "198.51.100.7", UserAgent: "a",
		Time: on(1, "12:00:00"), First: on(1, "12:00:00"), Last: on(1, "12:00:00"),
		EventIDs: []string{"earlier", e.ID},
		Evidence: []detect.Evidence{
			{Name: "agent", Observed: "a", Expected: "another", EventIDs: []string{"earlier", e.ID}},
			{Name: "more", EventIDs: []string{"earlier"}},
		},
		Learned: detect.Learned{Mature: true},
		Unusual: []baseline.Unusual{{Feature: f.ID(), Value: "a", Hash: baseline.Hash("a")}},
		Benign:  []string{"benign"}, Respond: []string{"respond"}, Mitigations: []string{"M1018"},
	}}
	assert.Empty(t, cmp.Diff(want, got))
	assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, got[0].ID)
}

// A finding can be about somebody else than the caller; the next rule's is
// about the caller again.
func TestAbout(t *testing.T) {
	about := detect.New(info("about"), func(p *detect.Pass) {
		p.Report("caller", "title")
		p.About(event.Principal{Key: "bob", Name: "Bob"})
		p.Report("other", "title")
	})
	got := apply(t, newSet(t, about, echo(info("echo"))), nil, newEvent(1, on(1, "12:00:00"), "alice", "a"))
	require.Len(t, got, 3)
	assert.Equal(t, []string{"alice", "bob", "alice"}, []string{got[0].Principal, got[1].Principal, got[2].Principal})
	assert.Equal(t, "Bob", got[1].PrincipalName)
	assert.Empty(t, got[1].Session+got[1].AccessKeyID, "these are the caller's")
	assert.Equal(t, "alice", got[1].Key, "the memory is still the caller's")
}

// apply returns what the set finds in events of one principal.
func apply(t *testing.T, set *detect.Set, record []byte, events ...*event.Event) []detect.Finding {
	t.Helper()
	var findings []detect.Finding
	_, err := set.Apply(set.Scopes()[0], record, events, func(f detect.Finding) { findings = append(findings, f) })
	require.NoError(t, err)
	return findings
}

func TestFindingIDs(t *testing.T) {
	at := on(1, "12:00:00")
	base := apply(t, newSet(t, echo(info("rule"))), nil, newEvent(1, at, "alice", "a"))[0].ID
	assert.Equal(t, base, apply(t, newSet(t, echo(info("rule"))), nil, newEvent(2, at, "alice", "a"))[0].ID, "same rule, key, subject and time")
	assert.NotEqual(t, base, apply(t, newSet(t, echo(info("other"))), nil, newEvent(1, at, "alice", "a"))[0].ID, "another rule")
	assert.NotEqual(t, base, apply(t, newSet(t, echo(info("rule"))), nil, newEvent(1, at, "bob", "a"))[0].ID, "another key")
	assert.NotEqual(t, base, apply(t, newSet(t, echo(info("rule"))), nil, newEvent(1, at, "alice", "b"))[0].ID, "another subject")
	assert.NotEqual(t, base, apply(t, newSet(t, echo(info("rule"))), nil, newEvent(1, at.Add(time.Second), "alice", "a"))[0].ID, "another time")
}

func TestEventIDsAreBounded(t *testing.T) {
	set := newSet(t, detect.New(info("rule"), func(p *detect.Pass) {
		var ids []string
		for i := range 1000 {
			ids = append(ids, fmt.Sprint(i))
		}
		p.Report("", "title", detect.Evidence{EventIDs: ids})
	}))
	assert.Len(t, apply(t, set, nil, newEvent(1, on(1, "12:00:00"), "alice", "a"))[0].EventIDs, 64)
}

func TestLearning(t *testing.T) {
	tests := []struct {
		name      string
		learn     time.Duration
		learnDays int
		cold      detect.Severity
		days      int // with events, before the event
		at        int
		want      detect.Severity
		mature    bool
	}{
		{"no learning needed", 0, 0, detect.Silent, 0, 1, detect.Medium, true},
		{"cold and silent", 14 * day, 0, detect.Silent, 3, 14, detect.Silent, false},
		{"cold and lower", 14 * day, 0, detect.Low, 3, 14, detect.Low, false},
		{"cold is never higher", 14 * day, 0, detect.Critical, 3, 14, detect.Medium, false},
		{"long enough", 14 * day, 0, detect.Silent, 3, 15, detect.Medium, true},
		{"long enough, but active on two days only", 14 * day, 0, detect.Low, 2, 15, detect.Low, false},
		{"active on as many days as the rule wants", 14 * day, 1, detect.Low, 1, 15, detect.Medium, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := info("rule", baseline.FirstSeen("agent", agent, nil))
			i.Learn, i.LearnDays, i.Cold = tt.learn, tt.learnDays, tt.cold
			var events []*event.Event
			for d := 1; d <= tt.days; d++ {
				events = append(events, newEvent(d, on(d, "10:00:00"), "alice", ""))
			}
			events = append(events, newEvent(99, on(tt.at, "10:00:00"), "alice", "a"))
			findings := apply(t, newSet(t, echo(i)), nil, events...)
			if tt.want == detect.Silent {
				assert.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			assert.Equal(t, tt.want, findings[0].Severity)
			assert.Equal(t, tt.mature, findings[0].Learned.Mature)
			assert.Equal(t, !tt.mature, strings.HasSuffix(findings[0].Learned.String(), "still learning"))
		})
	}
}

func TestReportAt(t *testing.T) {
	set := newSet(t, detect.New(info("rule"), func(p *detect.Pass) {
		p.ReportAt(detect.Silent, "silent", "nothing")
		p.ReportAt(detect.Critical, "critical", "something")
	}))
	findings := apply(t, set, nil, newEvent(1, on(1, "10:00:00"), "alice", "a"))
	require.Len(t, findings, 1)
	assert.Equal(t, detect.Critical, findings[0].Severity)
}

func TestSuppressions(t *testing.T) {
	end := on(9, "00:00:00")
	tests := []struct {
		name        string
		suppression detect.Suppression
		suppressed  bool
	}{
		{"all", detect.Suppression{}, true},
		{"the rule", detect.Suppression{Rule: "echo"}, true},
		{"another rule", detect.Suppression{Rule: "ech"}, false},
		{"rules that begin so", detect.Suppression{Rule: "ec*"}, true},
		{"the principal", detect.Suppression{Principal: "alice"}, true},
		{"another principal", detect.Suppression{Principal: "bob"}, false},
		{"the subject", detect.Suppression{Subject: "a"}, true},
		{"another subject", detect.Suppression{Subject: "b*"}, false},
		{"one of three differs", detect.Suppression{Rule: "echo", Principal: "alice", Subject: "b"}, false},
		{"a star within is no pattern", detect.Suppression{Principal: "*e"}, false},
		{"expired", detect.Suppression{Expires: on(1, "10:00:00")}, false},
		{"about to expire", detect.Suppression{Expires: on(1, "10:00:01")}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.suppression.Reason = "known"
			if tt.suppression.Expires.IsZero() {
				tt.suppression.Expires = end
			}
			never := detect.Suppression{Rule: "never", Reason: "another", Expires: end}
			set, err := detect.NewSet([]detect.Detector{echo(info("echo"))},
				&detect.SetOptions{Suppressions: []detect.Suppression{never, tt.suppression}})
			require.NoError(t, err)
			e := newEvent(1, on(1, "10:00:00"), "alice", "a")
			findings := apply(t, set, nil, e)
			require.Len(t, findings, 1, "Apply tells of suppressed findings")

			en := newEngine(t, set, nil, nil)
			found := process(t, en, e)
			if tt.suppressed {
				assert.Equal(t, "known", findings[0].Suppressed)
				assert.Empty(t, found)
				assert.Equal(t, map[string]int64{"echo": 1}, en.Stats().Suppressed)
			} else {
				assert.Empty(t, findings[0].Suppressed)
				assert.Len(t, found, 1)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	tests := []struct {
		name  string
		scope *detect.Scope
		event event.Event
		want  string
	}{
		{"a user", detect.ByPrincipal, event.Event{Principal: event.Principal{Kind: event.User, Key: "k"}}, "k"},
		{"a service", detect.ByPrincipal, event.Event{Principal: event.Principal{Kind: event.Service, Key: "k"}}, ""},
		{"nobody", detect.ByPrincipal, event.Event{Principal: event.Principal{Kind: event.Anonymous, Key: "k"}}, ""},
		{"an insight", detect.ByPrincipal, event.Event{Category: event.Insight, Principal: event.Principal{Key: "k"}}, ""},
		{"network activity", detect.ByPrincipal, event.Event{Category: event.NetworkActivity, Principal: event.Principal{Key: "k"}}, ""},
		{"a bucket", detect.ByBucket, event.Event{Source: "s3.amazonaws.com", Request: `{"bucketName":"b"}`}, "b"},
		{"no bucket", detect.ByBucket, event.Event{Source: "s3.amazonaws.com"}, ""},
		{"another service's bucket", detect.ByBucket, event.Event{Source: "macie2.amazonaws.com", Request: `{"bucketName":"b"}`}, ""},
		{"an account", detect.ByAccount, event.Event{AccountID: "1"}, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.scope.Key(&tt.event))
		})
	}
}

// ageless hides all of a feature but what the interface asks for.
type ageless struct{ baseline.Feature }

func TestOnlyPanics(t *testing.T) {
	panicked, failed := &detect.PanicError{Rule: "r"}, errors.New("store")
	tests := []struct {
		err  error
		want bool
	}{
		{nil, false},
		{panicked, true},
		{failed, false},
		{errors.Join(panicked, panicked), true},
		{errors.Join(panicked, failed), false},
		{fmt.Errorf("batch: %w", panicked), true},
		{fmt.Errorf("batch: %w", failed), false},
		{fmt.Errorf("batch: %w", errors.Join(errors.Join(panicked), panicked)), true},
		{fmt.Errorf("batch: %w, %w", panicked, errors.Join(panicked, failed)), false},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, detect.OnlyPanics(tt.err), "%v", tt.err)
	}
}
