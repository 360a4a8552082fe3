package backtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
	"github.com/cloudtell/cloudtell/event"
)

const day = 24 * time.Hour

var start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// A call is an event that says what rules shall make of it: those it names
// report it, at a severity, or as an amount.
type call struct {
	after  time.Duration
	who    string
	attack string
	says   string // "rule severity subject" or "rule amount subject"
}

func stream(calls ...call) iter.Seq2[backtest.Event, error] {
	return func(yield func(backtest.Event, error) bool) {
		for i, c := range calls {
			e := &event.Event{
				ID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i), Category: event.Management, Time: start.Add(c.after),
				Source: "sts.amazonaws.com", Name: "GetCallerIdentity", Operation: "GetCallerIdentity", UserAgent: c.says,
				Principal: event.Principal{Kind: event.User, Key: c.who, Name: c.who},
			}
			if !yield(backtest.Event{Event: e, Attack: c.attack}, nil) {
				return
			}
		}
	}
}

// told reports what it is told to.
func told(name string) detect.Detector {
	return detect.New(info(name), func(p *detect.Pass) {
		var rule, subject string
		var severity detect.Severity
		var word string
		fmt.Sscan(p.Event.UserAgent, &rule, &word, &subject)
		if rule == name && severity.UnmarshalText([]byte(word)) == nil {
			p.ReportAt(severity, subject, "told to")
		}
	})
}

// counting reports amounts from a threshold on.
func counting(name string, threshold int) detect.Detector {
	i := info(name)
	i.Threshold = detect.Threshold{Of: "things", Value: threshold, Min: 1, Max: 20}
	return detect.New(i, func(p *detect.Pass) {
		var rule, subject string
		var n int
		fmt.Sscan(p.Event.UserAgent, &rule, &n, &subject)
		if p.Require("the rule is named", rule == name) && p.Reaches(n) {
			p.Report(subject, "counted")
		}
	})
}

func info(name string) detect.Info {
	return detect.Info{Name: name, Doc: "Reports what the test wants.", Technique: "T1078", Severity: detect.High}
}

func run(t *testing.T, detectors []detect.Detector, calls ...call) *backtest.Report {
	t.Helper()
	r, err := backtest.Run(context.Background(), detectors, stream(calls...), nil)
	require.NoError(t, err)
	return r
}

func TestReport(t *testing.T) {
	r := run(t, []detect.Detector{told("a"), told("b"), told("idle"), counting("count", 5)},
		call{1 * day, "alice", "", "a high learning"},
		call{14 * day, "alice", "", "a high honest"},
		call{15 * day, "bob", "", "a high honest"},
		call{15*day + time.Hour, "bob", "", "a high honest"}, // the same episode
		call{16 * day, "bob", "", "b low honest"},
		call{17 * day, "bob", "theft", "nothing"},
		call{17*day + 10*time.Minute, "bob", "theft", "b low it"},
		call{17*day + 20*time.Minute, "bob", "theft", "b medium it"},
		call{17*day + 30*time.Minute, "alice", "theft", "a high it"},
		call{18 * day, "bob", "spying", "count 4 it"},
		call{18*day + 2*time.Hour, "bob", "spying", "count 5 it"},
		call{18*day + 3*time.Hour, "bob", "spying", "count 9 it"},
		call{20 * day, "bob", "unseen", "nothing"},
		call{24 * day, "alice", "", "nothing"},
	)
	assert.Equal(t, int64(14), r.Stats.Evaluated)
	assert.Equal(t, 2, r.Principals)
	assert.Equal(t, start.Add(15*day), r.Judged, "two weeks from the first event on")
	assert.InDelta(t, 2*9, r.PrincipalDays, 1e-9)
	want := []backtest.Level{
		{Severity: detect.Critical},
		{Severity: detect.High, True: 2, False: 1, Rate: 1. / 18 * 100, Precision: 2. / 3, Found: 2, Recall: 2. / 3, MedianDelay: 30 * time.Minute, MaxDelay: 2 * time.Hour},
		{Severity: detect.Medium, True: 1, Precision: 3. / 4, Found: 2, Recall: 2. / 3, MedianDelay: 20 * time.Minute, MaxDelay: 2 * time.Hour},
		{Severity: detect.Low, False: 1, Rate: 1. / 18 * 100, Precision: 3. / 5, Found: 2, Recall: 2. / 3, MedianDelay: 10 * time.Minute, MaxDelay: 2 * time.Hour},
		{Severity: detect.Informational, Precision: 3. / 5, Found: 2, Recall: 2. / 3, MedianDelay: 10 * time.Minute, MaxDelay: 2 * time.Hour},
	}
	assert.Empty(t, cmp.Diff(want, r.Levels))
	assert.Empty(t, cmp.Diff([]backtest.Rule{
		{Name: "a", True: 1, False: 1, FalseNotified: 1},
		{Name: "b", True: 1, False: 1},
		{Name: "idle"},
		{Name: "count", Threshold: detect.Threshold{Of: "things", Value: 5, Min: 1, Max: 20}, True: 1, Alone: []string{"spying"}},
	}, r.Rules))

	require.Len(t, r.Attacks, 3)
	theft := r.Attacks[0]
	assert.Equal(t, "theft", theft.Name)
	assert.Equal(t, start.Add(17*day), theft.Start)
	assert.Equal(t, start.Add(17*day+30*time.Minute), theft.End)
	assert.Equal(t, 4, theft.Events)
	assert.Empty(t, cmp.Diff([]backtest.Sighting{
		{Rule: "b", Severity: detect.Medium, At: start.Add(17*day + 10*time.Minute)},
		{Rule: "a", Severity: detect.High, At: start.Add(17*day + 30*time.Minute)},
	}, theft.FoundBy))
	assert.Equal(t, detect.High, theft.Severity())
	_, ok := theft.Delay(detect.Critical)
	assert.False(t, ok)

	missed := r.Missed(detect.Informational)
	require.Len(t, missed, 1)
	assert.Equal(t, "unseen", missed[0].Name)
	assert.InDelta(t, 1./18*100, r.FalseRate(detect.High), 1e-9)
	assert.InDelta(t, 2./18*100, r.FalseRate(detect.Informational), 1e-9)

	about := r.FindingsAbout("spying")
	require.Len(t, about, 1)
	assert.Equal(t, 1, about[0].Revision, "the latest")
	for _, f := range r.Findings {
		if f.Rule == "count" {
			assert.Equal(t, 9, f.Reached)
			assert.Equal(t, []string{"spying"}, f.Attacks)
		}
	}
	for _, text := range []string{
		"14 events of 2 principals", "| high     | 2    | 1     | 5.56  | 67%       | 2 of 3        | 30m                 | 2h         |",
		"| count | 5         | 1    | 0     | 0              | spying                |",
		"b (medium, 10m), a (high, 30m)", "| unseen | silent  |",
	} {
		assert.Contains(t, r.String(), text)
	}

	text, err := json.Marshal(r)
	require.NoError(t, err)
	var again backtest.Report
	require.NoError(t, json.Unmarshal(text, &again))
	assert.Empty(t, cmp.Diff(r.Attacks, again.Attacks))
	assert.Empty(t, cmp.Diff(r.Levels, again.Levels))
	assert.Equal(t, r.Propose(0), again.Propose(0))
}

// A finding that began with honest work and came to tell of an attack is true,
// from then on.
func TestReportOfLateAttack(t *testing.T) {
	r := run(t, []detect.Detector{told("a")},
		call{0, "alice", "", "nothing"},
		call{15 * day, "alice", "", "a high it"},
		call{15*day + time.Hour, "alice", "theft", "nothing"},
		call{15*day + 2*time.Hour, "alice", "theft", "a high it"},
	)
	assert.Equal(t, 1, r.Level(detect.High).True)
	assert.Equal(t, 0, r.Level(detect.High).False)
	delay, ok := r.Attacks[0].Delay(detect.High)
	assert.True(t, ok)
	assert.Equal(t, time.Hour, delay)
}

// Every report counts, also one that honest work follows in the same finding.
func TestReportOfAllReports(t *testing.T) {
	r := run(t, []detect.Detector{told("a"), counting("count", 5)},
		call{0, "alice", "", "nothing"},
		call{15 * day, "alice", "", "a high it"},
		call{15*day + 1*time.Hour, "alice", "theft", "a high it"},
		call{15*day + 2*time.Hour, "alice", "", "a high it"},
		call{16 * day, "bob", "", "count 5 it"},
		call{16*day + 1*time.Hour, "bob", "", "count 9 it"},
		call{16*day + 2*time.Hour, "bob", "", "count 6 it"},
	)
	assert.Empty(t, r.Missed(detect.High))
	require.Len(t, r.Findings, 2)
	assert.Equal(t, []string{"theft"}, r.Findings[0].Attacks)
	assert.Equal(t, 2, r.Findings[0].Revision, "the latest")
	assert.Equal(t, 9, r.Findings[1].Reached)
}

func TestRunOptions(t *testing.T) {
	calls := []call{{0, "alice", "", "a low x"}, {2 * day, "alice", "", "a low y"}, {3 * day, "alice", "", "a medium z"}, {3 * day, "alice", "", "nothing"}}
	suppressions := []detect.Suppression{{Subject: "y", Reason: "known", Expires: start.Add(30 * day)}}
	r, err := backtest.Run(context.Background(), []detect.Detector{told("a")}, stream(calls...), &backtest.Options{
		Learn: day, Notify: detect.Low, Set: &detect.SetOptions{Suppressions: suppressions},
	})
	require.NoError(t, err)
	assert.Equal(t, 0, r.Level(detect.Low).False)
	assert.Equal(t, 1, r.Level(detect.Medium).False)
	assert.Equal(t, 1, r.Rules[0].FalseNotified)
	assert.Equal(t, int64(1), r.Stats.Suppressed["a"])
	assert.InDelta(t, 2, r.PrincipalDays, 1e-9)
}

// A stream shorter than the learning period, or empty, has no rates.
func TestRunOnLittle(t *testing.T) {
	for _, calls := range [][]call{nil, {{0, "alice", "", "a high x"}}} {
		r := run(t, []detect.Detector{told("a")}, calls...)
		assert.Zero(t, r.FalseRate(detect.Informational))
		assert.Empty(t, r.Propose(0))
		assert.NotContains(t, r.String(), "NaN")
	}
}

func TestRunRefuses(t *testing.T) {
	ctx := context.Background()
	detectors := []detect.Detector{told("a")}
	_, err := backtest.Run(ctx, []detect.Detector{told("a"), told("a")}, stream(), nil)
	assert.ErrorIs(t, err, detect.ErrDetector)
	for _, o := range []backtest.Options{{Learn: -1}, {Notify: 99}} {
		_, err := backtest.Run(ctx, detectors, stream(), &o)
		assert.Error(t, err)
	}

	broken := func(err error) iter.Seq2[backtest.Event, error] {
		return func(yield func(backtest.Event, error) bool) {
			for e := range stream(call{0, "alice", "", "nothing"}) {
				_ = yield(backtest.Event{}, err) && yield(e, nil)
			}
		}
	}
	_, err = backtest.Run(ctx, detectors, broken(io.ErrUnexpectedEOF), nil)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	r, err := backtest.Run(ctx, detectors, broken(&event.DecodeError{}), nil)
	require.NoError(t, err)
	assert.Equal(t, int64(1), r.Undecodable)
	assert.Equal(t, int64(1), r.Stats.Evaluated)

	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err = backtest.Run(ctx, detectors, stream(), nil)
	assert.ErrorIs(t, err, context.Canceled)

	panics := detect.New(info("panics"), func(*detect.Pass) { panic("oh") })
	_, err = backtest.Run(context.Background(), []detect.Detector{panics}, stream(call{}, call{who: "alice"}), nil)
	var panicked *detect.PanicError
	assert.True(t, errors.As(err, &panicked))
}

func TestLabel(t *testing.T) {
	const records = `{"Records":[` +
		`{"eventID":"1","eventTime":"2026-01-05T00:00:00Z","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","userAgent":"x"},` +
		`7,` +
		`{"eventID":"2","eventTime":"2026-01-05T00:00:01Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","userAgent":"y"}]}`
	events := event.Read(strings.NewReader(records), nil)
	label := func(e *event.Event) string {
		if e.Name == "AssumeRole" {
			return "theft"
		}
		return ""
	}
	var got []backtest.Event
	failed := 0
	for e, err := range backtest.Label(events, label) {
		if err != nil {
			failed++
			continue
		}
		got = append(got, e)
	}
	require.Len(t, got, 2)
	assert.Equal(t, 1, failed)
	assert.Equal(t, []string{"1", "2"}, []string{got[0].ID, got[1].ID}, "each is kept")
	assert.Equal(t, []string{"", "theft"}, []string{got[0].Attack, got[1].Attack})
	for range backtest.Label(event.Read(strings.NewReader(records), nil), label) {
		break
	}
}

func TestMerge(t *testing.T) {
	detectors := []detect.Detector{told("a")}
	a := run(t, detectors, call{0, "alice", "", "a low x"}, call{15 * day, "alice", "one", "a high x"}, call{24 * day, "alice", "", "a high y"})
	b := run(t, detectors, call{day, "bob", "", "a low x"}, call{16 * day, "bob", "two", "nothing"}, call{25 * day, "carol", "", "a high y"})
	m := backtest.Merge(a, b)
	assert.Equal(t, int64(6), m.Stats.Evaluated)
	assert.Equal(t, 3, m.Principals)
	assert.InDelta(t, 10+2*10, m.PrincipalDays, 1e-9)
	assert.Equal(t, start, m.Start)
	assert.Equal(t, start.Add(25*day), m.End)
	assert.Equal(t, 2, m.Level(detect.High).False)
	assert.Equal(t, 0, m.Level(detect.Low).False)
	assert.InDelta(t, 0.5, m.Level(detect.High).Recall, 1e-9)
	assert.Equal(t, []string{"one"}, m.Rules[0].Alone)
	assert.Empty(t, cmp.Diff(a.Rules, run(t, detectors, call{0, "alice", "", "a low x"}, call{15 * day, "alice", "one", "a high x"}, call{24 * day, "alice", "", "a high y"}).Rules), "left alone")
	m = backtest.Merge(a, run(t, []detect.Detector{told("b")}, call{0, "alice", "", "nothing"}, call{15 * day, "bob", "two", "b high x"}))
	assert.Equal(t, []string{"two"}, m.Rules[1].Alone, "rules of one report only")
	assert.NotPanics(t, func() { _ = backtest.Merge().String() })
}

func TestCompare(t *testing.T) {
	calls := []call{
		{0, "alice", "", "nothing"},
		{15 * day, "alice", "", "count 5 x"},
		{16 * day, "alice", "slow", "count 6 x"},
		{17 * day, "alice", "loud", "count 12 x"},
		{18 * day, "alice", "other", "a low x"},
		{19 * day, "alice", "other", "b high x"},
	}
	a := run(t, []detect.Detector{counting("count", 5), told("a")}, calls...)
	b := run(t, []detect.Detector{counting("count", 10), told("b"), told("a")}, calls...)
	d := backtest.Compare(a, b)
	assert.Equal(t, []string{"slow"}, d.OnlyA)
	assert.Empty(t, d.OnlyB)
	assert.Equal(t, []string{"slow"}, d.NotifiedOnlyA)
	assert.Equal(t, []string{"other"}, d.NotifiedOnlyB)
	var rules []string
	for _, r := range d.Rules {
		rules = append(rules, r.Rule)
	}
	assert.Equal(t, []string{"count", "b"}, rules)
	for _, text := range []string{"found by the first only: slow", "notified by the second only: other", "5 -> 10", "2 -> 1"} {
		assert.Contains(t, d.String(), text)
	}
	same := backtest.Compare(a, a)
	assert.Empty(t, same.Rules)
	assert.Contains(t, same.String(), "both find the same attacks")
}

// What is found of an attack is told as incidents: here one that grows over two
// rules, and a finding about somebody else that stays apart. Incidents of one
// finding, and those made while learning, are no false stories.
func TestReportOfIncidents(t *testing.T) {
	r := run(t, []detect.Detector{told("a"), told("b")},
		call{1 * day, "eve", "", "a high learning"}, call{1*day + time.Minute, "eve", "", "b high learning"},
		call{16 * day, "carol", "", "a high honest"}, call{16*day + time.Hour, "carol", "", "b high honest"},
		call{17 * day, "dave", "", "a high alone"},
		call{20 * day, "bob", "theft", "a medium it"}, call{20*day + time.Hour, "bob", "theft", "b high it"},
		call{20*day + 2*time.Hour, "alice", "theft", "a low it"},
		call{24 * day, "alice", "", "nothing"},
	)
	require.Len(t, r.Attacks, 1)
	part, elsewhere := r.Attacks[0].Incident()
	assert.Equal(t, 2, part.Findings)
	assert.Equal(t, detect.High, part.Severity)
	assert.Equal(t, 1, elsewhere)
	require.Len(t, r.Attacks[0].Incidents, 2)
	assert.Len(t, r.Incidents, 5)
	attacked := 0
	for _, in := range r.Incidents {
		if len(in.Attacks) > 0 {
			attacked++
			assert.Equal(t, []string{"theft"}, in.Attacks)
		}
	}
	assert.Equal(t, 2, attacked)
	assert.InDelta(t, 1/r.PrincipalDays*100, r.FalseIncidentRate(detect.High), 1e-9, "carol's only")
	assert.Zero(t, r.FalseIncidentRate(detect.Critical))
	assert.Contains(t, r.String(), "high, 2 findings and 1 in 1 others")
	merged := backtest.Merge(r, r)
	assert.Len(t, merged.Incidents, 10)

	part, elsewhere = (&backtest.Attack{}).Incident()
	assert.Zero(t, part)
	assert.Zero(t, elsewhere)
}
