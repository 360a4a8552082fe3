package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func agent(e *event.Event) string { return e.UserAgent }

var agents = baseline.Distinct("agents", agent, 32, 24*time.Hour)

func info(name string) detect.Info {
	return detect.Info{
		Name: name, Doc: "For tests.", Technique: "T1580", Tactic: detect.Discovery, Severity: detect.Low, Quiet: 3 * time.Hour,
	}
}

// newSet returns rules of two scopes: about the number of agents that a
// principal has used, which depends on all that came before, and about each
// address that reads a bucket. The severity rises now and then.
func newSet(t testing.TB) *detect.Set {
	t.Helper()
	spread, reader := info("spread"), info("reader")
	spread.Uses = []baseline.Feature{agents}
	reader.Scope = detect.ByBucket
	set, err := detect.NewSet([]detect.Detector{
		detect.New(spread, func(p *detect.Pass) {
			switch n := agents.In(p).Count; {
			case n >= 9:
				p.ReportAt(detect.High, "many", strconv.Itoa(n)+" agents")
			case n >= 4:
				p.Report("many", strconv.Itoa(n)+" agents")
			}
		}),
		detect.New(reader, func(p *detect.Pass) { p.Report(p.Event.SourceAddress, "read from "+p.Event.SourceAddress) }),
	}, &detect.SetOptions{Suppressions: []detect.Suppression{
		{Rule: "reader", Subject: "192.0.2.1", Reason: "known", Expires: eventtest.Start.AddDate(1, 0, 0)},
	}})
	require.NoError(t, err)
	return set
}

// inputs returns the log of some principals and buckets: out of order within
// ten minutes, some records twice, some broken.
func inputs(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for i := range n {
		record := eventtest.Record{
			Call:    "s3:GetObject",
			By:      eventtest.User(eventtest.Account, fmt.Sprint("user", r.IntN(4))),
			At:      eventtest.Start.Add(time.Duration(i)*5*time.Minute - time.Duration(r.IntN(600))*time.Second),
			From:    fmt.Sprint("192.0.2.", r.IntN(6)),
			Agent:   fmt.Sprint("agent/", r.IntN(20)),
			Request: map[string]any{"bucketName": fmt.Sprint("bucket", r.IntN(3)), "key": "x"},
			ID:      fmt.Sprint("event-", i),
		}
		if i%5 == 0 { // of no bucket
			record.Call, record.Request = "ec2:DescribeInstances", nil
		}
		lines = append(lines, record.JSON())
		if i%20 == 7 {
			lines = append(lines, record.JSON())
		}
		if i%40 == 9 {
			lines = append(lines, `{"eventTime":"not a time"}`)
		}
	}
	return lines
}

// send routes the inputs to a queue.
func send(t testing.TB, set *detect.Set, q worker.Queue, partitions int, lines []string) {
	t.Helper()
	r, err := worker.NewRouter(set, q, partitions, nil)
	require.NoError(t, err)
	for i, line := range lines {
		require.NoError(t, r.Route(t.Context(), fmt.Sprint("line ", i), []byte(line)))
	}
}

// single returns the ids of what a single process finds, sorted: those that
// workers give their alerts.
func single(t testing.TB, set *detect.Set, lines []string) []string {
	t.Helper()
	en, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	var ids []string
	for _, line := range lines {
		e, err := event.Parse(line)
		if err != nil {
			continue
		}
		findings, err := en.Process(t.Context(), []*event.Event{e})
		require.NoError(t, err)
		for _, f := range findings {
			id := f.ID
			if f.Revision > 0 {
				id += "." + strconv.Itoa(f.Revision)
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// told returns the ids of the alerts, sorted, each once. Alerts of one id must
// be the same.
func told(alerts []worker.Alert) ([]string, error) {
	data := make(map[string]string)
	var ids []string
	for _, a := range alerts {
		was, again := data[a.ID]
		if again && was != string(a.Data) {
			return nil, fmt.Errorf("two alerts %s: %s and %s", a.ID, was, a.Data)
		}
		if !again {
			ids = append(ids, a.ID)
		}
		data[a.ID] = string(a.Data)
		var f detect.Finding
		if err := json.Unmarshal(a.Data, &f); err != nil {
			return nil, err
		}
		if a.ID != f.ID && a.ID != f.ID+"."+strconv.Itoa(f.Revision) {
			return nil, fmt.Errorf("alert %s has the finding %s", a.ID, f.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// profiles returns what is learnt about each key, without envelopes.
func profiles(t testing.TB, store *baseline.Memory) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for r := range store.All() {
		record, err := worker.OpenRecord(r.Data)
		require.NoError(t, err)
		m[r.Key] = string(record)
	}
	return m
}

// A step is a place in a worker's loop: before or after one of its calls has
// done its work.
type step struct {
	call  string
	after bool
}

func (s step) String() string {
	if s.after {
		return "after " + s.call
	}
	return "before " + s.call
}

var steps = []step{
	{"next", false}, {"next", true}, {"load", false}, {"load", true}, {"save", false}, {"save", true}, {"publish", false},
	{"publish", true}, {"reject", false}, {"reject", true}, {"ack", false}, {"ack", true},
}

// A tap sits between a worker and all that it works with. at is called at every
// step; an error it returns is what the call returns.
type tap struct {
	worker.Source
	baseline.Store
	worker.Sink
	at func(step) error
}

func (t *tap) around(call string, f func() error) error {
	if err := t.at(step{call, false}); err != nil {
		return err
	}
	err := f()
	if at := t.at(step{call, true}); at != nil {
		return at
	}
	return err
}

func (t *tap) Next(ctx context.Context) (m []worker.Message, err error) {
	err = t.around("next", func() error { m, err = t.Source.Next(ctx); return err })
	return m, err
}

func (t *tap) Ack(ctx context.Context, m []worker.Message) error {
	return t.around("ack", func() error { return t.Source.Ack(ctx, m) })
}

func (t *tap) Load(ctx context.Context, keys []string) (r []baseline.Record, err error) {
	err = t.around("load", func() error { r, err = t.Store.Load(ctx, keys); return err })
	return r, err
}

func (t *tap) Save(ctx context.Context, r []baseline.Record) error {
	return t.around("save", func() error { return t.Store.Save(ctx, r) })
}

func (t *tap) Publish(ctx context.Context, a []worker.Alert) error {
	return t.around("publish", func() error { return t.Sink.Publish(ctx, a) })
}

func (t *tap) Reject(ctx context.Context, l []worker.Letter) error {
	return t.around("reject", func() error { return t.Sink.Reject(ctx, l) })
}

// newTap returns a tap of a queue, to which at may be set.
func newTap(q *workertest.Memory, store baseline.Store, at func(step) error) *tap {
	return &tap{q.Source(7), store, q, at}
}

// run runs a new worker on a tap until the queue has no more.
func run(ctx context.Context, set *detect.Set, tp *tap, o *worker.Options) (*worker.Worker, error) {
	w, err := worker.New(set, tp, tp, tp, o)
	if err != nil {
		return nil, err
	}
	return w, w.Run(ctx)
}

func calm(step) error { return nil }

func findingOf(t testing.TB, a worker.Alert) (f detect.Finding) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.Data, &f))
	return f
}
