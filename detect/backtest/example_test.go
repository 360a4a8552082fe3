package backtest_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
	"github.com/cloudtell/cloudtell/event"
)

// A rule that counts is loud about honest work. The report knows how far its
// threshold can be raised before an attack is lost.
func Example() {
	detectors := []detect.Detector{counting("many-secrets", 5)}
	events := stream(
		call{after: 0, who: "alice", says: "nothing"},
		call{after: 20 * day, who: "alice", says: "many-secrets 6 backup"},
		call{after: 21 * day, who: "alice", says: "many-secrets 8 deployment"},
		call{after: 22 * day, who: "alice", says: "many-secrets 19 dump", attack: "theft"},
		call{after: 24 * day, who: "alice", says: "nothing"},
	)
	report, err := backtest.Run(context.Background(), detectors, events, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	high := report.Level(detect.High)
	fmt.Println(high.Found, "attack found;", high.True, "finding true,", high.False, "false")
	for _, p := range report.Propose(0) {
		fmt.Println(p)
	}
	// Output:
	// 1 attack found; 1 finding true, 2 false
	// many-secrets: from 9 up rather than from 5 (things); 2 false notifications fewer, 0.00 a day per 100 principals remain
}

// A change of a threshold is judged before it is made.
func ExampleCompare() {
	measure := func(threshold int) *backtest.Report {
		report, err := backtest.Run(context.Background(), []detect.Detector{counting("many-secrets", threshold)}, stream(
			call{after: 0, who: "alice", says: "nothing"},
			call{after: 20 * day, who: "alice", says: "many-secrets 6 backup"},
			call{after: 22 * day, who: "alice", says: "many-secrets 9 dump", attack: "theft"},
		), nil)
		if err != nil {
			panic(err)
		}
		return report
	}
	d := backtest.Compare(measure(5), measure(12))
	fmt.Println("lost:", d.OnlyA)
	for _, r := range d.Rules {
		fmt.Println(r.Rule, "false findings:", r.A.False, "then", r.B.False)
	}
	// Output:
	// lost: [theft]
	// many-secrets false findings: 1 then 0
}

// The events of a log, labelled with what is known to have been an attack.
func ExampleLabel() {
	log := `{"eventID":"1","eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances"}
		{"eventID":"2","eventTime":"2026-01-05T09:00:01Z","eventSource":"ec2.amazonaws.com","eventName":"GetPasswordData"}`
	attacks := map[string]string{"2": "stolen passwords"}
	labelled := backtest.Label(event.Read(strings.NewReader(log), nil), func(e *event.Event) string { return attacks[e.ID] })
	for e, err := range labelled {
		fmt.Printf("%s %q %v\n", e.Name, e.Attack, err)
	}
	// Output:
	// DescribeInstances "" <nil>
	// GetPasswordData "stolen passwords" <nil>
}

// Several accounts in one report, and thresholds for all of them.
func ExampleMerge() {
	var reports []*backtest.Report
	for _, account := range []string{"a", "b"} {
		report, err := backtest.Run(context.Background(), []detect.Detector{counting("many-secrets", 5)}, stream(
			call{after: 0, who: "alice", says: "nothing"},
			call{after: 20 * day, who: "alice", says: "many-secrets 6 backup"},
			call{after: 22 * day, who: "alice", says: "many-secrets 19 dump", attack: "theft in " + account},
			call{after: 24 * day, who: "alice", says: "nothing"},
		), nil)
		if err != nil {
			panic(err)
		}
		reports = append(reports, report)
	}
	all := backtest.Merge(reports...)
	fmt.Println(len(all.Attacks), "attacks, of which missed:", len(all.Missed(detect.High)))
	fmt.Println(backtest.Thresholds(all.Propose(0)))
	// Output:
	// 2 attacks, of which missed: 0
	// map[many-secrets:7]
}
