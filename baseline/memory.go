package baseline

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Memory is a [Store] in the process's own memory: the default of an engine.
// It grows with the number of keys, by the size of their records. The zero
// value is an empty store, ready for use.
type Memory struct {
	mu      sync.RWMutex
	records map[string]Record
}

var _ Store = (*Memory)(nil)

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, keys []string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("baseline: load: %w", err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	records := make([]Record, len(keys))
	for i, key := range keys {
		r := m.records[key]
		records[i] = Record{Key: key, Version: r.Version, Data: bytes.Clone(r.Data)}
	}
	return records, nil
}

// Save implements [Store].
func (m *Memory) Save(ctx context.Context, records []Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("baseline: save: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = make(map[string]Record)
	}
	var conflict ConflictError
	for _, r := range records {
		if m.records[r.Key].Version != r.Version {
			conflict.Keys = append(conflict.Keys, r.Key)
			continue
		}
		m.records[r.Key] = Record{Key: r.Key, Version: r.Version + 1, Data: bytes.Clone(r.Data)}
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// Len returns the number of records.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.records)
}

// All returns the records in the order of their keys, as they are when the
// iteration starts. The caller must not modify their Data.
func (m *Memory) All() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		m.mu.RLock()
		records := slices.SortedFunc(maps.Values(m.records), func(a, b Record) int {
			return bytes.Compare([]byte(a.Key), []byte(b.Key))
		})
		m.mu.RUnlock()
		for _, r := range records {
			if !yield(r) {
				return
			}
		}
	}
}
