package benthosplugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
)

// A keeper takes steps on the envelopes in a store. All processors and outputs
// that use the store share it and take turns, so they are never in each other's
// way; other processes are told from what they save.
type keeper struct {
	store baseline.Store
	turn  chan struct{} // holds one value while somebody has the turn
}

func newKeeper(store baseline.Store) *keeper {
	return &keeper{store: store, turn: make(chan struct{}, 1)}
}

// A change is what is to happen to the envelope of one key.
type change struct {
	key   string // the record's key in the store
	apply func(*envelope) error
	err   error // why it cannot be, if the envelope or its record cannot be read
}

// update makes changes and saves them. What fails to be loaded or saved, or is
// saved by another process meanwhile, is tried again from the start, until the
// context ends; failed is told each time. A change is applied anew each time, to
// what is stored then.
func (k *keeper) update(ctx context.Context, changes []*change, failed func(error)) error {
	if len(changes) == 0 {
		return nil
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	const firstPause, longestPause = 20 * time.Millisecond, 10 * time.Second
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		var err error
		if changes, err = k.try(ctx, changes); len(changes) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try makes changes once, and returns those that have to be made again, and why.
func (k *keeper) try(ctx context.Context, changes []*change) ([]*change, error) {
	keys := make([]string, len(changes))
	for i, c := range changes {
		keys[i] = c.key
	}
	stored, err := k.store.Load(ctx, keys)
	if err == nil && !slices.EqualFunc(stored, keys, func(r baseline.Record, key string) bool { return r.Key == key }) {
		err = errors.New("the store returned other records than those asked for")
	}
	if err != nil {
		return changes, fmt.Errorf("load %d records: %w", len(keys), err)
	}
	after := make([][]byte, len(changes))
	parallel(len(changes), func(i int) {
		changes[i].err = nil
		after[i], changes[i].err = changes[i].to(stored[i].Data)
	})
	var records []baseline.Record
	var saved []*change
	for i, c := range changes {
		if c.err != nil || bytes.Equal(after[i], stored[i].Data) {
			continue
		}
		records = append(records, baseline.Record{Key: c.key, Version: stored[i].Version, Data: after[i]})
		saved = append(saved, c)
	}
	if len(records) == 0 {
		return nil, nil
	}
	err = k.store.Save(ctx, records)
	if err == nil {
		return nil, nil
	}
	if conflict, ok := errors.AsType[*baseline.ConflictError](err); ok {
		saved = slices.DeleteFunc(saved, func(c *change) bool { return !slices.Contains(conflict.Keys, c.key) })
	}
	return saved, fmt.Errorf("save %d records: %w", len(records), err)
}

// to returns the bytes of the changed envelope.
func (c *change) to(data []byte) ([]byte, error) {
	v, err := openEnvelope(data)
	if err != nil {
		return nil, err
	}
	if err := c.apply(&v); err != nil {
		return nil, err
	}
	return v.append(nil)
}

// parallel calls f for the numbers below n, from several goroutines.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
