package natsengine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cloudtell/cloudtell/baseline"
)

// Store returns a store of records in a JetStream key-value bucket. A record
// must be smaller than the server's max_payload, 1 MiB unless configured
// otherwise. It may be used from any number of goroutines.
func (e *Engine) Store() baseline.Store { return &store{e: e, known: make(map[string]revision)} }

// A store keeps each record as one message: its version as a varint, then its
// data. JetStream compares the revision of the bucket's key, which grows by more
// than one, so the store remembers which revision a version has.
type store struct {
	e     *Engine
	mu    sync.Mutex
	known map[string]revision
}

type revision struct{ version, sequence uint64 }

// maxKnown bounds what a store remembers. What it has forgotten costs a request.
const maxKnown = 100_000

func (s *store) remember(key string, r revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[key] = r
}

// subject returns the subject of a key: of keys only letters, digits and a few
// signs are allowed there.
func (s *store) subject(key string) string {
	token := base64.RawURLEncoding.EncodeToString([]byte(key))
	if len(token) > 1000 {
		sum := sha256.Sum256([]byte(key))
		token = "sha256." + hex.EncodeToString(sum[:])
	}
	return "$KV." + s.e.bucket() + "." + token
}

// concurrently is how many requests a call has under way at once.
const concurrently = 16

// each calls f for the numbers below n, some at a time.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for w := range min(n, concurrently) {
		wg.Go(func() {
			for i := w; i < n; i += concurrently {
				errs[i] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Load implements [baseline.Store].
func (s *store) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("natsengine: load: %w", err)
	}
	records := make([]baseline.Record, len(keys))
	err := each(len(keys), func(i int) error {
		r, data, err := s.get(ctx, keys[i])
		records[i] = baseline.Record{Key: keys[i], Version: r.version, Data: data}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("natsengine: load: %w", err)
	}
	return records, nil
}

// get reads a key; version 0 and no data if it is not there.
func (s *store) get(ctx context.Context, key string) (revision, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := s.e.records.GetLastMsgForSubject(ctx, s.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return revision{}, nil, nil
	}
	if err != nil {
		return revision{}, nil, err
	}
	if op := m.Header.Get("KV-Operation"); op == "DEL" || op == "PURGE" { // somebody has deleted it: by convention that leaves a message
		return revision{0, m.Sequence}, nil, nil
	}
	version, n := binary.Uvarint(m.Data)
	if n <= 0 || version == 0 { // it is not a store's: whoever reads the data finds it damaged
		version, n = 1, 0
	}
	r := revision{version, m.Sequence}
	s.remember(key, r)
	return r, m.Data[n:], nil
}

// Save implements [baseline.Store].
func (s *store) Save(ctx context.Context, records []baseline.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("natsengine: save: %w", err)
	}
	refused := make([]bool, len(records))
	seen := make(map[string]bool)
	for i, r := range records {
		refused[i] = seen[r.Key]
		seen[r.Key] = true
	}
	err := each(len(records), func(i int) error {
		if refused[i] {
			return nil
		}
		var err error
		refused[i], err = s.put(ctx, records[i])
		return err
	})
	if err != nil {
		return fmt.Errorf("natsengine: save: %w", err)
	}
	var conflict baseline.ConflictError
	for i, r := range records {
		if refused[i] {
			conflict.Keys = append(conflict.Keys, r.Key)
		}
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// put stores a record if its version is the stored one.
func (s *store) put(ctx context.Context, r baseline.Record) (refused bool, err error) {
	s.mu.Lock()
	known := s.known[r.Key]
	s.mu.Unlock()
	if known.version != r.Version || r.Version == 0 {
		if known, _, err = s.get(ctx, r.Key); err != nil {
			return false, err
		}
		if known.version != r.Version {
			return true, nil
		}
	}
	m := nats.NewMsg(s.subject(r.Key))
	m.Data = append(binary.AppendUvarint(nil, r.Version+1), r.Data...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ack, err := s.e.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(known.sequence))
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		s.mu.Lock()
		delete(s.known, r.Key)
		s.mu.Unlock()
		return true, nil
	case err != nil:
		return false, err
	}
	s.remember(r.Key, revision{r.Version + 1, ack.Sequence})
	return false, nil
}
