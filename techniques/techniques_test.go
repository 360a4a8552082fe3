package techniques

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
)

// fromConfig makes all detectors from a scenario's config: that of [Config],
// "reputation", which says why addresses have a bad one, and "locate", which says
// where they are.
func fromConfig(config []byte) ([]detect.Detector, error) {
	var c struct {
		Config
		Reputation map[netip.Addr]string   `json:"reputation"`
		Locate     map[netip.Addr]Location `json:"locate"`
	}
	if config != nil {
		d := json.NewDecoder(bytes.NewReader(config))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return nil, err
		}
	}
	if c.Reputation != nil {
		c.Config.Reputation = func(a netip.Addr) string { return c.Reputation[a] }
	}
	if c.Locate != nil {
		c.Config.Locate = func(a netip.Addr) Location { return c.Locate[a] }
	}
	return All(&c.Config)
}

func TestScenarios(t *testing.T) {
	detecttest.Run(t, os.DirFS("testdata"), fromConfig)
}

// All detectors together keep the laws, on a stream made of the first case of
// each rule in which it fires. All must report on it, or they keep nothing.
func TestLaws(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	var events []*event.Event
	config := make(map[string]any)
	rules := infos(t)
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		c := firstFiring(t, rule)
		events = append(events, c.Events()...)
		if c.Config != nil {
			var own map[string]any
			require.NoError(t, json.Unmarshal(c.Config, &own))
			for name, value := range own { // addresses of several rules stand together
				if all, ok := config[name].(map[string]any); ok {
					maps.Copy(all, value.(map[string]any))
				} else {
					config[name] = value
				}
			}
		}
	}
	slices.SortStableFunc(events, func(a, b *event.Event) int { return a.Time.Compare(b.Time) })
	together, err := json.Marshal(config)
	require.NoError(t, err)
	detectors, err := fromConfig(together)
	require.NoError(t, err)

	reported := make(map[string]bool)
	for _, f := range run(t, detectors, events) {
		reported[f.Rule] = true
	}
	t.Logf("%d events; config %s", len(events), together)
	for rule := range rules {
		assert.True(t, reported[rule], "%s: give the first case in which it fires a principal of its own, whose habits no other file changes", rule)
	}
	detecttest.Laws(t, detectors, events)
}

// infos returns the rules' infos by name.
func infos(t *testing.T) map[string]detect.Info {
	t.Helper()
	detectors, err := All(nil)
	require.NoError(t, err)
	byName := make(map[string]detect.Info)
	for _, d := range detectors {
		byName[d.Info().Name] = d.Info()
	}
	require.Len(t, byName, len(detectors), "two rules have one name")
	return byName
}

var expectNothing = regexp.MustCompile(`(?m)^\s*expect nothing\b`)

// That the cases do what they say is for TestScenarios.
func TestEveryRuleIsCovered(t *testing.T) {
	rules := infos(t)

	t.Run("every rule's file is in the list, under its technique", func(t *testing.T) {
		files, err := filepath.Glob("t[0-9]*.go")
		require.NoError(t, err)
		form := regexp.MustCompile(`^(t\d{4})_([a-z0-9_]+)\.go$`)
		named := make(map[string]bool)
		for _, file := range files {
			m := form.FindStringSubmatch(file)
			if m == nil || strings.HasSuffix(file, "_test.go") {
				continue
			}
			rule := strings.ReplaceAll(m[2], "_", "-")
			named[rule] = true
			info, ok := rules[rule]
			if assert.True(t, ok, "%s: there is no rule %q in the list in all.go", file, rule) {
				assert.Equal(t, strings.ToUpper(m[1]), string(info.Technique.Parent()), file)
			}
		}
		for rule := range rules {
			assert.True(t, named[rule], "rule %q has no file of its name", rule)
		}
	})

	t.Run("every rule has scenarios in which it fires and in which it is silent", func(t *testing.T) {
		for rule := range rules {
			text, err := os.ReadFile(filepath.Join("testdata", rule+".txt"))
			if !assert.NoError(t, err) {
				continue
			}
			s, err := detecttest.Parse(rule, string(text))
			if !assert.NoError(t, err) {
				continue
			}
			assert.Equal(t, rule, s.Rule, "testdata/%s.txt is about another rule", rule)
			silent := len(expectNothing.FindAllIndex(text, -1))
			fires := len(s.Cases) - silent // a case expects something or nothing
			assert.NotZero(t, fires, "%s never fires", rule)
			assert.NotZero(t, silent, "%s is never silent", rule)
		}
	})

	t.Run("every scenario file is about a rule", func(t *testing.T) {
		files, err := filepath.Glob("testdata/*.txt")
		require.NoError(t, err)
		for _, file := range files {
			assert.Contains(t, rules, strings.TrimSuffix(filepath.Base(file), ".txt"))
		}
	})
}

// run returns what the detectors find in the events.
func run(t *testing.T, detectors []detect.Detector, events []*event.Event) []detect.Finding {
	t.Helper()
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	findings, err := engine.Process(context.Background(), events)
	require.NoError(t, err)
	return findings
}

// Every rule says enough for the person who has to judge its findings.
func TestInfosAreComplete(t *testing.T) {
	for name, info := range infos(t) {
		t.Run(name, func(t *testing.T) {
			assert.NotEmpty(t, info.Technique.Name(), "unknown technique")
			assert.NotEmpty(t, info.Tactic.Name(), "unknown tactic")
			assert.NotEmpty(t, info.Needs)
			assert.NotEmpty(t, info.Benign)
			assert.NotEmpty(t, info.Respond)
			assert.NotEmpty(t, info.Mitigations)
			assert.LessOrEqual(t, info.Cold, info.Severity, "a rule is surer while it learns than when it has learnt")
			for _, text := range append(append([]string{info.Doc}, info.Benign...), info.Respond...) {
				assert.Regexp(t, `[.!]$`, text)
			}
		})
	}
}

// The most that all rules keep about one key, were every memory full, fits
// where records are often kept: an item of DynamoDB holds 400 KB, a message of
// Kafka 1 MB.
func TestRecordsAreSmall(t *testing.T) {
	detectors, err := All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	for _, scope := range set.Scopes() {
		t.Logf("scope %s: at most %d bytes", scope.Name, set.MaxBytes(scope))
		assert.Less(t, set.MaxBytes(scope), 400_000, scope.Name)
	}
}

// An ordinary day costs no memory: neither folding an event nor the rules that
// look at it and have nothing to say, but for what asking a FirstSeen costs.
// Left out are the few calls that may name several things at once.
func TestQuietEventsDoNotAllocate(t *testing.T) {
	text := `rule none
principal alice = user alice key AKIAIOSFODNN7EXAMPLE from 198.51.100.10 agent "aws-cli/2.15.30"
principal app = role app session app-1 from 198.51.100.7 agent "aws-sdk-go-v2/1.25.3"
case a quiet month
`
	for _, who := range []string{"alice", "app"} {
		for i, call := range []string{
			"sts:GetCallerIdentity", "s3:ListBuckets", "ec2:DescribeInstances", "iam:ListUsers", "iam:ListRoles", "rds:DescribeDBInstances",
			"lambda:ListFunctions20150331", "kms:Decrypt", "logs:DescribeLogGroups", "iam:ListGroups error AccessDenied",
			`s3:ListObjects {"bucketName":"data","prefix":"in/"}`, `s3:GetObject {"bucketName":"data","key":"in/a.csv"}`,
		} {
			text += fmt.Sprintf("day 1-30 09:00:%02d %s %s\n", i, who, call)
		}
	}
	s, err := detecttest.Parse("quiet", text+"expect nothing\n")
	require.NoError(t, err)
	detectors, err := fromConfig([]byte(`{"networks":["198.51.100.0/24"],"reputation":{"203.0.113.66":"Tor exit"},"locate":{
		"198.51.100.10":{"asn":"AS64496","city":"Berlin","country":"DE"},"198.51.100.7":{"asn":"AS64497","city":"Dublin","country":"IE","hosting":true}}}`))
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	for _, who := range []string{"alice", "app"} {
		t.Run(who, func(t *testing.T) {
			events := slices.DeleteFunc(s.Cases[0].Events(), func(e *event.Event) bool { return e.Principal.Name != who })
			engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Dedup: 1})
			require.NoError(t, err)
			_, err = engine.Process(context.Background(), events)
			require.NoError(t, err)
			ids := make([]string, 1000)
			for i := range ids {
				ids[i] = fmt.Sprintf("%08d-0000-4000-8000-000000000000", i+1)
			}
			allocs := func(batch ...*event.Event) float64 {
				return testing.AllocsPerRun(20, func() {
					for _, e := range batch {
						e.ID, ids = ids[0], ids[1:]
					}
					_, err := engine.Process(context.Background(), batch)
					require.NoError(t, err)
				})
			}
			perBatch := allocs()
			assert.LessOrEqual(t, perBatch, 1.0)
			for _, e := range events[len(events)-12:] {
				assert.Equal(t, perBatch, allocs(e.Clone()), "%s:%s", e.Service(), e.Operation)
			}
			assert.Equal(t, int64(len(events)+12*21), engine.Stats().Evaluated)
		})
	}
}

// What is reported again while its finding stands is only counted, and costs no
// memory, however long a burst lasts: a rule makes title and evidence when it is
// asked for them.
func TestCountedReportsDoNotAllocate(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a case of each rule")
	}
	const seldom = "such calls are seldom"
	costly := map[string]string{
		"aws-quarantined-key":          seldom,
		"bucket-opened":                seldom,
		"console-login-many-countries": seldom,
		"console-login-new-country":    seldom,
		"imdsv1-allowed":               seldom, // those that set options
		"login-spray":                  seldom,
		"old-key-in-use":               "it reports once a day",
		"password-recovery":            seldom,
		"plaintext-secret-written":     seldom,
		"principal-brute":              "a policy is JSON within JSON",

		"denied-then-allowed":           "it lists what was refused",
		"one-key-many-networks":         "it lists where the key was used",
		"rare-network-share":            "it lists the actions",
		"bucket-name-bruteforce":        "its feature joins bucket and key",
		"getsignintoken-unusual-client": "its feature joins operation and address",
		"sensitive-key-read":            "its feature joins bucket and kind",
		"sensitive-prefix-listing":      "its feature joins bucket and word",
	}
	for rule := range infos(t) {
		t.Run(rule, func(t *testing.T) {
			c := firstFiring(t, rule)
			detectors, err := fromConfig(c.Config)
			require.NoError(t, err)
			set, err := detect.NewSet(slices.DeleteFunc(detectors, func(d detect.Detector) bool { return d.Info().Name != rule }), nil)
			require.NoError(t, err)
			told, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
			require.NoError(t, err)
			counted, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Dedup: 1})
			require.NoError(t, err)
			process := func(engine *detect.Engine, batch ...*event.Event) int {
				findings, err := engine.Process(context.Background(), batch)
				require.NoError(t, err)
				return len(findings)
			}
			copies := 0
			another := func(e *event.Event) *event.Event {
				copies++
				e = e.Clone()
				e.ID = fmt.Sprintf("%08d-0000-4000-8000-000000000000", copies)
				return e
			}
			events := c.Events()
			again := slices.IndexFunc(events, func(e *event.Event) bool {
				process(counted, e)
				return process(told, e) > 0 && process(told, another(e)) > 0
			})
			require.NotEqual(t, -1, again, "no event of the case is reported when it comes again")

			more := []*event.Event{another(events[again])}
			process(counted, more...) // what grows has grown
			for range 21 {
				more = append(more, another(events[again]))
			}
			perBatch := testing.AllocsPerRun(20, func() { process(counted) })
			allocs := testing.AllocsPerRun(20, func() {
				more = more[1:]
				require.Zero(t, process(counted, more[0]))
			})
			if why := costly[rule]; why != "" {
				assert.Greater(t, allocs, perBatch, "no longer so: %s", why)
			} else {
				assert.Equal(t, perBatch, allocs, "Pass.ReportWith asks for title and evidence only if they are told")
			}
		})
	}
}

// firstFiring returns the first case of a rule's scenarios in which it fires.
func firstFiring(t *testing.T, rule string) *detecttest.Case {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", rule+".txt"))
	require.NoError(t, err)
	s, err := detecttest.Parse(rule, string(text))
	require.NoError(t, err)
	return s.Cases[slices.IndexFunc(s.Cases, func(c *detecttest.Case) bool { return strings.HasPrefix(c.Name, "fires") })]
}

const corpus = "../../shared/corpus"

// read decodes the files, and skips the test if they are not there.
func read(t *testing.T, files ...string) []*event.Event {
	t.Helper()
	var events []*event.Event
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Skipf("the corpus is not here: %v", err)
		}
		for e, err := range event.Read(f, nil) {
			if err == nil {
				events = append(events, e.Clone())
			}
		}
		require.NoError(t, f.Close())
	}
	return events
}

// Real logs: attacks are found, and ordinary days are quiet.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("the corpus is not here: %v", err)
	}
	detectors, err := All(nil)
	require.NoError(t, err)

	attack := func(t *testing.T, name string) []detect.Finding {
		return run(t, detectors, read(t, filepath.Join(corpus, "simulated-attacks", name)))
	}
	t.Run("the user data of 15 instances read by a stranger", func(t *testing.T) {
		findings := attack(t, "aws.discovery.ec2-download-user-data.json")
		i := slices.IndexFunc(findings, func(f detect.Finding) bool { return f.Rule == "userdata-bulk" })
		require.GreaterOrEqual(t, i, 0, "%v", summary(findings))
		assert.Equal(t, detect.High, findings[i].Severity)
		assert.Equal(t, detect.Technique("T1552"), findings[i].Technique.Parent())
	})
	t.Run("a console sign-in without MFA", func(t *testing.T) {
		findings := attack(t, "aws.initial-access.console-login-without-mfa.json")
		require.Len(t, findings, 1, "%v", summary(findings))
		assert.Equal(t, "console-login-no-mfa", findings[0].Rule)
		assert.Equal(t, detect.Medium, findings[0].Severity)
	})
	for _, name := range []string{"aws.execution.ssm-start-session.json", "aws.defense-evasion.cloudtrail-stop.json"} {
		t.Run("of other techniques: "+name, func(t *testing.T) {
			assert.Empty(t, above(attack(t, name), detect.Medium))
		})
	}
	t.Run("two days of an account", func(t *testing.T) {
		var files []string
		err := filepath.WalkDir(filepath.Join(corpus, "background-trail"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		require.NoError(t, err)
		events := read(t, files...)
		require.NotEmpty(t, events)
		slices.SortStableFunc(events, func(a, b *event.Event) int { return a.Time.Compare(b.Time) })
		assert.Empty(t, above(run(t, detectors, events), detect.Medium))
	})
	t.Run("single calls of strangers", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(corpus, "event-examples", "*"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			for _, f := range above(run(t, detectors, read(t, file)), detect.Medium) {
				assert.Contains(t, []string{"aws-quarantined-key", "console-login-no-mfa"}, ruleOf(f), "%s: %s", filepath.Base(file), f)
			}
		}
	})
}

// above describes the findings above a severity.
func above(findings []detect.Finding, s detect.Severity) []string {
	return summary(slices.DeleteFunc(findings, func(f detect.Finding) bool { return f.Severity <= s }))
}

func summary(findings []detect.Finding) []string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%s: %s %s: %s", f.Rule, f.Severity, f.Principal, f.Title))
	}
	return lines
}

func ruleOf(line string) string {
	rule, _, _ := strings.Cut(line, ":")
	return rule
}
