package sigma

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

// someDays returns the events of a generated account, attacks among them.
func someDays(tb testing.TB, days int) []*event.Event {
	tb.Helper()
	var events []*event.Event
	for r := range account.New(&account.Options{Days: days, Small: true, Attacks: true}).Records() {
		e, err := event.Parse(r.JSON)
		require.NoError(tb, err)
		events = append(events, e)
	}
	require.NotEmpty(tb, events)
	return events
}

// manyRules returns the example rules, and as many more as make n, each about a
// call of its own, as most of the rules in the public collection are.
func manyRules(tb testing.TB, n int) []*rule {
	tb.Helper()
	options := Options{Name: "sigma", Placeholders: map[string][]string{"company_networks": {"198.51.100.0/24"}}}
	l := &loader{Options: options}
	l.folder(os.DirFS("testdata/rules"))
	require.Empty(tb, l.errs)
	var rules []*rule
	for _, r := range l.rules {
		if r.correlation == nil {
			rules = append(rules, r)
		}
	}
	services := []string{"iam", "ec2", "rds", "lambda", "kms", "ecs", "eks", "guardduty", "route53", "elasticache"}
	for len(rules) < n {
		i := len(rules)
		text := fmt.Sprintf(`title: Rule %d
logsource: {product: aws, service: cloudtrail}
detection:
    selection:
        eventSource: %s.amazonaws.com
        eventName: [CreateThing%d, DeleteThing%d]
    filter_main_tools:
        userAgent|contains: [terraform, cloudformation]
    filter_main_roles:
        userIdentity.arn|contains: ':assumed-role/pipeline/'
    condition: selection and not 1 of filter_main_*
`, i, services[i%len(services)], i, i)
		d := document{text: text}
		root, err := d.parse()
		require.NoError(tb, err)
		r := &rule{}
		require.NoError(tb, r.read(root, &options))
		rules = append(rules, r)
	}
	return rules
}

// The index leaves no rule out that matches.
func TestIndexIsComplete(t *testing.T) {
	rules := manyRules(t, 60)
	x := newIndex(rules)
	matched := 0
	for _, e := range someDays(t, 3) {
		var first bool
		for _, r := range rules {
			if !r.match(e) {
				continue
			}
			first = true
			byName, bySource := x.named(e)
			assert.True(t, slices.Contains(slices.Concat(byName, bySource, x.rest), r), "%s on %s", r.title, e.Name)
			assert.True(t, x.concerns(e))
		}
		if first {
			matched++
		}
		assert.Equal(t, first, x.match(e) != nil)
	}
	assert.NotZero(t, matched)
}

// Names are found in any case and at any length.
func TestIndexLookup(t *testing.T) {
	long := strings.Repeat("Long", 50)
	r := &rule{kinds: kinds{{name: "CreateUser"}, {name: long}, {source: "a.amazonaws.com"}, {name: "Ä"}}}
	x := newIndex([]*rule{r})
	for _, e := range []*event.Event{{Name: "createUSER"}, {Name: strings.ToUpper(long)}, {Source: "A.amazonaws.com"}, {Name: "ä"}} {
		byName, bySource := x.named(e)
		assert.NotEmpty(t, append(byName, bySource...), "%q %q", e.Name, e.Source)
	}
	byName, bySource := x.named(&event.Event{Name: "CreateUsers", Source: "b"})
	assert.Empty(t, append(byName, bySource...))
}

// Events that no rule matches cost no allocation.
func TestNoAllocation(t *testing.T) {
	rules := manyRules(t, 200)
	x := newIndex(rules)
	var quiet []*event.Event
	for _, e := range someDays(t, 3) {
		if x.match(e) == nil {
			quiet = append(quiet, e)
		}
	}
	require.Greater(t, len(quiet), 100)
	allocs := testing.AllocsPerRun(3, func() {
		for _, e := range quiet {
			x.concerns(e)
			if x.match(e) != nil {
				panic("not quiet")
			}
		}
	})
	assert.Zero(t, allocs)
}

// BenchmarkRules compares, in one run, finding out what matches an event by the
// index with trying every rule. An iteration goes over all events both ways; the
// fastest passes count, because other work disturbs. "times" is the ratio.
func BenchmarkRules(b *testing.B) {
	events := someDays(b, 3)
	for _, n := range []int{20, 100, 500, 2000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules := manyRules(b, n)
			x := newIndex(rules)
			pass := func(fastest *time.Duration, match func(*event.Event) bool) (found int) {
				start := time.Now()
				for _, e := range events {
					if match(e) {
						found++
					}
				}
				if d := time.Since(start); *fastest == 0 || d < *fastest {
					*fastest = d
				}
				return found
			}
			var indexed, naive time.Duration
			b.ReportAllocs()
			for b.Loop() {
				found := pass(&indexed, func(e *event.Event) bool { return x.match(e) != nil })
				wanted := pass(&naive, func(e *event.Event) bool {
					return slices.ContainsFunc(rules, func(r *rule) bool { return r.match(e) })
				})
				if found != wanted {
					b.Fatalf("the index finds %d of %d", found, wanted)
				}
			}
			b.ReportMetric(float64(indexed.Nanoseconds())/float64(len(events)), "indexed-ns/event")
			b.ReportMetric(float64(naive.Nanoseconds())/float64(len(events)), "naive-ns/event")
			b.ReportMetric(float64(naive)/float64(indexed), "times")
		})
	}
}

// BenchmarkEngine runs an engine with detectors of many rules over the events.
func BenchmarkEngine(b *testing.B) {
	events := someDays(b, 3)
	for _, n := range []int{20, 500} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			fsys := fstest.MapFS{}
			for i := range n {
				fsys[fmt.Sprintf("%d.yml", i)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("title: Rule %d\ntags: [attack.t1078]\nlogsource: {product: aws, service: cloudtrail}\n"+
					"detection: {s: {eventSource: iam.amazonaws.com, eventName: CreateThing%d}, condition: s}\n", i, i))}
			}
			detectors, err := Load(fsys, nil)
			require.NoError(b, err)
			set, err := detect.NewSet(detectors, nil)
			require.NoError(b, err)
			engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := engine.Process(context.Background(), events)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}
