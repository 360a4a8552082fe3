package baseline

import (
	"context"
	"fmt"
	"strings"
)

// A Record is one key's profile as a [Store] keeps it.
type Record struct {
	// Key names the record; any string, not empty.
	Key string
	// Version is the store's count of the record's saves: 0 for a key never
	// saved. A record to be saved carries the version that it was loaded with.
	Version uint64
	// Data is the profile's bytes; nil for a key never saved.
	Data []byte
}

// A Store keeps records: opaque bytes by key, batched, with compare-and-swap
// so that a stale writer is refused. Its contract:
//
//  1. Any number of goroutines may call its methods at once.
//  2. Load returns one record per key, in the order of the keys; a key never
//     saved comes with Version 0 and nil Data.
//  3. Save stores a record only if its Version is the one stored (0: none
//     stored), and stores it as Version+1.
//  4. Records that Save refuses for their version are named by one
//     [*ConflictError]; the others of the batch are stored all the same.
//  5. Any other error of Save leaves each record of the batch stored or
//     untouched, never torn; saving again tells which by conflict.
//  6. A record saved is what every later Load returns, to the byte.
//  7. Save keeps no reference to the records' Data, and the caller may modify
//     what Load returns.
//  8. A cancelled context ends a call with an error that wraps the context's;
//     a record is not torn by it.
//  9. Neither method modifies its arguments. An empty batch succeeds. A key
//     twice in one batch of Save is refused for its second record.
//
// baselinetest.TestStore checks every line. A store may also implement
// io.Closer.
type Store interface {
	Load(ctx context.Context, keys []string) ([]Record, error)
	Save(ctx context.Context, records []Record) error
}

// A ConflictError names the keys that [Store.Save] refused because another
// writer has saved them since they were loaded.
type ConflictError struct {
	Keys []string
}

// Error implements error.
func (e *ConflictError) Error() string {
	const shown = 3
	list := strings.Join(e.Keys[:min(shown, len(e.Keys))], ", ")
	if more := len(e.Keys) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "baseline: saved by another writer since loaded: " + list
}
