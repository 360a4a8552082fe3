package coverage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// infos are rules that need each kind of logging, and a hook.
var infos = []detect.Info{
	{Name: "discovery", Technique: "T1580", Tactic: detect.Discovery, Needs: detect.ManagementReads},
	{Name: "any-call", Technique: "T1078.004", Tactic: detect.InitialAccess, Needs: detect.ManagementEvents},
	{Name: "sign-in", Technique: "T1078.004", Tactic: detect.InitialAccess, Needs: detect.ManagementWrites, Events: []string{"signin:ConsoleLogin"}},
	{Name: "country", Technique: "T1078", Tactic: detect.InitialAccess, Needs: detect.ManagementWrites, Hook: "Config.Locate"},
	{Name: "objects", Technique: "T1530", Tactic: detect.Collection, Needs: detect.S3DataEvents, Events: []string{"s3:GetObject"}},
	{Name: "endpoint", Technique: "T1078", Tactic: detect.InitialAccess, Needs: detect.NetworkEvents},
}

func observe(t *testing.T, events ...*event.Event) *coverage.Coverage {
	t.Helper()
	c, err := coverage.New(infos)
	require.NoError(t, err)
	for _, e := range events {
		c.Observe(e, time.Time{})
	}
	return c
}

func management(source, name string, readOnly bool) *event.Event {
	return &event.Event{
		Category: event.Management, Time: noon, Source: source, Name: name, Operation: name, ReadOnly: readOnly,
		Region: "eu-west-1", AccountID: "111122223333",
	}
}

func object(category event.Category, bucket string) *event.Event {
	e := management("s3.amazonaws.com", "GetObject", true)
	e.Category, e.Request = category, event.Raw(`{"bucketName":"`+bucket+`"}`)
	return e
}

var (
	read  = management("ec2.amazonaws.com", "DescribeInstances", true)
	write = management("signin.amazonaws.com", "ConsoleLogin", false)
)

func TestRuleStates(t *testing.T) {
	other := management("lambda.amazonaws.com", "Invoke", false)
	other.Category = event.Data
	network := management("ec2.amazonaws.com", "DescribeInstances", true)
	network.Category = event.NetworkActivity
	insight := management("ec2.amazonaws.com", "RunInstances", false)
	insight.Category = event.Insight
	const ready, partly, unconfigured, blind = coverage.Ready, coverage.Partly, coverage.Unconfigured, coverage.Blind
	tests := []struct {
		name   string
		events []*event.Event
		// of any-call, country, endpoint, sign-in, objects, discovery: by technique and name
		want []coverage.State
	}{
		{"nothing", nil, []coverage.State{blind, blind, blind, blind, blind, blind}},
		{"what no rule looks at", []*event.Event{other, insight}, []coverage.State{blind, blind, blind, blind, blind, blind}},
		{"reads only", []*event.Event{read}, []coverage.State{partly, blind, blind, blind, blind, ready}},
		{"writes only", []*event.Event{write}, []coverage.State{partly, unconfigured, blind, ready, blind, blind}},
		{"management only", []*event.Event{read, write}, []coverage.State{ready, unconfigured, blind, ready, blind, ready}},
		{"objects only", []*event.Event{object(event.Data, "b")}, []coverage.State{blind, blind, blind, blind, ready, blind}},
		{"access logs only", []*event.Event{object(event.AccessLog, "b")}, []coverage.State{blind, blind, blind, blind, ready, blind}},
		{"all", []*event.Event{read, write, object(event.Data, "b"), network}, []coverage.State{ready, unconfigured, ready, ready, ready, ready}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := observe(t, tt.events...).Report()
			var got []coverage.State
			for _, rule := range r.Rules {
				got = append(got, rule.State)
				assert.Equal(t, rule.State == ready, rule.Missing == "", "%s misses %q", rule.Name, rule.Missing)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestReport(t *testing.T) {
	posture := management("s3.amazonaws.com", "GetBucketAcl", true)
	posture.Request = `{"bucketName":"dark"}`
	missing := management("s3.amazonaws.com", "GetBucketAcl", true)
	missing.Request, missing.ErrorCode = `{"bucketName":"no-such-bucket"}`, "NoSuchBucket"
	later := management("ec2.amazonaws.com", "DescribeInstances", true)
	later.Time, later.Region = noon.Add(time.Hour), "us-east-1"
	r := observe(t, read, later, read, posture, missing, object(event.Data, "logged"), object(event.AccessLog, "logged"), object(event.AccessLog, "lines")).Report()

	assert.Equal(t, []coverage.Bucket{
		{Name: "dark"}, {Name: "lines", AccessLog: 1, Logged: true}, {Name: "logged", DataEvents: 1, AccessLog: 1, Logged: true},
	}, r.Buckets)
	assert.Equal(t, []coverage.Count{{"eu-west-1", 7}, {"us-east-1", 1}}, r.Regions)
	assert.Equal(t, []coverage.Count{{"111122223333", 8}}, r.Accounts)
	assert.Equal(t, []coverage.Technique{
		{ID: "T1078", Name: "Valid Accounts", State: coverage.Partly, Ready: 0, Rules: 4},
		{ID: "T1530", Name: "Data from Cloud Storage", State: coverage.Ready, Ready: 1, Rules: 1},
		{ID: "T1580", Name: "Cloud Infrastructure Discovery", State: coverage.Ready, Ready: 1, Rules: 1},
	}, r.Techniques)
	assert.Equal(t, "read-only management events", r.Logging[0].Kind)
	assert.Equal(t, int64(5), r.Logging[0].Events)
	assert.Equal(t, noon, r.Logging[0].First)
	assert.Equal(t, later.Time, r.Logging[0].Last)
	for _, rule := range r.Rules {
		if rule.Name == "objects" {
			assert.Equal(t, int64(3), rule.Events)
		}
	}
	require.Len(t, r.Advice, 3)
	assert.Regexp(t, `^Log management events that write: .* 3 rules wait for it\.$`, r.Advice[0], "what opens most eyes comes first")
	assert.Regexp(t, `^Log network activity .* One rule waits for it\.$`, r.Advice[1])
	assert.Equal(t, "Objects of 1 buckets that were seen are not logged: dark.", r.Advice[2])
}

// Fed from EventBridge, an account without a single read is one whose reads
// were left out.
func TestEventBridge(t *testing.T) {
	bridged := *write
	bridged.EventBridge = true
	assert.Regexp(t, `^1 events came through EventBridge, and no read-only call among them`, observe(t, &bridged).Report().Advice[0])
	reading := *read
	reading.EventBridge = true
	for _, advice := range observe(t, &bridged, &reading).Report().Advice {
		assert.NotContains(t, advice, "came through EventBridge")
	}
}

func TestDelays(t *testing.T) {
	c, err := coverage.New(infos)
	require.NoError(t, err)
	for i := range 100 {
		c.Observe(read, noon.Add(time.Duration(i+1)*time.Minute))
	}
	c.Observe(read, noon.Add(-time.Minute))
	d := c.Report().Delivery
	assert.Equal(t, int64(101), d.Count)
	assert.Equal(t, int64(1), d.Negative)
	assert.InEpsilon(t, 50*60, time.Duration(d.P50).Seconds(), 0.1)
	assert.InEpsilon(t, 95*60, time.Duration(d.P95).Seconds(), 0.1)
	assert.Equal(t, "1h40m0s", d.Max.String())
	assert.InDelta(t, 61.0/101, d.Hour, 1e-9)
	assert.Equal(t, 1.0, d.Day)
	assert.Equal(t, 1.0, d.Week)
	assert.Zero(t, c.Report().Answer)

	f := detect.Finding{Time: noon}
	c.Found(&f, noon.Add(3*24*time.Hour))
	f.Revision = 1
	c.Found(&f, noon.Add(30*24*time.Hour)) // no new answer
	c.Found(&detect.Finding{Time: noon}, time.Time{})
	a := c.Report().Answer
	assert.Equal(t, int64(1), a.Count)
	assert.Equal(t, []float64{0, 0, 1}, []float64{a.Hour, a.Day, a.Week})
	text, err := json.Marshal(a)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"max_seconds":259200`)
}

// Coverage of parts, put together, is that of the whole.
func TestMerge(t *testing.T) {
	events := []*event.Event{read, write, object(event.Data, "a"), object(event.AccessLog, "b"), read, write, object(event.Data, "a")}
	whole, err := coverage.New(infos)
	require.NoError(t, err)
	var parts []*coverage.Coverage
	for range 3 {
		part, err := coverage.New(infos)
		require.NoError(t, err)
		parts = append(parts, part)
	}
	for i, e := range events {
		e := *e
		e.Time = e.Time.Add(time.Duration(i*i) * time.Minute)
		e.Region = fmt.Sprint("region-", i%4)
		e.EventBridge = i%2 == 0
		delivered := e.Time.Add(time.Duration(i) * time.Hour)
		for _, c := range []*coverage.Coverage{whole, parts[i%3]} {
			c.Observe(&e, delivered)
			c.Found(&detect.Finding{Time: e.Time}, delivered)
		}
	}
	for _, part := range parts[1:] {
		parts[0].Merge(part)
	}
	assert.Empty(t, cmp.Diff(whole.Report(), parts[0].Report(), cmp.AllowUnexported(coverage.Logging{})))
}

// Whoever may call AWS chooses names of buckets; those do not cost memory
// without end.
func TestBounded(t *testing.T) {
	c := observe(t)
	for i := range 30_000 {
		e := object(event.Data, fmt.Sprint("bucket-", i))
		e.Region, e.AccountID = fmt.Sprint("region-", i), fmt.Sprint("account-", i)
		c.Observe(e, time.Time{})
	}
	r := c.Report()
	assert.Len(t, r.Buckets, 10_000)
	assert.Len(t, r.Regions, 10_000)
	assert.Len(t, r.Accounts, 10_000)
	assert.Equal(t, int64(30_000), r.Logging[2].Events)
}

// Events may be in memory that is used again for those that follow.
func TestNamesOutliveEvents(t *testing.T) {
	const names, each = 7, 1000
	var log strings.Builder
	for i := range names * each {
		n := fmt.Sprint(i / (each / 2) % names) // long gone when it comes again
		fmt.Fprintln(&log, eventtest.Record{
			Call: "s3:GetObject", By: eventtest.User("11112222333"+n, "alice"),
			Request: map[string]any{"bucketName": "bucket-" + n, "key": strings.Repeat("x", i%100)},
			More:    map[string]any{"awsRegion": "eu-west-" + n},
		}.JSON())
	}
	c := observe(t)
	for e, err := range event.Read(strings.NewReader(log.String()), &event.ReadOptions{Reuse: true}) {
		require.NoError(t, err)
		c.Observe(e, noon)
	}
	var want coverage.Report
	for n := range names {
		want.Regions = append(want.Regions, coverage.Count{Name: fmt.Sprint("eu-west-", n), Events: each})
		want.Accounts = append(want.Accounts, coverage.Count{Name: fmt.Sprint("11112222333", n), Events: each})
		want.Buckets = append(want.Buckets, coverage.Bucket{Name: fmt.Sprint("bucket-", n), DataEvents: each, Logged: true})
	}
	got := c.Report()
	require.Equal(t, want.Regions, got.Regions)
	require.Equal(t, want.Accounts, got.Accounts)
	require.Equal(t, want.Buckets, got.Buckets)
}

func TestObserveDoesNotAllocate(t *testing.T) {
	c := observe(t, read, object(event.Data, "a"))
	e := object(event.Data, "a")
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Observe(e, noon) }))
}

func TestNavigator(t *testing.T) {
	r := observe(t, read).Report()
	text, err := r.Navigator("a test", map[detect.Technique]int{"T1580": 3})
	require.NoError(t, err)
	var layer struct {
		Versions   map[string]string
		Domain     string
		Techniques []struct {
			TechniqueID, Tactic, Color, Comment string
			Score                               int
			Enabled                             bool
			Metadata                            []struct{ Name, Value string }
		}
		Gradient struct{ MinValue, MaxValue int }
	}
	require.NoError(t, json.Unmarshal(text, &layer))
	assert.Equal(t, "4.5", layer.Versions["layer"])
	assert.Equal(t, "enterprise-attack", layer.Domain)
	assert.Equal(t, 3, layer.Gradient.MaxValue)
	got := make(map[string]string)
	for _, technique := range layer.Techniques {
		assert.True(t, technique.Enabled)
		got[technique.TechniqueID+" "+technique.Tactic] = technique.Comment
		assert.NotEmpty(t, technique.Metadata)
	}
	assert.Equal(t, map[string]string{
		"T1078 initial-access":     "partly blind: 0 of 4 rules ready, 0 findings",
		"T1078.004 initial-access": "partly blind: 0 of 2 rules ready, 0 findings",
		"T1530 collection":         "blind: 0 of 1 rules ready, 0 findings",
		"T1580 discovery":          "ready: 1 of 1 rules ready, 3 findings",
	}, got)
}

func TestNewRefusesPatterns(t *testing.T) {
	_, err := coverage.New([]detect.Info{{Events: []string{"nonsense"}}})
	assert.Error(t, err)
}

// A name as long as a record may hold is none, and is not remembered.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	e := object(event.Data, long)
	e.Region, e.AccountID = long, long
	r := observe(t, e, object(event.Data, long[:255])).Report()
	require.Len(t, r.Buckets, 1)
	assert.Len(t, r.Buckets[0].Name, 255)
	assert.Len(t, r.Regions, 1)
	assert.Len(t, r.Accounts, 1)
	assert.Equal(t, int64(2), r.Logging[2].Events, "the event counts all the same")
}
