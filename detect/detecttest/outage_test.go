package detecttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

// An outageStore can be away.
type outageStore struct {
	mu sync.Mutex
	*baseline.Memory
	away bool
	load error // of Load while the store is away
	// save is Save while the store is away.
	save func(s *outageStore, records []baseline.Record) error
}

var errAway = errors.New("no disk")

func (s *outageStore) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away && s.load != nil {
		return nil, s.load
	}
	return s.Memory.Load(ctx, keys)
}

func (s *outageStore) Save(ctx context.Context, records []baseline.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return s.save(s, records)
	}
	return s.Memory.Save(ctx, records)
}

func (s *outageStore) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *outageStore) outage() Outage {
	s.Memory = new(baseline.Memory)
	return Outage{Begin: func() { s.set(true) }, End: func() { s.set(false) }, Error: "no disk", Principals: 40}
}

func refuses(*outageStore, []baseline.Record) error { return errAway }

// storesSome stores the first records, and does not say so.
func storesSome(first func(n int) int) func(*outageStore, []baseline.Record) error {
	return func(s *outageStore, records []baseline.Record) error {
		if err := s.Memory.Save(context.Background(), records[:first(len(records))]); err != nil {
			return err
		}
		return errAway
	}
}

func TestOutageOfGoodStores(t *testing.T) {
	for name, s := range map[string]*outageStore{
		"full":                   {save: refuses},
		"gone":                   {save: refuses, load: errAway},
		"stores before it fails": {save: storesSome(func(n int) int { return n }), load: errAway},
		"stores a part":          {save: storesSome(func(n int) int { return n / 2 })},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, TestOutage(s, s.outage()))
			assert.Equal(t, 80, s.Len())
		})
	}
}

// The kit finds stores that break the contract.
func TestPlantedOutageMistakes(t *testing.T) {
	var outages int
	tests := []struct {
		name   string
		store  *outageStore
		change func(s *outageStore, o *Outage)
		want   string
	}{
		{"swallows the error", &outageStore{save: func(*outageStore, []baseline.Record) error { return nil }}, nil, "a Flush returns no error"},
		{"is never away", &outageStore{}, func(_ *outageStore, o *Outage) { o.Begin = func() {} }, "a Flush returns no error"},
		{"does not say why", &outageStore{save: func(*outageStore, []baseline.Record) error { return errors.New("oops") }}, nil, `does not say "no disk"`},
		{"calls it a conflict", &outageStore{save: func(_ *outageStore, records []baseline.Record) error {
			var keys []string
			for _, r := range records {
				keys = append(keys, r.Key)
			}
			return fmt.Errorf("no disk: %w", &baseline.ConflictError{Keys: keys})
		}}, nil, "does not say"},
		{"forgets what it had", &outageStore{save: func(s *outageStore, _ []baseline.Record) error {
			s.Memory = new(baseline.Memory)
			return errAway
		}}, nil, "saved by another writer"},
		{"does not come back", &outageStore{save: refuses}, func(_ *outageStore, o *Outage) { o.End = func() {} }, "100 calls failed"},
		{"does not come back the second time", &outageStore{save: refuses}, func(s *outageStore, o *Outage) {
			o.End = func() { outages++; s.set(outages > 1) }
		}, "with a Retry"},
		{"is away only once", &outageStore{save: refuses}, func(s *outageStore, o *Outage) {
			o.Begin = func() { outages++; s.set(outages == 1) }
		}, "does not wait"},
		{"stores something else", &outageStore{save: func(s *outageStore, records []baseline.Record) error {
			last := slices.Clone(records)
			last[0].Data = []byte("torn")
			s.Memory.Save(context.Background(), last)
			return errAway
		}}, nil, "saved by another writer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outages = 0
			o := tt.store.outage()
			if tt.change != nil {
				tt.change(tt.store, &o)
			}
			synctest.Test(t, func(t *testing.T) { // so that nobody waits for those that do not come back
				require.ErrorContains(t, TestOutage(tt.store, o), tt.want)
			})
		})
	}
}
