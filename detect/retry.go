package detect

import (
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

// Backoff returns a [Retry] that waits first after the first failure, twice as
// long after each further one, and at most for most; each wait is shortened by
// up to half at random, so that many who wait for one server do not come back
// at once. After attempts failures of a call it gives up; 0 means that only the
// end of the context ends it. report, unless it is nil, is told every error.
func Backoff(attempts int, first, most time.Duration, report func(attempt int, err error)) Retry {
	return func(ctx context.Context, attempt int, err error) error {
		if report != nil {
			report(attempt, err)
		}
		if attempts > 0 && attempt >= attempts {
			return err
		}
		wait := first
		for i := 1; i < attempt && wait < most; i++ {
			wait *= 2
		}
		wait = min(wait, most)
		if half := int64(wait / 2); half > 0 {
			wait -= time.Duration(rand.Int64N(half))
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-timer.C:
			return nil
		}
	}
}
