package account_test

import (
	"fmt"

	"github.com/cloudtell/cloudtell/examples/account"
)

// A detector's trial: feed it the records, and compare what it reports with
// what happened.
func Example() {
	a := account.New(&account.Options{Small: true, Attacks: true})
	records := 0
	for file := range a.Files() {
		for _, record := range file.Records {
			_ = record.JSON // to the detector
			records++
		}
	}
	fmt.Println(records, "records")
	for _, attack := range a.Truth() {
		fmt.Println(attack.Name, "by", attack.Principal, "in", len(attack.EventIDs), "events")
	}
	// Output:
	// 1216 records
	// stolen-key by arn:aws:iam::111122223333:user/alex in 288 events
}
