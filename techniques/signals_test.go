package techniques

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A signal is one thing that is known to give an attacker away in these logs.
type signal struct {
	technique string
	name      string
	rules     []string // that look for it; none: it is left out
	why       string   // it is left out, or what else there is to say
}

// signals is all that the rules were made from: the catalogue lists which of
// them are looked for, and why the others are not.
var signals = []signal{
	{"T1078", "first-seen-source-ip", []string{"first-seen-source-ip"}, ""},
	{"T1078", "outside-known-networks", []string{"outside-known-networks"}, ""},
	{"T1078", "user-agent-mismatch", []string{"user-agent-mismatch"}, ""},
	{"T1078", "getcalleridentity-first-seen", []string{"getcalleridentity-first-seen"}, ""},
	{"T1078", "hacking-tool-user-agent", []string{"hacking-tool-user-agent"}, ""},
	{"T1078", "instance-creds-off-instance", []string{"instance-creds-off-instance"}, ""},
	{"T1078", "lambda-creds-off-lambda", []string{"lambda-creds-off-lambda"}, ""},
	{"T1078", "one-key-many-networks", []string{"one-key-many-networks"}, ""},
	{"T1078", "rare-network-share", []string{"rare-network-share"}, ""},
	{"T1078", "console-login-no-mfa / root-login / root-use", []string{"console-login-no-mfa", "root-use"}, ""},
	{"T1078", "console-login-new-country, multi-country", []string{"console-login-new-country", "console-login-many-countries"}, ""},
	{"T1078", "login-spray / brute", []string{"login-spray"}, ""},
	{"T1078", "getsignintoken-unusual-client", []string{"getsignintoken-unusual-client"}, ""},
	{"T1078", "role-assume-first-seen / chain / cross-account", []string{"role-assume-first-seen"}, ""},
	{"T1078", "workload-identity-off-platform", []string{"workload-identity-off-platform"}, ""},
	{"T1078", "dormant-key-awakens", []string{"dormant-key-awakens"}, ""},
	{"T1078", "denied-then-allowed, denied-burst", []string{"denied-then-allowed", "denied-burst"}, ""},
	{"T1078", "aws-quarantined-key", []string{"aws-quarantined-key"}, ""},
	{"T1078", "unused-region", []string{"unused-region"}, ""},
	{"T1078", "key-with-other-alerts", nil, "it is what package incident does: findings of one key or address become one incident, whose severity grows with them"},
	{"T1078", "cognito-unauth-creds, password-recovery", []string{"cognito-unauth-creds", "password-recovery"}, ""},
	{"T1078", "vpce-external-principal, vpce-denied", []string{"vpce-external-principal", "vpce-denied"}, ""},
	{"T1078", "posture: a long-term key over 90 days old", []string{"old-key-in-use"}, ""},

	{"T1530", "getobject-rate-over-baseline", []string{"getobject-rate-over-baseline"}, ""},
	{"T1530", "getobject-outside-networks", []string{"getobject-outside-networks"}, ""},
	{"T1530", "anonymous-read", []string{"anonymous-read"}, ""},
	{"T1530", "bytes-out-volume", []string{"bytes-out-volume"}, ""},
	{"T1530", "distinct-keys-burst", []string{"distinct-keys-burst"}, ""},
	{"T1530", "first-seen-bucket-reader", []string{"first-seen-bucket-reader"}, ""},
	{"T1530", "sensitive-key-read", []string{"sensitive-key-read"}, ""},
	{"T1530", "uncommon-s3-client", []string{"uncommon-s3-client"}, ""},
	{"T1530", "cross-account-read", []string{"cross-account-read"}, ""},
	{"T1530", "list-then-get", []string{"list-then-get"}, ""},
	{"T1530", "presigned-burst", []string{"presigned-burst"}, ""},
	{"T1530", "bucket-opened", []string{"bucket-opened"}, ""},
	{"T1530", "other stores", nil, "DynamoDB, RDS snapshots and ECR are not S3, which is what is covered here; a rule of one's own is about ten lines"},

	{"T1552", "userdata-read", []string{"userdata-read"}, ""},
	{"T1552", "userdata-bulk", []string{"userdata-bulk"}, ""},
	{"T1552", "launch-template-userdata", []string{"launch-template-userdata"}, ""},
	{"T1552", "lambda-config-read", []string{"lambda-config-read"}, ""},
	{"T1552", "lambda-env-sweep", []string{"lambda-env-sweep"}, ""},
	{"T1552", "ssm-sensitive-name", []string{"ssm-sensitive-name"}, ""},
	{"T1552", "ssm-secure-decrypt-first-seen", []string{"ssm-secure-decrypt-first-seen"}, ""},
	{"T1552", "ssm-bulk", []string{"ssm-bulk"}, ""},
	{"T1552", "ssm-path-dump", []string{"ssm-path-dump"}, ""},
	{"T1552", "plaintext-secret-written", []string{"plaintext-secret-written"}, ""},
	{"T1552", "secretsmanager-first-seen", []string{"secretsmanager-first-seen"}, ""},
	{"T1552", "secretsmanager-bulk", []string{"secretsmanager-bulk"}, ""},
	{"T1552", "get-password-data", []string{"get-password-data"}, ""},
	{"T1552", "credential-file-in-s3", []string{"sensitive-key-read"}, "the same reads, told once, under T1530"},
	{"T1552", "secrets-elsewhere", []string{"secrets-elsewhere"}, ""},
	{"T1552", "multi-store-secret-sweep", []string{"multi-store-secret-sweep"}, ""},
	{"T1552", "posture: secrets written where others' are read", []string{"others-secrets-writer"}, ""},
	{"T1552", "posture: IMDSv1 allowed", []string{"imdsv1-allowed"}, ""},

	{"T1580", "new-services-burst", []string{"new-services-burst"}, ""},
	{"T1580", "distinct-apis-50-5m", []string{"distinct-apis-50-5m"}, ""},
	{"T1580", "canonical-recon-set", []string{"canonical-recon-set"}, ""},
	{"T1580", "denied-recon-burst", []string{"denied-recon-burst"}, ""},
	{"T1580", "multi-region-sweep", []string{"multi-region-sweep"}, ""},
	{"T1580", "org-account-discovery", []string{"org-account-discovery"}, ""},
	{"T1580", "instance-role-recon", []string{"instance-role-recon"}, ""},
	{"T1580", "iam-full-dump", []string{"iam-full-dump"}, ""},
	{"T1580", "principal-brute", []string{"principal-brute"}, ""},
	{"T1580", "ses/quota/backup/bedrock recon", []string{"service-abuse-recon"}, ""},
	{"T1580", "public/shared snapshot search, deprecated AMI", []string{"public-snapshot-search"}, ""},
	{"T1580", "recon-from-vpn-asn, malicious-ip", []string{"recon-from-hosting", "malicious-ip"}, ""},
	{"T1580", "error-spike, rare-error, rare-method", []string{"error-spike", "rare-call"}, ""},
	{"T1580", "recon-then-act", []string{"recon-then-act"}, ""},

	{"T1619", "listbuckets-first-seen", []string{"listbuckets-first-seen"}, ""},
	{"T1619", "listobjects-unexpected", []string{"listobjects-unexpected"}, ""},
	{"T1619", "bucket-sweep", []string{"bucket-sweep"}, ""},
	{"T1619", "sensitive-prefix-listing", []string{"sensitive-prefix-listing"}, ""},
	{"T1619", "prefix-walk", []string{"prefix-walk"}, ""},
	{"T1619", "posture-sweep", []string{"posture-sweep"}, ""},
	{"T1619", "bucket-name-bruteforce", []string{"bucket-name-bruteforce"}, ""},
	{"T1619", "anonymous-listing", []string{"anonymous-listing"}, ""},
	{"T1619", "headobject-burst, versions-listing", []string{"headobject-burst", "versions-listing"}, ""},
	{"T1619", "tor/malicious", []string{"malicious-ip"}, "of any discovery or storage call"},
}

// state says whether a signal is looked for: shipped, hooked (by rules that
// need something of the configuration) or left out.
func (s *signal) state(t *testing.T) string {
	if len(s.rules) == 0 {
		return "left out"
	}
	rules := infos(t)
	for _, rule := range s.rules {
		if rules[rule].Hook == "" {
			return "shipped"
		}
	}
	return "hooked"
}

func TestEverySignalIsAnswered(t *testing.T) {
	rules := infos(t)
	looked := make(map[string]bool)
	for _, s := range signals {
		for _, rule := range s.rules {
			looked[rule] = true
			assert.Contains(t, rules, rule, "signal %s", s.name)
		}
		assert.True(t, len(s.rules) > 0 || s.why != "", "signal %s is left out without a reason", s.name)
	}
	for rule := range rules {
		assert.True(t, looked[rule], "rule %s looks for no signal of the list", rule)
	}
}

// Where the list that the signals were taken from is at hand, none of its rows
// is forgotten.
func TestSignalsAreComplete(t *testing.T) {
	text, err := os.ReadFile("../../shared/SIGNALS.md")
	if err != nil {
		t.Skipf("the list of signals is not here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## 1. ")
	rest, _, found := strings.Cut(rest, "\n## 4. ")
	require.True(t, found)
	note := regexp.MustCompile(` *[\[(].*$`)
	rows := 0
	for line := range strings.Lines(rest) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		name := strings.TrimSpace(note.ReplaceAllString(strings.TrimSpace(cells[1]), ""))
		if name == "" || name == "id" || strings.HasPrefix(name, "---") {
			continue
		}
		rows++
		assert.True(t, slices.ContainsFunc(signals, func(s signal) bool { return s.name == name }), "row %q is not in the list", name)
	}
	assert.Greater(t, rows, 70)
}
