package tenants

import (
	"context"
	"errors"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
)

// Prefixed returns the part of a store whose keys begin with a prefix, as a
// store of its own. No prefix may be the beginning of another one. Keys of
// principals name their account, but those of web identities, and of buckets,
// do not: tenants must not share them.
func Prefixed(store baseline.Store, prefix string) baseline.Store {
	return &prefixed{store, prefix}
}

type prefixed struct {
	store  baseline.Store
	prefix string
}

func (p *prefixed) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = p.prefix + key
	}
	records, err := p.store.Load(ctx, full)
	for i := range records {
		records[i].Key = strings.TrimPrefix(records[i].Key, p.prefix)
	}
	return records, err
}

func (p *prefixed) Save(ctx context.Context, records []baseline.Record) error {
	full := make([]baseline.Record, len(records))
	for i, r := range records {
		r.Key = p.prefix + r.Key
		full[i] = r
	}
	err := p.store.Save(ctx, full)
	if conflict := (*baseline.ConflictError)(nil); errors.As(err, &conflict) {
		own := &baseline.ConflictError{}
		for _, key := range conflict.Keys {
			own.Keys = append(own.Keys, strings.TrimPrefix(key, p.prefix))
		}
		return own
	}
	return err
}
