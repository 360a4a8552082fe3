package sigma_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/sigma"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// named returns a rule with a name, for calls of one name.
func named(name, operation string) string {
	return fmt.Sprintf("title: Rule %s\nname: %s\nlevel: low\ntags: [attack.discovery, attack.t1526]\n"+
		"logsource: {product: aws, service: cloudtrail}\ndetection:\n    s: {eventName: %s}\n    condition: s\n---\n", name, name, operation)
}

func correlationOf(text string) string { return "title: Together\ncorrelation:\n" + indented(text) }

// at returns a call some time after the start.
func at(after time.Duration, call string, more ...func(*eventtest.Record)) eventtest.Record {
	r := eventtest.Record{Call: call, At: eventtest.Start.Add(after)}
	for _, f := range more {
		f(&r)
	}
	return r
}

func by(user string) func(*eventtest.Record) {
	return func(r *eventtest.Record) { r.By = eventtest.User(eventtest.Account, user) }
}

func from(address string) func(*eventtest.Record) {
	return func(r *eventtest.Record) { r.From = address }
}

func asking(name string, value any) func(*eventtest.Record) {
	return func(r *eventtest.Record) { r.Request = object{name: value} }
}

// times returns n records, the step apart.
func times(n int, step time.Duration, record func(i int, after time.Duration) eventtest.Record) []eventtest.Record {
	var list []eventtest.Record
	for i := range n {
		list = append(list, record(i, time.Duration(i)*step))
	}
	return list
}

func TestCorrelations(t *testing.T) {
	three := named("a", "A") + named("b", "B") + named("c", "C")
	tests := []struct {
		name, correlation string
		records           []eventtest.Record
		keys              []string // of the findings
	}{
		{"event_count: enough", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 10m\ncondition: {gte: 5}",
			times(5, time.Minute, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }), []string{"alice"}},
		{"event_count: too few", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 10m\ncondition: {gt: 5}",
			times(5, time.Minute, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }), nil},
		{"event_count: too slow", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 10m\ncondition: {gte: 5}",
			times(9, 3*time.Minute, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }), nil},
		{"event_count: over midnight, as a window slides", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 1d\ncondition: {gte: 5}",
			times(5, 5*time.Hour, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }), []string{"alice"}},
		{"event_count: other events do not count", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 10m\ncondition: {gte: 5}",
			times(20, time.Second, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:"+string("AB"[min(1, i%5)]))
			}), nil},
		{"event_count: of several rules together", "type: event_count\nrules: [a, b]\ngroup-by: [userIdentity.userName]\ntimespan: 10m\ncondition: {gte: 6}",
			times(6, time.Second, func(i int, after time.Duration) eventtest.Record { return at(after, "x:"+string("AB"[i%2])) }), []string{"alice"}},
		{"event_count: each group has its own", "type: event_count\nrules: [a]\ngroup-by: [sourceIPAddress]\ntimespan: 10m\ncondition: {gte: 5}",
			times(12, time.Second, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:A", by(fmt.Sprint("user", i)), from([]string{"192.0.2.1", "192.0.2.2", "192.0.2.1"}[i%3]))
			}), []string{"192.0.2.1"}},
		{"event_count: a group of several fields", "type: event_count\nrules: [a]\ngroup-by: [sourceIPAddress, userIdentity.userName]\ntimespan: 10m\ncondition: {gte: 5}",
			append(times(5, time.Second, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:A", by("bob"), from("192.0.2.9"))
			}), times(8, time.Second, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:A", by([]string{"ann", "cid"}[i%2]), from("192.0.2.9"))
			})...), []string{`"192.0.2.9","bob"`}},
		{"event_count: without a field to group by, no group", "type: event_count\nrules: [a]\ngroup-by: [requestParameters.x]\ntimespan: 10m\ncondition: {gte: 2}",
			times(5, time.Second, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }), nil},
		{"event_count: without group-by, one group", "type: event_count\nrules: [a]\ntimespan: 10m\ncondition: {gte: 5}",
			times(5, time.Second, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A", by(fmt.Sprint(i))) }), []string{"all"}},
		{"event_count: more than can be listed", "type: event_count\nrules: [a]\ngroup-by: [userIdentity.userName]\ntimespan: 1h\ncondition: {gte: 600}",
			append(times(600, time.Second, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A") }),
				times(599, time.Second, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A", by("bob")) })...), []string{"alice"}},
		{"value_count: enough", "type: value_count\nrules: [a]\ngroup-by: [sourceIPAddress]\ntimespan: 1h\ncondition: {field: userIdentity.userName, gt: 3}",
			times(4, time.Minute, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A", by(fmt.Sprint("u", i))) }), []string{"198.51.100.7"}},
		{"value_count: the same values again and again", "type: value_count\nrules: [a]\ngroup-by: [sourceIPAddress]\ntimespan: 1h\ncondition: {field: userIdentity.userName, gt: 3}",
			times(30, time.Minute, func(i int, after time.Duration) eventtest.Record { return at(after, "x:A", by(fmt.Sprint("u", i%3))) }), nil},
		{"value_count: lists count for each element", "type: value_count\nrules: [a]\ngroup-by: [userIdentity.arn]\ntimespan: 1h\ncondition: {field: requestParameters.ids.id, gte: 4}",
			times(2, time.Minute, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:A", asking("ids", []any{object{"id": 2 * i}, object{"id": 2*i + 1}, object{"no": 1}}))
			}), []string{"arn:aws:iam::111122223333:user/alice"}},
		{"value_count: several fields together", "type: value_count\nrules: [a]\ngroup-by: [eventSource]\ntimespan: 1h\ncondition: {field: [userIdentity.userName, sourceIPAddress], gte: 4}",
			times(4, time.Minute, func(i int, after time.Duration) eventtest.Record {
				return at(after, "x:A", by(fmt.Sprint("u", i%2)), from(fmt.Sprint("192.0.2.", i/2)))
			}), []string{"x.amazonaws.com"}},
		{"temporal: in any order", "type: temporal\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 5m",
			[]eventtest.Record{at(0, "x:C"), at(time.Minute, "x:A"), at(2*time.Minute, "x:B")}, []string{"alice"}},
		{"temporal: not all of them", "type: temporal\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 5m",
			[]eventtest.Record{at(0, "x:C"), at(time.Minute, "x:A"), at(2*time.Minute, "x:A")}, nil},
		{"temporal: too far apart", "type: temporal\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 5m",
			[]eventtest.Record{at(0, "x:C"), at(4*time.Minute, "x:A"), at(8*time.Minute, "x:B")}, nil},
		{"temporal: of different groups", "type: temporal\nrules: [a, b]\ngroup-by: [userIdentity.userName]\ntimespan: 5m",
			[]eventtest.Record{at(0, "x:A"), at(time.Minute, "x:B", by("bob"))}, nil},
		{"temporal: some of them", "type: temporal\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 5m\ncondition: {gte: 2}",
			[]eventtest.Record{at(0, "x:C"), at(time.Minute, "x:A")}, []string{"alice"}},
		{"temporal: a condition over all", "type: temporal\nrules: [a, b]\ngroup-by: [userIdentity.userName]\ntimespan: 5m\ncondition: a AND b",
			[]eventtest.Record{at(0, "x:B"), at(time.Minute, "x:A")}, []string{"alice"}},
		{"temporal_ordered: in order", "type: temporal_ordered\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 1h",
			[]eventtest.Record{at(0, "x:A"), at(10*time.Minute, "x:B"), at(20*time.Minute, "x:C")}, []string{"alice"}},
		{"temporal_ordered: in another order", "type: temporal_ordered\nrules: [a, b, c]\ngroup-by: [userIdentity.userName]\ntimespan: 1h",
			[]eventtest.Record{at(0, "x:B"), at(10*time.Minute, "x:A"), at(20*time.Minute, "x:C")}, nil},
		{"aliases: one value under different names", "type: temporal\nrules: [a, b]\ngroup-by: [who]\ntimespan: 5m\naliases: {who: {a: userIdentity.userName, b: requestParameters.userName}}",
			[]eventtest.Record{at(0, "x:A", by("eve")), at(time.Minute, "x:B", by("bob"), asking("userName", "eve"))}, []string{"eve"}},
		{"aliases: different values", "type: temporal\nrules: [a, b]\ngroup-by: [who]\ntimespan: 5m\naliases: {who: {a: userIdentity.userName, b: requestParameters.userName}}",
			[]eventtest.Record{at(0, "x:A", by("eve")), at(time.Minute, "x:B", by("eve"), asking("userName", "bob"))}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			detectors := load(t, nil, three+correlationOf(tt.correlation))
			var events []*event.Event
			for _, r := range tt.records {
				events = append(events, r.Event(t))
			}
			var keys []string
			for _, f := range process(t, newEngine(t, detectors...), events...) {
				if f.Rule == "sigma-together" {
					keys = append(keys, f.Key)
				}
			}
			assert.Equal(t, tt.keys, keys)
		})
	}
}

// A finding of a correlation says what was counted, against what, and proves it.
func TestCorrelationFinding(t *testing.T) {
	detectors := load(t, nil, named("a", "A")+`title: Many names
level: high
falsepositives: [Tests]
correlation:
    type: value_count
    rules: [a]
    group-by: [sourceIPAddress]
    timespan: 10m
    condition: {field: userIdentity.userName, gte: 3}
`)
	require.Len(t, detectors, 1, "the rule that is correlated stands for nothing alone")
	info := detectors[0].Info()
	assert.Equal(t, detect.Threshold{Of: "different values of userIdentity.userName within 10m", Value: 3, Min: 1, Max: 256}, info.Threshold)
	assert.Equal(t, detect.Technique("T1526"), info.Technique, "that of the rule correlated")
	assert.Equal(t, detect.High, info.Severity)
	assert.Equal(t, []string{"Tests"}, info.Benign)

	var events []*event.Event
	var ids []string
	for i, who := range []string{"ann", "bob", "cid"} {
		events = append(events, at(time.Duration(i)*time.Minute, "x:A", by(who)).Event(t))
		ids = append(ids, events[i].ID)
	}
	findings := process(t, newEngine(t, detectors...), events...)
	require.Len(t, findings, 1)
	f := findings[0]
	assert.Equal(t, "Many names: 3 different values of userIdentity.userName within 10m", f.Title)
	assert.Equal(t, ids, f.EventIDs)
	assert.Equal(t, []detect.Evidence{
		{Name: "different values of userIdentity.userName within 10m", Observed: "3", Expected: "below 3", EventIDs: ids},
		{Name: "of which the last", Observed: "ann, bob, cid"},
		{Name: "eventName", Observed: "A"},
	}, f.Evidence)
	nearest, ok := f.Nearest()
	assert.True(t, ok)
	assert.Equal(t, 3, nearest.Threshold)
}

func TestGenerate(t *testing.T) {
	count := correlationOf("type: event_count\nrules: [a]\ngroup-by: [eventName]\ntimespan: 10m\ncondition: {gte: 2}")
	names := func(text string) string {
		var list []string
		for _, d := range load(t, nil, text) {
			list = append(list, d.Info().Name+" "+d.Info().Severity.String())
		}
		return strings.Join(list, ", ")
	}
	assert.Equal(t, "sigma-together low", names(named("a", "A")+count), "a correlation is as severe as its rules")
	assert.Equal(t, "sigma-rule-a low, sigma-together low", names(named("a", "A")+count+"    generate: true\n"))
	assert.Equal(t, "sigma-together low, sigma-rule-b low", names(named("a", "A")+count+"---\n"+named("b", "B")))

	detectors, err := sigma.Load(files(named("a", "A")+strings.Replace(count, "A", "B", 1)+"tags: [attack.t1078]\nlevel: high\nid: x\n---\n"+named("x", "B")), nil)
	require.ErrorIs(t, err, sigma.ErrInvalid)
	require.Len(t, detectors, 1)
	assert.Equal(t, "sigma-together", detectors[0].Info().Name)
}

// Correlations that group by the same fields share a record, others do not.
func TestScopes(t *testing.T) {
	count := func(title, by string) string {
		return strings.Replace(correlationOf("type: event_count\nrules: [a]\ngroup-by: ["+by+"]\ntimespan: 10m\ncondition: {gte: 2}"), "Together", title, 1) + "---\n"
	}
	detectors := load(t, nil, named("a", "A")+count("One", "awsRegion")+count("Two", "awsRegion")+count("Three", "eventSource, awsRegion")+named("b", "B"))
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	var names []string
	for _, s := range set.Scopes() {
		names = append(names, s.Name)
	}
	require.Len(t, names, 3)
	assert.Regexp(t, `^sigma-by-awsregion-[0-9a-f]{8}$`, names[0])
	assert.Regexp(t, `^sigma-by-eventsource-awsregion-[0-9a-f]{8}$`, names[1])
	assert.Equal(t, "sigma", names[2])

	// As many as would take more than a set allows for one record do not.
	text := named("a", "A")
	for i := range 60 {
		text += strings.Replace(count(fmt.Sprint("Large ", i), "awsRegion"), "gte: 2", "gte: 256", 1)
	}
	set, err = detect.NewSet(load(t, nil, text), nil)
	require.NoError(t, err)
	for _, s := range set.Scopes() {
		assert.Less(t, set.MaxBytes(s), detect.MaxRecordBytes)
	}
	assert.Len(t, set.Scopes(), 8)

	// A value that a caller chose at any length makes no key of any length.
	long := load(t, nil, named("a", "A")+count("One", "userAgent"))
	key := func(agent string) string {
		return long[0].Info().Scope.Key(at(0, "x:A", func(r *eventtest.Record) { r.Agent = agent }).Event(t))
	}
	a, b := strings.Repeat("ä", 5000), strings.Repeat("ä", 5001)
	assert.LessOrEqual(t, len(key(a)), 512)
	assert.NotEqual(t, key(a), key(b))
	assert.Equal(t, key(a), key(a))
	assert.Equal(t, "short", key("short"))
}

// Rules of two folders stand in one set if they have different names.
func TestTwoFolders(t *testing.T) {
	one := load(t, nil, named("a", "A"))
	two := load(t, &sigma.Options{Name: "ours"}, named("a", "A"))
	_, err := detect.NewSet(append(one, two...), nil)
	require.NoError(t, err)
	assert.Equal(t, "ours-rule-a", two[0].Info().Name)
	_, err = detect.NewSet(append(one, load(t, nil, named("b", "B"))...), nil)
	assert.Error(t, err)
}
