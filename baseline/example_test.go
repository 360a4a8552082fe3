package baseline_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// called returns a call that alice makes on a day of January 2026.
func called(day int, clock, name, request string) *event.Event {
	id := baseline.Hash(fmt.Sprint(day, clock, name)) >> 16
	e, err := event.Parse(fmt.Sprintf(`{"eventVersion":"1.11","eventID":"00000000-0000-4000-8000-%012[5]x","eventTime":"2026-01-%02[1]dT%[2]sZ",
		"eventSource":"ec2.amazonaws.com","eventName":"%[3]s","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.7","requestParameters":%[4]s,
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","userName":"alice"}}`,
		day, clock, name, request, id))
	if err != nil {
		panic(err)
	}
	return e
}

// remember returns an empty profile with the given features.
func remember(features ...baseline.Feature) *baseline.Profile {
	layout, err := baseline.NewLayout(0, features...)
	if err != nil {
		panic(err)
	}
	return layout.NewProfile()
}

// A layout's profile is a record of bytes between two events, and a feature
// answers about the event that was folded last.
func Example() {
	operations := baseline.FirstSeen("operation", func(e *event.Event) string { return e.Operation }, nil)
	layout, err := baseline.NewLayout(0, operations)
	if err != nil {
		panic(err)
	}
	var record []byte
	for day := 1; day <= 16; day++ {
		profile, err := layout.Decode(record)
		if err != nil {
			panic(err)
		}
		e := called(day, "09:00:00", "DescribeInstances", "null")
		if day == 16 {
			e = called(day, "09:00:00", "DescribeSnapshots", "null")
		}
		profile.Fold(e)
		if operation := operations.In(profile.View(e)); day >= 15 {
			fmt.Println(operation.Value, "is new:", operation.New)
		}
		if record, err = profile.AppendBinary(nil); err != nil {
			panic(err)
		}
	}
	fmt.Println("within its bound:", len(record) <= layout.MaxBytes())
	// Output:
	// DescribeInstances is new: false
	// DescribeSnapshots is new: true
	// within its bound: true
}

func ExampleFirstSeen() {
	operations := baseline.FirstSeen("operation", func(e *event.Event) string { return e.Operation }, nil)
	profile := remember(operations)
	for day := 1; day <= 15; day++ {
		profile.Fold(called(day, "09:00:00", "DescribeInstances", "null"))
	}
	e := called(16, "09:00:00", "GetPasswordData", "null")
	profile.Fold(e)
	answer := operations.In(profile.View(e))
	fmt.Println(answer.Value, answer.New, answer.Examples(3), operations.Age(profile.View(e)).Days, "days")
	// Output: GetPasswordData true [DescribeInstances] 15 days
}

// One call may name several values. The answer is about the first that is new.
func ExampleFirstSeenEach() {
	instances := baseline.FirstSeenEach("instance", func(values []string, e *event.Event) []string {
		for item := range e.Request.At("instancesSet", "items").Items() {
			values = append(values, item.At("instanceId").Text())
		}
		return values
	}, nil)
	profile := remember(instances)
	for day := 1; day <= 15; day++ {
		profile.Fold(called(day, "09:00:00", "StopInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`))
	}
	e := called(16, "09:00:00", "StopInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}`)
	profile.Fold(e)
	fmt.Println(instances.In(profile.View(e)).Value)
	// Output: i-2
}

func ExampleDistinct() {
	snapshots := baseline.Distinct("snapshot", func(e *event.Event) string { return e.Request.At("snapshotId").Text() }, 20, time.Hour)
	profile := remember(snapshots)
	var answer baseline.Window
	for minute := range 4 {
		e := called(1, fmt.Sprintf("09:%02d:00", minute), "ModifySnapshotAttribute", fmt.Sprintf(`{"snapshotId":"snap-%d"}`, minute))
		profile.Fold(e)
		answer = snapshots.In(profile.View(e))
	}
	fmt.Println(answer.Count, answer.Values())
	// Output: 4 [snap-0 snap-1 snap-2 snap-3]
}

func ExampleDistinctEach() {
	owners := baseline.DistinctEach("owner", func(values []string, e *event.Event) []string {
		for item := range e.Request.At("owners").Items() {
			values = append(values, item.Text())
		}
		return values
	}, 20, time.Hour)
	profile := remember(owners)
	e := called(1, "09:00:00", "DescribeImages", `{"owners":["self","amazon"]}`)
	profile.Fold(e)
	fmt.Println(owners.In(profile.View(e)).Count)
	// Output: 2
}

// Ten calls a minute are usual, forty are not. Today does not raise its own bar.
func ExampleRate() {
	calls := baseline.Rate("calls", func(*event.Event) int64 { return 1 }, time.Minute)
	profile := remember(calls)
	var answer baseline.Rates
	for day := 1; day <= 8; day++ {
		amount := 10
		if day == 8 {
			amount = 40
		}
		for second := range amount {
			e := called(day, fmt.Sprintf("09:00:%02d", second), "DescribeInstances", "null")
			profile.Fold(e)
			answer = calls.In(profile.View(e))
		}
	}
	past := answer.Past()
	fmt.Println(answer.Now, "now; usually", past.Typical, "and up to", past.Peak, "on", past.Days, "days")
	// Output: 40 now; usually 10 and up to 10 on 7 days
}

func ExampleSequence() {
	step := func(name string) baseline.Step { return func(e *event.Event) bool { return e.Operation == name } }
	copied := baseline.Sequence("snapshot copied", time.Hour, step("CreateSnapshot"), step("ModifySnapshotAttribute"))
	profile := remember(copied)
	profile.Fold(called(1, "09:00:00", "CreateSnapshot", "null"))
	e := called(1, "09:20:00", "ModifySnapshotAttribute", "null")
	profile.Fold(e)
	answer := copied.In(profile.View(e))
	fmt.Println(answer.Steps, answer.Done, len(answer.EventIDs()))
	// Output: 2 true 2
}

func ExampleLastSeen() {
	active := baseline.LastSeen("active", func(*event.Event) bool { return true })
	profile := remember(active)
	profile.Fold(called(1, "09:00:00", "DescribeInstances", "null"))
	e := called(29, "09:00:00", "DescribeInstances", "null")
	profile.Fold(e)
	answer := active.In(profile.View(e))
	fmt.Println(answer.Days, "days after", answer.Last.Format(time.DateOnly))
	// Output: 28 days after 2026-01-01
}

// A cell of one's own: four bytes that count. baselinetest.Feature holds it to
// the contract.
func ExampleCustom() {
	count := baseline.Custom("count/1", 4, func() *counter { return new(counter) }, func(c *counter, _ *baseline.View) int { return int(*c) })
	profile := remember(count)
	profile.Fold(called(1, "09:00:00", "DescribeInstances", "null"))
	e := called(1, "09:01:00", "DescribeInstances", "null")
	profile.Fold(e)
	fmt.Println(count.In(profile.View(e)))
	// Output: 2
}

type counter uint32

func (c *counter) Fold(*event.Event, time.Time) { *c++ }

func (c *counter) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint32(b, uint32(*c)), nil
}

func (c *counter) UnmarshalBinary(b []byte) error {
	if len(b) != 4 {
		return errors.New("not four bytes")
	}
	*c = counter(binary.BigEndian.Uint32(b))
	return nil
}

// On says which kinds of events a feature remembers, Where leaves out some of
// them, which only a look at the event can tell.
func ExampleOf_Where() {
	instances := baseline.Distinct("instance", func(e *event.Event) string { return e.Request.At("instanceId").Text() }, 20, time.Hour).
		On("ec2:DescribeInstanceAttribute", "ec2:GetPasswordData").
		Where(func(e *event.Event) bool { return e.Request.At("instanceId").Text() != "i-canary" })
	profile := remember(instances)
	for _, e := range []*event.Event{
		called(1, "09:00:00", "GetPasswordData", `{"instanceId":"i-1"}`),
		called(1, "09:01:00", "GetPasswordData", `{"instanceId":"i-canary"}`),
		called(1, "09:02:00", "StopInstances", `{"instanceId":"i-2"}`),
		called(1, "09:03:00", "DescribeInstanceAttribute", `{"instanceId":"i-3"}`),
	} {
		profile.Fold(e)
		fmt.Println(e.Operation, instances.In(profile.View(e)).Count)
	}
	// Output:
	// GetPasswordData 1
	// GetPasswordData 1
	// StopInstances 1
	// DescribeInstanceAttribute 2
}

// A verdict about a value makes it normal at once.
func ExampleProfile_Decide() {
	operations := baseline.FirstSeen("operation", func(e *event.Event) string { return e.Operation }, nil)
	profile := remember(operations)
	for day := 1; day <= 15; day++ {
		profile.Fold(called(day, "09:00:00", "DescribeInstances", "null"))
	}
	e := called(16, "09:00:00", "CopySnapshot", "null")
	profile.Fold(e)
	for _, u := range baseline.UnusualIn(profile.View(e), []baseline.Feature{operations}) {
		fmt.Println("unusual:", u.Value)
		if err := profile.Decide(u, baseline.Benign, e.Time); err != nil {
			panic(err)
		}
	}
	e = called(17, "09:00:00", "CopySnapshot", "null")
	profile.Fold(e)
	fmt.Println("still new:", operations.In(profile.View(e)).New)
	// Output:
	// unusual: CopySnapshot
	// still new: false
}

// Two writers, one record: the one that saves second is told, and loses nothing
// of the first's.
func ExampleMemory() {
	ctx, store := context.Background(), new(baseline.Memory)
	first, _ := store.Load(ctx, []string{"alice"})
	second, _ := store.Load(ctx, []string{"alice"})

	first[0].Data = []byte("first")
	fmt.Println(store.Save(ctx, first))

	second[0].Data = []byte("second")
	err := store.Save(ctx, second)
	if conflict := (*baseline.ConflictError)(nil); errors.As(err, &conflict) {
		fmt.Println("to load again:", conflict.Keys)
	}
	for r := range store.All() {
		fmt.Printf("%s, version %d: %s\n", r.Key, r.Version, r.Data)
	}
	// Output:
	// <nil>
	// to load again: [alice]
	// alice, version 1: first
}

// What a process remembers outlives it in a file, which is replaced as a whole.
func ExampleMemory_Snapshot() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx, file := context.Background(), filepath.Join(dir, "baselines")

	store := new(baseline.Memory)
	fmt.Println(store.Save(ctx, []baseline.Record{{Key: "alice", Data: []byte("what is normal")}}))
	fmt.Println(store.Snapshot(file))

	restarted := new(baseline.Memory)
	fmt.Println(restarted.Restore(file), restarted.Len())
	// Output:
	// <nil>
	// <nil>
	// <nil> 1
}

// Many profiles may share the place where one goroutine works out answers.
func ExampleProfile_FoldIn() {
	operations := baseline.FirstSeen("operation", func(e *event.Event) string { return e.Operation }, nil)
	alice, account := remember(operations), remember(operations)
	scratch := baseline.NewScratch()
	e := called(1, "09:00:00", "DescribeInstances", "null")
	fmt.Println(alice.FoldIn(scratch, e) == baseline.Evaluated, account.FoldIn(scratch, e) == baseline.Evaluated)
	fmt.Println("again:", alice.FoldIn(scratch, e) == baseline.Duplicate)
	scratch.Clear()
	// Output:
	// true true
	// again: true
}

// Records keep values as hashes; the same value has the same one everywhere.
func ExampleHash() {
	fmt.Printf("%016x\n", baseline.Hash("eu-west-1"))
	// Output: d763c2609ba549e2
}
