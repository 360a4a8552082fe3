package worker

import (
	"context"
	"fmt"

	"github.com/cloudtell/cloudtell/detect"
)

// do does something until it succeeds or there is no use.
func do(ctx context.Context, r detect.Retry, what string, f func() error) error {
	return r.Do(ctx, func() error {
		if err := f(); err != nil {
			return fmt.Errorf("worker: %s: %w", what, err)
		}
		return nil
	})
}

// again returns nil if what failed should be tried again.
func again(ctx context.Context, r detect.Retry, attempt int, err error) error {
	if r == nil || ctx.Err() != nil {
		return err
	}
	return r(ctx, attempt, err)
}
