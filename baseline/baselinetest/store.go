package baselinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloudtell/cloudtell/baseline"
)

// The lines of [baseline.Store]'s contract.
var storeLines = []line[baseline.Store]{
	{1, "Any number of goroutines may call its methods at once", storeConcurrent},
	{2, "Load returns one record per key, in the order of the keys; a key never saved comes with Version 0 and nil Data", storeLoads},
	{3, "Save stores a record only if its Version is the one stored (0: none stored), and stores it as Version+1", storeSwaps},
	{4, "Records that Save refuses for their version are named by one *ConflictError; the others of the batch are stored all the same", storeNamesConflicts},
	{5, "Any other error of Save leaves each record of the batch stored or untouched, never torn; saving again tells which by conflict", storeTearsNothing},
	{6, "A record saved is what every later Load returns, to the byte", storeKeeps},
	{7, "Save keeps no reference to the records' Data, and the caller may modify what Load returns", storeCopies},
	{8, "A cancelled context ends a call with an error that wraps the context's; a record is not torn by it", storeCancels},
	{9, "Neither method modifies its arguments. An empty batch succeeds. A key twice in one batch of Save is refused for its second record", storeSpares},
}

// TestStore holds a store to its contract. open opens an empty store, each time
// another one; a store that implements [io.Closer] is closed. The error names
// each line that was broken. Line 1 finds more under the race detector.
func TestStore(open func() (baseline.Store, error)) error {
	var errs []error
	for _, l := range storeLines {
		errs = append(errs, checkStore(open, l))
	}
	return errors.Join(errs...)
}

// Store is [TestStore] with a subtest for each line.
func Store(t *testing.T, open func() (baseline.Store, error)) {
	t.Helper()
	for _, l := range storeLines {
		t.Run(fmt.Sprintf("line %d", l.number), func(t *testing.T) {
			if err := checkStore(open, l); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkStore(open func() (baseline.Store, error), l line[baseline.Store]) error {
	s, err := open()
	if err != nil {
		return fmt.Errorf("%d. open a store: %w", l.number, err)
	}
	err = l.check(s)
	if c, ok := s.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

var background = context.Background()

// load loads one record.
func load(s baseline.Store, key string) (baseline.Record, error) {
	records, err := s.Load(background, []string{key})
	if err != nil {
		return baseline.Record{}, err
	}
	if len(records) != 1 || records[0].Key != key {
		return baseline.Record{}, fmt.Errorf("load of %q returned %d records, or another's", key, len(records))
	}
	return records[0], nil
}

// expect loads a record and compares it.
func expect(s baseline.Store, key string, version uint64, data []byte) error {
	r, err := load(s, key)
	if err != nil {
		return err
	}
	if r.Version != version || !bytes.Equal(r.Data, data) {
		return fmt.Errorf("%q is loaded as version %d with %s; want version %d with %s",
			key, r.Version, show(r.Data), version, show(data))
	}
	return nil
}

func show(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%d bytes %q…", len(data), data[:40])
	}
	return fmt.Sprintf("%d bytes %q", len(data), data)
}

func save(s baseline.Store, records ...baseline.Record) error { return s.Save(background, records) }

// conflict checks that an error is a conflict about exactly these keys.
func conflict(err error, keys ...string) error {
	var c *baseline.ConflictError
	if !errors.As(err, &c) {
		return fmt.Errorf("save returned %v; want a *ConflictError that names %q", err, keys)
	}
	if got := slices.Sorted(slices.Values(c.Keys)); !slices.Equal(got, slices.Sorted(slices.Values(keys))) {
		return fmt.Errorf("the conflict names %q; want %q", c.Keys, keys)
	}
	return nil
}

// storeConcurrent has goroutines add up in the same records: a save that
// succeeds although another came before it would lose a count.
func storeConcurrent(s baseline.Store) error {
	const workers, additions = 8, 20
	keys := []string{"a", "b", "c"}
	add := func() error {
		for range additions {
			for pending := slices.Clone(keys); len(pending) > 0; {
				records, err := s.Load(background, pending)
				if err != nil {
					return err
				}
				for i := range records {
					records[i].Data = append(records[i].Data, 'x')
				}
				err = s.Save(background, records)
				var c *baseline.ConflictError
				if err != nil && !errors.As(err, &c) {
					return err
				}
				pending = nil
				if c != nil {
					pending = c.Keys
				}
			}
		}
		return nil
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = add() })
	}
	wg.Wait()
	for _, key := range keys {
		errs = append(errs, expect(s, key, workers*additions, bytes.Repeat([]byte("x"), workers*additions)))
	}
	return errors.Join(errs...)
}

func storeLoads(s baseline.Store) error {
	if err := save(s, baseline.Record{Key: "b", Data: []byte("2")}, baseline.Record{Key: "d", Data: []byte("4")}); err != nil {
		return err
	}
	keys := []string{"d", "c", "b", "a", "d"}
	records, err := s.Load(background, keys)
	if err != nil {
		return err
	}
	if len(records) != len(keys) {
		return fmt.Errorf("%d records for %d keys", len(records), len(keys))
	}
	for i, r := range records {
		if r.Key != keys[i] {
			return fmt.Errorf("record %d is of key %q; want %q", i, r.Key, keys[i])
		}
		saved := r.Key == "b" || r.Key == "d"
		if !saved && (r.Version != 0 || r.Data != nil) {
			return fmt.Errorf("%q, never saved, has version %d and %s", r.Key, r.Version, show(r.Data))
		}
		if saved && (r.Version != 1 || len(r.Data) != 1) {
			return fmt.Errorf("%q, saved once, has version %d and %s", r.Key, r.Version, show(r.Data))
		}
	}
	return nil
}

func storeSwaps(s baseline.Store) error {
	for v := range uint64(5) {
		for _, wrong := range []uint64{v + 1, v + 2, v - 1, 1 << 40} {
			if wrong == v || wrong > 1<<40 {
				continue // there is no version before 0
			}
			if err := conflict(save(s, baseline.Record{Key: "k", Version: wrong, Data: []byte("wrong")}), "k"); err != nil {
				return fmt.Errorf("version %d saved over version %d: %w", wrong, v, err)
			}
		}
		data := fmt.Append(nil, "data ", v)
		if err := save(s, baseline.Record{Key: "k", Version: v, Data: data}); err != nil {
			return err
		}
		if err := expect(s, "k", v+1, data); err != nil {
			return err
		}
	}
	return nil
}

func storeNamesConflicts(s baseline.Store) error {
	if err := save(s, baseline.Record{Key: "b", Data: []byte("old")}, baseline.Record{Key: "d", Data: []byte("old")}); err != nil {
		return err
	}
	err := save(s,
		baseline.Record{Key: "a", Data: []byte("new")},
		baseline.Record{Key: "b", Data: []byte("new")}, // stale
		baseline.Record{Key: "c", Data: []byte("new")},
		baseline.Record{Key: "d", Version: 7, Data: []byte("new")}, // never was
		baseline.Record{Key: "e", Data: []byte("new")})
	return errors.Join(conflict(err, "b", "d"),
		expect(s, "a", 1, []byte("new")), expect(s, "b", 1, []byte("old")), expect(s, "c", 1, []byte("new")),
		expect(s, "d", 1, []byte("old")), expect(s, "e", 1, []byte("new")))
}

// storeTearsNothing interrupts saves of a large batch, the only way to make a
// store of any kind fail.
func storeTearsNothing(s baseline.Store) error {
	const keys, size = 50, 4 << 10
	body := func(key, version int) []byte {
		return bytes.Repeat(fmt.Appendf(nil, "%02d-%04d;", key, version), size/8)
	}
	stored := make([]int, keys)
	for version := 1; version <= 12; version++ {
		var batch []baseline.Record
		for k := range keys {
			batch = append(batch, baseline.Record{Key: fmt.Sprint(k), Version: uint64(stored[k]), Data: body(k, version)})
		}
		ctx, cancel := context.WithCancel(background)
		done := make(chan error)
		go func() { done <- s.Save(ctx, batch) }()
		cancel()
		err := <-done
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		for k := range keys {
			r, err2 := load(s, fmt.Sprint(k))
			if err2 != nil {
				return err2
			}
			again := save(s, batch[k])
			switch {
			case r.Version == uint64(stored[k])+1 && bytes.Equal(r.Data, body(k, version)):
				if err := conflict(again, fmt.Sprint(k)); err != nil {
					return fmt.Errorf("a record that was stored: %w", err)
				}
			case err == nil:
				return fmt.Errorf("save succeeded, but %q is loaded as version %d", r.Key, r.Version)
			case r.Version == uint64(stored[k]) && (stored[k] == 0 && r.Data == nil || bytes.Equal(r.Data, body(k, lastOf(r.Data)))):
				if again != nil {
					return fmt.Errorf("a record that was untouched: %w", again)
				}
			default:
				return fmt.Errorf("%q is loaded as version %d with %s", r.Key, r.Version, show(r.Data))
			}
			stored[k]++
		}
	}
	return nil
}

// lastOf reads the version that a body of storeTearsNothing begins with.
func lastOf(data []byte) (version int) {
	var key int
	fmt.Sscanf(string(data[:min(8, len(data))]), "%02d-%04d;", &key, &version)
	return version
}

func storeKeeps(s baseline.Store) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	records := []baseline.Record{
		{Key: "every byte", Data: every},
		{Key: "one MiB", Data: bytes.Repeat(every, 4096)},
		{Key: "one zero", Data: []byte{0}},
		{Key: "no bytes", Data: []byte{}},
		{Key: "principal/arn:aws:iam::111122223333:role/deploy", Data: []byte("arn")},
		{Key: "Case", Data: []byte("upper")},
		{Key: "case", Data: []byte("lower")},
		{Key: " ", Data: []byte("space")},
		{Key: "  ", Data: []byte("two spaces")},
		{Key: "../../etc/passwd", Data: []byte("path")},
		{Key: "%2e%2e", Data: []byte("percent")},
		{Key: "a\x00b", Data: []byte("zero")},
		{Key: "a\nb", Data: []byte("line")},
		{Key: "' OR 1=1 --", Data: []byte("quote")},
		{Key: "\xff\xfe", Data: []byte("no UTF-8")},
		{Key: "é", Data: []byte("composed")},
		{Key: "e\u0301", Data: []byte("decomposed")},
		{Key: strings.Repeat("k", 1000), Data: []byte("long")},
		{Key: strings.Repeat("k", 999), Data: []byte("a little shorter")},
		{Key: strings.Repeat("k", 100_000), Data: []byte("as long as a hostile log makes it")},
		{Key: strings.Repeat("k", 99_999) + "l", Data: []byte("another as long")},
	}
	if err := s.Save(background, records); err != nil {
		return err
	}
	for range 2 { // by loading, nothing changes
		for _, r := range records {
			if err := expect(s, r.Key, 1, r.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func storeCopies(s baseline.Store) error {
	data := []byte("as saved")
	if err := save(s, baseline.Record{Key: "k", Data: data}); err != nil {
		return err
	}
	copy(data, "modified")
	if err := expect(s, "k", 1, []byte("as saved")); err != nil {
		return fmt.Errorf("after the saved Data was modified: %w", err)
	}
	r, err := load(s, "k")
	if err != nil {
		return err
	}
	copy(r.Data, "modified")
	_ = append(r.Data[:0:cap(r.Data)], bytes.Repeat([]byte("x"), cap(r.Data))...)
	if err := expect(s, "k", 1, []byte("as saved")); err != nil {
		return fmt.Errorf("after the loaded Data was modified: %w", err)
	}
	return nil
}

func storeCancels(s baseline.Store) error {
	if err := save(s, baseline.Record{Key: "k", Data: []byte("old")}); err != nil {
		return err
	}
	cause := errors.New("the cause")
	cancelled, cancel := context.WithCancelCause(background)
	cancel(cause)
	expired, stop := context.WithTimeout(background, 0)
	defer stop()
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {expired, context.DeadlineExceeded}} {
		if _, err := s.Load(c.ctx, []string{"k"}); !errors.Is(err, c.want) && !errors.Is(err, cause) {
			return fmt.Errorf("load returned %v; want one that wraps %v", err, c.want)
		}
		err := s.Save(c.ctx, []baseline.Record{{Key: "k", Version: 1, Data: []byte("new")}})
		if !errors.Is(err, c.want) && !errors.Is(err, cause) {
			return fmt.Errorf("save returned %v; want one that wraps %v", err, c.want)
		}
		if expect(s, "k", 1, []byte("old")) != nil {
			if err := expect(s, "k", 2, []byte("new")); err != nil {
				return err
			}
			return nil // stored all the same: there is nothing more to try
		}
	}
	return nil
}

func storeSpares(s baseline.Store) error {
	keys := []string{"b", "a"}
	if _, err := s.Load(background, keys); err != nil {
		return err
	}
	if !slices.Equal(keys, []string{"b", "a"}) {
		return fmt.Errorf("load changed its keys to %q", keys)
	}
	records := []baseline.Record{{Key: "b", Data: []byte("2")}, {Key: "a", Data: []byte("1")}, {Key: "b", Data: []byte("3")}}
	if err := conflict(s.Save(background, records), "b"); err != nil {
		return fmt.Errorf("a key twice: %w", err)
	}
	for i, want := range []baseline.Record{{Key: "b", Data: []byte("2")}, {Key: "a", Data: []byte("1")}, {Key: "b", Data: []byte("3")}} {
		if r := records[i]; r.Key != want.Key || r.Version != 0 || !bytes.Equal(r.Data, want.Data) {
			return fmt.Errorf("save changed its record %d to %q, version %d, %s", i, r.Key, r.Version, show(r.Data))
		}
	}
	if err := errors.Join(expect(s, "a", 1, []byte("1")), expect(s, "b", 1, []byte("2"))); err != nil {
		return err
	}
	for _, empty := range [][]string{nil, {}} {
		if got, err := s.Load(background, empty); err != nil || len(got) != 0 {
			return fmt.Errorf("load of no keys returned %d records and %v", len(got), err)
		}
	}
	return errors.Join(save(s), s.Save(background, []baseline.Record{}))
}
