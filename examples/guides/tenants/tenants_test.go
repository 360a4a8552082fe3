package tenants_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/examples/guides/tenants"
)

// Two customers with the same store: the one is attacked, the other is not.
func Example() {
	ctx, store := context.Background(), new(baseline.Memory)
	for _, customer := range []struct {
		name     string
		attacked bool
	}{{"acme", true}, {"globex", false}} {
		tenant, err := tenants.Open(customer.name, nil, store)
		if err != nil {
			panic(err)
		}
		told := 0
		for events, delivered := range deliveries(customer.attacked) {
			findings, err := tenant.Process(ctx, events, delivered)
			if err != nil {
				panic(err)
			}
			for _, f := range findings {
				if f.Severity >= detect.High {
					told++
				}
			}
		}
		fmt.Println(customer.name, "was told of findings high up:", told > 0)
		for _, in := range tenant.Incidents() {
			if in.Severity >= detect.Medium {
				fmt.Println("-", in.Severity, in.Principals, in.Stage)
			}
		}
		for _, t := range tenant.Coverage().Techniques {
			if t.State == coverage.Ready {
				fmt.Println("- sees", t.ID)
			}
		}
	}
	// Output:
	// acme was told of findings high up: true
	// - critical [arn:aws:iam::111122223333:user/alex] collection
	// - sees T1530
	// - sees T1552
	// - sees T1580
	// - sees T1619
	// globex was told of findings high up: false
	// - sees T1530
	// - sees T1552
	// - sees T1580
	// - sees T1619
}

// deliveries are the files of a small account's trail, as they come.
func deliveries(attacked bool) func(yield func([]*event.Event, time.Time) bool) {
	a := account.New(&account.Options{Small: true, Attacks: attacked, Seed: 1})
	return func(yield func([]*event.Event, time.Time) bool) {
		for file := range a.Files() {
			var events []*event.Event
			for _, r := range file.Records {
				e, err := event.Parse(r.JSON)
				if err != nil {
					panic(err)
				}
				events = append(events, e)
			}
			if !yield(events, file.Time) {
				return
			}
		}
	}
}

func TestPrefixedContract(t *testing.T) {
	baselinetest.Store(t, func() (baseline.Store, error) { return tenants.Prefixed(new(baseline.Memory), "acme/"), nil })
}

func TestPrefixedIsOfOneTenant(t *testing.T) {
	ctx, all := context.Background(), new(baseline.Memory)
	acme, globex := tenants.Prefixed(all, "acme/"), tenants.Prefixed(all, "globex/")
	require.NoError(t, acme.Save(ctx, []baseline.Record{{Key: "bucket/logs", Data: []byte("acme's")}}))
	records, err := globex.Load(ctx, []string{"bucket/logs"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "bucket/logs"}}, records)
	for r := range all.All() {
		assert.Equal(t, "acme/bucket/logs", r.Key)
	}
}

// TestVerdict pins the way of a verdict: told as JSON, decided, learnt, kept
// over a restart.
func TestVerdict(t *testing.T) {
	const rule = "first-seen-source-ip"
	// again counts the rule's findings ten days after its first, when the
	// same call is made again.
	again := func(verdict baseline.Verdict) (found int) {
		ctx, store := context.Background(), new(baseline.Memory)
		tenant, err := tenants.Open("acme", nil, store)
		require.NoError(t, err)
		for events, delivered := range deliveries(true) {
			findings, err := tenant.Process(ctx, events, delivered)
			require.NoError(t, err)
			i := slices.IndexFunc(findings, func(f detect.Finding) bool { return f.Rule == rule })
			if i < 0 {
				continue
			}
			told, err := json.Marshal(findings[i])
			require.NoError(t, err)
			require.NoError(t, tenant.Judge(ctx, told, verdict))

			later := events[slices.IndexFunc(events, func(e *event.Event) bool { return e.ID == findings[i].EventIDs[0] })].Clone()
			later.ID, later.Time = "00000000-0000-4000-8000-000000000001", later.Time.AddDate(0, 0, 10)
			restarted, err := tenants.Open("acme", nil, store)
			require.NoError(t, err)
			findings, err = restarted.Process(ctx, []*event.Event{later}, later.Time)
			require.NoError(t, err)
			for _, f := range findings {
				if f.Rule == rule {
					found++
				}
			}
			return found
		}
		t.Fatal("nothing to decide")
		return 0
	}
	assert.Equal(t, 1, again(baseline.Undecided))
	assert.Equal(t, 1, again(baseline.Malicious))
	assert.Zero(t, again(baseline.Benign))
}

// TestUpgrade pins what a customer sees of a new version that has one more
// rule: nothing, until the rule has learnt.
func TestUpgrade(t *testing.T) {
	ctx, store := context.Background(), new(baseline.Memory)
	regions := baseline.FirstSeen("region", func(e *event.Event) string { return e.Region }, nil)
	info := detect.Info{
		Name: "anything", Doc: "A principal makes a call.", Technique: "T1078.004", Tactic: detect.InitialAccess, Severity: detect.Informational,
	}
	old := detect.New(info, func(*detect.Pass) {})
	info.Name, info.Uses, info.Learn = "new-region", []baseline.Feature{regions}, 14*baseline.Day
	added := detect.New(info, func(p *detect.Pass) {
		if r := regions.In(p); p.Require("the region is new", r.New) {
			p.Report(r.Value, "first call in "+r.Value)
		}
	})
	play := func(first, last int, region string, detectors ...detect.Detector) (found int) {
		set, err := detect.NewSet(detectors, nil)
		require.NoError(t, err)
		engine, err := detect.NewEngine(set, store, nil)
		require.NoError(t, err)
		for day := first; day <= last; day++ {
			e, err := event.Parse(fmt.Sprintf(`{"eventID":"%08d-0000-4000-8000-000000000000","eventTime":%q,"eventSource":"ec2.amazonaws.com",
				"eventName":"DescribeInstances","awsRegion":%q,"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice",
				"accountId":"111122223333"}}`, day, time.Date(2026, 1, day, 9, 0, 0, 0, time.UTC).Format(time.RFC3339), region))
			require.NoError(t, err)
			findings, err := engine.Process(ctx, []*event.Event{e})
			require.NoError(t, err)
			found += len(findings)
		}
		require.NoError(t, engine.Flush(ctx))
		return found
	}
	assert.Zero(t, play(1, 20, "eu-west-1", old))
	assert.Zero(t, play(21, 21, "ap-south-1", old, added), "all regions are new to the rule, and it says nothing")
	assert.Zero(t, play(22, 36, "eu-west-1", old, added))
	assert.Equal(t, 1, play(37, 37, "eu-south-1", old, added))
}
