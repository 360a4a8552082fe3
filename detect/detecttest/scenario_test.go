package detecttest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// echo makes a rule that reports every sts call at the severity that the
// config names, with the user agent as the subject.
func echo(config []byte) ([]detect.Detector, error) {
	severity := detect.Medium
	if config != nil {
		c, err := decodeObject(string(config))
		if err != nil {
			return nil, err
		}
		if err := severity.UnmarshalText([]byte(fmt.Sprint(c["severity"]))); err != nil {
			return nil, err
		}
	}
	i := info("echo")
	i.Events = []string{"sts:*"}
	other := info("other")
	return []detect.Detector{
		detect.New(other, func(p *detect.Pass) { p.Report("", "never run") }),
		detect.New(i, func(p *detect.Pass) {
			p.ReportAt(severity, p.Event.UserAgent, "called "+p.Event.Operation, detect.Evidence{Name: "calls", Observed: "one", Expected: "none"})
		}),
	}, nil
}

const header = `# A comment.
rule echo
principal alice = user alice from 198.51.100.7 agent "aws-cli/2"
principal bob = user bob from 198.51.100.8 agent Boto3
`

func TestRun(t *testing.T) {
	Run(t, fstest.MapFS{
		"echo.txt": {Data: []byte(header + `
case reports each call
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice subject "aws-cli/2" events 1 title "called GetCaller" on day 1

case is silent about other services # this is part of the name
  day 1 10:00 alice s3:ListBuckets
  expect nothing
`)},
		"README.md": {Data: []byte("not a scenario")},
	}, echo)
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		text string
		want string // in the error; "" for none
	}{
		{"one finding", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice`, ""},
		{"nothing", `
  day 1 10:00 alice s3:ListBuckets
  expect nothing`, ""},
		{"a finding of each day, the quiet interval being over", `
  day 1-3 10:00 alice sts:GetCallerIdentity
  expect medium by alice on day 1
  expect medium by alice count 2`, ""},
		{"the revisions of a finding are one", `
  day 1 10:00 alice sts:GetCallerIdentity times 5
  expect medium by alice`, ""},
		{"lines find their findings in any order, the particular ones theirs", `
  day 1 10:00 alice sts:GetCallerIdentity
  day 1 10:01 alice sts:GetSessionToken agent other
  expect medium by alice
  expect medium by alice subject "aws-cli/2"`, ""},
		{"a config of the case", `
  config {"severity":
    "high"}
  day 1 10:00 alice sts:GetCallerIdentity
  expect high by alice`, ""},
		{"a principal of the case", `
  principal carol = root from 198.51.100.9 agent curl
  day 1 10:00 carol sts:GetCallerIdentity
  expect medium by carol subject curl`, ""},
		{"a principal whose calls are changed", `
  day 1 10:00 alice sts:GetCallerIdentity set {"userIdentity":{"arn":"arn:aws:iam::111122223333:user/eve","userName":"eve"}}
  expect medium by alice`, ""},

		{"a missing finding", `
  day 1 10:00 alice s3:ListBuckets
  expect medium by alice subject "x" events 3 title "t" on day 2`,
			`t.txt:8: not found: medium by alice subject "x" events 3 title "t" on day 2`},
		{"a finding too many", `
  day 1 10:00 alice sts:GetCallerIdentity
  day 1 10:00 bob sts:GetCallerIdentity
  expect medium by alice`,
			"t.txt:6: not expected:\n  medium echo by arn:aws:iam::111122223333:user/bob (bob) subject \"Boto3\" events 1 on day 1 at 10:00:00\n    called GetCallerIdentity\n    calls: one; expected: none"},
		{"a finding although nothing is expected", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect nothing`, "not expected"},
		{"another severity", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect high by alice`, "not found: high by alice"},
		{"another principal", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by bob`, "not found: medium by bob"},
		{"another subject", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice subject aws-cli`, "not found"},
		{"no subject", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice subject ""`, "not found"},
		{"another title", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice title listed`, "not found"},
		{"another number of events", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice events 2`, "not found"},
		{"another day", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice on day 2`, "not found"},
		{"one finding for two lines", `
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice
  expect medium by alice title called`, "not found"},
		{"a count too high", `
  day 1-3 10:00 alice sts:GetCallerIdentity
  expect medium by alice count 4`, "not found: medium by alice count 4"},
		{"a count too low", `
  day 1-3 10:00 alice sts:GetCallerIdentity
  expect medium by alice count 2`, "not expected"},
		{"a config that the detectors refuse", `
  config {"severity":"awful"}
  day 1 10:00 alice sts:GetCallerIdentity
  expect medium by alice`, "t.txt:6: make the detectors: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("t.txt", header+"\ncase c"+tt.text)
			require.NoError(t, err)
			err = s.Cases[0].Check(echo)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	s, err := Parse("t.txt", header+"case c\n day 1 10:00 alice sts:GetCallerIdentity\n expect medium by alice")
	require.NoError(t, err)
	tests := []struct {
		name string
		make func([]byte) ([]detect.Detector, error)
		want string
	}{
		{"there is no such rule", func([]byte) ([]detect.Detector, error) { return nil, nil }, `no rule "echo"`},
		{"no detectors can be made", func([]byte) ([]detect.Detector, error) { return nil, errors.New("cannot") }, "cannot"},
		{"the detector is not acceptable", func([]byte) ([]detect.Detector, error) {
			return []detect.Detector{detect.New(detect.Info{Name: "echo"}, nil)}, nil
		}, "no doc"},
		{"the detector panics", func([]byte) ([]detect.Detector, error) {
			return []detect.Detector{detect.New(info("echo"), func(*detect.Pass) { panic("oh dear") })}, nil
		}, "oh dear"},
		{"the engine and Apply disagree", func([]byte) ([]detect.Detector, error) {
			n := 0
			return []detect.Detector{detect.New(info("echo"), func(p *detect.Pass) { n++; p.Report("", fmt.Sprint(n)) })}, nil
		}, "disagree"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, s.Cases[0].Check(tt.make), tt.want)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "case c\n day 1 10:00 alice sts:GetCallerIdentity\n expect nothing\n"
	in := func(line string) string { return header + "case c\n" + line + "\n expect nothing\n" }
	call := func(options string) string { return in("day 1 10:00 alice sts:GetCallerIdentity " + options) }
	expecting := func(rest string) string {
		return header + "case c\n day 1 10:00 alice sts:GetCallerIdentity\n expect " + rest
	}
	principal := func(rest string) string { return header + "principal p = " + rest + "\n" + good }
	tests := []struct {
		name string
		text string
		line int
		want string
	}{
		{"an empty file", "", 1, "no rule"},
		{"no rule", "principal a = root\ncase c", 2, "no rule"},
		{"no case", header, 5, "no case"},
		{"two rules", "rule a\nrule b", 2, "once"},
		{"a rule without name", "rule", 1, "name is missing at the end"},
		{"a rule of two words", "rule a b", 1, `"b" is not understood`},
		{"a word of no meaning", header + "expects nothing", 5, `"expects" is none of`},
		{"a case without name", header + "case", 5, "no name"},
		{"two cases of one name", header + good + good, 8, "same name"},
		{"a case without calls", header + "case c\n expect nothing", 6, "no calls"},
		{"a case that expects nothing, silently", header + "case c\n day 1 10:00 alice sts:GetCallerIdentity\n" + "case d\n", 7, "does not say what to expect"},
		{"a case that expects something and nothing", expecting("nothing\n expect low by alice"), 8, "nothing and something"},
		{"a call before the first case", header + "day 1 10:00 alice sts:GetCallerIdentity", 5, "before the first case"},
		{"an expectation before the first case", header + "expect nothing", 5, "before the first case"},

		{"an unknown principal", in("day 1 10:00 eve sts:GetCallerIdentity"), 6, `no principal is called "eve"`},
		{"an unknown principal expected", expecting("low by eve"), 7, `no principal is called "eve"`},
		{"day zero", in("day 0 10:00 alice sts:GetCallerIdentity"), 6, `"0" is neither a day`},
		{"a day beyond the year", in("day 400 10:00 alice sts:GetCallerIdentity"), 6, "neither a day"},
		{"days backwards", in("day 5-3 10:00 alice sts:GetCallerIdentity"), 6, "neither a day"},
		{"a weekend of weekdays", in("day 6-7 weekdays 10:00 alice sts:GetCallerIdentity"), 6, "no weekday"},
		{"no time", in("day 1 alice sts:GetCallerIdentity"), 6, `time "alice"`},
		{"a time of one digit", in("day 1 9:00 alice sts:GetCallerIdentity"), 6, "HH:MM"},
		{"a time after midnight's end", in("day 1 24:00 alice sts:GetCallerIdentity"), 6, "HH:MM"},
		{"no call", in("day 1 10:00 alice"), 6, "service:EventName is missing"},
		{"a call without service", in("day 1 10:00 alice GetCallerIdentity"), 6, "form service:EventName"},
		{"a call without name", in("day 1 10:00 alice sts:"), 6, "form service:EventName"},
		{"an unknown option", call("often"), 6, `"often" is no option`},
		{"no times", call("times 0"), 6, "not a number from 1"},
		{"times without number", call("times"), 6, "times is missing"},
		{"every moment", call("times 2 every 0s"), 6, "no duration"},
		{"every so often", call("times 2 every often"), 6, "no duration"},
		{"too many events", call("times 200000\nday 1 10:00 alice sts:GetCallerIdentity"), 7, "more than 200000"},
		{"a bad account", call("account 123"), 6, "twelve digits"},
		{"a request that is no object", call(`response [1]`), 6, "the response is missing"},
		{"bad JSON", call(`response {"a":}`), 6, "the response is not a JSON object"},
		{"bad JSON by a placeholder", call(`response {"a":{n:02}}`), 6, "the response is not a JSON object"},
		{"braces that are not closed", call(`response {"a":{}`), 6, "braces are not closed"},
		{"braces that are closed on a line that is not indented", header + "case c\n day 1 10:00 alice sts:GetCallerIdentity {\n}\n", 6, "braces are not closed"},
		{"quotes that are not closed", call(`agent "x`), 6, "quotes are not closed"},
		{"a bad escape", call(`agent "\x"`), 6, "bad quoted text"},
		{"a record that cannot be decoded", call(`set {"eventTime":"yesterday"}`), 6, "cannot be decoded"},

		{"a bad severity", expecting("awful by alice"), 7, "a severity: info"},
		{"a silent finding", expecting("silent by alice"), 7, "a severity: info"},
		{"a finding by nobody", expecting("low"), 7, `"by" is missing`},
		{"a finding on no day", expecting("low by alice on 3"), 7, `"day" is missing`},
		{"an unknown option of a finding", expecting("low by alice maybe"), 7, `"maybe" is no option`},
		{"something after nothing", expecting("nothing at all"), 7, `"at" is not understood`},

		{"a principal without kind", principal(""), 5, "kind is missing"},
		{"an unknown kind", principal("robot x"), 5, `"robot" is no kind`},
		{"a name twice", header + "principal alice = root\n", 5, "there already"},
		{"a name twice, in the case", header + "case c\nprincipal alice = root\n", 6, "there already"},
		{"no equals sign", header + "principal p root", 5, `"=" is missing`},
		{"a role without session", principal("role r"), 5, `"session" is missing`},
		{"a path without slash", principal("role r path x session s"), 5, "slash"},
		{"an instance without id", principal("instance r x"), 5, "begins with i-"},
		{"a role that is not service-linked", principal("service-role deploy"), 5, "AWSServiceRoleFor"},
		{"a key of a role", principal("role r session s key AKIA"), 5, "only users and root"},
		{"an unknown option of a principal", principal("root whatever"), 5, `"whatever" is no option`},
		{"no source", header + "principal p = root agent x\ncase c\n day 1 10:00 p sts:GetCallerIdentity\n", 7, "no source"},
		{"no user agent", header + "principal p = root from 192.0.2.1\ncase c\n day 1 10:00 p sts:GetCallerIdentity\n", 7, "no user agent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse("file.txt", tt.text)
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.Nil(t, s)
			assert.Equal(t, "file.txt", syntax.File)
			assert.Equal(t, tt.line, syntax.Line, err)
			assert.Contains(t, syntax.Msg, tt.want)
			assert.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("file.txt:%d: ", tt.line)))
		})
	}
}

// parse returns the events of one case.
func parse(t *testing.T, lines string) []*event.Event {
	t.Helper()
	s, err := Parse("t.txt", header+"case c\n"+lines+"\n expect nothing\n")
	require.NoError(t, err)
	assert.Len(t, s.Cases[0].Records(), len(s.Cases[0].Events()))
	return s.Cases[0].Events()
}

func TestPrincipals(t *testing.T) {
	const account = "arn:aws:iam::111122223333:"
	tests := []struct {
		principal  string
		kind       event.Kind
		key, name  string
		accessKey  string // a prefix
		viaService bool
	}{
		{"user alice", event.User, account + "user/alice", "alice", "AKIA", false},
		{"user alice key AKIAEXAMPLE", event.User, account + "user/alice", "alice", "AKIAEXAMPLE", false},
		{"user alice account 444455556666", event.User, "arn:aws:iam::444455556666:user/alice", "alice", "AKIA", false},
		{"root", event.Root, account + "root", "root", "ASIA", false},
		{"root key AKIAEXAMPLE", event.Root, account + "root", "root", "AKIAEXAMPLE", false},
		{"role deploy session ci-1", event.Role, account + "role/deploy", "deploy", "ASIA", false},
		{"role deploy path /ci/ session ci-1", event.Role, account + "role/deploy", "deploy", "ASIA", false},
		{"instance web i-0123456789abcdef0", event.InstanceRole, account + "role/web", "web", "ASIA", false},
		{"service-role AWSServiceRoleForConfig", event.ServiceRole, account + "role/AWSServiceRoleForConfig", "AWSServiceRoleForConfig", "ASIA", true},
		{"service config.amazonaws.com", event.Service, "service:config.amazonaws.com", "config.amazonaws.com", "", true},
		{"federated fred by alice", event.Federated, account + "user/alice", "alice", "ASIA", false},
		{"web token.actions.githubusercontent.com repo:octo/app", event.WebIdentity, "web-identity:token.actions.githubusercontent.com/repo:octo/app", "repo:octo/app", "", false},
		{"account 444455556666 id AROAEXAMPLE:s", event.Account, "aws-account:444455556666/AROAEXAMPLE", "AROAEXAMPLE", "", false},
		{"anonymous", event.Anonymous, "anonymous", "anonymous", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.principal, func(t *testing.T) {
			e := parse(t, "principal p = "+tt.principal+" from 192.0.2.1 agent x\n day 1 10:00 p sts:GetCallerIdentity")[0]
			assert.Equal(t, tt.kind, e.Principal.Kind)
			assert.Equal(t, tt.key, e.Principal.Key)
			assert.Equal(t, tt.name, e.Principal.Name)
			assert.True(t, strings.HasPrefix(e.Identity.AccessKeyID, tt.accessKey), e.Identity.AccessKeyID)
			assert.Equal(t, tt.viaService, e.ViaService())
		})
	}

	e := parse(t, "principal p = sso Admin bob@example.com from 192.0.2.1 agent x\n day 1 10:00 p sts:GetCallerIdentity")[0]
	assert.Equal(t, event.SSO, e.Principal.Kind)
	assert.Regexp(t, `^arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_[0-9a-f]{16}/bob@example.com$`, e.Principal.Key)
	assert.Equal(t, "Admin/bob@example.com", e.Principal.Name)

	e = parse(t, "principal p = service config.amazonaws.com\n day 1 10:00 p sts:GetCallerIdentity")[0]
	assert.Equal(t, "config.amazonaws.com", e.SourceAddress)
	assert.Equal(t, "config.amazonaws.com", e.UserAgent)
}

// Temporary keys rotate, those of users do not.
func TestKeysRotate(t *testing.T) {
	keys := func(kind string) map[string]bool {
		ids := make(map[string]bool)
		for _, e := range parse(t, "principal p = "+kind+" from 192.0.2.1 agent x\n day 1 10:00 p sts:GetCallerIdentity times 6 every 20m") {
			ids[e.Identity.AccessKeyID] = true
		}
		return ids
	}
	assert.Len(t, keys("user x"), 1)
	assert.Len(t, keys("role x session s"), 2)
}

func TestTimes(t *testing.T) {
	tests := []struct {
		line string
		want []string
	}{
		{"day 1 10:00 alice sts:GetCallerIdentity", []string{"01-05T10:00:00"}},
		{"day 3 10:00:30 alice sts:GetCallerIdentity", []string{"01-07T10:00:30"}},
		{"day 1-2 10:00 alice sts:GetCallerIdentity", []string{"01-05T10:00:00", "01-06T10:00:00"}},
		{"day 4-8 weekdays 10:00 alice sts:GetCallerIdentity", []string{"01-08T10:00:00", "01-09T10:00:00", "01-12T10:00:00"}},
		{"day 1 10:00 alice sts:GetCallerIdentity times 3", []string{"01-05T10:00:00", "01-05T10:00:01", "01-05T10:00:02"}},
		{"day 1 23:30 alice sts:GetCallerIdentity times 2 every 1h", []string{"01-05T23:30:00", "01-06T00:30:00"}},
		{"day 1-2 10:00 alice sts:GetCallerIdentity times 2 every 1d", []string{"01-05T10:00:00", "01-06T10:00:00", "01-06T10:00:00", "01-07T10:00:00"}},
		{"day 2 10:00 alice sts:GetCallerIdentity\n day 1 10:00 bob sts:GetCallerIdentity", []string{"01-05T10:00:00", "01-06T10:00:00"}},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			var got []string
			ids := make(map[string]bool)
			for _, e := range parse(t, tt.line) {
				got = append(got, e.Time.Format("01-02T15:04:05"))
				ids[e.ID] = true
			}
			assert.Equal(t, tt.want, got)
			assert.Len(t, ids, len(got), "each event has an id of its own")
		})
	}
	assert.Equal(t, time.Monday, DayOne.Weekday())
}

func TestPlaceholders(t *testing.T) {
	events := parse(t, `day 7 10:00 alice s3:GetObject {"bucketName":"b-{day}","key":"{n}/{n:03}/{day:04}/{other}","count":{n}} times 12 from 192.0.2.{n} agent "agent {n}"`)
	e := events[11]
	assert.Equal(t, "b-7", e.Bucket())
	assert.Equal(t, "12/012/0007/{other}", e.ObjectKey())
	assert.Equal(t, event.Raw("12"), e.Request.At("count"))
	assert.Equal(t, "192.0.2.12", e.SourceAddress)
	assert.Equal(t, "agent 12", e.UserAgent)
}

func TestRecords(t *testing.T) {
	tests := []struct {
		name string
		line string
		want map[string]string // by path
		not  []string          // paths that the record must not have
	}{
		{"a management event", `day 1 10:00 alice ec2:DescribeInstances`, map[string]string{
			"eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances", "awsRegion": "us-east-1", "readOnly": "true",
			"eventType": "AwsApiCall", "eventCategory": "Management", "managementEvent": "true", "recipientAccountId": "111122223333",
			"requestParameters": "null", "responseElements": "null", "userAgent": "aws-cli/2", "sourceIPAddress": "198.51.100.7",
			"tlsDetails/tlsVersion": "TLSv1.3",
		}, []string{"errorCode", "additionalEventData", "resources"}},
		{"options", `day 1 10:00 alice ec2:RunInstances {"a":1} error Client.UnauthorizedOperation response {"b":[2.0]} additional {"c":"x"} region eu-west-1 account 444455556666 set {"d":{"e":null,"f":true},"tlsDetails":null}`, map[string]string{
			"readOnly": "false", "requestParameters/a": "1", "errorCode": "Client.UnauthorizedOperation", "responseElements/b": "[2.0]",
			"additionalEventData/c": "x", "awsRegion": "eu-west-1", "recipientAccountId": "444455556666", "d/f": "true",
		}, []string{"d/e", "tlsDetails"}},
		{"an object of S3", `day 1 10:00 alice s3:GetObject {"bucketName":"b","key":"k/<&>"} additional {"bytesTransferredOut":12.0}`, map[string]string{
			"eventCategory": "Data", "managementEvent": "false", "userAgent": "[aws-cli/2]",
			"additionalEventData/bytesTransferredOut": "12.0", "additionalEventData/AuthenticationMethod": "AuthHeader",
			"resources": `[{"ARN":"arn:aws:s3:::b/k/<&>","type":"AWS::S3::Object"},{"ARN":"arn:aws:s3:::b","accountId":"111122223333","type":"AWS::S3::Bucket"}]`,
		}, nil},
		{"a list of S3", `day 1 10:00 alice s3:ListObjects {"bucketName":"b"}`, map[string]string{
			"eventCategory": "Data",
			"resources":     `[{"ARNPrefix":"arn:aws:s3:::b/","type":"AWS::S3::Object"},{"ARN":"arn:aws:s3:::b","accountId":"111122223333","type":"AWS::S3::Bucket"}]`,
		}, nil},
		{"the buckets of S3", `day 1 10:00 alice s3:ListBuckets`, map[string]string{
			"eventCategory": "Management", "userAgent": "[aws-cli/2]", "additionalEventData/bytesTransferredOut": "0",
		}, []string{"resources"}},
		{"somebody's list of S3", "principal p = anonymous from 192.0.2.1 agent x\n day 1 10:00 p s3:ListObjects {\"bucketName\":\"b\"}", map[string]string{
			"userIdentity/accountId": "ANONYMOUS_PRINCIPAL", "recipientAccountId": "111122223333",
		}, []string{"additionalEventData/AuthenticationMethod", "userIdentity/arn"}},
		{"a service's call to S3", "principal p = service config.amazonaws.com\n day 1 10:00 p s3:GetBucketAcl", map[string]string{
			"userAgent": "config.amazonaws.com",
		}, []string{"tlsDetails"}},
		{"another data event", `day 1 10:00 alice lambda:Invoke data`, map[string]string{"eventCategory": "Data", "managementEvent": "false"}, nil},
		{"a sign-in", `day 1 10:00 alice signin:ConsoleLogin`, map[string]string{
			"eventType": "AwsConsoleSignIn", "responseElements/ConsoleLogin": "Success", "additionalEventData/MFAUsed": "No", "readOnly": "false",
		}, []string{"userIdentity/accessKeyId"}},
		{"a sign-in that failed", `day 1 10:00 alice signin:ConsoleLogin response {"ConsoleLogin":"Failure"} additional {"MFAUsed":"Yes"}`, map[string]string{
			"responseElements/ConsoleLogin": "Failure", "additionalEventData/MFAUsed": "Yes",
		}, nil},
		{"an assumed role", `day 1 10:00 alice sts:AssumeRole`, map[string]string{"readOnly": "true"}, nil},
		{"changes of the principal and of the call", "principal p = user p from 192.0.2.1 agent x set {\"a\":1,\"b\":1}\n day 1 10:00 p sts:GetCallerIdentity set {\"b\":2}", map[string]string{
			"a": "1", "b": "2",
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := event.Raw(parse(t, tt.line)[0].Text)
			for path, want := range tt.want {
				v := record.At(strings.Split(path, "/")...)
				if text := v.Text(); text != "" {
					v = event.Raw(text)
				}
				assert.Equal(t, want, string(v), path)
			}
			for _, path := range tt.not {
				assert.Empty(t, record.At(strings.Split(path, "/")...), path)
			}
		})
	}
}

func TestParseIsTheSameEveryTime(t *testing.T) {
	text := header + "case c\n day 1-3 10:00 alice s3:GetObject {\"bucketName\":\"b\",\"key\":\"{n}\"} times 5\n expect nothing\r\n"
	a, err := Parse("t.txt", text)
	require.NoError(t, err)
	b, err := Parse("t.txt", text)
	require.NoError(t, err)
	assert.Equal(t, a.Cases[0].Records(), b.Cases[0].Records())
	assert.Equal(t, "echo", a.Rule)
	assert.Equal(t, "c", a.Cases[0].Name)
	assert.Equal(t, 5, a.Cases[0].Line)
}

// The example that README.md begins with is a scenario.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, example, ok := strings.Cut(string(text), "```\n")
	require.True(t, ok)
	example, _, ok = strings.Cut(example, "```\n")
	require.True(t, ok)
	s, err := Parse("README.md", example)
	require.NoError(t, err)
	assert.Len(t, s.Cases, 2)
	assert.Len(t, s.Cases[0].Events(), 12)
}

func TestPair(t *testing.T) {
	table := [][]bool{ // row 0 fits all, row 1 only column 0
		{true, true, true},
		{true, false, false},
		{false, false, false},
	}
	got := pair(3, 3, func(i, j int) bool { return table[i][j] })
	assert.Equal(t, []int{1, 0, -1}, got)
	assert.Empty(t, pair(0, 3, nil))
	assert.Equal(t, []int{-1}, pair(1, 0, nil))
}

func FuzzParse(f *testing.F) {
	f.Add(header + "config {\"a\":1}\ncase c\n day 1-9 weekdays 10:00 alice sts:X {\"a\":\"{n:03}\"} times 3 every 5s error E set {}\n expect high by alice events 2 on day 1 count 3\n")
	f.Add(header + "principal r = role a path /b/ session \"c d\" account 111122223333\ncase c\n day 1 10:00 bob s3:GetObject {\n  \"bucketName\":\"b\"}\n expect nothing")
	f.Add("rule x\ncase y\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "times") && len(text) > 400 {
			t.Skip("a great many events")
		}
		s, err := Parse("f.txt", text)
		if err != nil {
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.GreaterOrEqual(t, syntax.Line, 1)
			return
		}
		require.NotEmpty(t, s.Cases)
		for _, c := range s.Cases {
			require.Len(t, c.Records(), len(c.Events()))
		}
	})
}
