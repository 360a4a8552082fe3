package sigma_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/detect/sigma"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

const keyMade = `title: "Key Made (IAM) for Another"
id: 0a1b2c3d-0000-4000-8000-000000000001
description: Somebody makes an access key for another user.
references:
    - https://example.com/keys
status: stable
level: high
tags:
    - attack.persistence
    - attack.credential-access
    - attack.t1098.001
    - attack.t1078
    - cve.2026-1
logsource:
    product: aws
    service: cloudtrail
    definition: any trail
detection:
    selection:
        eventSource: iam.amazonaws.com
        eventName: CreateAccessKey
    filter_main_own:
        userIdentity.userName|fieldref: requestParameters.userName
    filter_optional_tools:
        userAgent|contains: Terraform
    condition: selection and not 1 of filter_main_* and not 1 of filter_optional_*
fields:
    - requestParameters.userName
    - sourceIPAddress
falsepositives:
    - Onboarding
`

func TestInfo(t *testing.T) {
	info := load(t, nil, keyMade)[0].Info()
	assert.Equal(t, "sigma-key-made-iam-for-another", info.Name)
	assert.Equal(t, "Somebody makes an access key for another user.", info.Doc)
	assert.Equal(t, detect.Technique("T1098.001"), info.Technique)
	assert.Equal(t, detect.Tactic("TA0003"), info.Tactic)
	assert.Equal(t, detect.High, info.Severity)
	assert.Equal(t, []string{"iam:CreateAccessKey"}, info.Events)
	assert.Equal(t, []string{"Onboarding"}, info.Benign)
	assert.Equal(t, []string{"Read what the rule rests on: https://example.com/keys"}, info.Respond)
}

func TestFinding(t *testing.T) {
	detectors := load(t, nil, keyMade)
	made := func(user, agent string) *event.Event {
		return eventtest.Record{Call: "iam:CreateAccessKey", Agent: agent, Request: object{"userName": user}}.Event(t)
	}
	findings := process(t, newEngine(t, detectors...), made("bob", "aws-cli"))
	require.Len(t, findings, 1)
	f := findings[0]
	assert.Equal(t, "Key Made (IAM) for Another: iam:CreateAccessKey", f.Title)
	assert.Equal(t, detect.High, f.Severity)
	assert.Equal(t, "arn:aws:iam::111122223333:user/alice", f.Key)
	assert.Equal(t, []detect.Evidence{
		{Name: "eventName", Observed: "CreateAccessKey"},
		{Name: "eventSource", Observed: "iam.amazonaws.com"},
		{Name: "requestParameters.userName", Observed: "bob"},
		{Name: "sourceIPAddress", Observed: "198.51.100.7"},
	}, f.Evidence)
	var checks []string
	for _, c := range f.Checks {
		checks = append(checks, c.String())
	}
	assert.Equal(t, []string{
		"the event matches selection: yes", "the event matches 1 of filter_main_*: no", "the event matches 1 of filter_optional_*: no",
	}, checks)

	// Explain says which part of the condition stood in the way.
	explained := func(e *event.Event) string {
		x, err := newEngine(t, detectors...).Explain(t.Context(), e)
		require.NoError(t, err)
		require.Len(t, x, 1)
		missed, _ := x[0].Missed()
		return missed.String()
	}
	assert.Equal(t, "the event matches 1 of filter_main_*: yes", explained(made("alice", "aws-cli")))
	assert.Equal(t, "the event matches 1 of filter_optional_*: yes", explained(made("bob", "HashiCorp Terraform")))
}

// Sigma rules are about every event of the log: services' and anonymous ones,
// too.
func TestWhoever(t *testing.T) {
	detectors := load(t, nil, ruleOf("s: {eventName: GetObject}\ncondition: s"))
	for _, by := range []eventtest.Identity{eventtest.Service("config.amazonaws.com"), eventtest.Anonymous(), {}, eventtest.Root(eventtest.Account)} {
		assert.True(t, fires(t, detectors, eventtest.Record{Call: "s3:GetObject", By: by}), "%v", by)
	}
}

// The kinds of events that rules ask for, as far as they can be told.
func TestEvents(t *testing.T) {
	tests := []struct {
		detection string
		want      []string
	}{
		{"s: {eventSource: iam.amazonaws.com, eventName: [CreateUser, DeleteUser]}\ncondition: s", []string{"iam:CreateUser", "iam:DeleteUser"}},
		{"s: {eventSource: IAM.amazonaws.com, eventName|startswith: Create}\ncondition: s", []string{"iam:*"}},
		{"s: {eventSource: iam.amazonaws.com, eventName: createuser}\ncondition: s", []string{"iam:*"}},
		{"s: {eventSource: lambda.amazonaws.com, eventName: GetFunction20150331v2}\ncondition: s", []string{"lambda:GetFunction"}},
		{"s: {eventName: ConsoleLogin}\ncondition: s", nil},
		{"s: {eventSource: [a.amazonaws.com, b.amazonaws.com], eventName: [X, Y]}\ncondition: s", []string{"a:X", "a:Y", "b:X", "b:Y"}},
		{"s_a: {eventSource: a.amazonaws.com}\ns_b: {eventSource: b.amazonaws.com, eventName: Y}\ncondition: 1 of s_*", []string{"a:*", "b:Y"}},
		{"s: {eventSource: a.amazonaws.com}\nt: {eventName: Y}\nf: {eventName: Z}\ncondition: s and t and not f", []string{"a:Y"}},
		{"s: {eventSource: a.amazonaws.com}\nt: {awsRegion: x}\ncondition: s or t", nil},
		{"s: {eventSource: a.amazonaws.com}\ncondition: not s", nil},
		{"s: {eventSource|neq: a.amazonaws.com}\ncondition: s", nil},
		{"s:\n  - eventSource: a.amazonaws.com\n    eventName: X\n  - eventSource: b.amazonaws.com\ncondition: s", []string{"a:X", "b:*"}},
		{"s:\n  - eventSource: a.amazonaws.com\n  - keyword\ncondition: s", nil},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, load(t, nil, ruleOf(tt.detection))[0].Info().Events, tt.detection)
	}
}

func TestTechnique(t *testing.T) {
	untagged := "title: A\ntags: [attack.privilege_escalation]\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: A}, condition: s}\n"
	_, err := sigma.Load(files(untagged), nil)
	require.ErrorIs(t, err, sigma.ErrUnsupported)
	info := load(t, &sigma.Options{Technique: "T1078.004"}, untagged)[0].Info()
	assert.Equal(t, detect.Technique("T1078.004"), info.Technique)
	assert.Equal(t, detect.Tactic("TA0004"), info.Tactic)
	assert.Equal(t, detect.Medium, info.Severity, "of a rule without a level")
}

// Lines of S3 server access logs have the fields of data events.
func TestAccessLog(t *testing.T) {
	e, err := event.ParseAccessLog(`0123abcd backups [05/Jan/2026:10:00:00 +0000] 198.51.100.7 arn:aws:sts::111122223333:assumed-role/deploy/ci 3E57 ` +
		`REST.GET.OBJECT db/dump.sql "GET /backups/db/dump.sql HTTP/1.1" 403 AccessDenied 2356 4712 70 69 "-" "aws-cli/2.31.1" - hostid SigV4 - AuthHeader - - -`)
	require.NoError(t, err)
	matches := func(detection string) bool {
		return len(process(t, newEngine(t, load(t, nil, ruleOf(detection))...), e)) > 0
	}
	assert.True(t, matches(`
s:
    eventSource: s3.amazonaws.com
    eventName: GetObject
    requestParameters.bucketName: backups
    userAgent|startswith: aws-cli
    userIdentity.arn|contains: assumed-role/deploy
    errorCode: AccessDenied
    sourceIPAddress|cidr: 198.51.100.0/24
    eventTime|hour: 10
    readOnly: true
    recipientAccountId: '111122223333'
condition: s`))
	assert.False(t, matches("s: {userIdentity.sessionContext.attributes.mfaAuthenticated|exists: true}\ncondition: s"))
	assert.False(t, matches("s: {requestParameters.key: other}\ncondition: s"))
	assert.True(t, matches("keyword: REST.GET.OBJECT\ncondition: keyword"))
}

// Rules of every shape keep the laws of detectors.
func TestLaws(t *testing.T) {
	text := keyMade + "---\n" + named("a", "ListUsers") + named("b", "ListRoles") + named("c", "GetUser") +
		ruleOf("s: {userAgent|contains: evil}\ncondition: s") + "---\n" +
		"title: Count\ncorrelation: {type: event_count, rules: [a, b], group-by: [userIdentity.arn], timespan: 10m, condition: {gte: 5}}\n---\n" +
		"title: Values\ncorrelation: {type: value_count, rules: [b], group-by: [sourceIPAddress], timespan: 1h, condition: {gte: 3, field: requestParameters.path}}\n---\n" +
		"title: Both\ncorrelation: {type: temporal, rules: [a, c], group-by: [userIdentity.userName, eventSource], timespan: 30m}\n---\n" +
		"title: Order\ncorrelation: {type: temporal_ordered, rules: [c, b], group-by: [userIdentity.arn], timespan: 2h}\n"
	detectors := load(t, nil, text)
	require.Len(t, detectors, 6)
	var events []*event.Event
	for i := range 60 {
		after := time.Duration(i) * 20 * time.Second
		events = append(events, at(after, []string{"iam:ListUsers", "iam:ListRoles", "iam:GetUser"}[i%3], by([]string{"ann", "bob"}[i/3%2]),
			asking("path", fmt.Sprint("/", i%7))).Event(t))
	}
	events = append(events, at(time.Hour, "iam:CreateAccessKey", asking("userName", "x")).Event(t),
		at(time.Hour+time.Minute, "ec2:RunInstances", func(r *eventtest.Record) { r.Agent = "evil/1" }).Event(t))
	found := make(map[string]bool)
	for _, f := range process(t, newEngine(t, detectors...), events...) {
		found[f.Rule] = true
	}
	require.Len(t, found, len(detectors), "every detector has something to report: %v", found)
	if testing.Short() {
		t.Skip("the laws take a minute under the race detector")
	}
	detecttest.Laws(t, detectors, events)
}
