package natsengine_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/natsengine"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// connect starts a server on a port of its own and returns a connection to it.
func connect(t testing.TB) jetstream.JetStream {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, MaxPayload: 2 << 20,
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func open(t testing.TB, js jetstream.JetStream, c *natsengine.Config) *natsengine.Engine {
	t.Helper()
	e, err := natsengine.Open(t.Context(), js, c)
	require.NoError(t, err)
	return e
}

func TestStore(t *testing.T) {
	js, n := connect(t), 0
	baselinetest.Store(t, func() (baseline.Store, error) {
		n++
		e, err := natsengine.Open(context.Background(), js, &natsengine.Config{Name: fmt.Sprint("store", n), Partitions: 1})
		if err != nil {
			return nil, err
		}
		return e.Store(), nil
	})
}

// What an operator deletes from the bucket is a key never saved again, and what he
// puts there is damaged, to whoever reads it. Neither is in its neighbours' way.
func TestStoreInOtherHands(t *testing.T) {
	js := connect(t)
	e := open(t, js, &natsengine.Config{Partitions: 1})
	bucket, err := js.KeyValue(t.Context(), "cloudtell-records")
	require.NoError(t, err)
	keys := []string{"a", "b", "c", "d"}
	s := e.Store()
	for version := range uint64(2) {
		var records []baseline.Record
		for _, key := range keys {
			records = append(records, baseline.Record{Key: key, Version: version, Data: []byte("data")})
		}
		require.NoError(t, s.Save(t.Context(), records))
	}
	name := func(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
	require.NoError(t, bucket.Delete(t.Context(), name("a")))
	require.NoError(t, bucket.Purge(t.Context(), name("b")))
	_, err = bucket.Put(t.Context(), name("c"), []byte{0, 1})
	require.NoError(t, err)
	for _, s := range []baseline.Store{s, e.Store()} { // one that has seen them, and one that has not
		records, err := s.Load(t.Context(), keys)
		require.NoError(t, err)
		require.Equal(t, []baseline.Record{
			{Key: "a"}, {Key: "b"}, {Key: "c", Version: 1, Data: []byte{0, 1}}, {Key: "d", Version: 2, Data: []byte("data")},
		}, records)
	}
	var conflict *baseline.ConflictError
	require.ErrorAs(t, s.Save(t.Context(), []baseline.Record{{Key: "a", Version: 2}, {Key: "b", Version: 2}, {Key: "c", Version: 2}}), &conflict)
	require.Equal(t, []string{"a", "b", "c"}, conflict.Keys)
	require.NoError(t, s.Save(t.Context(), []baseline.Record{{Key: "a"}, {Key: "b"}, {Key: "c", Version: 1}}))
}

func TestQueue(t *testing.T) {
	e := open(t, connect(t), &natsengine.Config{Partitions: 3, Lease: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, workertest.TestQueue(ctx, &workertest.Adapter{
		Queue: e, Partitions: e.Partitions(), Scopes: []string{"principal", "bucket"},
		Open: func(ctx context.Context) (worker.Source, func(), error) {
			s, err := e.Source(ctx)
			if err != nil {
				return nil, nil, err
			}
			return s, s.Close, nil
		},
	}))
}

func TestOpenRefuses(t *testing.T) {
	js := connect(t)
	open(t, js, &natsengine.Config{Partitions: 3})
	_, err := natsengine.Open(t.Context(), js, &natsengine.Config{Partitions: 4})
	assert.ErrorContains(t, err, "stream cloudtell-events has 3 partitions, not 4")
	_, err = natsengine.Open(t.Context(), js, &natsengine.Config{Partitions: -1})
	assert.Error(t, err)
}

// contents returns what a stream holds.
func contents(t testing.TB, js jetstream.JetStream, stream string) (messages []*jetstream.RawStreamMsg) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		messages = append(messages, m)
	}
	return messages
}

// What is given twice is stored once, in whatever company it comes, and in the
// order of the first time.
func TestGivenTwice(t *testing.T) {
	js := connect(t)
	e := open(t, js, &natsengine.Config{Partitions: 1})
	alert := func(i int) worker.Alert { return worker.Alert{ID: fmt.Sprint("a", i), Data: fmt.Append(nil, i)} }
	for _, alerts := range [][]worker.Alert{{alert(1)}, {alert(1), alert(2), alert(3)}, {alert(2), alert(3)}, {alert(3), alert(4)}} {
		require.NoError(t, e.Publish(t.Context(), alerts))
	}
	var got []string
	for _, m := range contents(t, js, "cloudtell-findings") {
		got = append(got, string(m.Data))
	}
	assert.Equal(t, []string{"1", "2", "3", "4"}, got)

	letter := worker.Letter{ID: "file#1", Error: "bad\nline", Data: []byte("{")}
	require.NoError(t, e.Reject(t.Context(), []worker.Letter{letter, {ID: "file#2"}}))
	require.NoError(t, e.Reject(t.Context(), []worker.Letter{letter}))
	dead := contents(t, js, "cloudtell-dead")
	require.Len(t, dead, 2)
	assert.Equal(t, "{", string(dead[0].Data))
	assert.Equal(t, `"bad\nline"`, dead[0].Header.Get("Cloudtell-Error"))
}

// newSet returns a rule that reports each address of a principal.
func newSet(t testing.TB) *detect.Set {
	set, err := detect.NewSet([]detect.Detector{detect.New(detect.Info{
		Name: "address", Doc: "For tests.", Technique: "T1078", Tactic: detect.InitialAccess, Severity: detect.Low,
	}, func(p *detect.Pass) { p.Report(p.Event.SourceAddress, "seen") })}, nil)
	require.NoError(t, err)
	return set
}

// Workers share the partitions and take over from one that is gone, in the
// middle of it, and nothing is missing in the end.
func TestWorkers(t *testing.T) {
	js := connect(t)
	e := open(t, js, &natsengine.Config{Partitions: 4, Lease: time.Second})
	set := newSet(t)
	en, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	router, err := worker.NewRouter(set, e, e.Partitions(), nil)
	require.NoError(t, err)
	var want []string
	for file := range 20 {
		var records []string
		var events []*event.Event
		for i := range 50 {
			r := eventtest.Record{
				Call: "iam:ListUsers", By: eventtest.User(eventtest.Account, fmt.Sprint("user", i%23)),
				From: fmt.Sprintf("192.0.2.%d", file), At: eventtest.Start.Add(time.Duration(50*file+i) * time.Second), ID: fmt.Sprint(file, "-", i),
			}
			records = append(records, r.JSON())
			events = append(events, r.Event(t))
		}
		findings, err := en.Process(t.Context(), events)
		require.NoError(t, err)
		for _, f := range findings {
			want = append(want, f.ID)
		}
		require.NoError(t, router.Route(t.Context(), fmt.Sprint("file", file), []byte(`{"Records":[`+strings.Join(records, ",")+`]}`)))
	}

	run := func(ctx context.Context, first ...int) func() {
		ctx, cancel := context.WithCancel(ctx)
		source, err := e.Source(ctx, first...)
		require.NoError(t, err)
		w, err := worker.New(set, source, e.Store(), e, nil)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			assert.ErrorIs(t, w.Run(ctx), context.Canceled)
			source.Close()
		}()
		return func() { cancel(); <-done }
	}
	found := func() (ids []string) {
		for _, m := range contents(t, js, "cloudtell-findings") {
			ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
		}
		return ids
	}
	stop := run(t.Context())
	require.Eventually(t, func() bool { return len(found()) > 0 }, 20*time.Second, 5*time.Millisecond)
	stop()
	stop = run(t.Context(), 0, 1)
	defer stop()
	stopOther := run(t.Context(), 2, 3)
	defer stopOther()
	require.Eventually(t, func() bool { return len(found()) >= len(want) }, 30*time.Second, 50*time.Millisecond)
	got := found()
	slices.Sort(got)
	slices.Sort(want)
	assert.Equal(t, want, got)
}
