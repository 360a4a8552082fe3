package incident_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

const account = eventtest.Account

// at is a time so many hours after the start.
func at(hours float64) time.Time {
	return eventtest.Start.Add(time.Duration(hours * float64(time.Hour)))
}

func user(name string) string { return "arn:aws:iam::" + account + ":user/" + name }
func role(name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// found returns a finding of a technique with an ID of its own, which stands
// for one event.
func found(id string, technique detect.Technique, severity detect.Severity, principal string, when time.Time) detect.Finding {
	return detect.Finding{
		ID: id, Rule: "rule-" + strings.ToLower(string(technique)), Technique: technique, Severity: severity,
		Title: "something about " + id, Principal: principal, PrincipalName: principal[strings.LastIndexByte(principal, '/')+1:],
		AccountID: account, Region: "us-east-1", Time: when, First: when, Last: when,
		Learned: detect.Learned{Mature: true},
	}
}

// with changes a finding.
func with(f detect.Finding, change func(*detect.Finding)) detect.Finding {
	change(&f)
	return f
}

func joiner(t testing.TB, o *incident.Options) *incident.Joiner {
	t.Helper()
	j, err := incident.NewJoiner(o)
	require.NoError(t, err)
	return j
}

// joined returns the incidents of some findings.
func joined(t testing.TB, fs ...detect.Finding) []incident.Incident {
	t.Helper()
	j := joiner(t, nil)
	for _, f := range fs {
		j.Add(f)
	}
	return j.Incidents()
}

// groups says which findings are together: "a b, c".
func groups(incidents []incident.Incident) string {
	var all []string
	for _, in := range incidents {
		var ids []string
		for _, s := range in.Timeline {
			ids = append(ids, s.ID)
		}
		all = append(all, strings.Join(ids, " "))
	}
	return strings.Join(all, ", ")
}

// assume is an AssumeRole event: by whom, with which result.
func assume(t testing.TB, by eventtest.Identity, when time.Time, roleName, session, key string) *event.Event {
	t.Helper()
	return eventtest.Record{
		Call: "sts:AssumeRole", By: by, At: when,
		Request:  map[string]any{"roleArn": role(roleName), "roleSessionName": session},
		Response: assumed(roleName, session, key),
	}.Event(t)
}

func assumed(roleName, session, key string) map[string]any {
	return map[string]any{
		"credentials":     map[string]any{"accessKeyId": key, "sessionToken": "not kept"},
		"assumedRoleUser": map[string]any{"arn": fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", account, roleName, session)},
	}
}

func save(t testing.TB, j *incident.Joiner) []byte {
	t.Helper()
	b, err := j.AppendBinary(nil)
	require.NoError(t, err)
	return b
}

// text is the whole of some incidents, for comparison.
func text(t testing.TB, incidents []incident.Incident) string {
	t.Helper()
	b, err := json.MarshalIndent(incidents, "", " ")
	require.NoError(t, err)
	return string(b)
}
