package kafkaengine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/kafkaengine"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// brokers starts a cluster of three in the process.
func brokers(t testing.TB) []kgo.Opt {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

func open(t testing.TB, options []kgo.Opt, c *kafkaengine.Config) *kafkaengine.Engine {
	t.Helper()
	e, err := kafkaengine.Open(t.Context(), newSet(t), options, c)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// newSet returns rules that report each address of a principal and of a bucket.
func newSet(t testing.TB) *detect.Set {
	info := detect.Info{
		Name: "address", Doc: "For tests.", Technique: "T1078", Tactic: detect.InitialAccess, Severity: detect.Low,
	}
	report := func(p *detect.Pass) { p.Report(p.Event.SourceAddress, "seen") }
	bucket := info
	bucket.Name, bucket.Scope = "reader", detect.ByBucket
	set, err := detect.NewSet([]detect.Detector{detect.New(info, report), detect.New(bucket, report)}, nil)
	require.NoError(t, err)
	return set
}

func TestQueue(t *testing.T) {
	e := open(t, brokers(t), &kafkaengine.Config{Partitions: 3, Lease: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, workertest.TestQueue(ctx, &workertest.Adapter{
		Queue: e, Partitions: e.Partitions(), Scopes: []string{"principal", "bucket"},
		Open: func(context.Context) (worker.Source, func(), error) {
			s, err := e.Source()
			if err != nil {
				return nil, nil, err
			}
			return s, s.Close, nil
		},
	}))
}

func TestOpenRefuses(t *testing.T) {
	options := brokers(t)
	open(t, options, &kafkaengine.Config{Partitions: 3})
	_, err := kafkaengine.Open(t.Context(), newSet(t), options, &kafkaengine.Config{Partitions: 4})
	assert.ErrorContains(t, err, "has 3 partitions, not 4")
	_, err = kafkaengine.Open(t.Context(), newSet(t), options, &kafkaengine.Config{Partitions: -1})
	assert.Error(t, err)
}

// A topic reads what a topic holds, until it is closed.
type topic struct {
	mu      sync.Mutex
	records []*kgo.Record
}

func read(t testing.TB, options []kgo.Opt, name string) *topic {
	client, err := kgo.NewClient(append(slices.Clone(options), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	tp, done := &topic{}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			tp.mu.Lock()
			tp.records = append(tp.records, fetches.Records()...)
			tp.mu.Unlock()
		}
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return tp
}

// keys returns the keys met, each once, sorted.
func (tp *topic) keys() []string {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	var keys []string
	for _, r := range tp.records {
		keys = append(keys, string(r.Key))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestReject(t *testing.T) {
	options := brokers(t)
	e := open(t, options, nil)
	require.NoError(t, e.Reject(t.Context(), []worker.Letter{{ID: "file#1", Error: "bad\nline", Data: []byte("{")}, {ID: "file#2"}}))
	dead := read(t, options, "cloudtell.dead")
	require.Eventually(t, func() bool { return len(dead.keys()) == 2 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, []string{"file#1", "file#2"}, dead.keys())
	assert.Equal(t, "{", string(dead.records[0].Value))
	assert.Equal(t, "bad\nline", string(dead.records[0].Headers[0].Value))
	assert.NotNil(t, dead.records[1].Value)
}

// Workers come and go while events keep coming, and nothing is missing in the
// end.
func TestWorkers(t *testing.T) {
	options := brokers(t)
	e := open(t, options, &kafkaengine.Config{Partitions: 4, Lease: time.Second})
	set, store := newSet(t), &baseline.Memory{}
	en, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	router, err := worker.NewRouter(set, e, e.Partitions(), nil)
	require.NoError(t, err)

	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		source, err := e.Source()
		require.NoError(t, err)
		w, err := worker.New(set, source, store, e, nil)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			assert.ErrorIs(t, w.Run(ctx), context.Canceled)
			source.Close()
		}()
		return func() { cancel(); <-done }
	}
	stop := run()
	var want []string
	for file := range 20 {
		var records []string
		var events []*event.Event
		for i := range 50 {
			r := eventtest.Record{
				Call: "s3:GetObject", By: eventtest.User(eventtest.Account, fmt.Sprint("user", i%23)),
				Request: map[string]any{"bucketName": fmt.Sprint("bucket", i%3), "key": "k"},
				From:    fmt.Sprintf("192.0.2.%d", file), At: eventtest.Start.Add(time.Duration(50*file+i) * time.Second), ID: fmt.Sprint(file, "-", i),
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
		if file == 5 || file == 10 {
			defer run()()
		}
		if file == 15 {
			stop()
		}
	}
	findings := read(t, options, "cloudtell.findings")
	require.Eventually(t, func() bool { return len(findings.keys()) >= len(want) }, 40*time.Second, 50*time.Millisecond)
	slices.Sort(want)
	assert.Equal(t, want, findings.keys())
}
