package worker

import (
	"context"
	"fmt"
)

// A Retry is asked what to do about an operation that failed. It may report the
// error, and wait. If it returns nil, the operation is tried again; if it
// returns an error, that is what the caller gets. attempt is 1 when an
// operation has failed for the first time, then counts. A nil Retry gives up at
// once.
type Retry func(ctx context.Context, attempt int, err error) error

// do does something until it succeeds or there is no use.
func (r Retry) do(ctx context.Context, what string, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		if err := r.again(ctx, attempt, fmt.Errorf("worker: %s: %w", what, err)); err != nil {
			return err
		}
	}
}

// again returns nil if what failed should be tried again.
func (r Retry) again(ctx context.Context, attempt int, err error) error {
	if r == nil || ctx.Err() != nil {
		return err
	}
	return r(ctx, attempt, err)
}
