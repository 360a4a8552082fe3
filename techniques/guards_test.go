package techniques

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest/stream"
)

// A guard keeps one well-known source of false alarms away from all rules. Each
// is shown twice: what is harmless is quiet, and the same thing without what
// makes it harmless is found, so that a guard which is lost fails the first,
// and one which excuses too much the second.
type guard struct {
	name   string
	quiet  []string // lines of the scenario language
	loud   []string
	rules  []string // that must find what is loud
	least  detect.Severity
	config string
}

const userDataOf15 = `ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 15 every 5s`

var guards = []guard{
	{
		name: "1, 17: calls of AWS services, and denials of their own probes",
		quiet: []string{
			`principal delivery = service delivery.logs.amazonaws.com`,
			`day 21 02:00 delivery s3:PutObject {"bucketName":"logs","key":"{n}"} times 300 error AccessDenied`,
			`day 21 03:00 alice secretsmanager:GetSecretValue {"secretId":"prod/{n}"} times 40 set {"userIdentity":{"invokedBy":"cloudformation.amazonaws.com"}}`,
			`day 21 04:00 alice ec2:DescribeVpcs error Client.UnauthorizedOperation times 30 set {"userIdentity":{"invokedBy":"AWS Internal"}}`,
		},
		loud:  []string{`day 21 03:00 alice secretsmanager:GetSecretValue {"secretId":"prod/{n}"} times 40`},
		rules: []string{"secretsmanager-bulk"}, least: detect.Low,
	},
	{
		name:  "2, 4: random session names and rotating temporary keys",
		quiet: []string{`day 21-30 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{day}/{n}.csv"} times 20 every 1h set {"userIdentity":{"principalId":"AROAEXAMPLE:run-{day}-{n}","arn":"arn:aws:sts::111122223333:assumed-role/app/run-{day}-{n}","accessKeyId":"ASIA0000000{day:02}{n:07}"}}`},
		loud:  []string{`day 21 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{n}.csv"} times 20 from 203.0.113.9 agent "curl/8.7.1"`},
		rules: []string{"user-agent-mismatch"}, least: detect.Low,
	},
	{
		name: "3: roles of one name in two accounts",
		quiet: []string{
			`principal twin = role app session app-1 account 444455556666 from 192.0.2.20 agent "Boto3/1.34.0"`,
			`day 1-30 10:00 twin ssm:GetParameter {"name":"/twin/endpoint"} times 3`,
			`day 21-30 10:00 app s3:GetObject {"bucketName":"acme-reports","key":"in/{n}.csv"} times 20`,
		},
		loud: []string{
			`principal twin = role app session app-1 account 444455556666 from 192.0.2.20 agent "Boto3/1.34.0"`,
			`day 1-30 10:00 twin ssm:GetParameter {"name":"/twin/endpoint"} times 3`,
			`day 21 10:00 app ssm:GetParameter {"name":"/app/endpoint"} from 192.0.2.20 agent "Boto3/1.34.0"`,
		},
		rules: []string{"first-seen-source-ip"}, least: detect.Low,
	},
	{
		name: "5: console sessions of single sign-on, which always say that no MFA was used, and console pages",
		quiet: []string{
			`principal ann = sso Developer ann@example.com from 198.51.100.40 agent "Mozilla/5.0"`,
			`day 1-30 weekdays 08:00 ann signin:ConsoleLogin`,
			`day 1-30 weekdays 08:05 ann ec2:DescribeInstances set {"sessionCredentialFromConsole":"true"}`,
		},
		loud: []string{
			`principal bob = user bob from 198.51.100.40 agent "Mozilla/5.0"`,
			`day 1-30 weekdays 08:00 bob signin:ConsoleLogin`,
		},
		rules: []string{"console-login-no-mfa"}, least: detect.Medium,
	},
	{
		name:  "6: infrastructure code, which asks everything, every day",
		quiet: terraform("1-30", "1-30"),
		loud:  terraform("1-20", "21"),
		rules: []string{"new-services-burst", "distinct-apis-50-5m"}, least: detect.Medium,
	},
	{
		name:   "7: a declared scanner, at its place",
		config: `{"scanners":[{"principal":"arn:aws:iam::111122223333:role/app","networks":["198.51.100.0/24"]}]}`,
		quiet:  []string{`day 21 02:00 app ` + userDataOf15},
		loud:   []string{`day 21 02:00 app ` + userDataOf15 + ` from 203.0.113.9`},
		rules:  []string{"userdata-bulk"}, least: detect.Low,
	},
	{
		name:  "8: service-linked roles",
		quiet: []string{`principal config = service-role AWSServiceRoleForConfig set {"userIdentity":{"invokedBy":null}}`, `day 21 02:00 config ` + userDataOf15},
		loud:  []string{`principal config = role AWSServiceRoleForConfig session x from 203.0.113.9 agent "curl/8.7.1"`, `day 21 02:00 config ` + userDataOf15},
		rules: []string{"userdata-bulk"}, least: detect.Low,
	},
	{
		name: "9: workloads that read many secrets, always the same",
		quiet: []string{
			`principal eso = role external-secrets session eso from 198.51.100.70 agent "aws-sdk-go-v2/1.25.3"`,
			`day 1-30 04:00 eso secretsmanager:GetSecretValue {"secretId":"prod/{n}"} times 40`,
			`day 1-30 05:00 eso ssm:GetParameter {"name":"/prod/{n}/password","withDecryption":true} times 40`,
		},
		loud: []string{
			`principal eso = role external-secrets session eso from 198.51.100.70 agent "aws-sdk-go-v2/1.25.3"`,
			`day 1-20 04:00 eso secretsmanager:GetSecretValue {"secretId":"prod/1"}`,
			`day 21 04:00 eso secretsmanager:GetSecretValue {"secretId":"prod/{n}"} times 40`,
		},
		rules: []string{"secretsmanager-bulk"}, least: detect.Medium,
	},
	{
		name: "10: addresses that change within a network, and callers that always change them",
		quiet: []string{
			`principal ci = role ci session run from 203.0.113.1 agent "aws-cli/2.15.30"`,
			`day 1-30 10:00 ci ec2:DescribeRegions times 3 every 1h from 100.{n}.{day}.9`,
			`day 21-30 09:00 alice ec2:DescribeInstances times 3 from 198.51.100.{n}{day}`,
			`day 1-30 09:30 alice ec2:DescribeInstances from "2001:db8:0:1::{day}"`,
		},
		loud:  []string{`day 21 09:00 alice ec2:DescribeInstances from 203.0.113.9`},
		rules: []string{"first-seen-source-ip"}, least: detect.Medium,
	},
	{
		name: "11: instances behind a NAT gateway or with public addresses of their own",
		quiet: []string{
			`day 21-30 11:00 web ssm:GetParameter {"name":"/web/endpoint"}`,
		},
		loud:  []string{`day 21 11:00 web ssm:GetParameter {"name":"/web/endpoint"} from 203.0.113.9`},
		rules: []string{"instance-creds-off-instance"}, least: detect.High,
	},
	{
		name: "12: a private address is no proof of being inside",
		quiet: []string{
			`day 1-30 11:30 web s3:GetObject {"bucketName":"acme-assets","key":"web/1.css"} from 10.0.0.5 set {"vpcEndpointId":"vpce-11111111"}`,
		},
		loud: []string{
			`day 1-30 11:30 web s3:GetObject {"bucketName":"acme-assets","key":"web/1.css"} from 10.0.0.5 set {"vpcEndpointId":"vpce-11111111"}`,
			`day 21 12:30 web s3:GetObject {"bucketName":"acme-assets","key":"web/1.css"} from 10.0.0.5 set {"vpcEndpointId":"vpce-99999999"}`,
		},
		rules: []string{"instance-creds-off-instance"}, least: detect.High,
	},
	{
		name: "15: a newcomer, to whom everything is new",
		quiet: []string{
			`principal zoe = sso Developer zoe@example.com from 192.0.2.77 agent "aws-cli/2.15.30"`,
			`day 21-30 weekdays 09:00 zoe ec2:DescribeInstances`,
			`day 21-30 weekdays 09:05 zoe s3:ListObjects {"bucketName":"acme-reports","prefix":"daily/"}`,
			`day 21-30 weekdays 09:10 zoe lambda:GetFunction20150331v2 {"functionName":"hello-{day}"}`,
			`day 21-30 weekdays 09:20 zoe ssm:GetParameter {"name":"/dev/{day}/password","withDecryption":true}`,
		},
		loud:  []string{`day 21 09:20 alice ssm:GetParameter {"name":"/prod/db/password","withDecryption":true}`},
		rules: []string{"ssm-sensitive-name"}, least: detect.Medium,
	},
	{
		name: "16: ten times almost nothing",
		quiet: []string{
			`day 21 12:00 alice s3:GetObject {"bucketName":"acme-reports","key":"daily/{n}.csv"} times 40`,
		},
		loud:  []string{`day 21 12:00 alice s3:GetObject {"bucketName":"acme-reports","key":"daily/{n}.csv"} times 59`},
		rules: []string{"getobject-rate-over-baseline"}, least: detect.Medium,
	},
	{
		name:   "18: buckets that are meant to be public",
		config: `{"public_buckets":["acme-www"]}`,
		quiet: []string{
			`principal anyone = anonymous from 203.0.113.9 agent "curl/8.7.1"`,
			`day 21 12:00 anyone s3:GetObject {"bucketName":"acme-www","key":"{n}.html"} times 60`,
			`day 21 13:00 anyone s3:ListObjects {"bucketName":"acme-www"}`,
		},
		loud: []string{
			`principal anyone = anonymous from 203.0.113.9 agent "curl/8.7.1"`,
			`day 21 12:00 anyone s3:GetObject {"bucketName":"acme-data","key":"{n}.html"} times 60`,
			`day 21 13:00 anyone s3:ListObjects {"bucketName":"acme-data"}`,
		},
		rules: []string{"anonymous-read", "anonymous-listing"}, least: detect.Medium,
	},
	{
		name: "19: words within words",
		quiet: []string{
			`day 21 12:00 alice ssm:GetParameter {"name":"/zoo/monkey","withDecryption":true}`,
			`day 21 12:01 alice ssm:GetParameter {"name":"/ui/keyboardLayout","withDecryption":true}`,
			`day 21 12:02 alice ssm:GetParameter {"name":"/keyspaces/table","withDecryption":true}`,
		},
		loud:  []string{`day 21 12:00 alice ssm:GetParameter {"name":"/zoo/apiKey","withDecryption":true}`},
		rules: []string{"ssm-sensitive-name"}, least: detect.Medium,
	},
}

// terraform returns the calls of a role that asks little on some days and, on
// others, everything about six services.
func terraform(little, much string) []string {
	lines := []string{
		`principal tf = role terraform session tf from 198.51.100.60 agent "APN/1.0 HashiCorp/1.0 Terraform/1.7.0"`,
		`day ` + little + ` 02:00 tf ec2:DescribeVpcs`,
	}
	for i, service := range []string{"ec2", "iam", "rds", "kms", "lambda", "sns"} {
		for n := range 10 {
			lines = append(lines, fmt.Sprintf(`day %s 03:0%d:%02d tf %s:List%cThings`, much, i/2, 30*(i%2)+n, service, 'A'+n))
		}
	}
	return lines
}

func TestGuards(t *testing.T) {
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			var config []byte
			if g.config != "" {
				config = []byte(g.config)
			}
			detectors, err := fromConfig(config)
			require.NoError(t, err)
			reported := func(lines []string, least detect.Severity) []string {
				var rules []string
				for _, f := range run(t, detectors, calls(t, lines...)) {
					if f.Severity >= least && dayNumber(f.Time) >= 21 {
						rules = append(rules, f.Rule)
					}
				}
				slices.Sort(rules)
				return slices.Compact(rules)
			}
			assert.Empty(t, reported(g.quiet, max(g.least, detect.Medium)), "what is harmless")
			assert.Subset(t, reported(g.loud, g.least), g.rules, "what is not")
			for _, rule := range g.rules {
				assert.NotContains(t, reported(g.quiet, g.least), rule, "what is harmless")
			}
		})
	}
}

// Guards 13 and 14: copies of a record under another region, and disorder
// within files, count nothing twice and lose nothing.
func TestGuardAgainstCopiesAndDisorder(t *testing.T) {
	nine := calls(t, `day 21 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 9`)
	ten := calls(t, `day 21 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 10`)
	copied := func(events []*event.Event) []*event.Event {
		var all []*event.Event
		for _, e := range events {
			again := e.Clone()
			again.Region = "us-west-1"
			all = append(all, e, again)
		}
		return all
	}
	assert.NotContains(t, found(t, copied(nine), 21, detect.Low), "userdata-bulk")
	detectors, err := All(nil)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		shuffled := stream.Shuffle(rng, copied(ten), 10*time.Minute)
		got := run(t, detectors, shuffled)
		assert.True(t, slices.ContainsFunc(got, func(f detect.Finding) bool { return f.Rule == "userdata-bulk" }))
	}
}

// Guard 13, the other half: a call from another account is logged in both, under
// two ids. The two have different principals, so neither counts for the other.
func TestGuardAgainstCrossAccountCopies(t *testing.T) {
	both := []string{
		`principal caller = account 444455556666 id AROAEXAMPLEPARTNER:sync from 192.0.2.30 agent "Boto3/1.34.0"`,
		`principal same = role partner session sync account 444455556666 from 192.0.2.30 agent "Boto3/1.34.0"`,
		`day 1-30 10:00 caller s3:GetObject {"bucketName":"acme-shared","key":"{n}.csv"} times 30 account 111122223333 set {"sharedEventID":"00000000-0000-4000-8000-{n:012}"}`,
		`day 1-30 10:00 same s3:GetObject {"bucketName":"acme-shared","key":"{n}.csv"} times 30 set {"sharedEventID":"00000000-0000-4000-8000-{n:012}"}`,
	}
	assert.NotContains(t, found(t, calls(t, both...), 15, detect.Low), "getobject-rate-over-baseline")
}

// Guard 20: what goes on is one finding, which grows.
func TestGuardAgainstRepeatedAlerts(t *testing.T) {
	events := calls(t, `day 21 02:00 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-{n:017}"} times 600 every 1m`)
	detectors, err := All(nil)
	require.NoError(t, err)
	byRule := make(map[string]int)
	for _, f := range run(t, detectors, events) {
		if f.Revision == 0 && dayNumber(f.Time) >= 21 {
			byRule[f.Rule]++
		}
	}
	assert.Equal(t, 1, byRule["userdata-bulk"])
	assert.LessOrEqual(t, byRule["userdata-read"], 21, "twenty instances, and the many others")
}
