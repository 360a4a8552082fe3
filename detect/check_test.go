package detect_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// manyAgents reports a principal that uses three user agents within an hour,
// unless it is bob.
func manyAgents() detect.Detector {
	used := baseline.Distinct("agent", agent, 8, time.Hour)
	i := info("many-agents", used)
	i.Events = []string{"sts:*"}
	i.Threshold = detect.Threshold{Of: "user agents within an hour", Value: 3, Min: 2, Max: 8}
	return detect.New(i, func(p *detect.Pass) {
		if !p.Require("the event has a user agent", p.Event.UserAgent != "") || p.Excuse("the principal is bob", p.Event.Principal.Key == "bob") {
			return
		}
		if n := used.In(p).Count; p.Reaches(n) && p.AtLeast("user agents, more or less", n, 1) {
			p.Report("", "many agents")
		}
	})
}

func TestChecksOfAFinding(t *testing.T) {
	en := newEngine(t, newSet(t, manyAgents()), nil, nil)
	found := process(t, en,
		newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:01"), "alice", "b"), newEvent(3, on(1, "12:00:02"), "alice", "c"))
	require.Len(t, found, 1)
	assert.Equal(t, []detect.Check{
		{Condition: "the event has a user agent", Passed: true},
		{Condition: "the principal is bob", Passed: true, Guard: true},
		{Condition: "user agents within an hour", Passed: true, Observed: 3, Threshold: 3},
		{Condition: "user agents, more or less", Passed: true, Observed: 3, Threshold: 1},
	}, found[0].Checks)
	nearest, ok := found[0].Nearest()
	assert.True(t, ok)
	assert.Equal(t, "user agents within an hour: 3 of at least 3", nearest.String())

	_, ok = (&detect.Finding{}).Nearest()
	assert.False(t, ok)
}

func TestCheckString(t *testing.T) {
	for want, c := range map[string]detect.Check{
		"it rains: yes":             {Condition: "it rains", Passed: true},
		"it rains: no":              {Condition: "it rains"},
		"it is a test: no":          {Condition: "it is a test", Passed: true, Guard: true},
		"it is a test: yes":         {Condition: "it is a test", Guard: true},
		"calls: 0 of at least 1":    {Condition: "calls", Threshold: 1},
		"calls: 30 of at least 100": {Condition: "calls", Observed: 30, Threshold: 100},
	} {
		assert.Equal(t, want, c.String())
	}
}

// Whatever a rule makes of an event, the explanation names the condition that
// decided.
func TestExplain(t *testing.T) {
	learning := info("learning", agents)
	learning.Learn, learning.LearnDays = 7*day, 2
	silent := detect.New(info("silent"), func(p *detect.Pass) { p.ReportAt(detect.Silent, "", "nothing to say") })
	mute := detect.New(info("mute"), func(*detect.Pass) {})
	elsewhere := detect.New(detect.Info{
		Name: "elsewhere", Doc: "Looks at buckets.", Technique: "T1619", Severity: detect.Low, Events: []string{"s3:ListBuckets"},
	}, func(p *detect.Pass) { p.Report("", "listed") })
	en := newEngine(t, newSet(t, manyAgents(), novel(agents, learning), silent, mute, elsewhere, echo(info("echo"))), nil, nil)
	process(t, en, newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:01"), "alice", "b"), newEvent(3, on(1, "12:00:02"), "bob", "b"))

	tests := []struct {
		name, rule string
		event      *event.Event
		missed     string // "" is a finding
	}{
		{"an event seen before", "many-agents", newEvent(2, on(1, "12:00:01"), "alice", "b"), "user agents within an hour: 2 of at least 3"},
		{"an event to come", "many-agents", newEvent(4, on(1, "12:00:03"), "alice", "c"), ""},
		{"explaining it taught nothing", "many-agents", newEvent(5, on(1, "12:00:03"), "alice", "d"), ""},
		{"a requirement", "many-agents", newEvent(6, on(1, "12:00:03"), "alice", ""), "the event has a user agent: no"},
		{"a guard", "many-agents", newEvent(7, on(1, "12:00:03"), "bob", "c"), "the principal is bob: yes"},
		{"a key never seen", "many-agents", newEvent(8, on(1, "12:00:03"), "carol", "c"), "user agents within an hour: 1 of at least 3"},
		{"still learning", "learning", newEvent(9, on(2, "12:00:03"), "alice", "c"), "7 days of learning, 2 of them active, before which the rule is silent: no"},
		{"a silent severity", "silent", newEvent(10, on(1, "12:00:03"), "alice", "c"), "the evidence weighs enough to be told: no"},
		{"a rule that says nothing of why", "mute", newEvent(11, on(1, "12:00:03"), "alice", "c"), "the rule has something to report: no"},
		{"another kind of event", "elsewhere", newEvent(12, on(1, "12:00:03"), "alice", "c"), "the event is one of s3:ListBuckets: no"},
		{"a finding that stands", "echo", newEvent(13, on(1, "12:00:03"), "alice", "a"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := en.Explain(context.Background(), tt.event)
			require.NoError(t, err)
			require.Len(t, all, 6, "every rule answers")
			for _, x := range all {
				assert.Equal(t, x.Rule != "elsewhere", x.Looked, x.Rule)
				if x.Rule != tt.rule {
					continue
				}
				c, missed := x.Missed()
				assert.Equal(t, tt.missed != "", missed)
				if missed {
					assert.Equal(t, tt.missed, c.String())
					assert.Contains(t, x.String(), tt.rule+": nothing, because of: "+tt.missed)
				} else {
					assert.Contains(t, x.String(), tt.rule+": medium, ")
				}
			}
		})
	}
	requireAccounted(t, en)
	assert.Equal(t, int64(3), en.Stats().Events)
}

// A report that adds nothing to a finding that stands is explained as that.
func TestExplainLesserReport(t *testing.T) {
	graded := detect.New(info("graded"), func(p *detect.Pass) {
		severity := detect.Low
		if p.Event.UserAgent == "bad" {
			severity = detect.High
		}
		p.ReportAt(severity, "", p.Event.UserAgent)
	})
	en := newEngine(t, newSet(t, graded), nil, nil)
	process(t, en, newEvent(1, on(1, "12:00:00"), "alice", "bad"))
	all, err := en.Explain(context.Background(), newEvent(2, on(1, "12:00:01"), "alice", "good"))
	require.NoError(t, err)
	c, missed := all[0].Missed()
	assert.True(t, missed)
	assert.Equal(t, "it is as grave as the finding about it that stands already: no", c.String())
}

// A detector that panics does not keep the others from explaining themselves;
// nor can a rule count against a threshold that it does not declare.
func TestExplainAfterPanic(t *testing.T) {
	careless := detect.New(info("careless"), func(p *detect.Pass) { p.Reaches(1) })
	en := newEngine(t, newSet(t, careless, echo(info("echo"))), nil, nil)
	all, err := en.Explain(context.Background(), newEvent(1, on(1, "12:00:00"), "alice", "a"))
	var panicked *detect.PanicError
	require.ErrorAs(t, err, &panicked)
	assert.Equal(t, "careless", panicked.Rule)
	assert.Contains(t, err.Error(), "declares no threshold")
	require.Len(t, all, 2)
	assert.Len(t, all[1].Findings, 1)
}

// What is asked about a key whose profile is in the store is the same as for
// one in the cache, and the set alone answers, too.
func TestExplainFromTheStore(t *testing.T) {
	ctx, store, set := context.Background(), &baseline.Memory{}, newSet(t, manyAgents())
	en := newEngine(t, set, store, nil)
	process(t, en, newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:01"), "alice", "b"))
	next := newEvent(3, on(1, "12:00:02"), "alice", "c")
	cached, err := en.Explain(ctx, next)
	require.NoError(t, err)
	require.NoError(t, en.Flush(ctx))
	stored, err := newEngine(t, set, store, nil).Explain(ctx, next)
	require.NoError(t, err)
	assert.Equal(t, cached, stored)
	records, err := store.Load(ctx, []string{"principal/alice"})
	require.NoError(t, err)
	plain, err := set.Explain(detect.ByPrincipal, records[0].Data, next)
	require.NoError(t, err)
	assert.Equal(t, cached, plain)
	require.Len(t, plain[0].Findings, 1)

	_, err = set.Explain(detect.ByBucket, nil, next)
	assert.Error(t, err, "a scope that is not in use")
	_, err = set.Explain(detect.ByPrincipal, nil, newEvent(4, on(1, "12:00:02"), "", "c"))
	assert.ErrorIs(t, err, detect.ErrKey)
	_, err = set.Explain(detect.ByPrincipal, []byte("rubbish!"), next)
	assert.ErrorIs(t, err, baseline.ErrCorrupt)
	_, err = newEngine(t, set, &faultyStore{loadErr: errDown}, nil).Explain(ctx, next)
	assert.ErrorIs(t, err, errDown)
}

func TestTelemetry(t *testing.T) {
	assert.Equal(t, "nothing", detect.Telemetry(0).String())
	assert.Equal(t, "read-only management events", detect.ManagementReads.String())
	assert.Equal(t, "management events", detect.ManagementEvents.String())
	assert.Equal(t, "management events and S3 data events or server access logs", (detect.S3DataEvents | detect.ManagementEvents).String())
	assert.Equal(t, []detect.Telemetry{detect.ManagementReads, detect.ManagementWrites, detect.NetworkEvents},
		(detect.ManagementEvents | detect.NetworkEvents).Kinds())
}

// Conditions that rules share are looked at once for an event, decide who runs,
// and are part of findings and explanations.
func TestConditions(t *testing.T) {
	asked := 0
	denied := &detect.Condition{Text: "the call was denied", Guard: true, Is: func(e *event.Event) bool { return e.ErrorCode != "" }}
	signed := &detect.Condition{Text: "a long-term key signed", Is: func(e *event.Event) bool {
		asked++
		return e.Identity.AccessKeyID == "AKIAEXAMPLE"
	}}
	var rules []detect.Detector
	for _, name := range []string{"one", "two"} {
		i := info(name)
		i.Conditions = []*detect.Condition{denied, signed}
		rules = append(rules, detect.New(i, func(p *detect.Pass) {
			if p.Require("it is a test", true) {
				p.Report("", "met")
			}
		}))
	}
	en := newEngine(t, newSet(t, rules...), nil, nil)
	refused, unsigned, met := newEvent(1, on(1, "12:00:00"), "alice", "a"), newEvent(2, on(1, "12:00:01"), "alice", "a"), newEvent(3, on(1, "12:00:02"), "alice", "a")
	refused.ErrorCode, unsigned.Identity.AccessKeyID = "AccessDenied", "ASIAEXAMPLE"
	found := process(t, en, refused, unsigned, met)
	require.Len(t, found, 2)
	assert.Equal(t, 3, asked)
	assert.Equal(t, []detect.Check{
		{Condition: "the call was denied", Passed: true, Guard: true},
		{Condition: "a long-term key signed", Passed: true},
		{Condition: "it is a test", Passed: true},
	}, found[0].Checks)
	assert.Equal(t, met.ID, found[1].EventIDs[0])

	for want, e := range map[string]*event.Event{"the call was denied: yes": refused, "a long-term key signed: no": unsigned} {
		explained, err := en.Explain(context.Background(), e)
		require.NoError(t, err)
		missed, ok := explained[0].Missed()
		require.True(t, ok)
		assert.Equal(t, want, missed.String())
	}
}

func TestBadConditions(t *testing.T) {
	is := func(*event.Event) bool { return true }
	var many []*detect.Condition
	for range 65 {
		many = append(many, &detect.Condition{Text: "one of many", Is: is})
	}
	for _, conditions := range [][]*detect.Condition{{nil}, {{Is: is}}, {{Text: "without a function"}}, many} {
		i := info("bad")
		i.Conditions = conditions
		_, err := detect.NewSet([]detect.Detector{echo(i)}, nil)
		assert.ErrorIs(t, err, detect.ErrDetector)
	}
}
