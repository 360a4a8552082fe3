package baselinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

func TestMemoryStore(t *testing.T) {
	open := func() (baseline.Store, error) { return &baseline.Memory{}, nil }
	Store(t, open)
	require.NoError(t, TestStore(open))
}

func TestStoresAreClosed(t *testing.T) {
	opened, closed := 0, 0
	require.NoError(t, TestStore(func() (baseline.Store, error) {
		opened++
		return &closer{closed: &closed}, nil
	}))
	assert.Equal(t, len(storeLines), opened, "each line has a store of its own")
	assert.Equal(t, opened, closed)

	require.ErrorContains(t, TestStore(func() (baseline.Store, error) { return nil, errors.New("no disk") }), "no disk")
}

type closer struct {
	baseline.Memory
	closed *int
}

func (c *closer) Close() error {
	*c.closed++
	return nil
}

// A mistake is a memory that does something wrong in one of its methods.
type mistake struct {
	m    baseline.Memory
	load func(ctx context.Context, m *baseline.Memory, keys []string) ([]baseline.Record, error)
	save func(ctx context.Context, m *baseline.Memory, records []baseline.Record) error
}

func (s *mistake) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if s.load == nil {
		return s.m.Load(ctx, keys)
	}
	return s.load(ctx, &s.m, keys)
}

func (s *mistake) Save(ctx context.Context, records []baseline.Record) error {
	if s.save == nil {
		return s.m.Save(ctx, records)
	}
	return s.save(ctx, &s.m, records)
}

// stored returns the version that a record has in a memory.
func stored(m *baseline.Memory, key string) uint64 {
	records, err := m.Load(background, []string{key})
	if err != nil {
		panic(err)
	}
	return records[0].Version
}

func TestPlantedStoreMistakes(t *testing.T) {
	type memory = baseline.Memory
	type record = baseline.Record
	tests := []struct {
		name  string
		line  int
		store func() *mistake
	}{
		{"takes a moment between looking and storing", 1, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				var c baseline.ConflictError
				for _, r := range records {
					if v := stored(m, r.Key); v != r.Version {
						c.Keys = append(c.Keys, r.Key)
						continue
					}
					for range 100 {
						runtime.Gosched() // a moment
					}
					r.Version = stored(m, r.Key)
					if err := m.Save(ctx, []record{r}); err != nil {
						return err
					}
				}
				if c.Keys != nil {
					return &c
				}
				return nil
			}}
		}},
		{"leaves out what was never saved", 2, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				records, err := m.Load(ctx, keys)
				return slices.DeleteFunc(records, func(r record) bool { return r.Version == 0 }), err
			}}
		}},
		{"sorts the records", 2, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				records, err := m.Load(ctx, keys)
				slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.Key, b.Key) })
				return records, err
			}}
		}},
		{"returns a key once that was asked for twice", 2, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				var once []string
				for _, k := range keys {
					if !slices.Contains(once, k) {
						once = append(once, k)
					}
				}
				return m.Load(ctx, once)
			}}
		}},
		{"gives bytes to what was never saved", 2, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				records, err := m.Load(ctx, keys)
				for i := range records {
					if records[i].Data == nil {
						records[i].Data = []byte{}
					}
				}
				return records, err
			}}
		}},
		{"forgets versions", 3, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				for _, r := range records {
					r.Version = stored(m, r.Key)
					if err := m.Save(ctx, []record{r}); err != nil {
						return err
					}
				}
				return nil
			}}
		}},
		{"takes any version for a new key", 3, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				records = slices.Clone(records)
				for i := range records {
					if stored(m, records[i].Key) == 0 {
						records[i].Version = 0
					}
				}
				return m.Save(ctx, records)
			}}
		}},
		{"does not count", 3, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				records, err := m.Load(ctx, keys)
				for i := range records {
					records[i].Version = min(records[i].Version, 3)
				}
				return records, err
			}}
		}},
		{"stores nothing of a batch with a conflict", 4, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				var c baseline.ConflictError
				for _, r := range records {
					if stored(m, r.Key) != r.Version {
						c.Keys = append(c.Keys, r.Key)
					}
				}
				if c.Keys != nil {
					return &c
				}
				return m.Save(ctx, records)
			}}
		}},
		{"names one conflict only", 4, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				err := m.Save(ctx, records)
				var c *baseline.ConflictError
				if errors.As(err, &c) {
					c.Keys = c.Keys[:1]
				}
				return err
			}}
		}},
		{"names the whole batch", 4, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				err := m.Save(ctx, records)
				var c *baseline.ConflictError
				if errors.As(err, &c) {
					c.Keys = nil
					for _, r := range records {
						c.Keys = append(c.Keys, r.Key)
					}
				}
				return err
			}}
		}},
		{"says of a conflict that something is wrong", 4, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				if err := m.Save(ctx, records); err != nil {
					return errors.New("something is wrong")
				}
				return nil
			}}
		}},
		{"tears a record when it is interrupted", 5, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				if err := ctx.Err(); err != nil && len(records) > 1 {
					half := records[len(records)/2]
					half.Data = half.Data[:len(half.Data)/2]
					return errors.Join(m.Save(background, []record{half}), err)
				}
				return m.Save(ctx, records)
			}}
		}},
		{"counts a save that it did not make", 5, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				if err := ctx.Err(); err != nil && len(records) > 1 {
					same := records[0]
					old, _ := m.Load(background, []string{same.Key})
					same.Data = old[0].Data
					return errors.Join(m.Save(background, []record{same}), err)
				}
				return m.Save(ctx, records)
			}}
		}},
		{"cuts at a zero byte", 6, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				records = slices.Clone(records)
				for i := range records {
					records[i].Data, _, _ = bytes.Cut(records[i].Data, []byte{0})
				}
				return m.Save(ctx, records)
			}}
		}},
		{"folds the case of keys", 6, func() *mistake {
			return &mistake{
				load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
					lower := make([]string, len(keys))
					for i := range keys {
						lower[i] = strings.ToLower(keys[i])
					}
					records, err := m.Load(ctx, lower)
					for i := range records {
						records[i].Key = keys[i]
					}
					return records, err
				},
				save: func(ctx context.Context, m *memory, records []record) error {
					records = slices.Clone(records)
					for i := range records {
						records[i].Key = strings.ToLower(records[i].Key)
						records[i].Version = stored(m, records[i].Key)
						if err := m.Save(ctx, records[i:i+1]); err != nil {
							return err
						}
					}
					return nil
				},
			}
		}},
		{"cuts long keys", 6, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				records = slices.Clone(records)
				for i := range records {
					records[i].Key = records[i].Key[:min(len(records[i].Key), 1024)]
				}
				return m.Save(ctx, records)
			}}
		}},
		{"keeps the data that it was given", 7, func() *mistake {
			kept := make(map[string][]byte)
			return &mistake{
				load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
					records, err := m.Load(ctx, keys)
					for i := range records {
						if data := kept[keys[i]]; data != nil {
							records[i].Data = bytes.Clone(data)
						}
					}
					return records, err
				},
				save: func(ctx context.Context, m *memory, records []record) error {
					for _, r := range records {
						kept[r.Key] = r.Data
					}
					return m.Save(ctx, records)
				},
			}
		}},
		{"lends the data that it has", 7, func() *mistake {
			lent := make(map[string][]byte)
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				records, err := m.Load(ctx, keys)
				for i, k := range keys {
					if lent[k] == nil {
						lent[k] = records[i].Data
					}
					records[i].Data = lent[k]
				}
				return records, err
			}}
		}},
		{"does not care for the context when it loads", 8, func() *mistake {
			return &mistake{load: func(_ context.Context, m *memory, keys []string) ([]record, error) { return m.Load(background, keys) }}
		}},
		{"does not care for the context when it saves", 8, func() *mistake {
			return &mistake{save: func(_ context.Context, m *memory, records []record) error { return m.Save(background, records) }}
		}},
		{"hides the context's error", 8, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				if ctx.Err() != nil {
					return fmt.Errorf("cancelled: %v", ctx.Err())
				}
				return m.Save(ctx, records)
			}}
		}},
		{"sorts the caller's keys", 9, func() *mistake {
			return &mistake{load: func(ctx context.Context, m *memory, keys []string) ([]record, error) {
				slices.Sort(keys)
				return m.Load(ctx, keys)
			}}
		}},
		{"counts in the caller's records", 9, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				err := m.Save(ctx, records)
				for i := range records {
					records[i].Version++
				}
				return err
			}}
		}},
		{"refuses an empty batch", 9, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				if len(records) == 0 {
					return errors.New("nothing to do")
				}
				return m.Save(ctx, records)
			}}
		}},
		{"takes the last of a key's records", 9, func() *mistake {
			return &mistake{save: func(ctx context.Context, m *memory, records []record) error {
				byKey := make(map[string]record)
				for _, r := range records {
					byKey[r.Key] = r
				}
				var c baseline.ConflictError
				for _, r := range byKey {
					if m.Save(ctx, []record{r}) != nil {
						c.Keys = append(c.Keys, r.Key)
					}
				}
				if c.Keys != nil {
					return &c
				}
				return ctx.Err()
			}}
		}},
	}
	covered := make(map[int]bool)
	for _, tt := range tests {
		covered[tt.line] = true
		t.Run(fmt.Sprintf("%d %s", tt.line, tt.name), func(t *testing.T) {
			l := storeLines[tt.line-1]
			err := checkStore(func() (baseline.Store, error) { return tt.store(), nil }, l)
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("%d. %s: ", tt.line, l.sentence)), err)
		})
	}
	for _, l := range storeLines {
		assert.True(t, covered[l.number], "no mistake is planted for line %d", l.number)
	}
}
