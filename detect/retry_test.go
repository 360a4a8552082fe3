package detect_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// mended returns a Retry that mends a store at the third failure.
func mended(store *faultyStore, reported *[]error) detect.Retry {
	return func(_ context.Context, attempt int, err error) error {
		*reported = append(*reported, err)
		if attempt == 3 {
			store.loadErr, store.saveErr = nil, nil
		}
		return nil
	}
}

// An engine that may retry loses nothing when its store is away for a while,
// whatever the store had done before it failed.
func TestEngineRetries(t *testing.T) {
	ctx := context.Background()
	for _, afterSaving := range []bool{false, true} {
		var good baseline.Memory
		bad := faultyStore{afterSaving: afterSaving}
		var reported []error
		set := newSet(t, echo(info("echo")))
		reference := newEngine(t, set, &good, &detect.EngineOptions{Shards: 1, Cache: 1})
		en := newEngine(t, set, &bad, &detect.EngineOptions{Shards: 1, Cache: 1, Retry: mended(&bad, &reported)})
		for n := range 30 {
			bad.loadErr, bad.saveErr = errDown, errDown
			e := newEvent(n, on(1, "10:00:00").Add(time.Duration(n)*time.Minute), []string{"alice", "bob", "carol"}[n%3], "a")
			assert.Equal(t, process(t, reference, e), process(t, en, e))
		}
		bad.saveErr = errDown
		require.NoError(t, reference.Flush(ctx))
		require.NoError(t, en.Flush(ctx))
		assert.Zero(t, en.Stats().Rejected)
		assert.GreaterOrEqual(t, len(reported), 90)
		for _, err := range reported {
			require.ErrorIs(t, err, errDown)
		}
		a, b := slices.Collect(good.All()), slices.Collect(bad.All())
		require.Len(t, b, 3)
		for i := range a {
			assert.Equal(t, a[i].Data, b[i].Data, a[i].Key)
		}
	}
}

// A conflict is not mended by trying again, and nobody is asked.
func TestConflictIsNotRetried(t *testing.T) {
	ctx := context.Background()
	var store baseline.Memory
	retry := func(_ context.Context, _ int, err error) error { t.Error("asked about", err); return err }
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Retry: retry})
	other := newEngine(t, newSet(t, echo(info("echo"))), &store, nil)
	for n, en := range []*detect.Engine{en, other} {
		process(t, en, newEvent(n, on(1, "10:00:00"), "alice", "a"))
	}
	require.NoError(t, other.Flush(ctx))
	assert.ErrorAs(t, en.Flush(ctx), new(*baseline.ConflictError))
}

// Who gives up gets the error, and the events come back.
func TestRetryGivesUp(t *testing.T) {
	store := faultyStore{loadErr: errDown}
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Retry: (&detect.Backoff{Attempts: 2}).Retry})
	e := newEvent(1, on(1, "10:00:00"), "alice", "a")
	_, err := en.Process(context.Background(), []*event.Event{e})
	require.ErrorIs(t, err, errDown)
	assert.Equal(t, int64(1), en.Stats().Rejected)
	store.loadErr = nil
	assert.Len(t, process(t, en, e), 1)
}

// A call may fail as often as the retry says, also when it must be found out
// first what became of the one before.
func TestRetryCountsEveryCall(t *testing.T) {
	store := faultyStore{saveErr: errDown}
	var attempts []int
	retry := detect.Backoff{Attempts: 4, Report: func(attempt int, err error) {
		attempts = append(attempts, attempt)
		store.loadErr = errDown // from now on all of it is away
	}}
	en := newEngine(t, newSet(t, echo(info("echo"))), &store, &detect.EngineOptions{Shards: 1, Retry: retry.Retry})
	process(t, en, newEvent(1, on(1, "10:00:00"), "alice", "a"))
	require.ErrorIs(t, en.Flush(context.Background()), errDown)
	assert.Equal(t, []int{1, 2, 3, 4}, attempts)
}

func TestBackoff(t *testing.T) {
	fails := func(times int) func() error {
		return func() error {
			if times--; times >= 0 {
				return errDown
			}
			return nil
		}
	}
	ctx := context.Background()
	assert.ErrorIs(t, detect.Retry(nil).Do(ctx, fails(1)), errDown, "a nil retry gives up at once")

	var attempts []int
	var waits []time.Duration
	b := detect.Backoff{
		First: time.Second, Most: 3 * time.Second, Attempts: 6,
		Wait:   func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil },
		Report: func(attempt int, err error) { attempts = append(attempts, attempt); assert.ErrorIs(t, err, errDown) },
	}
	assert.NoError(t, detect.Retry(b.Retry).Do(ctx, fails(5)))
	assert.Equal(t, []int{1, 2, 3, 4, 5}, attempts)
	require.Len(t, waits, 5)
	for i, most := range []time.Duration{1, 2, 3, 3, 3} {
		assert.LessOrEqual(t, waits[i], most*time.Second)
		assert.GreaterOrEqual(t, waits[i], most*time.Second/2)
	}
	assert.ErrorIs(t, detect.Retry(b.Retry).Do(ctx, fails(6)), errDown)

	assert.ErrorIs(t, detect.Retry(new(detect.Backoff).Retry).Do(ctx, fails(10)), errDown)
	assert.NoError(t, detect.Retry(new(detect.Backoff).Retry).Do(ctx, fails(9)))
	assert.NoError(t, detect.Retry((&detect.Backoff{Attempts: -1}).Retry).Do(ctx, fails(100)), "without end")

	b.Wait = func(context.Context, time.Duration) error { return context.Canceled }
	err := detect.Retry(b.Retry).Do(ctx, fails(1))
	assert.ErrorIs(t, err, errDown)
	assert.ErrorIs(t, err, context.Canceled)
}
