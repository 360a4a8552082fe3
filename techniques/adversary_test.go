package techniques

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
)

// The tests in this file play somebody who knows how the rules work. What they
// cannot stop is in TestWhatGetsThrough, and the catalogue says it.

// people and the twenty days in which all is well, in most of these tests.
const ordinary = `rule none
principal alice = user alice key AKIAIOSFODNN7EXAMPLE from 198.51.100.10 agent "aws-cli/2.15.30"
principal app = role app session app-7d9c from 198.51.100.7 agent "aws-sdk-go-v2/1.25.3"
principal web = instance web i-0a1b2c3d4e5f60718 from 198.51.100.30 agent "Boto3/1.34.0"
case adversary
  day 1-20 09:00 alice ec2:DescribeInstances
  day 1-20 09:01 alice s3:GetObject {"bucketName":"acme-reports","key":"daily/{day}.csv"}
  day 1-20 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{day}/{n}.csv"} times 20
  day 1-20 11:00 web ssm:GetParameter {"name":"/web/endpoint"}
  day 1-20 11:01 web s3:GetObject {"bucketName":"acme-assets","key":"web/{n}.css"} times 3
`

// calls returns the events of lines in the scenario language, on top of the
// ordinary days.
func calls(t *testing.T, lines ...string) []*event.Event {
	t.Helper()
	s, err := detecttest.Parse("adversary", ordinary+strings.Join(lines, "\n")+"\nexpect nothing\n")
	require.NoError(t, err)
	return s.Cases[0].Events()
}

// found returns the rules that report something of at least a severity on or
// after a day, with the last revision of their gravest finding.
func found(t *testing.T, events []*event.Event, day int, least detect.Severity) map[string]detect.Finding {
	t.Helper()
	detectors, err := All(nil)
	require.NoError(t, err)
	byRule := make(map[string]detect.Finding)
	for _, f := range run(t, detectors, events) {
		if f.Severity >= least && !f.Time.Before(detecttest.DayOne.AddDate(0, 0, day-1)) && f.Severity >= byRule[f.Rule].Severity {
			byRule[f.Rule] = f
		}
	}
	return byRule
}

func requireFound(t *testing.T, got map[string]detect.Finding, rules ...string) {
	t.Helper()
	for _, rule := range rules {
		require.Contains(t, got, rule)
	}
}

func TestOrdinaryDaysAreQuiet(t *testing.T) {
	assert.Empty(t, found(t, calls(t, `day 21-25 09:00 alice ec2:DescribeInstances`), 15, detect.Low))
}

// Somebody uses a stolen key a little every day, from his own network, until
// it is normal. It is reported the first day, again every week until then, and
// what he does with it afterwards is not hidden by it.
func TestSlowPoisoning(t *testing.T) {
	events := calls(t,
		`day 21-50 09:00 alice ec2:DescribeInstances`,
		`day 21-50 02:00 alice ec2:DescribeInstances from 203.0.113.9`,
		`day 51 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 15 every 5s from 203.0.113.9`,
	)
	first := found(t, events, 21, detect.Medium)["first-seen-source-ip"]
	assert.Equal(t, 21, dayNumber(first.Time), "on the day it begins")
	requireFound(t, found(t, events, 51, detect.High), "userdata-bulk")
}

// A person who calls the first of these findings malicious keeps the network
// from becoming normal.
func TestPoisoningAfterAVerdict(t *testing.T) {
	events := calls(t,
		`day 21-50 09:00 alice ec2:DescribeInstances`,
		`day 21-50 02:00 alice ec2:DescribeInstances from 203.0.113.9`,
	)
	detectors, err := All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	last := 0
	for _, e := range events {
		findings, err := engine.Process(t.Context(), []*event.Event{e})
		require.NoError(t, err)
		for _, f := range findings {
			if f.Rule == "first-seen-source-ip" {
				require.NoError(t, engine.Judge(t.Context(), &f, baseline.Malicious))
				last = dayNumber(f.Time)
			}
		}
	}
	assert.Greater(t, last, 45, "it is still reported four weeks later")
}

// Before the theft, a flood of values fills every memory of the principal:
// networks, tools, buckets, parameters. What is new is still new afterwards,
// and what is normal still normal.
func TestFlooding(t *testing.T) {
	events := calls(t,
		`day 21 03:00 alice s3:ListObjects {"bucketName":"flood-{n}","prefix":"p{n}/"} times 700 every 10s`,
		`day 21 05:00 alice ssm:GetParameter {"name":"/flood/{n}/password","withDecryption":true} times 700 every 10s`,
		`day 21 07:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-0{n:016}"} times 700 every 10s`,
		`day 21 09:10 alice ec2:DescribeInstances times 1 agent "flood/1"`,
		`day 22-60 09:00 alice ec2:DescribeInstances`,
		`day 22-60 09:01 alice s3:GetObject {"bucketName":"acme-reports","key":"daily/{day}.csv"}`,
		`day 61 09:00 alice ec2:DescribeInstances`,
		`day 61 09:01 alice s3:GetObject {"bucketName":"acme-reports","key":"daily/{day}.csv"}`,
		`day 62 02:00 alice ec2:DescribeInstances from 203.0.113.9`,
		`day 62 02:01 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-1{n:016}"} times 15 every 5s from 203.0.113.9`,
	)
	requireFound(t, found(t, events, 21, detect.Medium), "ssm-bulk", "userdata-bulk")
	assert.Empty(t, found(t, events[:len(events)-16], 40, detect.Medium), "habits survive the flood")
	requireFound(t, found(t, events, 62, detect.Medium), "first-seen-source-ip", "userdata-bulk")
}

// A flood of new networks, such as an attacker behind rotating proxies makes,
// silences novelty of networks: one more proves nothing. It does not silence
// the rules that count, and the flood itself is reported before.
func TestRotatingProxies(t *testing.T) {
	events := calls(t,
		`day 21-30 02:00 alice ec2:DescribeInstances times 8 every 30m from 203.0.{n}.{day}`,
		`day 31 02:00 alice ssm:GetParameter {"name":"/prod/{n}/password","withDecryption":true} times 30 every 5s from 192.0.2.9`,
	)
	requireFound(t, found(t, events, 21, detect.Medium), "first-seen-source-ip")
	requireFound(t, found(t, events, 31, detect.High), "ssm-bulk")
}

// The URLs that a program signs are used from everywhere. Whoever steals its
// credentials does not disappear among their users.
func TestBehindTheUsersOfURLs(t *testing.T) {
	got := found(t, calls(t,
		`day 1-20 12:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{day}/{n}.csv"} times 40 every 10m from 100.{day}.{n}.9 additional {"AuthenticationMethod":"QueryString"}`,
		`day 21 02:00 app s3:ListObjects {"bucketName":"acme-reports","prefix":"in/"} from 203.0.113.9`,
		`day 21 02:01 app s3:GetObject {"bucketName":"acme-reports","key":"in/{n}.csv"} times 20 every 20s from 203.0.113.9`,
	), 21, detect.Low)
	requireFound(t, got, "first-seen-source-ip", "getobject-outside-networks")
}

// Who stays below the threshold of a rule that counts is seen by those that
// know what is usual: each of these reads is new to the principal.
func TestSplitBursts(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		rules []string // at least one of them, at medium
	}{
		{"nine instances a day", []string{
			`day 21-25 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{day}{n:014}"} times 9 every 10m`,
		}, []string{"userdata-read"}},
		{"a parameter an hour", []string{
			`day 21-25 00:10 alice ssm:GetParameter {"name":"/prod/{day}-{n}/password","withDecryption":true} times 20 every 1h`,
		}, []string{"ssm-sensitive-name"}},
		{"nine functions, and a pause", []string{
			`day 21 02:00 alice lambda:GetFunction20150331v2 {"functionName":"f-{n}"} times 9 every 5s`,
			`day 21 03:00 alice lambda:GetFunction20150331v2 {"functionName":"g-{n}"} times 9 every 5s`,
		}, []string{"lambda-config-read"}},
		{"four buckets, and a pause", []string{
			`day 21 02:00 alice s3:ListBuckets`,
			`day 21 02:01 alice s3:ListObjects {"bucketName":"acme-a{n}","prefix":"backups/"} times 4`,
			`day 21 04:00 alice s3:ListObjects {"bucketName":"acme-b{n}","prefix":"backups/"} times 4`,
		}, []string{"listobjects-unexpected", "sensitive-prefix-listing"}},
		{"nineteen objects, and a pause", []string{
			`day 21 02:00 alice s3:ListObjects {"bucketName":"acme-finance","prefix":"backups/"}`,
			`day 21 02:01 alice s3:GetObject {"bucketName":"acme-finance","key":"a/{n}"} times 19`,
			`day 21 04:00 alice s3:GetObject {"bucketName":"acme-finance","key":"b/{n}"} times 19`,
		}, []string{"listobjects-unexpected", "sensitive-prefix-listing", "first-seen-bucket-reader"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := found(t, calls(t, tt.lines...), 21, detect.Medium)
			assert.True(t, slices.ContainsFunc(tt.rules, func(rule string) bool { _, ok := got[rule]; return ok }), "found by %v", names(got))
		})
	}
}

// A user agent and a source that look like AWS's excuse nothing: what is found
// without them is found with them.
func TestForgedAgentsAndAddresses(t *testing.T) {
	attack := []string{
		`day 21 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 15 every 5s %s`,
		`day 21 02:05 alice ssm:GetParameter {"name":"/prod/{n}/password","withDecryption":true} times 30 every 5s %s`,
		`day 21 02:09 alice s3:ListBuckets %s`,
		`day 21 02:10 alice s3:ListObjects {"bucketName":"acme-{n}","prefix":"backups/"} times 8 every 5s %s`,
	}
	disguised := func(as string) map[string]detect.Finding {
		var lines []string
		for _, line := range attack {
			lines = append(lines, fmt.Sprintf(line, as))
		}
		return found(t, calls(t, lines...), 21, detect.High)
	}
	want := names(disguised(`from 198.51.100.10`))
	require.Subset(t, want, []string{"userdata-bulk", "ssm-bulk", "bucket-sweep"})
	for _, as := range []string{
		`from 198.51.100.10 agent "config.amazonaws.com"`,
		`from 198.51.100.10 agent "AWS Internal"`,
		`from 198.51.100.10 agent "aws-internal/3 aws-sdk-java/1.12.1"`,
		`from 198.51.100.10 agent "[S3Console/0.4, aws-internal/3]"`,
		`from 198.51.100.10 agent "APN/1.0 HashiCorp/1.0 Terraform/1.7.0"`,
		`from "ec2.amazonaws.com" agent "ec2.amazonaws.com"`,
		`from "AWS Internal" agent "AWS Internal"`,
	} {
		assert.Subset(t, names(disguised(as)), want, as)
	}
}

// Session names are the caller's to choose. A new one for each call does not
// make the caller anyone else, and one that looks like an instance's, a
// function's or a service's does not excuse it.
func TestSessionNames(t *testing.T) {
	for _, session := range []string{"app-{n}", "i-0{n:016}", "AWSServiceRoleForConfig", "config.amazonaws.com", "Prowler", "app-7d9c"} {
		t.Run(session, func(t *testing.T) {
			set := `set {"userIdentity":{"principalId":"AROAEXAMPLE:` + session + `","arn":"arn:aws:sts::111122223333:assumed-role/app/` + session + `"}}`
			got := found(t, calls(t,
				`day 21 02:00 app ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 15 every 5s from 203.0.113.9 `+set,
			), 21, detect.High)
			requireFound(t, got, "userdata-bulk")
			assert.Equal(t, "arn:aws:iam::111122223333:role/app", got["userdata-bulk"].Principal)
		})
	}
}

// Records played again, however old, are not evaluated again: they are
// duplicates or late, they change no finding, and they do not turn the clock
// of a principal back.
func TestReplayedRecords(t *testing.T) {
	events := calls(t,
		`day 21-22 09:00 alice ec2:DescribeInstances`,
		`day 22 10:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 15 every 5s`,
	)
	detectors, err := All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	first, err := engine.Process(t.Context(), events)
	require.NoError(t, err)
	require.NotEmpty(t, first)
	before := engine.Stats()
	again, err := engine.Process(t.Context(), events)
	require.NoError(t, err)
	assert.Empty(t, again)
	after := engine.Stats()
	assert.Equal(t, before.Evaluated, after.Evaluated)
	assert.Equal(t, int64(len(events)), after.Duplicate+after.Late-before.Duplicate-before.Late)
}

// A burst is found when its events come in any order, each as late as is
// allowed; what is later is counted as late.
func TestDisorderAtTheLimit(t *testing.T) {
	ordinary := calls(t, `day 21 10:15 alice ec2:DescribeRegions`)
	burst := calls(t, "", // on another line than the call above, so with other ids
		`day 21 10:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 10`)
	burst = slices.DeleteFunc(burst, func(e *event.Event) bool { return e.Operation != "DescribeInstanceAttribute" })
	slices.Reverse(burst)
	for _, tt := range []struct {
		shift time.Duration
		found bool
	}{{0, true}, {-time.Second, false}} {
		late := make([]*event.Event, len(burst))
		for i, e := range burst {
			late[i] = e.Clone()
			late[i].Time = e.Time.Add(tt.shift) // the earliest is 15 min before the latest event of alice
		}
		detectors, err := All(nil)
		require.NoError(t, err)
		set, err := detect.NewSet(detectors, nil)
		require.NoError(t, err)
		engine, err := detect.NewEngine(set, nil, nil)
		require.NoError(t, err)
		findings, err := engine.Process(t.Context(), slices.Concat(ordinary, late))
		require.NoError(t, err)
		got := slices.ContainsFunc(findings, func(f detect.Finding) bool { return f.Rule == "userdata-bulk" })
		assert.Equal(t, tt.found, got, tt.shift)
		if !tt.found {
			assert.Equal(t, int64(1), engine.Stats().Late)
		}
	}
}

// What these rules do not find at medium or above, so that nobody believes
// they do. When one of these is found one day, move it up and correct the list
// in the catalogue.
func TestWhatGetsThrough(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
	}{
		{"a rate that grows by a third each day, from the usual place", []string{
			`day 21 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"x/{n}.csv"} times 30`,
			`day 22 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"x/{n}.csv"} times 40`,
			`day 23 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"x/{n}.csv"} times 55`,
			`day 24 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"x/{n}.csv"} times 75`,
			`day 25 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"x/{n}.csv"} times 100`,
		}},
		{"whoever is there from the first day", []string{
			`day 1-21 02:00 alice s3:GetObject {"bucketName":"acme-finance","key":"{n}.xlsx"} times 15 from 203.0.113.9`,
		}},
		{"the usual calls, from the usual network, with the usual tool", []string{
			`day 21 02:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{n}.csv"} times 20`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Empty(t, names(found(t, calls(t, tt.lines...), 21, detect.Medium)))
		})
	}
}

func names(found map[string]detect.Finding) []string {
	var list []string
	for rule := range found {
		list = append(list, rule)
	}
	slices.Sort(list)
	return list
}

func dayNumber(t time.Time) int { return int(t.Sub(detecttest.DayOne)/baseline.Day) + 1 }
