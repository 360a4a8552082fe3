package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
)

const partitions = 3

// A trial is one run of workers over the whole log.
type trial struct {
	set   *detect.Set
	queue *workertest.Memory
	store baseline.Store // over memory
	under *baseline.Memory
	want  *outcome
}

// An outcome is all that may be seen of a run in the end.
type outcome struct {
	alerts   []string
	letters  []string
	profiles map[string]string
}

func newTrial(t testing.TB, want *outcome) *trial {
	tr := &trial{set: newSet(t), queue: workertest.NewMemory(partitions), under: &baseline.Memory{}, want: want}
	tr.store = tr.under
	send(t, tr.set, tr.queue, partitions, inputs(100))
	// What is no record has no key: it is here only because somebody has put it
	// on the queue.
	for i := range partitions {
		require.NoError(t, tr.queue.Send(t.Context(), []worker.Routed{{Scope: "principal", Partition: i, Data: []byte(`{"broken":`)}}))
	}
	return tr
}

// check compares the outcome with that of a single, undisturbed process.
func (tr *trial) check(t testing.TB) error {
	got, err := tr.outcome(t)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(tr.want.alerts, got.alerts); diff != "" {
		return fmt.Errorf("alerts differ: %s", diff)
	}
	if diff := cmp.Diff(tr.want.letters, got.letters); diff != "" {
		return fmt.Errorf("letters differ: %s", diff)
	}
	for key, p := range tr.want.profiles {
		if got.profiles[key] != p {
			return fmt.Errorf("the profile of %s differs", key)
		}
	}
	return nil
}

func (tr *trial) outcome(t testing.TB) (*outcome, error) {
	alerts, err := told(tr.queue.Alerts())
	if err != nil {
		return nil, err
	}
	o := &outcome{alerts: alerts, profiles: profiles(t, tr.under)}
	seen := make(map[string]bool)
	for _, l := range tr.queue.Letters() {
		if !seen[l.ID] {
			o.letters = append(o.letters, l.Error)
		}
		seen[l.ID] = true
	}
	slices.Sort(o.letters)
	return o, nil
}

// undisturbed returns what one worker makes of the log, and how often it comes
// to each step. Its findings must be those of an engine.
func undisturbed(t testing.TB) (*outcome, map[step]int) {
	tr := newTrial(t, nil)
	visits := make(map[step]int)
	w, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, func(s step) error { visits[s]++; return nil }), nil)
	require.NoError(t, err)
	want, err := tr.outcome(t)
	require.NoError(t, err)
	require.Equal(t, single(t, tr.set, inputs(100)), want.alerts)
	require.Greater(t, len(want.alerts), 20)
	require.Len(t, want.letters, 6, "three that the router met, three that the worker met")
	s := w.Stats()
	require.Equal(t, s.Events, s.Applied+s.Replayed+s.Passed+s.Rejected)
	require.NotEmpty(t, s.Suppressed)
	require.Zero(t, s.Conflicts)
	return want, visits
}

var errKilled = errors.New("killed")

// killed runs a worker that dies at the n-th visit of a step, and then one that
// takes up what it left. With again, a second one dies there, too.
func (tr *trial) killed(t testing.TB, at step, n int, again bool) error {
	deaths := 1
	if again {
		deaths = 2
	}
	for range deaths {
		visits := 0
		_, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, func(s step) error {
			if s == at {
				visits++
			}
			if visits >= n {
				return errKilled // and everything after it: the worker does nothing more
			}
			return nil
		}), nil)
		if !errors.Is(err, errKilled) && err != nil {
			return err
		}
	}
	_, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, calm), nil)
	return err
}

// every calls f for every visit of every step, or some of them.
func every(t testing.TB, visits map[step]int, f func(at step, n int)) {
	stride := 1
	if testing.Short() {
		stride = 13
	}
	for _, at := range steps {
		require.NotZero(t, visits[at], at)
		for n := 1; n <= visits[at]; n += stride {
			f(at, n)
		}
	}
}

// A worker may die anywhere.
func TestKilled(t *testing.T) {
	want, visits := undisturbed(t)
	every(t, visits, func(at step, n int) {
		for _, again := range []bool{false, true} {
			tr := newTrial(t, want)
			require.NoError(t, tr.killed(t, at, n, again), "%s, %d", at, n)
			require.NoError(t, tr.check(t), "%s, %d", at, n)
		}
	})
}

// Whatever a worker calls may fail, with or without having done what it was
// asked for.
func TestFailing(t *testing.T) {
	want, visits := undisturbed(t)
	every(t, visits, func(at step, n int) {
		tr := newTrial(t, want)
		count, asked := 0, 0
		o := &worker.Options{Retry: func(_ context.Context, attempt int, err error) error {
			asked++
			assert.LessOrEqual(t, attempt, asked)
			assert.ErrorContains(t, err, "disk full")
			return nil
		}}
		w, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, func(s step) error {
			if s == at {
				count++
			}
			if s == at && (count == n || count == n+1) && !(at.call == "next" && at.after) {
				return errors.New("disk full")
			}
			return nil
		}), o)
		require.NoError(t, err)
		require.NoError(t, tr.check(t), "%s, %d", at, n)
		s := w.Stats()
		require.Equal(t, s.Events, s.Applied+s.Replayed+s.Passed+s.Rejected)
	})
}

// Without a Retry a worker ends with the first error. Run may be called again, on
// the same source, which goes on where it was: the batch is not left out.
func TestRunAgain(t *testing.T) {
	want, visits := undisturbed(t)
	every(t, visits, func(at step, n int) {
		if at == (step{"next", true}) {
			return // the messages are gone with the answer, which no source does
		}
		tr := newTrial(t, want)
		count := 0
		tp := newTap(tr.queue, tr.store, func(s step) error {
			if s == at {
				if count++; count == n {
					return errors.New("disk full")
				}
			}
			return nil
		})
		w, err := run(t.Context(), tr.set, tp, nil)
		require.ErrorContains(t, err, "disk full", "%s, %d", at, n)
		require.NoError(t, w.Run(t.Context()))
		require.NoError(t, tr.check(t), "%s, %d", at, n)
		s := w.Stats()
		require.Equal(t, s.Events, s.Applied+s.Replayed+s.Passed+s.Rejected)
		_, err = tr.queue.Source(1).Next(t.Context())
		require.ErrorIs(t, err, io.EOF, "everything is acknowledged")
	})
}

// paused runs a worker that stops at the n-th visit of a step, lets another one
// take up everything, and then wakes the first, which ends its batch and gets no
// other. It returns how many saves were refused.
func (tr *trial) paused(t testing.TB, at step, n int) (conflicts int64, err error) {
	stopped, wake, done := make(chan struct{}), make(chan struct{}), make(chan error)
	var first *worker.Worker
	go func() {
		visits := 0
		w, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, func(s step) error {
			if s == at {
				if visits++; visits == n {
					close(stopped)
					<-wake
				}
			}
			select {
			case <-wake:
				if s == (step{"next", false}) {
					return io.EOF
				}
			default:
			}
			return nil
		}), nil)
		first = w
		done <- err
	}()
	<-stopped
	second, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, calm), nil)
	close(wake)
	err = errors.Join(err, <-done)
	if err != nil {
		return 0, err
	}
	return first.Stats().Conflicts + second.Stats().Conflicts, nil
}

// A worker may sleep until its work was given to another, and wake.
func TestPaused(t *testing.T) {
	want, visits := undisturbed(t)
	var conflicts int64
	every(t, visits, func(at step, n int) {
		tr := newTrial(t, want)
		c, err := tr.paused(t, at, n)
		require.NoError(t, err, "%s, %d", at, n)
		require.NoError(t, tr.check(t), "%s, %d", at, n)
		conflicts += c
	})
	assert.Positive(t, conflicts, "the test never came to a conflict")
}

// Two workers that both believe to have everything get in each other's way, but
// what comes out is the same.
func TestRivals(t *testing.T) {
	want, _ := undisturbed(t)
	for range 5 {
		tr := newTrial(t, want)
		done := make(chan error)
		patient := &worker.Options{Retry: func(context.Context, int, error) error { return nil }}
		for range 3 {
			go func() {
				_, err := run(t.Context(), tr.set, newTap(tr.queue, tr.store, calm), patient)
				done <- err
			}()
		}
		for range 3 {
			require.NoError(t, <-done)
		}
		require.NoError(t, tr.check(t))
	}
}

// stripped is a store that loses the outboxes.
type stripped struct{ baseline.Store }

func (s stripped) Save(ctx context.Context, records []baseline.Record) error {
	for i := range records {
		records[i].Data = worker.WithoutOutbox(records[i].Data)
	}
	return s.Store.Save(ctx, records)
}

// careless is a store that lets anyone overwrite anything.
type careless struct{ *baseline.Memory }

func (s careless) Save(ctx context.Context, records []baseline.Record) error {
	for i := range records {
		now, err := s.Load(ctx, []string{records[i].Key})
		if err != nil {
			return err
		}
		records[i].Version = now[0].Version
	}
	return s.Memory.Save(ctx, records)
}

// hasty is a tap that acknowledges a batch as soon as it has it.
type hasty struct{ worker.Source }

func (h hasty) Next(ctx context.Context) ([]worker.Message, error) {
	messages, err := h.Source.Next(ctx)
	if err == nil {
		err = h.Source.Ack(ctx, messages)
	}
	return messages, err
}

// The matrix notices what it is there for: it finds a loss when the outbox is
// missing, when a batch is acknowledged too early, and when a stale worker may
// save.
func TestMatrixNotices(t *testing.T) {
	want, visits := undisturbed(t)
	broken := map[string]func(at step, n int) error{
		"no outbox": func(at step, n int) error {
			tr := newTrial(t, want)
			tr.store = stripped{tr.under}
			require.NoError(t, tr.killed(t, at, n, false))
			return tr.check(t)
		},
		"early acknowledgement": func(at step, n int) error {
			tr := newTrial(t, want)
			tp := newTap(tr.queue, tr.store, nil)
			count := 0
			tp.Source, tp.at = hasty{tp.Source}, func(s step) error {
				if s == at {
					count++
				}
				if count >= n {
					return errKilled
				}
				return nil
			}
			_, err := run(t.Context(), tr.set, tp, nil)
			if err != nil {
				require.ErrorIs(t, err, errKilled)
			}
			_, err = run(t.Context(), tr.set, newTap(tr.queue, tr.store, calm), nil)
			require.NoError(t, err)
			return tr.check(t)
		},
		"no compare-and-swap": func(at step, n int) error {
			tr := newTrial(t, want)
			tr.store = careless{tr.under}
			_, err := tr.paused(t, at, n)
			return errors.Join(err, tr.check(t))
		},
	}
	for name, trial := range broken {
		noticed := false
		every(t, visits, func(at step, n int) {
			noticed = noticed || trial(at, n) != nil
		})
		assert.True(t, noticed, name)
	}
}
