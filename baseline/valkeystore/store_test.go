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
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
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

var agents = baseline.FirstSeen("agent", func(e *event.Event) string { return e.UserAgent }, nil)

// newEngine returns an engine whose profiles remember user agents.
func newEngine(t *testing.T, store baseline.Store) *detect.Engine {
	t.Helper()
	info := detect.Info{
		Name: "agents", Doc: "Remembers.", Technique: "T1078", Tactic: detect.InitialAccess,
		Severity: detect.Low, Uses: []baseline.Feature{agents},
	}
	set, err := detect.NewSet([]detect.Detector{detect.New(info, func(*detect.Pass) {})}, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, store, &detect.EngineOptions{Shards: 2})
	require.NoError(t, err)
	return engine
}

// calls returns one call of each of many users, in an hour.
func calls(t *testing.T, hour int) []*event.Event {
	var events []*event.Event
	for i := range 500 {
		events = append(events, eventtest.Record{
			Call: "sts:GetCallerIdentity", By: eventtest.User(eventtest.Account, fmt.Sprint("user-", i)),
			At: eventtest.Start.Add(time.Duration(hour) * time.Hour), Agent: fmt.Sprint("agent-", hour),
		}.Event(t))
	}
	return events
}

// When the server is full or gone, Flush says so, the engine keeps what it has
// learnt, and a later Flush stores it.
func TestOutage(t *testing.T) {
	ctx := context.Background()
	s := start(t, "--appendonly", "yes", "--appendfsync", "always")
	store := s.open(valkeystore.Options{})
	engine := newEngine(t, store)
	memory := &baseline.Memory{}
	reference := newEngine(t, memory)
	learn := func(hour int) {
		require.NoError(t, engine.Warm(ctx, calls(t, hour)))
		require.NoError(t, reference.Warm(ctx, calls(t, hour)))
	}

	learn(0)
	require.NoError(t, engine.Flush(ctx))
	learn(1)
	s.do("CONFIG", "SET", "maxmemory", "1mb")
	require.ErrorContains(t, engine.Flush(ctx), "OOM")
	learn(2)
	s.do("CONFIG", "SET", "maxmemory", "0")
	require.NoError(t, engine.Flush(ctx))
	learn(3)
	s.kill()
	require.Error(t, engine.Flush(ctx))
	learn(4)
	require.Error(t, engine.Flush(ctx))
	s.start()
	require.NoError(t, engine.Flush(ctx))

	require.NoError(t, reference.Flush(ctx))
	assert.Equal(t, 500, memory.Len())
	for want := range memory.All() {
		got, err := store.Load(ctx, []string{want.Key})
		require.NoError(t, err)
		require.Equal(t, want.Data, got[0].Data, want.Key)
	}
}
