package guardduty_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/guardduty"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
)

func testdata(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/findings.jsonl")
	require.NoError(t, err)
	return text
}

// read returns the findings among the records of an input, the way that package
// doc says.
func read(t testing.TB, input []byte) (fs []detect.Finding) {
	t.Helper()
	for _, err := range event.Read(bytes.NewReader(input), nil) {
		var d *event.DecodeError
		require.ErrorAs(t, err, &d)
		require.ErrorIs(t, err, event.ErrGuardDuty)
		f, err := guardduty.Parse([]byte(d.Text))
		require.NoError(t, err)
		fs = append(fs, f)
	}
	return fs
}

func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, "2026-01-25T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

func TestParse(t *testing.T) {
	want := []detect.Finding{{
		ID: "16afba5c5c43e07c9e3e5e2e544e95df", Revision: 2, Rule: "guardduty/Recon:IAMUser/MaliciousIPCaller.Custom", Technique: "T1580", Tactic: detect.Discovery,
		Severity: detect.Medium, Title: "API ListAccessKeys was invoked from an IP address on a custom threat list.", Scope: "principal",
		Key: "arn:aws:iam::111122223333:user/alice", Principal: "arn:aws:iam::111122223333:user/alice", PrincipalName: "alice", AccessKeyID: "AKIAIOSFODNN7EXAMPLE",
		AccountID: "111122223333", Region: "eu-west-1", SourceAddress: "198.51.100.7", UserAgent: "aws-cli/2.15.0",
		Time: at("12:00:00"), First: at("12:00:00"), Last: at("12:20:00"), Learned: detect.Learned{Mature: true}, AboutSource: true,
		Evidence: []detect.Evidence{
			{Name: "what GuardDuty says", Observed: "ListAccessKeys was called from 198.51.100.7, an address on the threat list ours."},
			{Name: "API call", Observed: "iam:ListAccessKeys, AccessDenied"},
			{Name: "network of the caller", Observed: "198.51.100.7, Example Hosting, Atlantis"},
			{Name: "occurrences", Observed: "3"},
			{Name: "finding in GuardDuty", Observed: "arn:aws:guardduty:eu-west-1:111122223333:detector/4eb1c4e4/finding/16afba5c5c43e07c9e3e5e2e544e95df"},
		},
	}, {
		ID: "26afba5c5c43e07c9e3e5e2e544e95df", Rule: "guardduty/Exfiltration:S3/AnomalousBehavior", Technique: "T1530", Tactic: detect.Collection,
		Severity: detect.High, Title: "web read S3 objects in an unusual way.", Scope: "principal",
		Key: "arn:aws:iam::111122223333:role/web", Principal: "arn:aws:iam::111122223333:role/web", PrincipalName: "web", Session: "i-0abcdef1234567890",
		AccessKeyID: "ASIAEXAMPLEKEY000001", Subject: "payroll", AccountID: "111122223333", Region: "eu-west-1", SourceAddress: "2001:db8::7",
		Time: at("12:30:00"), First: at("12:30:00"), Last: at("12:40:00"), Learned: detect.Learned{Mature: true},
		Evidence: []detect.Evidence{
			{Name: "what GuardDuty says", Observed: "The APIs used are common in exfiltration."},
			{Name: "API call", Observed: "s3:GetObject"},
			{Name: "network of the caller", Observed: "2001:db8::7"},
			{Name: "buckets", Observed: "payroll, ledger"},
			{Name: "occurrences", Observed: "1"},
			{Name: "finding in GuardDuty", Observed: "arn:aws:guardduty:eu-west-1:111122223333:detector/4eb1c4e4/finding/26afba5c5c43e07c9e3e5e2e544e95df"},
		},
	}, {
		ID: "36afba5c", Rule: "guardduty/CredentialAccess:IAMUser/AnomalousBehavior", Technique: "T1552", Tactic: detect.CredentialAccess,
		Severity: detect.Low, Title: "Anomalous access to secrets.", Scope: "principal",
		Key:       "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/bob@example.com",
		Principal: "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/bob@example.com", PrincipalName: "Admin/bob@example.com",
		Session: "bob@example.com", AccessKeyID: "ASIAEXAMPLEKEY000002", AccountID: "111122223333", Region: "eu-west-1", SourceAddress: "203.0.113.9",
		Time: at("12:00:00"), First: at("12:00:00"), Last: at("12:00:00"), Learned: detect.Learned{Mature: true}, Suppressed: "archived in GuardDuty",
		Evidence: []detect.Evidence{
			{Name: "what GuardDuty says", Observed: "d"},
			{Name: "API call", Observed: "secretsmanager:GetSecretValue"},
			{Name: "network of the caller", Observed: "203.0.113.9"},
			{Name: "account of the caller", Observed: "444455556666, of another organisation"},
			{Name: "occurrences", Observed: "1"},
			{Name: "finding in GuardDuty", Observed: "arn:aws:guardduty:eu-west-1:111122223333:detector/4eb1c4e4/finding/36afba5c"},
		},
	}, {
		ID: "46afba5c", Revision: 39, Rule: "guardduty/UnauthorizedAccess:EC2/SSHBruteForce", Tactic: detect.InitialAccess, Severity: detect.Critical,
		Title: "UnauthorizedAccess:EC2/SSHBruteForce", Scope: "principal", Key: "unknown:111122223333", Principal: "unknown:111122223333",
		PrincipalName: "i-0abcdef1234567890", Subject: "i-0abcdef1234567890", AccountID: "111122223333", Region: "eu-west-1", SourceAddress: "198.51.100.99",
		Time: at("14:00:00"), First: at("14:00:00"), Last: at("15:00:00"), Learned: detect.Learned{Mature: true},
		Evidence: []detect.Evidence{{Name: "network of the caller", Observed: "198.51.100.99"}, {Name: "occurrences", Observed: "40"}},
	}}
	assert.Empty(t, cmp.Diff(want, read(t, testdata(t))))
}

// Findings are found in everything that may be around them.
func TestEnvelopes(t *testing.T) {
	want := read(t, testdata(t))
	lines := strings.Split(strings.TrimSpace(string(testdata(t))), "\n")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(testdata(t))
	require.NoError(t, z.Close())
	quote := func(s string) string { text, _ := json.Marshal(s); return string(text) }
	var messages []string
	for _, line := range lines {
		messages = append(messages, fmt.Sprintf(`{"Type":"Notification","Message":%s}`, quote(line)))
	}
	for name, input := range map[string]string{
		"export to S3":     zipped.String(),
		"an array":         "[" + strings.Join(lines, ",") + "]",
		"GetFindings":      `{"Findings":[` + strings.Join(lines, ",") + `]}`,
		"SNS":              strings.Join(messages, "\n"),
		"SQS":              `{"Records":[{"body":` + strings.Join(mapped(messages, quote), `},{"body":`) + `}]}`,
		"pretty-printed":   pretty(t, lines),
		"between wrappers": `{"Messages":[{"Body":` + strings.Join(mapped(lines, quote), `},{"Body":`) + `}]}`,
	} {
		t.Run(name, func(t *testing.T) { assert.Empty(t, cmp.Diff(want, read(t, []byte(input)))) })
	}
}

func mapped(list []string, by func(string) string) (to []string) {
	for _, s := range list {
		to = append(to, by(s))
	}
	return to
}

func pretty(t *testing.T, lines []string) string {
	var b bytes.Buffer
	for _, line := range lines {
		require.NoError(t, json.Indent(&b, []byte(line), "", "  "))
		b.WriteByte('\n')
	}
	return b.String()
}

// A finding of GuardDuty and one of ours about the same principal are one
// incident, under both their ids.
func TestJoins(t *testing.T) {
	theirs := read(t, testdata(t))[0]
	ours := detect.Finding{
		ID: "ours", Rule: "userdata-bulk", Technique: "T1552.005", Tactic: detect.CredentialAccess, Severity: detect.Medium, Title: "user data of 14 instances",
		Principal: "arn:aws:iam::111122223333:user/alice", PrincipalName: "alice", Time: at("13:00:00"), First: at("13:00:00"), Last: at("13:00:00"),
	}
	j, err := incident.NewJoiner(nil)
	require.NoError(t, err)
	j.Add(theirs)
	j.Add(ours)
	incidents := j.Incidents()
	require.Len(t, incidents, 1)
	assert.Equal(t, []string{theirs.ID, "ours"}, []string{incidents[0].Timeline[0].ID, incidents[0].Timeline[1].ID})
	assert.Equal(t, []incident.Stage{incident.Discovery, incident.Credentials}, incidents[0].Stages)
}

// The principal's key is that which its events have, or nothing joins.
func TestPrincipalAsInEvents(t *testing.T) {
	// Where the call came from: not whose a key of a user or role is.
	const remote = `,"service":{"action":{"awsApiCallAction":{"remoteAccountDetails":{"accountId":"444455556666","affiliated":false}}}}`
	for identity, details := range map[string]string{
		`{"type":"AWSAccount","principalId":"AROA2:theirs","accountId":"444455556666"}`:                                                            `{"userType":"AWSAccount","principalId":"AROA2:theirs","userName":"x"}`,
		`{"type":"AWSAccount","principalId":"AIDA2","accountId":"444455556666"}`:                                                                   `{"userType":"AWSAccount","principalId":"AIDA2"}`,
		`{"type":"AWSAccount","principalId":"444455556666","accountId":"444455556666"}`:                                                            `{"userType":"AWSAccount","principalId":"444455556666"}`,
		`{"type":"AWSAccount","principalId":"","accountId":"ANONYMOUS_PRINCIPAL"}`:                                                                 `{"userType":"AWSAccount","principalId":"","userName":"ANONYMOUS_PRINCIPAL"}`,
		`{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::111122223333:user/team/alice","accountId":"111122223333","userName":"alice"}`: `{"userType":"IAMUser","principalId":"AIDA1","userName":"alice"}`,
		`{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333"}`:                           `{"userType":"Root","principalId":"111122223333","userName":"Root"}`,
		`{"type":"AssumedRole","principalId":"AROA1:ci","arn":"arn:aws:sts::111122223333:assumed-role/deploy/ci","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/path/deploy","userName":"deploy"}}}`:                                                                                                                   `{"userType":"AssumedRole","principalId":"AROA1:ci","userName":"deploy"}`,
		`{"type":"AssumedRole","principalId":"AROA1:bob@example.com","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/bob@example.com","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978","userName":"AWSReservedSSO_Admin_0f1e2d3c4b5a6978"}}}`: `{"userType":"AssumedRole","principalId":"AROA1:bob@example.com","userName":"AWSReservedSSO_Admin_0f1e2d3c4b5a6978"}`,
	} {
		e, err := event.Parse(`{"eventVersion":"1.11","eventTime":"2026-01-25T12:00:00Z","eventSource":"iam.amazonaws.com","eventName":"ListUsers","eventID":"x","recipientAccountId":"111122223333","userIdentity":` + identity + `}`)
		require.NoError(t, err)
		f, err := guardduty.Parse([]byte(`{"id":"x","type":"t","accountId":"111122223333","createdAt":"2026-01-25T12:00:00Z","resource":{"accessKeyDetails":` + details + `}` + remote + `}`))
		require.NoError(t, err)
		assert.Equal(t, e.Principal.Key, f.Principal)
		assert.Equal(t, e.Principal.Name, f.PrincipalName)
		assert.Equal(t, "111122223333", f.AccountID)
		if e.Principal.Session != "" {
			assert.Equal(t, e.Principal.Session, f.Session)
		}
	}
}

// A principal of another account, without a word of which, is nobody's, least of
// all the finding's account's.
func TestForeignPrincipalWithoutAccount(t *testing.T) {
	for _, from := range []string{"", "111122223333"} {
		f, err := guardduty.Parse(fmt.Appendf(nil, `{"id":"x","type":"t","accountId":"111122223333","createdAt":"2026-01-25T12:00:00Z",
			"resource":{"accessKeyDetails":{"userType":"AWSAccount","principalId":"AROA2:theirs","userName":"deploy"}},
			"service":{"action":{"awsApiCallAction":{"remoteAccountDetails":{"accountId":%q}}}}}`, from))
		require.NoError(t, err)
		assert.Equal(t, "unknown:111122223333", f.Principal)
		assert.Equal(t, "deploy", f.PrincipalName)
	}
}

func TestRefuses(t *testing.T) {
	for _, text := range []string{`{}`, `{"id":"x"}`, `{"id":"x","type":"t"}`} {
		_, err := guardduty.Parse([]byte(text))
		assert.ErrorIs(t, err, guardduty.ErrNotFinding, text)
	}
	for _, text := range []string{``, `[]`, `{"id":7}`, `{"id":"x","type":"t","createdAt":"yesterday"}`} {
		_, err := guardduty.Parse([]byte(text))
		assert.Error(t, err, text)
		assert.NotErrorIs(t, err, guardduty.ErrNotFinding, text)
	}
}

func TestClassify(t *testing.T) {
	for findingType, want := range map[string]struct {
		technique detect.Technique
		tactic    detect.Tactic
	}{
		"Recon:IAMUser/TorIPCaller":                     {"T1580", detect.Discovery},
		"Recon:EC2/Portscan":                            {"", detect.Discovery},
		"Discovery:S3/MaliciousIPCaller":                {"T1619", detect.Discovery},
		"Exfiltration:S3/MaliciousIPCaller":             {"T1530", detect.Collection},
		"CredentialAccess:IAMUser/AnomalousBehavior":    {"T1552", detect.CredentialAccess},
		"UnauthorizedAccess:IAMUser/ConsoleLogin":       {"T1078.004", detect.InitialAccess},
		"Stealth:IAMUser/CloudTrailLoggingDisabled":     {"", "TA0112"},
		"Policy:IAMUser/RootCredentialUsage":            {"", ""},
		"AttackSequence:IAM/CompromisedCredentials":     {"T1078.004", detect.InitialAccess},
		"no type at all":                                {"", ""},
		"PrivilegeEscalation:IAMUser/AnomalousBehavior": {"", "TA0004"},
	} {
		technique, tactic := guardduty.Classify(findingType)
		assert.Equal(t, want.technique, technique, findingType)
		assert.Equal(t, want.tactic, tactic, findingType)
		if tactic != "" {
			assert.NotEmpty(t, tactic.Name(), findingType)
		}
	}
}

// FuzzParse: whatever the text, Parse returns a finding that can be reported, or
// an error.
func FuzzParse(f *testing.F) {
	for line := range bytes.Lines(testdata(f)) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := guardduty.Parse(text)
		if err != nil {
			require.Equal(t, detect.Finding{}, x)
			return
		}
		require.NotEmpty(t, x.ID)
		require.NotEmpty(t, x.Title)
		require.NotEmpty(t, x.Principal)
		require.False(t, x.Last.Before(x.First))
		require.NotEqual(t, detect.Silent, x.Severity)
		j, err := incident.NewJoiner(nil)
		require.NoError(t, err)
		j.Add(x)
		require.True(t, x.Suppressed != "" || len(j.Incidents()) == 1)
	})
}
