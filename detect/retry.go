package detect

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A Retry decides what becomes of a call of a store, or of another system, that
// failed. It may report the error, and wait. If it returns nil, the call is made
// again; an error is what the caller gets. attempt is 1 when a call has failed
// for the first time, then counts. A nil Retry gives up at once. It is called
// from several goroutines.
type Retry func(ctx context.Context, attempt int, err error) error

// Do does something until it succeeds or there is no use.
func (r Retry) Do(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		if r == nil || ctx.Err() != nil {
			return err
		}
		if given := r(ctx, attempt, err); given != nil {
			return given
		}
	}
}

// A Backoff is a [Retry] that waits longer and longer: EngineOptions{Retry:
// backoff.Retry}. It must not change once it is in use.
type Backoff struct {
	// Wait waits for as long as it is told, and returns the context's error if
	// that ends first. The package has no clock, so it is the caller's: a select
	// of a timer and ctx.Done, as in the example. Nil does not wait.
	Wait func(ctx context.Context, d time.Duration) error
	// First is the first wait. Each further one is twice as long, up to Most;
	// all are shortened by up to half at random, so that many who wait for one
	// server do not come back at once. The defaults are 100 ms and 10 s.
	First, Most time.Duration
	// Attempts is how often a call may fail. The default is 10; a negative
	// number means that only the end of the context ends it.
	Attempts int
	// Report is told every failure, if it is not nil.
	Report func(attempt int, err error)
}

// Retry is a [Retry].
func (b *Backoff) Retry(ctx context.Context, attempt int, err error) error {
	if b.Report != nil {
		b.Report(attempt, err)
	}
	if most := cmp.Or(b.Attempts, 10); most > 0 && attempt >= most {
		return err
	}
	if b.Wait == nil {
		return nil
	}
	wait, most := cmp.Or(b.First, 100*time.Millisecond), cmp.Or(b.Most, 10*time.Second)
	for i := 1; i < attempt && wait < most; i++ {
		wait *= 2
	}
	wait = min(wait, most)
	if half := int64(wait / 2); half > 0 {
		wait -= time.Duration(rand.Int64N(half))
	}
	if ended := b.Wait(ctx, wait); ended != nil {
		return errors.Join(err, ended)
	}
	return nil
}
