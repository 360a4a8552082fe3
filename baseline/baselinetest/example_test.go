package baselinetest_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// careless saves whatever it is given, over whatever is there.
type careless struct{ baseline.Memory }

func (c *careless) Save(ctx context.Context, records []baseline.Record) error {
	for i := range records {
		stored, err := c.Load(ctx, []string{records[i].Key})
		if err != nil {
			return err
		}
		if err := c.Memory.Save(ctx, []baseline.Record{{Key: records[i].Key, Version: stored[0].Version, Data: records[i].Data}}); err != nil {
			return err
		}
	}
	return nil
}

// In a test, Store shows each line of the contract as a subtest.
func ExampleTestStore() {
	fmt.Println(baselinetest.TestStore(func() (baseline.Store, error) { return new(baseline.Memory), nil }))

	err := baselinetest.TestStore(func() (baseline.Store, error) { return new(careless), nil })
	fmt.Println(strings.Contains(err.Error(), "3. Save stores a record only if its Version is the one stored"))
	// Output:
	// <nil>
	// true
}

func ExampleTestFeature() {
	var events []*event.Event
	for day := range 5 {
		e, err := event.Parse(eventtest.Record{Call: "ec2:DescribeInstances", At: eventtest.Start.AddDate(0, 0, day), Agent: fmt.Sprint("tool/", day)}.JSON())
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	agents := baseline.Distinct("agents", func(e *event.Event) string { return e.UserAgent }, 20, 24*time.Hour)
	fmt.Println(baselinetest.TestFeature(agents, events))
	// Output: <nil>
}
