package stream_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
	"github.com/cloudtell/cloudtell/event/eventtest/stream"
)

// Events as they may be delivered: out of order by less than a lateness, and
// some twice.
func Example() {
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

// A flood of one key: what is remembered about it must not grow with it.
func ExampleNewFlood() {
	e, err := event.Parse(eventtest.Record{Call: "ec2:DescribeInstances"}.JSON())
	if err != nil {
		panic(err)
	}
	key := func(e *event.Event) string { return e.Principal.Key }
	flood := stream.NewFlood(key, []*event.Event{e})
	keys, agents := map[string]bool{}, map[string]bool{}
	for i := range 1000 {
		e := flood.Event(i, time.Duration(i)*time.Second)
		keys[key(e)], agents[e.UserAgent] = true, true
	}
	fmt.Println(len(keys), "key; many user agents:", len(agents) > 100)
	// Output: 1 key; many user agents: true
}
