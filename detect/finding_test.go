package detect_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func TestSeverityText(t *testing.T) {
	for s := detect.Silent; s <= detect.Critical; s++ {
		text, err := s.MarshalText()
		require.NoError(t, err)
		var back detect.Severity
		require.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, s, back)
	}
	s := detect.High
	require.Error(t, s.UnmarshalText([]byte("HIGH")))
	assert.Equal(t, detect.High, s, "left alone")
	assert.Equal(t, "Severity(9)", detect.Severity(9).String())
}

func TestSeverityLowered(t *testing.T) {
	tests := []struct {
		s    detect.Severity
		n    int
		want detect.Severity
	}{
		{detect.High, 0, detect.High},
		{detect.High, 1, detect.Medium},
		{detect.Low, 5, detect.Informational},
		{detect.Informational, 1, detect.Informational},
		{detect.Silent, 1, detect.Silent},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, tt.s.Lowered(tt.n), "%s by %d", tt.s, tt.n)
	}
}

func TestTechnique(t *testing.T) {
	assert.Equal(t, "Unsecured Credentials: Cloud Instance Metadata API", detect.Technique("T1552.005").Name())
	assert.Equal(t, "Valid Accounts", detect.Technique("T1078").Name())
	assert.Empty(t, detect.Technique("T9999").Name())
	assert.Empty(t, detect.Technique("T1078.999").Name())
	assert.Equal(t, detect.Technique("T1552"), detect.Technique("T1552.005").Parent())
	assert.Equal(t, detect.Technique("T1552"), detect.Technique("T1552").Parent())
	assert.Equal(t, "https://attack.mitre.org/techniques/T1552/005/", detect.Technique("T1552.005").URL())
}

func TestFindingJSON(t *testing.T) {
	f := detect.Finding{ID: "id", Severity: detect.High, Time: on(1, "12:00:00")}
	text, err := json.Marshal(f)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"severity":"high"`)
	assert.Contains(t, string(text), `"time":"2026-01-05T12:00:00Z"`)
	var back detect.Finding
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, f, back)
}

// What is told of events is no part of their memory, which is used again.
func TestFindingsOutliveEvents(t *testing.T) {
	told := detect.New(info("told"), func(p *detect.Pass) {
		p.Report(p.Event.SourceAddress, p.Event.UserAgent, detect.Evidence{Name: p.Event.Name, Observed: p.Event.Region, Expected: p.Event.ID, EventIDs: []string{p.Event.ID}})
	})
	set := newSet(t, told)
	record := func(n int, agent string) *event.Event {
		return eventtest.Record{Call: "iam:ListUsers", At: on(1, "10:00:00").Add(time.Duration(n) * time.Second), Agent: agent}.Event(t)
	}
	process := map[string]func([]*event.Event) []detect.Finding{
		"Process": func(events []*event.Event) []detect.Finding {
			return process(t, newEngine(t, set, nil, &detect.EngineOptions{Updates: true}), events...)
		},
		"Apply": func(events []*event.Event) (findings []detect.Finding) {
			_, err := set.Apply(nil, nil, events, func(f detect.Finding) { findings = append(findings, f) })
			require.NoError(t, err)
			return findings
		},
		"Explain": func(events []*event.Event) []detect.Finding {
			all, err := set.Explain(nil, nil, events[0])
			require.NoError(t, err)
			return all[0].Findings
		},
	}
	for name, find := range process {
		t.Run(name, func(t *testing.T) {
			var memory event.Batch
			for n := range 5 {
				memory.Add(record(n, "agent-before"))
			}
			findings := find(memory.Events())
			require.NotEmpty(t, findings)
			before, err := json.Marshal(findings)
			require.NoError(t, err)
			require.Contains(t, string(before), "agent-before")
			memory.Reset()
			for n := range 5 {
				memory.Add(record(1000+n, "after-before"))
			}
			after, err := json.Marshal(findings)
			require.NoError(t, err)
			require.JSONEq(t, string(before), string(after))
		})
	}
}

// A rule may use a list for one report after the other.
func TestEvidenceIsCopied(t *testing.T) {
	twice := detect.New(info("twice"), func(p *detect.Pass) {
		list := []detect.Evidence{{Name: "n", Observed: "first", EventIDs: []string{"a"}}}
		p.Report("first", "first", list...)
		list[0].Observed, list[0].EventIDs[0] = "second", "b"
		p.Report("second", "second", list...)
	})
	findings := process(t, newEngine(t, newSet(t, twice), nil, nil), newEvent(1, on(1, "10:00:00"), "alice", "a"))
	require.Len(t, findings, 2)
	for _, f := range findings {
		assert.Equal(t, f.Title, f.Evidence[0].Observed)
		assert.Equal(t, map[string]string{"first": "a", "second": "b"}[f.Title], f.Evidence[0].EventIDs[0])
	}
}
