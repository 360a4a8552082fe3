package detect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

var agents = baseline.FirstSeen("agent", agent, nil)

func TestNewEngineRefuses(t *testing.T) {
	set := newSet(t, echo(info("echo")))
	for _, o := range []*detect.EngineOptions{{Shards: -1}, {Cache: -1}, {Dedup: -1}} {
		_, err := detect.NewEngine(set, nil, o)
		assert.Error(t, err, "%+v", o)
	}
	_, err := detect.NewEngine(nil, nil, nil)
	assert.Error(t, err)
}

func TestEngineWithoutDetectors(t *testing.T) {
	en := newEngine(t, newSet(t), nil, nil)
	assert.Empty(t, process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a")))
	assert.Equal(t, int64(1), en.Stats().Evaluated, "an event that concerns nobody is dealt with")
}

func TestFindingsComeInTheOrderOfTime(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), nil, &detect.EngineOptions{Shards: 3})
	var events []*event.Event
	var want []string
	for i := range 100 {
		events = append(events, newEvent(i, on(1, "10:00:00").Add(time.Duration(i)*time.Second), fmt.Sprint("p", i%7), fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i))
	}
	for i := 0; i < 100; i += 10 { // disorder
		slices.Reverse(events[i : i+10])
	}
	// Each of the principals has 14 or 15 subjects, so none becomes "many".
	assert.Equal(t, want, subjects(process(t, en, events...)))
}

func TestEngineOutcomes(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), nil, nil)
	first := newEvent(1, on(1, "10:00:00"), "alice", "a")
	assert.Len(t, process(t, en, first, first), 1, "a duplicate in the same batch")
	assert.Empty(t, process(t, en, first), "a duplicate in a later batch")
	process(t, en, newEvent(2, on(1, "12:00:00"), "alice", "a"))
	assert.Empty(t, process(t, en, newEvent(3, on(1, "11:00:00"), "alice", "b")), "too late for alice")
	assert.Len(t, process(t, en, newEvent(4, on(1, "11:00:00"), "bob", "b")), 1, "bob has a clock of his own")
	nobody := newEvent(5, on(1, "12:00:00"), "", "c")
	assert.Empty(t, process(t, en, nobody), "an event without a key")

	want := detect.Stats{
		Events: 7, Evaluated: 4, Duplicate: 2, Late: 1, Findings: 2, Profiles: 2, Loads: 2,
		Suppressed: map[string]int64{},
	}
	assert.Empty(t, cmp.Diff(want, en.Stats()))
}

// The engine knows duplicates of busy keys by more ids than fit in a record.
func TestEngineDedup(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), nil, &detect.EngineOptions{Shards: 1, Dedup: 2000})
	var events []*event.Event
	for i := range 1000 {
		events = append(events, newEvent(i, on(1, "10:00:00").Add(time.Duration(i)*time.Millisecond), "alice", "a"))
	}
	process(t, en, events...)
	process(t, en, events...)
	assert.Equal(t, int64(1000), en.Stats().Duplicate)
}

func TestUpdates(t *testing.T) {
	for _, updates := range []bool{false, true} {
		t.Run(fmt.Sprint(updates), func(t *testing.T) {
			en := newEngine(t, newSet(t, echo(info("echo"))), nil, &detect.EngineOptions{Updates: updates})
			var findings []detect.Finding
			for i := range 3 {
				findings = append(findings, process(t, en, newEvent(i, on(1, "10:00:00").Add(time.Duration(i)*time.Minute), "alice", "a"))...)
			}
			assert.Equal(t, int64(1), en.Stats().Findings, "revisions are no findings")
			if !updates {
				assert.Len(t, findings, 1)
				return
			}
			require.Len(t, findings, 3)
			for i, f := range findings {
				assert.Equal(t, i, f.Revision)
				assert.Equal(t, findings[0].ID, f.ID)
				assert.Equal(t, on(1, "10:00:00"), f.Time)
				assert.Equal(t, on(1, "10:00:00"), f.First)
				assert.Equal(t, on(1, "10:00:00").Add(time.Duration(i)*time.Minute), f.Last)
			}
		})
	}
}

// A finding keeps the highest severity reported, and whoever did not ask for
// updates is told when it rises.
func TestSeverityOfAFinding(t *testing.T) {
	graded := detect.New(info("graded"), func(p *detect.Pass) {
		var s detect.Severity
		if err := s.UnmarshalText([]byte(p.Event.UserAgent)); err == nil {
			p.ReportAt(s, "", "graded")
		}
	})
	tests := []struct {
		name     string
		reported []string
		updates  bool
		want     []detect.Severity
	}{
		{"a rise is told", []string{"low", "low", "high"}, false, []detect.Severity{detect.Low, detect.High}},
		{"a fall is not", []string{"high", "low", "info"}, false, []detect.Severity{detect.High}},
		{"what is weaker replaces nothing", []string{"medium", "low", "medium", "high", "low"}, true, []detect.Severity{detect.Medium, detect.Medium, detect.High}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			en := newEngine(t, newSet(t, graded), nil, &detect.EngineOptions{Updates: tt.updates, Cache: 1, Shards: 1})
			var got []detect.Severity
			highest := detect.Silent
			for i, s := range tt.reported {
				// Another key in between has the profile saved and loaded.
				process(t, en, newEvent(100+i, on(1, "10:00:00"), "bob", ""))
				for _, f := range process(t, en, newEvent(i, on(1, "10:00:00").Add(time.Duration(i)*time.Minute), "alice", s)) {
					assert.Equal(t, f.Revision > 0 && f.Severity > highest, f.Raised)
					highest = max(highest, f.Severity)
					got = append(got, f.Severity)
				}
			}
			assert.Equal(t, tt.want, got)
			assert.Equal(t, int64(1), en.Stats().Findings)
		})
	}
}

// Of the revisions that a batch brings a finding, those are returned that say
// something of their own: the first, those that raise it, and the last. That one
// is the same however the events are batched.
func TestUpdatesOfABatch(t *testing.T) {
	graded := detect.New(info("graded"), func(p *detect.Pass) {
		var s detect.Severity
		if err := s.UnmarshalText([]byte(p.Event.UserAgent)); err == nil {
			p.ReportAt(s, "", "graded", detect.Evidence{Name: "event", Observed: p.Event.ID})
		}
	})
	tests := []struct {
		name     string
		reported string
		want     []int // revisions
	}{
		{"one report", "low", []int{0}},
		{"two", "low low", []int{0, 1}},
		{"many", "low low low low", []int{0, 3}},
		{"a rise", "low low high high high", []int{0, 2, 4}},
		{"a rise at the end", "low low high", []int{0, 2}},
		{"a rise, and what is weaker", "low low high low", []int{0, 2}},
		{"two rises", "info low high high", []int{0, 1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var events []*event.Event
			for i, s := range strings.Fields(tt.reported) {
				events = append(events, newEvent(i, on(1, "10:00:00").Add(time.Duration(i)*time.Minute), "alice", s))
			}
			var each []detect.Finding
			one := newEngine(t, newSet(t, graded), nil, &detect.EngineOptions{Updates: true})
			for _, e := range events {
				each = append(each, process(t, one, e)...)
			}
			en := newEngine(t, newSet(t, graded), nil, &detect.EngineOptions{Updates: true})
			var revisions []int
			for _, f := range process(t, en, events...) {
				revisions = append(revisions, f.Revision)
				assert.Contains(t, each, f)
			}
			assert.Equal(t, tt.want, revisions)
			assert.Equal(t, int64(1), en.Stats().Findings)

			further := newEvent(100, on(1, "11:00:00"), "alice", "high")
			assert.Equal(t, process(t, one, further), process(t, en, further), "a batch leaves nothing to the next")
		})
	}
}

// A revision that is kept back replaces none that is not.
func TestUpdatesBesideSuppressed(t *testing.T) {
	set, err := detect.NewSet([]detect.Detector{echo(info("echo"))}, &detect.SetOptions{
		Suppressions: []detect.Suppression{{Rule: "echo", Reason: "a drill", Expires: on(1, "10:02:00")}},
	})
	require.NoError(t, err)
	en := newEngine(t, set, nil, &detect.EngineOptions{Updates: true})
	var events []*event.Event
	for i, at := range []string{"10:00:00", "10:03:00", "10:01:00"} {
		events = append(events, newEvent(i, on(1, at), "alice", "a"))
	}
	findings := process(t, en, events...)
	require.Len(t, findings, 1)
	assert.Equal(t, 1, findings[0].Revision)
}

func TestWarm(t *testing.T) {
	i := info("novel")
	i.Learn = 14 * day
	en := newEngine(t, newSet(t, novel(agents, i)), nil, nil)
	n := 0
	for d := 1; d <= 20; d++ {
		n++
		require.NoError(t, en.Warm(context.Background(), []*event.Event{newEvent(n, on(d, "10:00:00"), "alice", "a")}))
	}
	assert.Zero(t, en.Stats().Findings)
	assert.Equal(t, int64(20), en.Stats().Evaluated)
	findings := process(t, en, newEvent(50, on(21, "10:00:00"), "alice", "b"))
	require.Len(t, findings, 1)
	assert.Equal(t, detect.Learned{Mature: true, Since: on(1, "10:00:00"), Days: 20, Events: 21}, findings[0].Learned)
	assert.Empty(t, process(t, en, newEvent(51, on(21, "10:00:00"), "bob", "b")), "nothing is known about bob")
}

// A cache that holds one profile of many works, with the help of the store.
func TestCacheEviction(t *testing.T) {
	var events []*event.Event
	for d := 1; d <= 20; d++ {
		for k := range 10 {
			events = append(events, newEvent(d*100+k, on(d, "10:00:00").Add(time.Duration(k)*time.Second), fmt.Sprint("p", k), "a"))
		}
	}
	for k := range 10 {
		events = append(events, newEvent(9000+k, on(21, "10:00:00"), fmt.Sprint("p", k), "b"))
	}
	i := info("novel")
	i.Learn = 14 * day
	run := func(o *detect.EngineOptions, store baseline.Store) ([]detect.Finding, detect.Stats) {
		en := newEngine(t, newSet(t, novel(agents, i)), store, o)
		var findings []detect.Finding
		for batch := range slices.Chunk(events, 7) {
			findings = append(findings, process(t, en, batch...)...)
		}
		require.NoError(t, en.Flush(context.Background()))
		return findings, en.Stats()
	}
	var large, small baseline.Memory
	want, stats := run(nil, &large)
	assert.Len(t, want, 10)
	assert.Equal(t, int64(10), stats.Profiles)
	assert.Equal(t, int64(10), stats.Loads)
	assert.Equal(t, int64(10), stats.Saves)

	got, stats := run(&detect.EngineOptions{Shards: 1, Cache: 1}, &small)
	assert.Empty(t, cmp.Diff(want, got))
	assert.Equal(t, int64(1), stats.Profiles)
	assert.Greater(t, stats.Loads, int64(100))
	assert.Equal(t, stats.Loads, stats.Saves)

	a, b := slices.Collect(large.All()), slices.Collect(small.All())
	require.Len(t, a, 10)
	for i := range a {
		assert.Equal(t, "principal/p"+fmt.Sprint(i), a[i].Key)
		assert.Equal(t, a[i].Data, b[i].Data, "the records are the same however often they were saved")
	}
}

func TestFlushSavesWhatHasChanged(t *testing.T) {
	ctx := context.Background()
	var store faultyStore
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Shards: 1})
	process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a"), newEvent(2, on(1, "10:00:00"), "bob", "a"))
	require.NoError(t, en.Flush(ctx))
	require.NoError(t, en.Flush(ctx))
	assert.Equal(t, int64(1), store.saves.Load(), "nothing has changed since")
	process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a")) // a duplicate
	require.NoError(t, en.Flush(ctx))
	assert.Equal(t, int64(1), store.saves.Load())
	process(t, en, newEvent(3, on(1, "10:00:00"), "alice", "a"))
	require.NoError(t, en.Flush(ctx))
	assert.Equal(t, int64(3), en.Stats().Saves)
	records, err := store.Memory.Load(ctx, []string{"principal/alice", "principal/bob"})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), records[0].Version)
	assert.Equal(t, uint64(1), records[1].Version)
}

func TestLoadFails(t *testing.T) {
	store := faultyStore{loadErr: errDown}
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Shards: 1})
	events := []*event.Event{newEvent(1, on(1, "10:00:00"), "alice", "a"), newEvent(2, on(1, "10:00:00"), "", "a")}
	findings, err := en.Process(context.Background(), events)
	require.ErrorIs(t, err, errDown)
	assert.Empty(t, findings)
	requireAccounted(t, en)
	assert.Equal(t, int64(1), en.Stats().Rejected)
	assert.Zero(t, en.Stats().Profiles)

	store.loadErr = nil
	assert.Len(t, process(t, en, events...), 1, "given again, the events are complete")
	assert.Equal(t, int64(3), en.Stats().Evaluated)
}

func TestLoadReturnsTooFewRecords(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), emptyStore{}, nil)
	_, err := en.Process(context.Background(), []*event.Event{newEvent(1, on(1, "10:00:00"), "alice", "a")})
	require.Error(t, err)
	requireAccounted(t, en)
	assert.Equal(t, int64(1), en.Stats().Rejected)
}

type emptyStore struct{ baseline.Store }

func (emptyStore) Load(context.Context, []string) ([]baseline.Record, error) { return nil, nil }

// A store that mixes up its records must not mix up the principals.
func TestLoadReturnsRecordsOfOtherKeys(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), mixedUpStore{&baseline.Memory{}}, &detect.EngineOptions{Shards: 1})
	_, err := en.Process(context.Background(), []*event.Event{
		newEvent(1, on(1, "10:00:00"), "alice", "a"), newEvent(2, on(1, "10:00:00"), "bob", "a"),
	})
	require.Error(t, err)
	requireAccounted(t, en)
	assert.Equal(t, int64(2), en.Stats().Rejected)
}

type mixedUpStore struct{ *baseline.Memory }

func (s mixedUpStore) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	records, err := s.Memory.Load(ctx, keys)
	slices.Reverse(records)
	return records, err
}

func TestUnreadableRecord(t *testing.T) {
	var store baseline.Memory
	require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: "principal/alice", Data: []byte("rubbish")}}))
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, nil)
	findings, err := en.Process(context.Background(), []*event.Event{
		newEvent(1, on(1, "10:00:00"), "alice", "a"), newEvent(2, on(1, "10:00:00"), "bob", "a"),
	})
	require.ErrorIs(t, err, baseline.ErrCorrupt)
	assert.Len(t, findings, 1, "bob's record is readable")
	requireAccounted(t, en)
	assert.Equal(t, int64(1), en.Stats().Rejected)
}

// Whatever way a save fails, nothing of what was learnt is lost, and nothing is
// learnt twice.
func TestSaveFails(t *testing.T) {
	ctx := context.Background()
	for _, afterSaving := range []bool{false, true} {
		for _, cache := range []int{1, 100} {
			t.Run(fmt.Sprintf("afterSaving=%t/cache=%d", afterSaving, cache), func(t *testing.T) {
				var good baseline.Memory
				bad := faultyStore{afterSaving: afterSaving}
				o := &detect.EngineOptions{Shards: 1, Cache: cache}
				reference := newEngine(t, newSet(t, novel(agents, info("novel"))), &good, o)
				en := newEngine(t, newSet(t, novel(agents, info("novel"))), &bad, o)
				n := 0
				for d := 1; d <= 30; d++ {
					bad.saveErr = nil
					if d%3 != 0 {
						bad.saveErr = errDown
					}
					for _, who := range []string{"alice", "bob", "carol"} {
						n++
						e := newEvent(n, on(d, "10:00:00"), who, fmt.Sprint(d/4))
						want := process(t, reference, e)
						got, err := en.Process(ctx, []*event.Event{e})
						if err != nil {
							require.ErrorIs(t, err, errDown)
						}
						requireAccounted(t, en)
						assert.Empty(t, cmp.Diff(want, got), "day %d", d)
					}
					require.NoError(t, reference.Flush(ctx))
					err := en.Flush(ctx)
					require.Equal(t, bad.saveErr != nil, err != nil, "day %d: %v", d, err)
				}
				assert.Zero(t, en.Stats().Rejected)
				a, b := slices.Collect(good.All()), slices.Collect(bad.All())
				require.Len(t, b, len(a))
				for i := range a {
					assert.Equal(t, a[i].Data, b[i].Data, a[i].Key)
				}
			})
		}
	}
}

// More profiles than the store is given at once are all saved; while it is away,
// it is not asked again for each part of them.
func TestFlushOfMany(t *testing.T) {
	ctx := context.Background()
	var store faultyStore
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Shards: 1})
	const many = 10_000
	var events []*event.Event
	for i := range many {
		events = append(events, newEvent(i, on(1, "10:00:00"), fmt.Sprint("user ", i), "a"))
	}
	process(t, en, events...)

	store.saveErr = errDown
	require.ErrorIs(t, en.Flush(ctx), errDown)
	assert.Equal(t, int64(1), store.saves.Load())
	assert.Zero(t, en.Stats().Saves)

	store.saveErr = nil
	require.NoError(t, en.Flush(ctx))
	assert.Equal(t, int64(many), en.Stats().Saves)
	assert.Equal(t, many, store.Len())
	for r := range store.All() {
		_, err := newSet(t, echo(info("echo"))).Apply(nil, r.Data, nil, nil)
		require.NoError(t, err, r.Key)
	}
}

func TestConflict(t *testing.T) {
	ctx := context.Background()
	var store baseline.Memory
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Shards: 1})
	lost := newEvent(1, on(1, "10:50:00"), "alice", "b")
	process(t, en, lost, newEvent(2, on(1, "10:00:00"), "bob", "a"))

	other := newEngine(t, newSet(t, echo(info("echo"))), &store, nil)
	process(t, other, newEvent(3, on(1, "11:00:00"), "alice", "a"))
	require.NoError(t, other.Flush(ctx))

	err := en.Flush(ctx)
	var conflict *baseline.ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, []string{"principal/alice"}, conflict.Keys)
	assert.Equal(t, int64(1), en.Stats().Saves, "bob is saved")
	assert.Equal(t, int64(1), en.Stats().Profiles, "alice's profile is dropped")
	require.NoError(t, en.Flush(ctx))

	process(t, en, newEvent(4, on(1, "11:01:00"), "alice", "a"))
	require.NoError(t, en.Flush(ctx), "the other writer's profile was loaded")
	assert.Len(t, process(t, en, lost), 1, "what was lost with the profile can be given again")
}

func TestCancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	en := newEngine(t, newSet(t, echo(info("echo"))), nil, nil)
	_, err := en.Process(ctx, []*event.Event{newEvent(1, on(1, "10:00:00"), "alice", "a")})
	require.ErrorIs(t, err, context.Canceled)
	requireAccounted(t, en)
	assert.Len(t, process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a")), 1)
	require.ErrorIs(t, en.Flush(ctx), context.Canceled)
	require.NoError(t, en.Flush(context.Background()))
	assert.Equal(t, int64(1), en.Stats().Saves)
}

func TestPanickingDetector(t *testing.T) {
	bad := detect.New(info("bad"), func(p *detect.Pass) { panic("oh dear") })
	en := newEngine(t, newSet(t, bad, echo(info("echo"))), nil, nil)
	for i := range 2 {
		e := newEvent(i, on(1, "10:00:00"), "alice", fmt.Sprint(i))
		findings, err := en.Process(context.Background(), []*event.Event{e})
		var p *detect.PanicError
		require.ErrorAs(t, err, &p)
		assert.Equal(t, "bad", p.Rule)
		assert.Equal(t, e.ID, p.EventID)
		assert.Equal(t, "oh dear", p.Value)
		assert.Contains(t, string(p.Stack), "TestPanickingDetector")
		assert.Contains(t, p.Error(), "oh dear")
		assert.Len(t, findings, 1, "the other detector has run")
		requireAccounted(t, en)
	}
	assert.Equal(t, int64(2), en.Stats().Evaluated)
}

// Errors and explanations name their event also when its memory has another one
// in it.
func TestWhatOutlivesTheEvent(t *testing.T) {
	bad := info("bad")
	bad.Scope = detect.ByAccount
	en := newEngine(t, newSet(t, detect.New(bad, func(p *detect.Pass) { panic("oh dear") })), nil, nil)
	var batch event.Batch
	add := func(id, account string) *event.Event {
		e, err := event.Parse(fmt.Sprintf(`{"eventTime":"2026-01-05T10:00:00Z","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","eventID":%q,
			"recipientAccountId":%q}`, id, account))
		require.NoError(t, err)
		return batch.Add(e)
	}
	e := add("first", "111122223333")
	_, err := en.Process(context.Background(), []*event.Event{e})
	all, _ := en.Explain(context.Background(), e)
	batch.Reset()
	add("other", "444455556666")
	var p *detect.PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, "first", p.EventID)
	require.Len(t, all, 1)
	assert.Equal(t, "111122223333", all[0].Key)
}

// A condition that panics is its rules' failure, and no other's.
func TestPanickingCondition(t *testing.T) {
	oops := &detect.Condition{Text: "it is well", Is: func(e *event.Event) bool {
		if e.UserAgent == "0" {
			panic("oh dear")
		}
		return true
	}}
	fine := &detect.Condition{Text: "it is fine", Is: func(*event.Event) bool { return true }}
	with := func(name string, conditions ...*detect.Condition) detect.Detector {
		i := info(name)
		i.Conditions = conditions
		return echo(i)
	}
	set := newSet(t, with("other", fine), with("bad", fine, oops), with("last", &detect.Condition{Text: "last", Is: fine.Is}))
	en := newEngine(t, set, nil, nil)
	for i, want := range [][]string{{"last", "other"}, {"bad", "last", "other"}} {
		e := newEvent(i, on(1, "10:00:00"), "alice", fmt.Sprint(i))
		findings, err := en.Process(context.Background(), []*event.Event{e})
		var p *detect.PanicError
		require.Equal(t, i == 0, errors.As(err, &p))
		if p != nil {
			assert.Equal(t, "bad", p.Rule)
			assert.Equal(t, e.ID, p.EventID)
			assert.Equal(t, "oh dear", p.Value)
		}
		var rules []string
		for _, f := range findings {
			rules = append(rules, f.Rule)
		}
		slices.Sort(rules)
		assert.Equal(t, want, rules)
		requireAccounted(t, en)
	}
	_, err := en.Explain(context.Background(), newEvent(2, on(1, "10:00:00"), "alice", "0"))
	assert.ErrorAs(t, err, new(*detect.PanicError))
}

// A feature that panics is the failure of the rules that ask it: the others fold
// and judge the event.
func TestPanickingFeature(t *testing.T) {
	oops := baseline.FirstSeen("oops", func(e *event.Event) string {
		if e.UserAgent == "bad" {
			panic("oh dear")
		}
		return e.UserAgent
	}, nil)
	set := newSet(t, echo(info("first", agents, oops)), novel(baseline.FirstSeen("behind it", agent, nil), info("last")))
	at := func(i int) time.Time { return on(1, "10:00:00").Add(time.Duration(i) * time.Second) }
	for _, warm := range []bool{false, true} {
		en := newEngine(t, set, nil, nil)
		e := newEvent(1, at(1), "alice", "bad")
		var findings []detect.Finding
		var err error
		if warm {
			err = en.Warm(context.Background(), []*event.Event{e})
		} else {
			findings, err = en.Process(context.Background(), []*event.Event{e})
			require.Len(t, findings, 1)
			assert.Equal(t, "last", findings[0].Rule)
		}
		var p *detect.PanicError
		require.ErrorAs(t, err, &p)
		assert.Equal(t, oops.ID(), p.Feature)
		assert.Equal(t, e.ID, p.EventID)
		assert.Equal(t, "oh dear", p.Value)
		assert.Contains(t, string(p.Stack), "TestPanickingFeature")
		assert.Contains(t, p.Error(), "oh dear")
		assert.Equal(t, int64(1), en.Stats().Evaluated)
		requireAccounted(t, en)

		process(t, en, e)
		assert.Equal(t, int64(1), en.Stats().Duplicate, "it is not done again")
		process(t, en, newEvent(2, at(2), "alice", "good"))
		_, err = en.Explain(context.Background(), newEvent(3, at(3), "alice", "bad"))
		assert.ErrorAs(t, err, &p)
	}
}

// An event whose key a scope cannot tell is rejected, but for other scopes.
func TestPanickingScope(t *testing.T) {
	i := info("bad")
	i.Scope = &detect.Scope{Name: "oops", Key: func(e *event.Event) string {
		if e.UserAgent == "bad" {
			panic("oh dear")
		}
		return "key"
	}}
	set := newSet(t, echo(i), echo(info("good")))
	en := newEngine(t, set, nil, nil)
	e := newEvent(1, on(1, "10:00:00"), "alice", "bad")
	other := newEvent(2, on(1, "10:00:00"), "alice", "other")
	findings, err := en.Process(context.Background(), []*event.Event{e, other})
	var p *detect.PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, "oops", p.Scope)
	assert.Equal(t, e.ID, p.EventID)
	assert.Contains(t, p.Error(), "oh dear")
	var rules []string
	for _, f := range findings {
		rules = append(rules, f.Rule+" "+f.Subject)
	}
	slices.Sort(rules)
	assert.Equal(t, []string{"bad other", "good bad", "good other"}, rules)
	assert.Equal(t, int64(1), en.Stats().Evaluated)
	assert.Equal(t, int64(1), en.Stats().Rejected)
	requireAccounted(t, en)

	all, err := en.Explain(context.Background(), e)
	require.ErrorAs(t, err, &p)
	assert.Len(t, all, 1)
	_, err = set.Explain(i.Scope, nil, e)
	require.ErrorAs(t, err, &p)
	_, err = set.Apply(i.Scope, nil, []*event.Event{e}, func(detect.Finding) {})
	require.ErrorAs(t, err, &p)
}

// A detector that asks a feature it does not declare panics, too.
func TestUndeclaredFeature(t *testing.T) {
	bad := detect.New(info("bad"), func(p *detect.Pass) { agents.In(p) })
	en := newEngine(t, newSet(t, bad), nil, nil)
	_, err := en.Process(context.Background(), []*event.Event{newEvent(1, on(1, "10:00:00"), "alice", "a")})
	var p *detect.PanicError
	require.ErrorAs(t, err, &p)
	assert.Contains(t, p.Error(), agents.ID())
}

func TestSeveralScopes(t *testing.T) {
	byAccount := info("by-account")
	byAccount.Scope = detect.ByAccount
	store := &faultyStore{}
	en := newEngine(t, newSet(t, echo(info("by-principal")), echo(byAccount)), store, &detect.EngineOptions{Shards: 2})
	findings := process(t, en,
		newEvent(1, on(1, "10:00:00"), "alice", "a"),
		newEvent(2, on(1, "10:01:00"), "bob", "a"))
	var rules []string
	for _, f := range findings {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	assert.Equal(t, []string{"by-account", "by-principal", "by-principal"}, rules, "the account is one key")
	assert.Equal(t, int64(2), en.Stats().Evaluated, "an event counts once")
	assert.Equal(t, int64(3), en.Stats().Profiles)

	// One of an event's two profiles cannot be had: the event is rejected, and
	// completed when it comes again.
	store.loadErr = errDown
	e := newEvent(3, on(1, "10:02:00"), "carol", "b")
	findings, err := en.Process(context.Background(), []*event.Event{e})
	require.ErrorIs(t, err, errDown)
	assert.Len(t, findings, 1, "the account's profile is in the cache")
	requireAccounted(t, en)
	store.loadErr = nil
	findings = process(t, en, e)
	require.Len(t, findings, 1)
	assert.Equal(t, "by-principal", findings[0].Rule)
	s := en.Stats()
	assert.Equal(t, int64(3), s.Evaluated)
	assert.Equal(t, int64(1), s.Rejected)
}

// Events may be reused when Process has returned.
func TestEngineKeepsNoEvent(t *testing.T) {
	en := newEngine(t, newSet(t, novel(agents, info("novel"))), nil, nil)
	buffer := []byte("alice")
	e := newEvent(1, on(1, "10:00:00"), "alice", "a")
	findings := process(t, en, e)
	*e = event.Event{}
	clear(buffer)
	require.Len(t, findings, 1)
	assert.Equal(t, "alice", findings[0].Principal)
	assert.Len(t, process(t, en, newEvent(2, on(1, "10:01:00"), "alice", "b")), 1)
}

func TestEngineFromManyGoroutines(t *testing.T) {
	en := newEngine(t, newSet(t, echo(info("echo"))), nil, &detect.EngineOptions{Shards: 2, Cache: 4})
	done := make(chan error)
	const workers, batches = 4, 25
	for w := range workers {
		go func() {
			for b := range batches {
				n := w*batches + b
				_, err := en.Process(context.Background(), []*event.Event{newEvent(n, on(1, "10:00:00"), fmt.Sprint("p", n%10), "a")})
				if err == nil && b%5 == 0 {
					err = en.Flush(context.Background())
				}
				_ = en.Stats()
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		require.NoError(t, <-done)
	}
	requireAccounted(t, en)
	s := en.Stats()
	assert.Equal(t, int64(workers*batches), s.Evaluated)
	assert.Equal(t, int64(10), s.Findings)
}
