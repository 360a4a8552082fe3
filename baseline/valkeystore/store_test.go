package valkeystore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/baseline/valkeystore"
	"github.com/cloudtell/cloudtell/detect/detecttest"
)

func TestStore(t *testing.T) {
	s := start(t)
	baselinetest.Store(t, func() (baseline.Store, error) { return s.open(valkeystore.Options{}), nil })
}

// A cluster refuses commands on keys of different slots.
func TestCluster(t *testing.T) {
	s := start(t, "--cluster-enabled", "yes")
	s.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	require.Eventually(t, func() bool { return strings.Contains(s.do("CLUSTER", "INFO"), "cluster_state:ok") },
		20*time.Second, 20*time.Millisecond)
	baselinetest.Store(t, func() (baseline.Store, error) { return s.open(valkeystore.Options{}), nil })
}

func TestKilled(t *testing.T) {
	baselinetest.Killed(t,
		func() string { return start(t).address },
		func(address string) (baseline.Store, error) {
			return valkeystore.Open(context.Background(), valkey.ClientOption{InitAddress: []string{address}}, nil)
		})
}

// With appendfsync always, what was saved outlives a kill of the server in the
// middle of a batch.
func TestServerKilled(t *testing.T) {
	ctx := t.Context()
	s := start(t, "--appendonly", "yes", "--appendfsync", "always")
	store := s.open(valkeystore.Options{})
	data := func(key string, version uint64) []byte {
		return []byte(strings.Repeat(fmt.Sprintf("%s %d ", key, version), 200))
	}
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
	}
	var saved uint64
	for range 3 {
		killed := make(chan struct{})
		time.AfterFunc(30*time.Millisecond, func() { s.kill(); close(killed) })
		for err := error(nil); err == nil; {
			var records []baseline.Record
			for _, key := range keys {
				records = append(records, baseline.Record{Key: key, Version: saved, Data: data(key, saved+1)})
			}
			if err = store.Save(ctx, records); err == nil {
				saved++
			}
		}
		<-killed
		s.start()
		records, err := store.Load(ctx, keys)
		require.NoError(t, err, "the store connects again")
		for _, r := range records {
			require.True(t, r.Version == saved || r.Version == saved+1, "%d after %d saves", r.Version, saved)
			if r.Version > 0 {
				require.Equal(t, data(r.Key, r.Version), r.Data)
			}
			if r.Version == saved { // the next round begins with all alike
				r.Data = data(r.Key, saved+1)
				require.NoError(t, store.Save(ctx, []baseline.Record{r}))
			}
		}
		saved++
	}
}

// Two processes: the one whose version is stale is refused.
func TestTwoWriters(t *testing.T) {
	ctx, s := t.Context(), start(t)
	a, b := s.open(valkeystore.Options{Prefix: "shared:"}), s.open(valkeystore.Options{Prefix: "shared:"})
	require.NoError(t, a.Save(ctx, []baseline.Record{{Key: "k", Data: []byte("1")}}))
	stale, err := b.Load(ctx, []string{"k"})
	require.NoError(t, err)
	require.NoError(t, a.Save(ctx, []baseline.Record{{Key: "k", Version: 1, Data: []byte("2")}}))
	var conflict *baseline.ConflictError
	require.ErrorAs(t, b.Save(ctx, stale), &conflict)
	assert.Equal(t, []string{"k"}, conflict.Keys)

	other := s.open(valkeystore.Options{Prefix: "apart:"})
	records, err := other.Load(ctx, []string{"k"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "k"}}, records)
}

func TestTTL(t *testing.T) {
	ctx, s := t.Context(), start(t)
	store := s.open(valkeystore.Options{Prefix: "p:", TTL: time.Hour})
	lasting := s.open(valkeystore.Options{Prefix: "q:"})
	for _, store := range []baseline.Store{store, lasting} {
		require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k"}}))
		require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k", Version: 1}}))
	}
	client, err := valkey.NewClient(s.options())
	require.NoError(t, err)
	defer client.Close()
	left := func(key string) int64 {
		n, err := client.Do(ctx, client.B().Pttl().Key(key).Build()).AsInt64()
		require.NoError(t, err)
		return n
	}
	assert.InDelta(t, time.Hour.Milliseconds(), left("p:record:k"), 60_000)
	assert.Equal(t, int64(-1), left("q:record:k"), "for ever")
	assert.Equal(t, int64(-1), left("p:schema"))

	brief := s.open(valkeystore.Options{TTL: time.Millisecond})
	require.NoError(t, brief.Save(ctx, []baseline.Record{{Key: "k"}}))
	require.Eventually(t, func() bool {
		records, err := brief.Load(ctx, []string{"k"})
		return err == nil && records[0].Version == 0
	}, 10*time.Second, 5*time.Millisecond)
	for _, ttl := range []time.Duration{-time.Second, time.Microsecond} {
		_, err := valkeystore.Open(ctx, s.options(), &valkeystore.Options{TTL: ttl})
		require.ErrorContains(t, err, "time to live")
	}
}

func TestOpenErrors(t *testing.T) {
	ctx, s := t.Context(), start(t)
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "allkeys-random"} {
		s.do("CONFIG", "SET", "maxmemory-policy", policy)
		_, err := valkeystore.Open(ctx, s.options(), nil)
		require.ErrorIs(t, err, valkeystore.ErrEviction)
		require.ErrorContains(t, err, s.address+`: maxmemory-policy is "`+policy+`", must be noeviction`)
	}
	s.do("CONFIG", "SET", "maxmemory-policy", "noeviction")

	s.do("SET", "cloudtell:schema", "2")
	_, err := valkeystore.Open(ctx, s.options(), nil)
	require.ErrorIs(t, err, baseline.ErrVersion)
	require.ErrorContains(t, err, `cloudtell:schema is "2", this code reads "1"`)

	s.kill()
	_, err = valkeystore.Open(ctx, s.options(), nil)
	require.ErrorContains(t, err, "valkeystore: open: ")
}

// What somebody else wrote is handed on, or an error if it is no text; its
// neighbours can be had.
func TestForeignValues(t *testing.T) {
	ctx, s := t.Context(), start(t)
	store := s.open(valkeystore.Options{Prefix: "p:"})
	require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "a", Data: []byte("1")}}))
	s.do("SET", "p:record:b", "short")
	records, err := store.Load(ctx, []string{"a", "b"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "a", Version: 1, Data: []byte("1")}, {Key: "b", Data: []byte("short")}}, records)

	s.do("LPUSH", "p:record:c", "a list")
	_, err = store.Load(ctx, []string{"a", "c"})
	require.ErrorContains(t, err, `valkeystore: load 2 records: "c": WRONGTYPE`)
	err = store.Save(ctx, []baseline.Record{{Key: "c"}, {Key: "a", Version: 7}, {Key: "d"}})
	require.ErrorContains(t, err, `valkeystore: save 3 records: "c": WRONGTYPE`)
	records, err = store.Load(ctx, []string{"d"})
	require.NoError(t, err)
	assert.Equal(t, uint64(1), records[0].Version, "its neighbour is stored")
}

// A call ends with its context, even if the server does not answer.
func TestSilentServer(t *testing.T) {
	s := start(t)
	store := s.open(valkeystore.Options{})
	s.do("CLIENT", "PAUSE", "60000")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := store.Load(ctx, []string{"k"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	require.ErrorIs(t, store.Save(ctx, []baseline.Record{{Key: "k"}}), context.Canceled)
}

// An engine outlives a server that is full or gone.
func TestOutage(t *testing.T) {
	s := start(t, "--appendonly", "yes", "--appendfsync", "always")
	for _, o := range []detecttest.Outage{
		{Begin: func() { s.do("CONFIG", "SET", "maxmemory", "1mb") }, End: func() { s.do("CONFIG", "SET", "maxmemory", "0") }, Error: "OOM"},
		{Begin: s.kill, End: s.start, Error: "refused"},
	} {
		require.NoError(t, detecttest.TestOutage(s.open(valkeystore.Options{}), o))
	}
}
