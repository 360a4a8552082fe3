package incident_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// Each threshold of the score, with a near miss.
func TestScore(t *testing.T) {
	const info, low, medium, high, critical = detect.Informational, detect.Low, detect.Medium, detect.High, detect.Critical
	type say struct {
		rule      string
		technique detect.Technique
		severity  detect.Severity
		times     int
	}
	tests := []struct {
		name     string
		says     []say
		score    int
		severity detect.Severity
	}{
		{"one info finding", []say{{"r1", "T1580", info, 1}}, 1, info},
		{"one low finding", []say{{"r1", "T1580", low, 1}}, 3, low},
		{"one medium finding", []say{{"r1", "T1580", medium, 1}}, 10, medium},
		{"one high finding", []say{{"r1", "T1580", high, 1}}, 30, high},
		{"one critical finding", []say{{"r1", "T1580", critical, 1}}, 60, critical},

		{"one rule repeats itself", []say{{"r1", "T1580", low, 2}}, 4, low},
		{"one rule repeats itself, at most to double", []say{{"r1", "T1580", low, 500}}, 6, low},
		{"one info rule repeats itself", []say{{"r1", "T1580", info, 500}}, 2, info},
		{"a rule counts by its worst finding", []say{{"r1", "T1580", info, 1}, {"r1", "T1580", high, 1}}, 31, high},
		{"a technique of the same stage", []say{{"r1", "T1552.001", low, 1}, {"r2", "T1552.005", low, 1}}, 7, low},

		{"low: two info rules of one stage", []say{{"r1", "T1580", info, 2}, {"r2", "T1580", info, 1}}, 3, low},
		{"low, near miss: a point less", []say{{"r1", "T1580", info, 1}, {"r2", "T1580", info, 1}}, 2, info},

		{"medium: three info rules on three stages", []say{{"r1", "T1078", info, 1}, {"r2", "T1580", info, 1}, {"r3", "T1619", info, 1}}, 11, medium},
		{"medium, near miss: on two stages", []say{{"r1", "T1078", info, 1}, {"r2", "T1580", info, 1}, {"r3", "T1580", info, 1}}, 7, low},
		{"medium: two low rules on two stages", []say{{"r1", "T1078", low, 1}, {"r2", "T1580", low, 1}}, 10, medium},
		{"medium, near miss: one of them info", []say{{"r1", "T1078", low, 1}, {"r2", "T1580", info, 1}}, 8, low},
		{"medium, near miss: four low rules on one stage", []say{{"r1", "T1580", low, 1}, {"r2", "T1580", low, 1}, {"r3", "T1580", low, 1}, {"r4", "T1580", low, 1}}, 12, low},

		{"high: mediums on three stages", []say{{"r1", "T1078", medium, 1}, {"r2", "T1580", medium, 1}, {"r3", "T1530", low, 1}}, 31, high},
		{"high, near miss: a point less", []say{{"r1", "T1078", medium, 1}, {"r2", "T1580", medium, 1}, {"r3", "T1530", info, 1}}, 29, medium},
		{"high, near miss: on two stages", []say{{"r1", "T1078", medium, 1}, {"r2", "T1580", medium, 1}, {"r3", "T1580", medium, 1}}, 34, medium},

		{"critical: two high on three stages", []say{{"r1", "T1078", high, 1}, {"r2", "T1580", info, 1}, {"r3", "T1530", high, 1}}, 69, critical},
		{"critical: exactly enough", []say{{"r1", "T1078", high, 1}, {"r2", "T1580", medium, 3}, {"r3", "T1530", medium, 1}}, 60, critical},
		{"critical, near miss: a point less", []say{{"r1", "T1078", high, 1}, {"r2", "T1580", medium, 2}, {"r3", "T1530", medium, 1}}, 59, high},
		{"critical, near miss: on two stages", []say{{"r1", "T1078", high, 1}, {"r2", "T1530", high, 1}, {"r3", "T1530", high, 1}}, 94, high},

		{"a technique of no stage", []say{{"r1", "T1078", low, 1}, {"r2", "T1098", low, 1}}, 7, low},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var fs []detect.Finding
			for _, s := range tt.says {
				for range s.times {
					fs = append(fs, with(found(fmt.Sprint(len(fs)), s.technique, s.severity, user("alice"), at(0)), func(f *detect.Finding) { f.Rule = s.rule }))
				}
			}
			in := joined(t, fs...)
			require.Len(t, in, 1)
			assert.Equal(t, tt.score, in[0].Score)
			assert.Equal(t, tt.severity, in[0].Severity)
		})
	}
}

// A rule counts once for each principal.
func TestScoreOfSeveralPrincipals(t *testing.T) {
	var fs []detect.Finding
	for _, name := range []string{"alice", "bob", "carol"} {
		fs = append(fs, with(found(name, "T1580", detect.Informational, user(name), at(0)), func(f *detect.Finding) { f.SourceAddress, f.AboutSource = "203.0.113.9", true }))
	}
	in := joined(t, fs...)
	require.Len(t, in, 1)
	assert.Equal(t, 3, in[0].Score)
	assert.Equal(t, detect.Informational, in[0].Severity, "one rule raises nothing")
}

func TestStage(t *testing.T) {
	for _, tt := range []struct {
		technique detect.Technique
		tactic    detect.Tactic
		want      incident.Stage
	}{
		{"T1078.004", detect.InitialAccess, incident.Access},
		{"T1580", detect.Discovery, incident.Discovery},
		{"T1619", detect.Discovery, incident.StorageDiscovery},
		{"T1552.005", detect.CredentialAccess, incident.Credentials},
		{"T1530", detect.Collection, incident.Collection},
		// A researcher's own.
		{"T1190", detect.InitialAccess, incident.Access},
		{"T1087", detect.Discovery, incident.Discovery},
		{"T1555.006", detect.CredentialAccess, incident.Credentials},
		{"T1213", detect.Collection, incident.Collection},
		{"T1098", "TA0003", incident.NoStage},
	} {
		in := joined(t, with(found("a", tt.technique, detect.Low, user("alice"), at(0)), func(f *detect.Finding) { f.Tactic = tt.tactic }))
		assert.Equal(t, tt.want, in[0].Stage, tt.technique)

		b, err := tt.want.MarshalText()
		require.NoError(t, err)
		var s incident.Stage
		require.NoError(t, s.UnmarshalText(b))
		assert.Equal(t, tt.want, s)
	}
	var s incident.Stage
	require.Error(t, s.UnmarshalText([]byte("exfiltration")))
	assert.Equal(t, "Stage(99)", incident.Stage(99).String())
}

func TestIncident(t *testing.T) {
	fs := []detect.Finding{
		with(found("b", "T1530", detect.High, user("alice"), at(3)), func(f *detect.Finding) {
			f.First, f.Last, f.AccessKeyID, f.SourceAddress = at(2), at(5), "AKIAEXAMPLE", "203.0.113.9"
		}),
		with(found("a", "T1078.004", detect.Low, user("alice"), at(1)), func(f *detect.Finding) { f.First, f.SourceAddress = at(0.5), "198.51.100.7" }),
		with(found("c", "T1580", detect.Critical, user("alice"), at(100)), func(f *detect.Finding) { f.AccountID = "444455556666" }),
		found("d", "T1580", detect.High, user("alice"), at(200)),
		found("e", "T1580", detect.High, user("alice"), at(300)),
	}
	in := joined(t, fs...)
	assert.Equal(t, "c, a b, e, d", groups(in), "by severity, score, and last the latest first")
	got := in[1]
	assert.Equal(t, at(0.5), got.First)
	assert.Equal(t, at(5), got.Last)
	assert.Equal(t, incident.Collection, got.Stage)
	assert.Equal(t, []incident.Stage{incident.Access, incident.Collection}, got.Stages)
	assert.Equal(t, []string{user("alice")}, got.Principals)
	assert.Equal(t, []string{"AKIAEXAMPLE"}, got.AccessKeys)
	assert.Equal(t, []string{"198.51.100.7", "203.0.113.9"}, got.Sources)
	assert.Equal(t, []string{account}, got.Accounts)
	assert.Equal(t, []detect.Technique{"T1078.004", "T1530"}, got.Techniques)
	assert.Contains(t, text(t, in[1:2]), `"stages": [
   "access",
   "collection"
  ],`)
	assert.Equal(t, "alice: from access to collection, 2 findings", got.Title)
	assert.Equal(t, "alice: something about c", in[0].Title)
}

// The whole paragraph, word for word.
func TestSummary(t *testing.T) {
	night := time.Date(2026, 3, 2, 23, 40, 10, 0, time.UTC)
	respond := []string{"Revoke the principal's sessions and keys.", "Then the rest."}
	access := with(found("1", "T1078.004", detect.Low, user("alice"), night), func(f *detect.Finding) {
		f.Title, f.Subject = "credentials used from 203.0.113.9 for the first time", "203.0.113.9"
		f.AccessKeyID, f.SourceAddress = "AKIAEXAMPLE", "203.0.113.9"
		f.Learned.Since = night.AddDate(0, -1, 0)
	})
	looking := with(found("2", "T1580", detect.Informational, user("alice"), night.Add(time.Minute)), func(f *detect.Finding) {
		f.SourceAddress = "203.0.113.9"
	})
	secrets := with(found("3", "T1552", detect.Low, user("alice"), night.Add(2*time.Hour)), func(f *detect.Finding) {
		f.Title, f.Subject, f.SourceAddress, f.Rule = "secret prod/db read", "prod/db", "203.0.113.9", "secret-read"
		f.Respond = respond
		f.Learned = detect.Learned{Since: night.AddDate(0, 0, -2)}
	})
	bucket := with(secrets, func(f *detect.Finding) {
		f.ID, f.Technique, f.Title, f.Subject, f.Rule = "4", "T1530", "bucket backups read", "backups", "bucket-read"
		f.Time, f.First, f.Last = night.Add(26*time.Hour+5*time.Minute), night.Add(time.Hour), night.Add(26*time.Hour+5*time.Minute)
		f.Severity = detect.Medium
	})
	denied := with(secrets, func(f *detect.Finding) { f.ID, f.Title, f.Subject = "5", "3 secrets asked for, and denied", "denied" })
	kind := with(bucket, func(f *detect.Finding) { f.ID, f.Title, f.Subject = "6", "listing refused", "logs refused" })
	network := with(bucket, func(f *detect.Finding) {
		f.ID, f.Title, f.Subject = "8", "object read from outside, at 203.0.113.9", "203.0.113"
	})

	tests := []struct {
		name string
		fs   []detect.Finding
		want []string
	}{
		{"one finding", []detect.Finding{access}, []string{
			"alice (access key AKIAEXAMPLE) in account 111122223333 was seen from 203.0.113.9 on 2026-03-02 at 23:40 UTC.",
			"There is one finding, a sign of access with somebody's credentials.",
			`It is of low severity and says "credentials used from 203.0.113.9 for the first time" (rule rule-t1078.004).`,
			"What is normal was learnt since 2026-02-02.",
		}},
		{"weak ones together", []detect.Finding{secrets, access, looking}, []string{
			"alice (access key AKIAEXAMPLE) in account 111122223333 was seen from 203.0.113.9 between 2026-03-02 23:40 and 2026-03-03 01:40 UTC, for 2 hours.",
			"In the order of an intrusion there is 1 sign of access with somebody's credentials, then 1 sign of looking at the infrastructure, then 1 sign of taking secrets.",
			`The worst finding, of low severity, says "secret prod/db read" (rule secret-read).`,
			"No finding is worse than low alone; together they count as medium.",
			"At stake is prod/db.",
			"What is normal was learnt only since 2026-02-28, which is too short to be sure.",
			"First thing to do: Revoke the principal's sessions and keys.",
		}},
		{"days of it", []detect.Finding{bucket, secrets, denied, kind, network}, []string{
			"alice in account 111122223333 was seen from 203.0.113.9 between 2026-03-03 00:40 and 2026-03-04 01:45 UTC, for 1 day 1 hour.",
			"In the order of an intrusion there are 2 signs of taking secrets, then 3 signs of taking data.",
			`The worst finding, of medium severity, says "bucket backups read" (rule bucket-read).`,
			"At stake are backups and prod/db.",
			"What is normal was learnt only since 2026-02-28, which is too short to be sure.",
			"First thing to do: Revoke the principal's sessions and keys.",
		}},
		{"nothing learnt, nothing known", []detect.Finding{{ID: "7", Rule: "r", Technique: "T9999", Severity: detect.High, Title: "t", Time: night}}, []string{
			"somebody unknown was seen on 2026-03-02 at 23:40 UTC.",
			"There is one finding, a sign of something else.",
			`It is of high severity and says "t" (rule r).`,
			"None of this rests on learnt habits.",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := joined(t, tt.fs...)
			require.Len(t, in, 1)
			assert.Equal(t, strings.Join(tt.want, " "), in[0].Summary)
		})
	}
}

// What an intruder chooses cannot pass for what the paragraph says, break its
// line or its terminal, or make it long.
func TestHostileNames(t *testing.T) {
	evil := "bob was only testing. Ignore this.\n\x1b[2J\u202e\xff" + strings.Repeat("long", 1000)
	f := found("a", "T1530", detect.High, user(evil), at(0))
	f.PrincipalName, f.Title, f.Subject, f.AccessKeyID, f.SourceAddress, f.AccountID, f.Rule, f.Session = evil, "read "+evil, evil, evil, evil, evil, evil, evil
	f.Respond = []string{evil}
	in := joined(t, f)[0]
	for _, s := range []string{in.Title, in.Summary} {
		assert.NotContains(t, s, "\n")
		assert.NotContains(t, s, "\x1b")
		assert.NotContains(t, s, "\u202e")
		assert.NotContains(t, s, "\xff")
		assert.Less(t, len(s), 2000)
	}
	assert.True(t, strings.HasPrefix(in.Summary, `"bob was only testing. Ignore this.\n`), in.Summary)

	many := make([]detect.Finding, 0, 1000)
	for i := range 1000 {
		many = append(many, with(found(fmt.Sprint(i), "T1530", detect.High, user("u"), at(0)), func(f *detect.Finding) {
			f.Subject, f.SourceAddress, f.AccessKeyID = fmt.Sprint("bucket-", i), fmt.Sprint("203.0.113.", i), fmt.Sprint("AKIA", i)
			f.Title = f.Subject
		}))
	}
	s := joined(t, many...)[0].Summary
	assert.Less(t, len(s), 1000)
	assert.Contains(t, s, "and 996 more")
}
