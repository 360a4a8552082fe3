package techniques

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// from makes an event with a source address and, or "", a VPC endpoint.
func from(source, endpoint string) *event.Event {
	ip, _ := netip.ParseAddr(source)
	return &event.Event{SourceAddress: source, IP: ip.Unmap(), VPCEndpointID: endpoint}
}

func TestNetwork(t *testing.T) {
	tests := []struct{ name, source, endpoint, want string }{
		{"IPv4, its /24", "198.51.100.10", "", "198.51.100"},
		{"IPv4 in IPv6's clothes", "::ffff:198.51.100.10", "", "198.51.100"},
		{"IPv6, its /64", "2001:db8:1:2:aaaa:bbbb:cccc:dddd", "", "2001:db8:1:2::/64"},
		{"private, by endpoint", "10.0.0.5", "vpce-1", "vpce-1"},
		{"private, endpoint not logged", "10.0.0.5", "", "10.0.0"},
		{"public, whatever the endpoint", "198.51.100.10", "vpce-1", "198.51.100"},
		{"AWS itself", "AWS Internal", "", ""},
		{"a host name", "ec2.amazonaws.com", "", ""},
		{"nothing", "", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, network(from(test.source, test.endpoint))) })
	}
}

func TestKnownSource(t *testing.T) {
	c := &Config{
		Networks:     []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.0.0.0/8")},
		VPCEndpoints: []string{"vpce-1"},
	}
	tests := []struct {
		name, source, endpoint string
		want                   bool
	}{
		{"a network", "198.51.100.10", "", true},
		{"another", "203.0.113.1", "", false},
		{"an endpoint", "10.0.0.5", "vpce-1", true},
		{"another endpoint, private address", "10.0.0.5", "vpce-2", false},
		{"another endpoint, a network", "198.51.100.10", "vpce-2", true},
		{"a private address alone", "10.0.0.5", "", false},
		{"no address", "ec2.amazonaws.com", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := from(test.source, test.endpoint)
			assert.Equal(t, test.want, c.knownSource(e))
			assert.Equal(t, !test.want, c.unknownSource(e))
			assert.False(t, (&Config{}).knownSource(e), "nothing is configured")
			assert.False(t, (&Config{}).unknownSource(e), "nothing is configured")
		})
	}
}

// What an organisation says of itself must not silence rules for everybody.
func TestConfigNamesWhatItExcuses(t *testing.T) {
	scanner := func(principal string) *Config { return &Config{Scanners: []Scanner{{Principal: principal}}} }
	network := func(prefix string) *Config { return &Config{Networks: []netip.Prefix{netip.MustParsePrefix(prefix)}} }
	public := func(bucket string) *Config { return &Config{PublicBuckets: []string{bucket}} }
	account := func(id string) *Config { return &Config{Accounts: []string{"111122223333", id}} }
	endpoint := func(id string) *Config { return &Config{VPCEndpoints: []string{id}} }
	const everyone, pattern, nameless = "everyone a scanner whose key begins so", "only a final *", "whom AWS does not name"
	tests := []struct {
		config *Config
		want   string // in the error; none if ""
	}{
		{scanner(""), everyone},
		{scanner("*"), everyone},
		{scanner("**"), everyone},
		{scanner("arn:*"), everyone},
		{scanner("arn:aws:iam::*"), everyone},
		{scanner("arn:aws:iam::1111*"), everyone},
		{scanner("arn:aws:iam::111122223333:*"), everyone},
		{scanner("arn:aws:iam::111122223333:r*"), everyone},
		{scanner("arn:aws:iam::111122223333:role*"), everyone},
		{scanner("arn:aws:iam::111122223333:role/*"), everyone},
		{scanner("arn:aws:iam::111122223333:user/*"), everyone},
		{scanner("arn:aws:iam::11112222333x:role/audit*"), everyone},
		{scanner("arn:aws:iam::111122223333:role/AWS*"), everyone},
		{scanner("arn:aws:iam::111122223333:role/AWSReservedSSO_*"), everyone},
		{scanner("arn:aws:sts::111122223333:federated-user/*"), everyone},
		{scanner("aws-account:*"), everyone},
		{scanner("aws-account:4444*"), everyone},
		{scanner("aws-account:444455556666*"), everyone},
		{scanner("identity-center:d-0123456789/*"), everyone},
		{scanner("web-identity:token.actions.githubusercontent.com/*"), everyone},
		{scanner("u*"), everyone},
		{scanner("arn:aws:iam::*:role/audit"), pattern},
		{scanner("arn:aws:iam::111122223333:role/a*t*"), pattern},
		{scanner("anonymous"), nameless},
		{scanner("unknown:111122223333"), nameless},
		{scanner("arn:aws:iam::111122223333:root"), ""},
		{scanner("arn:aws:iam::111122223333:role/audit"), ""},
		{scanner("arn:aws:iam::111122223333:role/audit*"), ""},
		{scanner("arn:aws-us-gov:iam::111122223333:user/audit-*"), ""},
		{scanner("arn:aws:iam::111122223333:role/AWSReservedSSO_Audit_*"), ""},
		{scanner("arn:aws:iam::111122223333:role/AWSReservedSSO_Audit_0f1e2d3c4b5a6978/*"), ""},
		{scanner("arn:aws:sts::111122223333:federated-user/audit*"), ""},
		{scanner("aws-account:444455556666/*"), ""},
		{scanner("aws-account:444455556666/AROAEXAMPLE"), ""},
		{scanner("identity-center:d-0123456789/906789ab-cdef"), ""},
		{scanner("unknown:111122223333/AIDAEXAMPLE"), ""},

		{&Config{Networks: []netip.Prefix{{}}}, "network"},
		{network("0.0.0.0/0"), "0.0.0.0/0"},
		{network("128.0.0.0/7"), "128.0.0.0/7"},
		{network("::/0"), "::/0"},
		{network("2000::/15"), "2000::/15"},
		{network("10.0.0.0/8"), ""},
		{network("2001::/16"), ""},
		{network("fc00::/6"), "fc00::/6"},
		{network("fc00::/7"), ""}, // private, like 10.0.0.0/8
		{network("fd00::/8"), ""},

		{public(""), "first three characters"},
		{public("*"), "first three characters"},
		{public("ac*"), "first three characters"},
		{public("www"), ""},
		{public("acme-open-*"), ""},

		{account("*"), `"*"`},
		{account("4444*"), `"4444*"`},
		{account(""), `""`},
		{account("444455556666"), ""},
		{endpoint("vpce-*"), `"vpce-*"`},
		{endpoint("vpce-0a1b2c3d4e5f60718"), ""},

		{&Config{SensitiveBuckets: []string{"*"}}, ""}, // which excuses nothing
	}
	for _, tt := range tests {
		_, err := All(tt.config)
		if tt.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tt.want, "%+v", tt.config)
		}
	}
}

// A threshold is any amount that the rule can count and that makes sense for it.
func TestThresholdsAreInRange(t *testing.T) {
	with := func(rule string, value int) error {
		_, err := All(&Config{Thresholds: map[string]int{rule: value}})
		return err
	}
	for name, info := range infos(t) {
		if limits := info.Threshold; limits.Max > 0 {
			assert.NoError(t, with(name, limits.Min))
			assert.NoError(t, with(name, limits.Max))
			assert.ErrorContains(t, with(name, limits.Min-1), name)
			assert.ErrorContains(t, with(name, limits.Max+1), name)
		} else {
			assert.ErrorContains(t, with(name, 10), "no rule of that name has one")
		}
	}
	assert.ErrorContains(t, with("no-rule", 10), "no rule of that name has one")
}

// Every rule about principals has the guards that are common to all.
func TestCommonGuards(t *testing.T) {
	c := &Config{Scanners: []Scanner{{Principal: "scanner"}}}
	for _, scope := range []*detect.Scope{nil, detect.ByPrincipal} {
		rule := complete(c, detect.New(detect.Info{
			Name: "every-call", Doc: "Every call.", Technique: "T1580", Tactic: detect.Discovery, Severity: detect.Low, Needs: detect.ManagementEvents, Scope: scope,
		}, func(p *detect.Pass) { p.Report("", "a call") }))
		for name, test := range map[string]struct {
			principal event.Principal
			invokedBy string
			want      int
		}{
			"somebody":              {event.Principal{Kind: event.Role, Key: "someone"}, "", 1},
			"AWS on its behalf":     {event.Principal{Kind: event.Role, Key: "someone"}, "config.amazonaws.com", 0},
			"AWS":                   {event.Principal{Kind: event.Service, Key: "config"}, "", 0},
			"a service-linked role": {event.Principal{Kind: event.ServiceRole, Key: "linked"}, "", 0},
			"a declared scanner":    {event.Principal{Kind: event.Role, Key: "scanner"}, "", 0},
		} {
			e := call("ec2", "DescribeInstances")
			e.ID, e.Time, e.Principal, e.Identity.InvokedBy = "1", dayOne, test.principal, test.invokedBy
			assert.Len(t, run(t, []detect.Detector{rule}, []*event.Event{e}), test.want, name)
		}
	}
}

// The hooks are about addresses, and are asked about nothing else.
func TestHooksAreAskedAboutAddresses(t *testing.T) {
	asked := make(map[netip.Addr]bool)
	detectors, err := All(&Config{
		Reputation: func(a netip.Addr) string { asked[a] = true; return "" },
		Locate:     func(a netip.Addr) Location { asked[a] = true; return Location{} },
	})
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1})
	require.NoError(t, err)
	_, err = engine.Process(t.Context(), calls(t, `day 21 03:10 alice iam:ListUsers from host.example.com`))
	require.NoError(t, err)
	assert.Contains(t, asked, netip.MustParseAddr("198.51.100.10"))
	assert.NotContains(t, asked, netip.Addr{})
}

func TestKnownSourcesAreNamed(t *testing.T) {
	c := &Config{VPCEndpoints: []string{"vpce-1"}}
	for i := range 4 {
		c.Networks = append(c.Networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32))
	}
	assert.Equal(t, "one of 198.51.100.0/32, 198.51.100.1/32, 198.51.100.2/32, 198.51.100.3/32, vpce-1", c.sources())
	c.VPCEndpoints = append(c.VPCEndpoints, "vpce-2")
	assert.Equal(t, "one of 198.51.100.0/32, 198.51.100.1/32, 198.51.100.2/32, 198.51.100.3/32, vpce-1 and 1 more", c.sources())
	c.VPCEndpoints = append(c.VPCEndpoints, "vpce-3")
	assert.Equal(t, "one of 198.51.100.0/32, 198.51.100.1/32, 198.51.100.2/32, 198.51.100.3/32, vpce-1 and 2 more", c.sources())
}

// A finding about root says when it was used last, whatever AWS did in its name.
func TestLastUseOfRoot(t *testing.T) {
	var uses []string
	for _, f := range run(t, []detect.Detector{complete(&Config{}, rootUse(&Config{}))}, calls(t,
		`principal root = root from 198.51.100.10 agent "Mozilla/5.0"`,
		`day 1 09:00 root signin:ConsoleLogin`,
		`day 59 09:00 root kms:Decrypt set {"userIdentity":{"invokedBy":"AWS Internal"}}`,
		`day 60-61 09:00 root signin:ConsoleLogin`,
	)) {
		uses = append(uses, f.Evidence[0].Observed)
	}
	assert.Equal(t, []string{
		"ConsoleLogin from 198.51.100.10; never before, as far as is remembered",
		"ConsoleLogin from 198.51.100.10; last on 2026-01-05",
		"ConsoleLogin from 198.51.100.10; last on 2026-03-05",
	}, uses)
}

// What a rule needs of the config is named only as long as it is missing.
func TestHooksThatAreMissing(t *testing.T) {
	without := infos(t)
	detectors, err := All(&Config{
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, SensitiveBuckets: []string{"vault"}, Accounts: []string{"111122223333"},
		Reputation: func(netip.Addr) string { return "" }, Locate: func(netip.Addr) Location { return Location{} },
	})
	require.NoError(t, err)
	hooks := make(map[string]bool)
	for _, d := range detectors {
		assert.Empty(t, d.Info().Hook, d.Info().Name)
		hooks[without[d.Info().Name].Hook] = true
	}
	for _, hook := range []string{"Config.Networks", "Config.Reputation", "Config.Locate"} {
		assert.Contains(t, hooks, hook)
	}
}

// A finding names up to five habits.
func TestHabitsAreNamed(t *testing.T) {
	expected := make(map[string]string)
	for _, f := range run(t, []detect.Detector{complete(&Config{}, firstSeenSourceIP(&Config{}))}, calls(t,
		`principal none = user none from 192.0.2.1 agent "aws-cli/2.15.30"`,
		`principal five = user five from 192.0.2.1 agent "aws-cli/2.15.30"`,
		`principal six = user six from 192.0.2.1 agent "aws-cli/2.15.30"`,
		`day 1-20 09:00 none s3:ListBuckets from host.example.com`,
		`day 1-20 09:00 five s3:ListBuckets times 5 from 198.51.{n}.1`,
		`day 1-20 09:00 six s3:ListBuckets times 6 from 198.51.{n}.1`,
		`day 21 09:00 none s3:ListBuckets`,
		`day 21 09:00 five s3:ListBuckets`,
		`day 21 09:00 six s3:ListBuckets`,
	)) {
		expected[f.PrincipalName] = f.Evidence[0].Expected
	}
	assert.Equal(t, "none established", expected["none"])
	assert.Equal(t, 4, strings.Count(expected["five"], ", "), expected["five"])
	assert.NotContains(t, expected["five"], "more")
	assert.Regexp(t, `^(\S+, ){4}\S+ and 1 more$`, expected["six"])
}

func TestLocationIsDescribed(t *testing.T) {
	assert.Equal(t, "AS64500, Bucharest, RO, hosting", Location{ASN: "AS64500", Country: "RO", City: "Bucharest", Hosting: true}.String())
	assert.Equal(t, "RO", Location{Country: "RO"}.String())
	assert.Equal(t, "unknown", Location{}.String())
}

func TestAccountOf(t *testing.T) {
	assert.Equal(t, "111122223333", accountOf("arn:aws:iam::111122223333:role/a:b"))
	assert.Equal(t, "111122223333", accountOf("arn:aws:iam::111122223333:r"))
	assert.Empty(t, accountOf("arn:aws:iam::111122223333"))
	assert.Empty(t, accountOf("admin"))
}

func TestSeverityOfNovelty(t *testing.T) {
	assert.Equal(t, detect.High, surprise(baseline.Novelty{Unseen: 0.19}, detect.High))
	assert.Equal(t, detect.Medium, surprise(baseline.Novelty{Unseen: 0.2}, detect.High))
	assert.Equal(t, detect.Silent, surprise(baseline.Novelty{Unseen: 0.5}, detect.High))

	assert.Equal(t, detect.Medium, raised(detect.Low, 1))
	assert.Equal(t, detect.High, raised(detect.Low, 3), "only one event proves critical")
	assert.Equal(t, detect.Critical, raised(detect.Critical, 1))
	assert.Equal(t, detect.Silent, raised(detect.Silent, 1))

	console := &event.Event{Console: true}
	assert.Equal(t, detect.Medium, person(console, detect.High))
	assert.Equal(t, detect.Informational, person(console, detect.Informational), "never silenced")
	assert.Equal(t, detect.High, person(&event.Event{UserAgent: "S3Console/0.4"}, detect.High), "a user agent excuses nothing")
}

func TestMature(t *testing.T) {
	age := func(since, at string, days int) baseline.Age {
		from, err := time.Parse(time.DateTime, since)
		require.NoError(t, err)
		to, err := time.Parse(time.DateTime, at)
		require.NoError(t, err)
		return baseline.Age{Since: from, For: to.Sub(from), Days: days}
	}
	assert.True(t, mature(age("2026-01-05 09:00:00", "2026-01-19 08:00:00", 3)), "on the fifteenth day, as soon as it begins")
	assert.False(t, mature(age("2026-01-05 09:00:00", "2026-01-18 23:59:59", 3)), "on the fourteenth")
	assert.False(t, mature(age("2026-01-05 09:00:00", "2026-01-19 08:00:00", 2)), "with two days of activity")
}

func TestClip(t *testing.T) {
	assert.Equal(t, "short", clip("short"))
	most := string(make([]byte, 120))
	assert.Equal(t, most, clip(most))
	assert.Equal(t, most+"…", clip(most+"x"))
	long := clip(string(make([]byte, 119)) + "éé")
	assert.Equal(t, string(make([]byte, 119))+"…", long, "no half characters")
}

// Where a call weighs more for a network that is new, the finding shows it.
func TestNewNetworksAreShown(t *testing.T) {
	t.Parallel()
	const away = ` from 203.0.113.9`
	calls := calls(t,
		`day 21 10:00 alice s3:GetObject {"bucketName":"acme-x","key":"home/.aws/credentials"}`+away,
		`day 21 10:01 alice lambda:GetFunction20150331v2 {"functionName":"pay"}`+away,
		`day 21 10:02 alice ec2:DescribeLaunchTemplateVersions {"DescribeLaunchTemplateVersionsRequest":{"LaunchTemplateId":"lt-1"}}`+away,
		`day 21 10:03 alice ec2:GetConsoleOutput {"instanceId":"i-00000000000000001"}`+away,
		`day 21 10:04 alice secretsmanager:GetSecretValue {"secretId":"prod/db"}`+away,
		`day 21 10:05 alice ssm:GetParameter {"name":"/prod/db/password","withDecryption":true}`+away,
		`day 21 10:06 alice ec2:DescribeInstanceAttribute {"attribute":"userData","instanceId":"i-00000000000000001"}`+away,
		`day 21 10:07 alice s3:ListObjects {"bucketName":"acme-x","prefix":"backups/"}`+away,
		`day 21 10:08 alice s3:ListObjectVersions {"bucketName":"acme-x"}`+away,
		`day 21 10:09 alice ec2:DescribeInstances agent "pacu"`+away,
	)
	got := found(t, calls, 21, detect.Informational)
	for _, rule := range []string{
		"first-seen-bucket-reader", "hacking-tool-user-agent", "lambda-config-read", "launch-template-userdata", "listobjects-unexpected",
		"multi-store-secret-sweep", "secrets-elsewhere", "secretsmanager-first-seen", "sensitive-key-read", "sensitive-prefix-listing",
		"ssm-secure-decrypt-first-seen", "ssm-sensitive-name", "userdata-read", "versions-listing",
	} {
		shows := slices.ContainsFunc(got[rule].Evidence, func(e detect.Evidence) bool {
			return e.Name == "source network" && e.Observed == "203.0.113.9 (203.0.113)" && e.Expected == "198.51.100"
		})
		assert.True(t, shows, "%s: %v", rule, got[rule].Evidence)
	}
}
