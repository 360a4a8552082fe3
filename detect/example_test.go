package detect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// regions remembers where a principal works.
var regions = baseline.FirstSeen("region", func(e *event.Event) string { return e.Region }, nil)

// newRegion is a detector of one's own. Conditions go through Require, Excuse
// and AtLeast, so that findings list them and Explain can tell them.
var newRegion = detect.New(detect.Info{
	Name: "new-region", Doc: "A principal works in a region that it did not work in before.",
	Technique: "T1078.004", Tactic: detect.InitialAccess, Severity: detect.Medium,
	Uses: []baseline.Feature{regions}, Needs: detect.ManagementEvents, Learn: 7 * baseline.Day,
}, func(p *detect.Pass) {
	region := regions.In(p)
	if !p.Require("the region is new to the principal", region.New) ||
		p.Excuse("the call was refused", p.Event.Denied()) {
		return
	}
	p.Report(region.Value, "first call in "+region.Value)
})

// call returns alice's call in a region on a day.
func call(day int, region string) *event.Event {
	e, err := event.Parse(fmt.Sprintf(`{"eventVersion":"1.11","eventID":"id-%d-%s","eventTime":"2026-01-%02dT09:00:00Z",
		"eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","awsRegion":%q,"sourceIPAddress":"198.51.100.7",
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","userName":"alice"}}`,
		day, region, day, region))
	if err != nil {
		panic(err)
	}
	return e
}

func engineOf(d detect.Detector) *detect.Engine {
	set, err := detect.NewSet([]detect.Detector{d}, nil)
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		panic(err)
	}
	return engine
}

func ExampleNew() {
	engine := engineOf(newRegion)
	for day := 1; day <= 20; day++ {
		engine.Process(context.Background(), []*event.Event{call(day, "eu-west-1")})
	}
	findings, _ := engine.Process(context.Background(), []*event.Event{call(21, "ap-south-1")})
	for _, f := range findings {
		fmt.Println(f.Severity, f.Rule, f.PrincipalName+":", f.Title)
		fmt.Println(f.Learned)
		for _, c := range f.Checks {
			fmt.Println("-", c)
		}
	}
	// Output:
	// medium new-region alice: first call in ap-south-1
	// learnt from 21 events on 20 of 30 days, since 2026-01-01
	// - the region is new to the principal: yes
	// - the call was refused: no
}

func ExampleEngine_Explain() {
	ctx, engine := context.Background(), engineOf(newRegion)
	engine.Process(ctx, []*event.Event{call(1, "eu-west-1"), call(2, "eu-west-1")})
	for _, e := range []*event.Event{call(3, "eu-west-1"), call(3, "ap-south-1")} {
		explanations, _ := engine.Explain(ctx, e)
		for _, x := range explanations {
			fmt.Println(x.String())
		}
	}
	// Output:
	// new-region: nothing, because of: the region is new to the principal: no
	//   failed  the region is new to the principal: no
	// new-region: nothing, because of: 7 days of learning, 3 of them active, before which the rule is silent: no
	//   passed  the region is new to the principal: yes
	//   passed  the call was refused: no
	//   failed  7 days of learning, 3 of them active, before which the rule is silent: no
}

func ExampleEngine_Judge() {
	ctx, engine := context.Background(), engineOf(newRegion)
	for day := 1; day <= 20; day++ {
		engine.Process(ctx, []*event.Event{call(day, "eu-west-1")})
	}
	findings, _ := engine.Process(ctx, []*event.Event{call(21, "ap-south-1")})
	fmt.Println(len(findings), "finding about", findings[0].Unusual[0].Value)

	// An analyst knows of the new region.
	engine.Judge(ctx, &findings[0], baseline.Benign)
	findings, _ = engine.Process(ctx, []*event.Event{call(25, "ap-south-1")})
	fmt.Println(len(findings), "findings four days later")
	// Output:
	// 1 finding about ap-south-1
	// 0 findings four days later
}

func ExampleSet_Apply() {
	set, err := detect.NewSet([]detect.Detector{newRegion}, nil)
	if err != nil {
		panic(err)
	}
	// A stream engine that keeps bytes by key needs no more than this.
	var record []byte
	for day := 1; day <= 21; day++ {
		region := "eu-west-1"
		if day == 21 {
			region = "ap-south-1"
		}
		record, err = set.Apply(detect.ByPrincipal, record, []*event.Event{call(day, region)}, func(f detect.Finding) {
			fmt.Println(f.Time.Format(time.DateOnly), f.Title)
		})
		if err != nil {
			panic(err)
		}
	}
	fmt.Println(len(record) <= set.MaxBytes(detect.ByPrincipal))
	// Output:
	// 2026-01-21 first call in ap-south-1
	// true
}

// succeeded is a condition that the event alone decides. Rules share it by
// pointer, and those that it rules out are not run.
var succeeded = &detect.Condition{
	Text: "the call succeeded",
	Is:   func(e *event.Event) bool { return e.Succeeded() },
}

func ExampleCondition() {
	engine := engineOf(detect.New(detect.Info{
		Name: "instance-list", Doc: "A principal lists instances.", Technique: "T1580", Tactic: detect.Discovery, Severity: detect.Low,
		Events: []string{"ec2:DescribeInstances"}, Conditions: []*detect.Condition{succeeded},
	}, func(p *detect.Pass) {
		p.Report("", "listed instances")
	}))
	findings, _ := engine.Process(context.Background(), []*event.Event{call(1, "eu-west-1")})
	for _, f := range findings {
		fmt.Println(f.Title, f.Checks)
	}
	// Output: listed instances [the call succeeded: yes]
}

// Warm learns from history. What it holds is not reported.
func ExampleEngine_Warm() {
	ctx, engine := context.Background(), engineOf(newRegion)
	var history []*event.Event
	for day := 1; day <= 20; day++ {
		history = append(history, call(day, "eu-west-1"))
	}
	if err := engine.Warm(ctx, history); err != nil {
		fmt.Println(err)
	}
	findings, _ := engine.Process(ctx, []*event.Event{call(21, "ap-south-1")})
	stats := engine.Stats()
	fmt.Println(len(findings), "finding;", stats.Events, "events, of which", stats.Evaluated, "evaluated")
	// Output: 1 finding; 21 events, of which 21 evaluated
}

// What is known and accepted is suppressed for a while, and counted all the
// same.
func ExampleNewSet_suppressions() {
	set, err := detect.NewSet([]detect.Detector{newRegion}, &detect.SetOptions{Suppressions: []detect.Suppression{{
		Rule: "new-region", Subject: "ap-*", Reason: "moving to Asia, TICKET-1", Expires: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	}}})
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		panic(err)
	}
	for day := 1; day <= 21; day++ {
		region := "eu-west-1"
		if day == 21 {
			region = "ap-south-1"
		}
		findings, _ := engine.Process(context.Background(), []*event.Event{call(day, region)})
		for _, f := range findings {
			fmt.Println(f.Title)
		}
	}
	fmt.Println("suppressed:", engine.Stats().Suppressed)
	// Output: suppressed: map[new-region:1]
}

// A Retry of one's own gives up on errors that waiting does not mend.
func ExampleRetry_Do() {
	denied := errors.New("access denied")
	retry := detect.Retry(func(ctx context.Context, attempt int, err error) error {
		if errors.Is(err, denied) || attempt == 3 {
			return fmt.Errorf("given up after %d: %w", attempt, err)
		}
		return nil
	})
	err := retry.Do(context.Background(), func() error { return denied })
	fmt.Println(err)
	// Output: given up after 1: access denied
}

func ExampleFinding_Nearest() {
	engine := engineOf(detect.New(detect.Info{
		Name: "long-names", Doc: "A region has a long name.", Technique: "T1580", Tactic: detect.Discovery, Severity: detect.Low,
		Threshold: detect.Threshold{Of: "letters in the region's name", Value: 9, Min: 1, Max: 100},
	}, func(p *detect.Pass) {
		if p.Reaches(len(strings.ReplaceAll(p.Event.Region, "-", ""))) {
			p.Report("", "many letters")
		}
	}))
	findings, _ := engine.Process(context.Background(), []*event.Event{call(1, "ap-southeast-3")})
	nearest, ok := findings[0].Nearest()
	fmt.Println(nearest, ok)
	// Output: letters in the region's name: 12 of at least 9 true
}

// byAddress is a scope of one's own: what is remembered is kept by source
// address, whoever calls from there.
var byAddress = &detect.Scope{Name: "address", Key: func(e *event.Event) string { return e.SourceAddress }}

func ExampleScope() {
	callers := baseline.Distinct("caller", func(e *event.Event) string { return e.Principal.Key }, 10, time.Hour)
	engine := engineOf(detect.New(detect.Info{
		Name: "many-callers", Doc: "Several principals call from one address.", Technique: "T1078.004", Tactic: detect.InitialAccess,
		Severity: detect.Low, Scope: byAddress, Uses: []baseline.Feature{callers},
	}, func(p *detect.Pass) {
		if p.AtLeast("principals within an hour", callers.In(p).Count, 2) {
			p.Report("", "several principals")
		}
	}))
	alice := call(1, "eu-west-1")
	bob, err := event.Parse(strings.NewReplacer("alice", "bob", "id-1", "id-2").Replace(alice.Text))
	if err != nil {
		panic(err)
	}
	findings, _ := engine.Process(context.Background(), []*event.Event{alice, bob})
	for _, f := range findings {
		fmt.Println(f.Title, "at", f.Key, f.Checks)
	}
	// Output: several principals at 198.51.100.7 [principals within an hour: 2 of at least 2]
}

// An engine that waits for its store when that is away, and says so.
func ExampleBackoff() {
	backoff := &detect.Backoff{
		Wait: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		},
		First:  time.Millisecond,
		Report: func(attempt int, err error) { fmt.Println("failed, attempt", attempt, err) },
	}
	calls := 0
	err := detect.Retry(backoff.Retry).Do(context.Background(), func() error { // what an engine does with EngineOptions{Retry: backoff.Retry}
		if calls++; calls < 3 {
			return errors.New("connection refused")
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// failed, attempt 1 connection refused
	// failed, attempt 2 connection refused
	// <nil>
}
