package eventtest_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
	"github.com/cloudtell/cloudtell/event/eventtest/stream"
)

// In a test, Event decodes the record at once.
func ExampleRecord() {
	record := eventtest.Record{
		Call:    "s3:GetObject",
		By:      eventtest.Role(eventtest.Account, "deploy", "ci-17"),
		Request: map[string]any{"bucketName": "backups", "key": "db.sql"},
	}
	e, err := event.Parse(record.JSON())
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Time.Format(time.DateTime), e.Principal.Name, e.Operation, e.Bucket(), e.ObjectKey())
	// Output: 2026-01-05 09:00:00 deploy GetObject backups db.sql
}

// Events as they may be delivered: out of order by less than a lateness, and
// some twice.
func Example_stream() {
	var events []*event.Event
	for minute := range 30 {
		e, err := event.Parse(eventtest.Record{Call: "ec2:DescribeInstances", At: eventtest.Start.Add(time.Duration(minute) * time.Minute)}.JSON())
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	delivered := stream.Duplicate(rng, stream.Shuffle(rng, events, 15*time.Minute))

	ids, latest, latestSoFar := map[string]bool{}, time.Duration(0), time.Time{}
	for _, e := range delivered {
		ids[e.ID] = true
		if e.Time.After(latestSoFar) {
			latestSoFar = e.Time
		}
		latest = max(latest, latestSoFar.Sub(e.Time))
	}
	fmt.Println(len(ids), "events, more delivered:", len(delivered) > len(ids), "and some late:", latest > 0)
	// Output: 30 events, more delivered: true and some late: true
}
