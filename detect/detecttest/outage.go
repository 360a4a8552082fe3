package detecttest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// An Outage is one way in which a store can be away: its server is stopped, its
// disk is full.
type Outage struct {
	// Begin makes Save fail from now on, End mends that. They are called twice,
	// in turn, by the goroutine that calls TestOutage, the second time while other
	// goroutines may call the store.
	Begin, End func()
	// Error is a part of the error that Save returns meanwhile: what a person has
	// to read to know what is wrong. It may be empty, which is any error.
	Error string
	// Principals is how many there are at first; later there are twice as many.
	// Each has a record of some 300 bytes. The default is 500.
	Principals int
}

// TestOutage takes a store away from engines that use it, and holds store and
// engines together to this contract:
//
//  1. While the store is away, Flush returns an error that says why, and so does
//     the next.
//  2. Meanwhile the events of profiles that are in memory are evaluated: none is
//     rejected, and the findings are those that there are otherwise.
//  3. When the store is back, Flush succeeds. It may fail at first, because
//     each connection that was broken may cost one call.
//  4. An engine with a [detect.Retry] waits: what is asked of it while the store
//     is away ends when the store is back, without an error, and the retry was
//     told why.
//  5. In the end the store has the records, to the byte, of an engine whose
//     store was never away: nothing is lost, nothing counts twice.
//
// The store must be empty. A call of it that takes a minute is a failure. The
// error says what was broken, and is nil if nothing was.
func TestOutage(store baseline.Store, o Outage) error {
	o.Principals = cmp.Or(o.Principals, 500)
	var memory baseline.Memory
	reference, err := outageEngine(&memory, nil)
	if err != nil {
		return err
	}
	tr := &outageTrial{o: o, store: store, reference: reference}
	if err := tr.withoutRetry(); err != nil {
		return err
	}
	if err := tr.withRetry(); err != nil {
		return fmt.Errorf("with a Retry: %w", err)
	}
	if err := reference.Flush(context.Background()); err != nil {
		return err
	}
	return tr.compare(&memory)
}

// outageAgents is what the profiles remember.
var outageAgents = baseline.FirstSeen("agent", func(e *event.Event) string { return e.UserAgent }, nil)

// outageEngine returns an engine that reports each user agent that is new.
func outageEngine(store baseline.Store, retry detect.Retry) (*detect.Engine, error) {
	d := detect.New(detect.Info{
		Name: "new-agent", Doc: "A new user agent.", Technique: "T1078", Tactic: detect.InitialAccess, Severity: detect.Low,
		Uses: []baseline.Feature{outageAgents},
	}, func(p *detect.Pass) {
		if n := outageAgents.In(p); n.New {
			p.Report(n.Value, "new: "+n.Value)
		}
	})
	set, err := detect.NewSet([]detect.Detector{d}, nil)
	if err != nil {
		return nil, err
	}
	o := &detect.EngineOptions{Shards: 2, Retry: retry}
	if retry != nil {
		o.Cache = 1 // so that it loads and saves within a batch
	}
	return detect.NewEngine(set, store, o)
}

// An outageTrial gives the same events to engines whose store is on trial, and
// to one for reference.
type outageTrial struct {
	o         Outage
	store     baseline.Store
	reference *detect.Engine
	hour      int
}

// batch returns one call of each of so many principals, an hour after the last.
func (tr *outageTrial) batch(principals int) ([]*event.Event, error) {
	tr.hour++
	events := make([]*event.Event, principals)
	for i := range events {
		e, err := event.Parse(eventtest.Record{
			Call: "sts:GetCallerIdentity", By: eventtest.User(eventtest.Account, fmt.Sprint("user-", i)),
			At: eventtest.Start.Add(time.Duration(tr.hour) * time.Hour), Agent: fmt.Sprint("agent-", tr.hour),
		}.JSON())
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

// process gives both engines a batch.
func (tr *outageTrial) process(ctx context.Context, en *detect.Engine, events []*event.Event) error {
	want, err := tr.reference.Process(ctx, events)
	if err != nil {
		return err
	}
	got, err := en.Process(ctx, events)
	if err != nil {
		return fmt.Errorf("events are not evaluated: %w", err)
	}
	if s := en.Stats(); s.Rejected > 0 || s.Evaluated != s.Events {
		return fmt.Errorf("of %d events %d are evaluated and %d rejected", s.Events, s.Evaluated, s.Rejected)
	}
	return differ(want, "a store that is never away", got, "one that is away")
}

func (tr *outageTrial) withoutRetry() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	en, err := outageEngine(tr.store, nil)
	if err != nil {
		return err
	}
	learn := func() error {
		events, err := tr.batch(tr.o.Principals)
		if err != nil {
			return err
		}
		return tr.process(ctx, en, events)
	}
	if err := learn(); err != nil {
		return fmt.Errorf("before the outage: %w", err)
	}
	if err := en.Flush(ctx); err != nil {
		return fmt.Errorf("before the outage: %w", err)
	}
	if err := tr.away(ctx, en, learn); err != nil {
		return fmt.Errorf("while the store is away: %w", err)
	}
	if err := learn(); err != nil {
		return fmt.Errorf("after the outage: %w", err)
	}
	if err := again(ctx, func() error { return en.Flush(ctx) }); err != nil {
		return fmt.Errorf("after the outage: %w", err)
	}
	return nil
}

// away is what is asked of an engine during the outage.
func (tr *outageTrial) away(ctx context.Context, en *detect.Engine, learn func() error) error {
	tr.o.Begin()
	defer tr.o.End()
	for range 2 {
		if err := learn(); err != nil {
			return err
		}
		if err := tr.says(en.Flush(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// says checks that an error is one of the outage.
func (tr *outageTrial) says(err error) error {
	switch {
	case err == nil:
		return errors.New("a Flush returns no error")
	case !strings.Contains(err.Error(), tr.o.Error):
		return fmt.Errorf("the error does not say %q: %w", tr.o.Error, err)
	}
	return nil
}

func (tr *outageTrial) withRetry() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	told, back, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	backoff := &detect.Backoff{
		Attempts: outageAttempts,
		Report: func(_ int, err error) {
			select {
			case told <- err:
			default: // the first is enough
			}
		},
		Wait: func(ctx context.Context, _ time.Duration) error {
			select {
			case <-back:
				moment(ctx)
			case <-ctx.Done():
			}
			return ctx.Err()
		},
	}
	en, err := outageEngine(tr.store, backoff.Retry)
	if err != nil {
		return err
	}
	// Those who are known have to be loaded; those who are new take room.
	events, err := tr.batch(2 * tr.o.Principals)
	if err != nil {
		return err
	}
	tr.o.Begin()
	go func() {
		err := tr.process(ctx, en, events)
		if err == nil {
			err = en.Flush(ctx)
		}
		ended <- err
	}()
	var failed error
	select {
	case reported := <-told:
		failed = tr.says(reported)
	case early := <-ended:
		failed = fmt.Errorf("the engine does not wait for the store: it returns %w", cmp.Or(early, errors.New("no error")))
		ended <- nil
	}
	tr.o.End()
	close(back)
	return cmp.Or(failed, <-ended)
}

// compare holds the store to the records of the reference.
func (tr *outageTrial) compare(memory *baseline.Memory) error {
	var want []baseline.Record
	var keys []string
	for r := range memory.All() {
		want, keys = append(want, r), append(keys, r.Key)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var got []baseline.Record
	err := again(ctx, func() (err error) {
		got, err = tr.store.Load(ctx, keys)
		return err
	})
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("store returns %d records for %d keys", len(got), len(want))
	}
	for i, r := range want {
		if !bytes.Equal(got[i].Data, r.Data) {
			return fmt.Errorf("in the end the record of %q is not what it would be without an outage", r.Key)
		}
	}
	return nil
}

// outageAttempts is how often a call may fail when the store is back. Between
// them is a moment, two seconds in all.
const outageAttempts = 100

// again does something until it succeeds. A conflict is no failure of a
// connection: who has lost what was saved has to be found.
func again(ctx context.Context, f func() error) (err error) {
	for range outageAttempts {
		if err = f(); err == nil || errors.As(err, new(*baseline.ConflictError)) {
			return err
		}
		moment(ctx)
	}
	return fmt.Errorf("%d calls failed, the last with: %w", outageAttempts, err)
}

func moment(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	<-ctx.Done()
}
