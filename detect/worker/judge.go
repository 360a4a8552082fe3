package worker

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// Judge keeps what a person decided about a finding in the stored record of its
// key; see [detect.Set.Judge]. Workers may be running: the one that has the key
// notices with its next save that the record has changed, and goes on from
// there.
func Judge(ctx context.Context, set *detect.Set, store baseline.Store, f *detect.Finding, verdict baseline.Verdict) error {
	key := recordKey(f.Scope, f.Key)
	for attempt := 1; ; attempt++ {
		stored, err := store.Load(ctx, []string{key})
		if err != nil {
			return fmt.Errorf("worker: load the record of %q: %w", key, err)
		}
		v, err := openEnvelope(stored[0].Data)
		if err != nil {
			return fmt.Errorf("worker: record of %q: %w", key, err)
		}
		record, judged := set.Judge(v.record, f, verdict)
		if judged != nil && (record == nil || bytes.Equal(record, v.record)) {
			return judged
		}
		v.record = record
		stored[0].Data = v.encode()
		switch err := store.Save(ctx, stored); {
		case err == nil:
			return judged
		case !onlyConflict(err) || attempt > patience:
			return fmt.Errorf("worker: save the record of %q: %w", key, err)
		}
	}
}
