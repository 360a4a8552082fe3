package techniques

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
)

var update = flag.Bool("update", false, "rewrite README.md from the rules")

// README.md is the rules' own words: what a rule says of itself is written
// once, in its Info.
func TestCatalogue(t *testing.T) {
	detectors, err := All(nil)
	require.NoError(t, err)
	want := catalogue(t, detectors)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(want), 0o644))
	}
	got, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Equal(t, want, string(got), "README.md is out of date; run: go test ./techniques -run TestCatalogue -update")
}

const catalogueIntro = `# Rules

Made from the rules themselves by ` + "`go test ./techniques -run TestCatalogue -update`" + `; do not edit.

Severities are info, low, medium, high and critical. A rule that learns speaks in full about a principal after its
learning period, if the principal was active on at least three days of it; before that, its findings have the severity
given as "until then". A finding's severity can also differ from its rule's: the rule says when. ATT&CK names are those
of version ` + detect.ATTACKVersion + `.

Calls that AWS services make, for themselves or on a principal's behalf, concern no rule about principals; nor do
service-linked roles and the scanners declared in Config. Only what AWS sets in a record excuses a call, never the user
agent. What any stranger can do in a principal's name (a sign-in that fails, a request for a new password, the use of a URL
that the principal signed) teaches nothing of where and with what the principal works.

The examples are from the rules' scenarios in testdata, which tests play: a case that fires, one of its events, and what is
found. Verdicts, thresholds and suppressions are how a rule is tuned; none is edited for that.
`

const catalogueStale = `
## Where common advice is stale

What is often written about these techniques, and does not hold (any more):

- **"Anonymous reads of a public bucket leave no data event."** They do, with the principal ANONYMOUS_PRINCIPAL, if S3
  data events are on for the bucket. Only without them are server access logs the one source. The rules read both.
- **GuardDuty's S3/BucketEnumeration.** That finding type is retired; Discovery:S3/AnomalousBehavior took its place.
- **"An EventBridge rule counts more than 50 different calls."** EventBridge matches single events and counts nothing.
  It also delivers no read-only management calls unless the rule's state is
  ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS: fed from EventBridge without it, the discovery rules see nothing. And
  the number itself misses real intruders, who stay well below it, and catches Terraform.
- **"Every attacker calls GetCallerIdentity first."** Most do. An error message tells the same, and so do calls that are
  logged elsewhere or nowhere. Here it raises other signals and is needed by none.
- **"Alert at ten times the usual GetObject rate."** Ten times almost nothing is still nothing. A rate needs a floor, some
  days of history, and a measure of the past that one bad day does not move.
- **"Watch GetFunctionConfiguration for secrets in environment variables."** ListFunctions returns the variables of all
  functions at once, and Lambda logs its calls under names with a version at the end, which a literal match misses.
`

const catalogueLimits = `
## What still gets through

Tests play somebody who knows these rules (adversary_test.go): who poisons what is normal over weeks, floods memories, stays
below thresholds, forges user agents and session names, replays records. What they show not to be found, at medium or above:

- **The usual calls, from the usual network, with the usual tool.** Whoever sits on a principal's own machine and does only
  what the principal does is the principal, to a log. What he needs beyond that is new, and found as such.
- **Growth that keeps its pace.** A rate is judged by medians and peaks of past days: a third more each day, from the usual
  place, stays below them. So does a burst of things that are all habits.
- **Whoever was there from the first day.** What happens in the first 14 days of a principal is what normal is made of. Learn
  from history that is known to be clean, or read the findings that rules make while they learn.
- **What is reported and ignored.** A network used on three days over a week is normal from then on, although its first use
  was reported. A verdict keeps it from that: malicious values never become normal.
- **Principals that are new all the time.** One that calls from ever new networks, as a CI runner does, is not told for another
  one. Rules that count, and those about other things than networks, still see it.
- **What is not logged.** A rule without its telemetry is blind; ` + "`scan -coverage`" + ` names it.
`

func catalogue(t *testing.T, detectors []detect.Detector) string {
	var infos []detect.Info
	for _, d := range detectors {
		infos = append(infos, d.Info())
	}
	slices.SortFunc(infos, func(a, b detect.Info) int {
		return cmp.Or(cmp.Compare(a.Technique.Parent(), b.Technique.Parent()), cmp.Compare(a.Name, b.Name))
	})

	var b strings.Builder
	b.WriteString(catalogueIntro)
	b.WriteString("\n| rule | technique | severity | learns |\n|---|---|---|---|\n")
	for _, i := range infos {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", i.Name, i.Name, i.Technique, i.Severity, learning(i))
	}
	b.WriteString("\n## Signals\n\nWhat is known to give an attacker away in these logs, and which rule looks for it. " +
		"Hooked means that the rule needs something of the configuration.\n\n| technique | signal | | rules |\n|---|---|---|---|\n")
	for _, s := range signals {
		var links []string
		for _, rule := range s.rules {
			links = append(links, fmt.Sprintf("[%s](#%s)", rule, rule))
		}
		answer := strings.Join(links, ", ")
		if s.why != "" {
			answer = strings.TrimPrefix(answer+": "+s.why, ": ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.technique, s.name, s.state(t), answer)
	}
	b.WriteString(catalogueLimits)
	b.WriteString(catalogueStale)

	var technique detect.Technique
	for _, i := range infos {
		if parent := i.Technique.Parent(); parent != technique {
			technique = parent
			fmt.Fprintf(&b, "\n## %s %s\n\n[%s](%s). What prevents it:\n\n", parent, parent.Name(), parent, parent.URL())
			list(&b, "- ", i.Mitigations)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| | |\n|---|---|\n", i.Name, i.Doc)
		row(&b, "technique", fmt.Sprintf("[%s](%s) %s, as %s", i.Technique, i.Technique.URL(), i.Technique.Name(), i.Tactic.Name()))
		row(&b, "severity", i.Severity.String())
		row(&b, "learns", learning(i))
		row(&b, "events", cmp.Or(strings.Join(i.Events, ", "), "all"))
		row(&b, "needs", i.Needs.String())
		if i.Hook != "" {
			row(&b, "silent without", i.Hook)
		}
		if t := i.Threshold; t.Max > 0 {
			row(&b, "threshold", fmt.Sprintf("%d %s; %d to %d is possible", t.Value, t.Of, t.Min, t.Max))
		}
		row(&b, "one finding", "per "+scopeName(i)+" and subject in "+span(cmp.Or(i.Quiet, day)))
		row(&b, "tuning", tuning(i))
		example(t, &b, i)
		b.WriteString("\nHarmless causes:\n\n")
		list(&b, "- ", i.Benign)
		b.WriteString("\nWhat to do:\n\n")
		list(&b, "1. ", i.Respond)
	}
	return b.String()
}

func row(b *strings.Builder, name, value string) { fmt.Fprintf(b, "| %s | %s |\n", name, value) }

func list(b *strings.Builder, bullet string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "%s%s\n", bullet, item)
	}
}

func learning(i detect.Info) string {
	if i.Learn == 0 {
		return "nothing needed"
	}
	return span(i.Learn) + "; until then " + i.Cold.String()
}

func scopeName(i detect.Info) string {
	if i.Scope == nil {
		return detect.ByPrincipal.Name
	}
	return i.Scope.Name
}

// span writes a duration in whole days or hours.
func span(d time.Duration) string {
	if d%day == 0 && d > day {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%g hours", d.Hours())
}

// tuning says how a rule is fitted to an organisation.
func tuning(i detect.Info) string {
	var ways []string
	if i.Threshold.Max > 0 {
		ways = append(ways, fmt.Sprintf("`Config.Thresholds[%q]`", i.Name))
	}
	for _, f := range i.Uses {
		if strings.HasPrefix(f.ID(), "first-seen/") {
			ways = append(ways, "a verdict on a finding (`Judge`) teaches it what is normal")
			break
		}
	}
	return strings.Join(append(ways, "a `detect.Suppression`"), "; ")
}

// example shows the last event that the first firing case of a rule's scenario
// reports, and the finding.
func example(t *testing.T, b *strings.Builder, i detect.Info) {
	file := "testdata/" + i.Name + ".txt"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	scenario, err := detecttest.Parse(file, string(text))
	require.NoError(t, err)
	at := slices.IndexFunc(scenario.Cases, func(c *detecttest.Case) bool { return strings.HasPrefix(c.Name, "fires") })
	require.NotEqual(t, -1, at, file)
	c := scenario.Cases[at]

	detectors, err := fromConfig(c.Config)
	require.NoError(t, err)
	detectors = slices.DeleteFunc(detectors, func(d detect.Detector) bool { return d.Info().Name != i.Name })
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	require.NoError(t, err)
	findings, err := engine.Process(t.Context(), c.Events())
	require.NoError(t, err)
	require.NotEmpty(t, findings, file)
	f := findings[0]
	for _, later := range findings {
		if later.ID == f.ID {
			f = later
		}
	}
	proof := f.EventIDs[len(f.EventIDs)-1]
	last := slices.IndexFunc(c.Events(), func(e *event.Event) bool { return e.ID == proof })
	require.NotEqual(t, -1, last)

	fmt.Fprintf(b, "\nFor example (%s), with this event, shortened, as the last:\n\n```json\n%s\n```\n\n", strings.TrimPrefix(c.Name, "fires "), shortened(c.Events()[last]))
	fmt.Fprintf(b, "Found, as %s: %s.\n\n| | observed | expected |\n|---|---|---|\n", f.Severity, inline(f.Title))
	for _, ev := range f.Evidence {
		fmt.Fprintf(b, "| %s | %s | %s |\n", inline(ev.Name), inline(ev.Observed), inline(ev.Expected))
	}
}

// shortened is the part of a record that a reader needs, as JSON or, of an
// access log, as the line.
func shortened(e *event.Event) string {
	record := map[string]any{}
	if json.Unmarshal([]byte(e.Text), &record) != nil {
		return e.Text
	}
	var b strings.Builder
	b.WriteString("{")
	for _, name := range []string{
		"eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "userIdentity",
		"errorCode", "requestParameters", "responseElements", "additionalEventData", "serviceEventDetails", "resources",
	} {
		value, ok := record[name]
		if identity, is := value.(map[string]any); is && name == "userIdentity" {
			value = identityOnly(identity)
		}
		if !ok || value == nil {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return e.Text
		}
		fmt.Fprintf(&b, "%s\n  %q: %s", strings.Repeat(",", min(1, b.Len()-1)), name, abridged(string(text)))
	}
	return b.String() + "\n}"
}

// identityOnly is who an identity names.
func identityOnly(identity map[string]any) map[string]any {
	who := map[string]any{}
	for _, name := range []string{"type", "arn", "accountId", "accessKeyId", "invokedBy"} {
		if v, ok := identity[name]; ok {
			who[name] = v
		}
	}
	return who
}

// inline makes a text fit a table's cell and a sentence.
func inline(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(s)
}

// abridged cuts a text that would fill the page.
func abridged(s string) string {
	const most = 400
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
