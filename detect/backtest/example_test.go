package backtest_test

import (
	"context"
	"fmt"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
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
