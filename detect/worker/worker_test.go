package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func TestMemoryKeepsTheContracts(t *testing.T) {
	m := workertest.NewMemory(3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, workertest.TestQueue(ctx, &workertest.Adapter{
		Queue: m, Partitions: 3, Scopes: []string{"principal", "bucket"},
		Open: func(context.Context) (worker.Source, func(), error) { return m.Source(7), func() {}, nil },
	}))
}

func TestNewRefuses(t *testing.T) {
	set, m, store := newSet(t), workertest.NewMemory(1), &baseline.Memory{}
	_, err := worker.New(nil, m.Source(1), store, m, nil)
	assert.Error(t, err)
	_, err = worker.New(set, m.Source(1), store, m, &worker.Options{Cache: -1})
	assert.Error(t, err)
	_, err = worker.NewRouter(set, m, 0, nil)
	assert.Error(t, err)
}

// put sends records to a queue of one partition.
func put(t testing.TB, set *detect.Set, q worker.Queue, records ...eventtest.Record) {
	t.Helper()
	var lines []string
	for _, r := range records {
		lines = append(lines, r.JSON())
	}
	send(t, set, q, 1, lines)
}

func drain(t testing.TB, set *detect.Set, m *workertest.Memory, store baseline.Store, o *worker.Options) worker.Stats {
	t.Helper()
	w, err := run(t.Context(), set, newTap(m, store, calm), o)
	require.NoError(t, err)
	return w.Stats()
}

// One unreadable record costs the events of its key, which go where somebody
// finds them, and nobody else's.
func TestCorruptRecord(t *testing.T) {
	set, m, store := newSet(t), workertest.NewMemory(1), &baseline.Memory{}
	require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: "principal/arn:aws:iam::111122223333:user/alice", Data: []byte("rubbish")}}))
	put(t, set, m, eventtest.Record{Call: "iam:ListUsers"}, eventtest.Record{Call: "iam:ListUsers", By: eventtest.User(eventtest.Account, "bob")})
	s := drain(t, set, m, store, nil)
	assert.Equal(t, []int64{2, 1, 1}, []int64{s.Events, s.Applied, s.Rejected})
	letters := m.Letters()
	require.Len(t, letters, 1)
	assert.Contains(t, letters[0].Error, `message memory/0@0: record of "principal/arn:aws:iam::111122223333:user/alice"`)
	assert.Contains(t, string(letters[0].Data), "alice")
}

// A record of a newer program is left alone: the worker stops.
func TestNewerRecord(t *testing.T) {
	for name, data := range map[string]string{"envelope": "cw\x63and so on", "profile": "ct\x63and so on"} {
		set, m, store := newSet(t), workertest.NewMemory(1), &baseline.Memory{}
		require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: "principal/arn:aws:iam::111122223333:user/alice", Data: []byte(data)}}))
		put(t, set, m, eventtest.Record{Call: "iam:ListUsers"})
		_, err := run(t.Context(), set, newTap(m, store, calm), nil)
		assert.ErrorIs(t, err, baseline.ErrVersion, name)
		assert.Empty(t, m.Letters(), name)
	}
}

// A rule that panics is told of, and the others go on.
func TestPanic(t *testing.T) {
	set, err := detect.NewSet([]detect.Detector{
		detect.New(info("broken"), func(p *detect.Pass) { panic("index out of range") }),
		detect.New(info("sound"), func(p *detect.Pass) { p.Report("", "found") }),
	}, nil)
	require.NoError(t, err)
	m := workertest.NewMemory(1)
	put(t, set, m, eventtest.Record{Call: "iam:ListUsers"})
	s := drain(t, set, m, &baseline.Memory{}, nil)
	assert.Equal(t, int64(1), s.Panics)
	assert.Equal(t, int64(1), s.Applied)
	assert.Len(t, m.Alerts(), 1)
	require.Len(t, m.Letters(), 1)
	assert.Contains(t, m.Letters()[0].Error, `rule "broken" panicked`)
}

// An event whose key a scope cannot tell is told of, by the router and by a worker
// with another set, and goes to the other scopes.
func TestPanickingScope(t *testing.T) {
	oops := &detect.Scope{Name: "oops", Key: func(*event.Event) string { return "key" }}
	broken := info("broken")
	broken.Scope = oops
	set, err := detect.NewSet([]detect.Detector{
		detect.New(broken, func(p *detect.Pass) { p.Report("", "found") }),
		detect.New(info("sound"), func(p *detect.Pass) { p.Report("", "found") }),
	}, nil)
	require.NoError(t, err)
	m := workertest.NewMemory(1)
	put(t, set, m, eventtest.Record{Call: "iam:ListUsers"})
	oops.Key = func(*event.Event) string { panic("index out of range") }
	s := drain(t, set, m, &baseline.Memory{}, nil)
	assert.Equal(t, int64(1), s.Rejected)
	assert.Equal(t, int64(1), s.Applied)
	assert.Len(t, m.Alerts(), 1)
	require.Len(t, m.Letters(), 1)
	assert.Contains(t, m.Letters()[0].Error, `scope "oops" panicked`)

	r, err := worker.NewRouter(set, m, 1, nil)
	require.NoError(t, err)
	record := eventtest.Record{Call: "iam:ListUsers", ID: "another"}.JSON()
	require.NoError(t, r.Route(t.Context(), "a", []byte(record)))
	assert.Equal(t, worker.RouterStats{Events: 1, Messages: 1, Rejected: 1}, r.Stats())
	require.Len(t, m.Letters(), 2)
	assert.Contains(t, m.Letters()[1].Error, `scope "oops" panicked`)
	assert.JSONEq(t, record, string(m.Letters()[1].Data))
}

// However much a batch finds, a record does not outgrow its bound: it is saved
// in several steps.
func TestOutboxIsBounded(t *testing.T) {
	loud := info("loud")
	loud.Quiet = time.Second
	long := strings.Repeat("x", 30<<10)
	set, err := detect.NewSet([]detect.Detector{detect.New(loud, func(p *detect.Pass) { p.Report("", long) })}, nil)
	require.NoError(t, err)
	m, store := workertest.NewMemory(1), &sizes{}
	var records []eventtest.Record
	for i := range 30 {
		records = append(records, eventtest.Record{Call: "iam:ListUsers", At: eventtest.Start.Add(time.Duration(i) * time.Minute)})
	}
	put(t, set, m, records...)
	w, err := worker.New(set, m.Source(100), store, m, nil)
	require.NoError(t, err)
	require.NoError(t, w.Run(t.Context()))
	assert.Len(t, m.Alerts(), 30)
	assert.LessOrEqual(t, store.largest, worker.MaxOutbox+set.MaxBytes(detect.ByPrincipal)+100)
	assert.Greater(t, store.largest, worker.MaxOutbox/2)
}

// sizes remembers the size of the largest record saved.
type sizes struct {
	baseline.Memory
	largest int
}

func (s *sizes) Save(ctx context.Context, records []baseline.Record) error {
	for _, r := range records {
		s.largest = max(s.largest, len(r.Data))
	}
	return s.Memory.Save(ctx, records)
}

// Workers go on from what an engine has learnt.
func TestAfterAnEngine(t *testing.T) {
	set, store, lines := newSet(t), &baseline.Memory{}, inputs(100)
	en, err := detect.NewEngine(set, store, nil)
	require.NoError(t, err)
	for _, line := range lines[:60] {
		if e, err := event.Parse(line); err == nil {
			_, err = en.Process(t.Context(), []*event.Event{e})
			require.NoError(t, err)
		}
	}
	require.NoError(t, en.Flush(t.Context()))
	m := workertest.NewMemory(1)
	send(t, set, m, 1, lines[60:])
	drain(t, set, m, store, nil)
	got, err := told(m.Alerts())
	require.NoError(t, err)
	assert.NotEmpty(t, got)
	assert.Subset(t, single(t, set, lines), got)
	want, _ := undisturbed(t)
	assert.Equal(t, want.profiles, profiles(t, store))
}

// A verdict reaches a running worker that holds the record in its cache.
func TestJudge(t *testing.T) {
	novel := info("novel")
	first := baseline.FirstSeen("agent", agent, nil)
	novel.Uses, novel.Quiet = []baseline.Feature{first}, time.Minute
	set, err := detect.NewSet([]detect.Detector{detect.New(novel, func(p *detect.Pass) {
		if first.In(p).New {
			p.Report(p.Event.UserAgent, "new")
		}
	})}, nil)
	require.NoError(t, err)
	m, store := workertest.NewMemory(1), &baseline.Memory{}
	day := func(d int, agent string) eventtest.Record {
		return eventtest.Record{Call: "iam:ListUsers", At: eventtest.Start.AddDate(0, 0, d), Agent: agent}
	}
	w, err := worker.New(set, &endless{m: m}, store, m, nil)
	require.NoError(t, err)
	more := func(records ...eventtest.Record) []worker.Alert {
		before := len(m.Alerts())
		put(t, set, m, records...)
		require.ErrorIs(t, w.Run(t.Context()), errDry)
		return m.Alerts()[before:]
	}
	for d := range 20 {
		more(day(d, "a"))
	}
	alerts := more(day(21, "b"))
	require.Len(t, alerts, 1)
	f := findingOf(t, alerts[0])
	require.NoError(t, worker.Judge(t.Context(), set, store, &f, baseline.Benign))
	assert.Empty(t, more(day(22, "b")))
	assert.Equal(t, int64(1), w.Stats().Conflicts)

	f.Unusual = nil
	assert.ErrorIs(t, worker.Judge(t.Context(), set, store, &f, baseline.Benign), baseline.ErrVerdict)
}

var errDry = errors.New("nothing there now")

// endless is a source that goes on when there is more.
type endless struct {
	m *workertest.Memory
	worker.Source
}

func (e *endless) Next(ctx context.Context) ([]worker.Message, error) {
	e.Source = e.m.Source(7)
	messages, err := e.Source.Next(ctx)
	if err != nil {
		err = errDry
	}
	return messages, err
}

func TestRouter(t *testing.T) {
	set, m := newSet(t), workertest.NewMemory(4)
	r, err := worker.NewRouter(set, m, 4, nil)
	require.NoError(t, err)
	read := eventtest.Record{Call: "s3:GetObject", Request: map[string]any{"bucketName": "b", "key": "k"}}
	config := eventtest.Record{Call: "ec2:DescribeInstances", By: eventtest.Service("config.amazonaws.com")}
	input := fmt.Sprintf(`{"Records":[%s,{"eventTime":7},%s]}`, read.JSON(), config.JSON())
	require.NoError(t, r.Route(t.Context(), "trail.json", []byte(input)))
	assert.Equal(t, worker.RouterStats{Events: 2, Passed: 1, Messages: 2, Rejected: 1}, r.Stats())
	messages, err := m.Source(10).Next(t.Context())
	require.NoError(t, err)
	require.Len(t, messages, 2)
	for _, got := range messages {
		assert.Contains(t, []string{"principal", "bucket"}, got.Scope)
		assert.Equal(t, read.JSON(), string(got.Data))
	}
	require.Len(t, m.Letters(), 1)
	assert.Equal(t, "trail.json#1", m.Letters()[0].ID)
	assert.Contains(t, m.Letters()[0].Error, "trail.json: event: record 1 at offset ")
	assert.Equal(t, input, string(m.Letters()[0].Data))
}

// A record from the future is refused where it comes in.
func TestRouterNotAfter(t *testing.T) {
	set, m := newSet(t), workertest.NewMemory(1)
	now := eventtest.Start
	r, err := worker.NewRouter(set, m, 1, &worker.RouterOptions{NotAfter: func() time.Time { return now.Add(time.Hour) }})
	require.NoError(t, err)
	input := []byte(eventtest.Record{Call: "iam:ListUsers"}.JSON() + eventtest.Record{Call: "iam:ListUsers", At: now.Add(2 * time.Hour)}.JSON())
	require.NoError(t, r.Route(t.Context(), "now", input))
	assert.Equal(t, worker.RouterStats{Events: 1, Messages: 1, Rejected: 1}, r.Stats())
	require.Len(t, m.Letters(), 1)
	assert.Contains(t, m.Letters()[0].Error, "input now: event: record 1")
	assert.Contains(t, m.Letters()[0].Error, event.ErrTime.Error())
	now = now.Add(time.Hour)
	require.NoError(t, r.Route(t.Context(), "later", input))
	assert.Equal(t, int64(3), r.Stats().Messages)
}

// However many records of an input cannot be read, and whoever meets them, it is
// written down once.
func TestLettersShareTheInput(t *testing.T) {
	set, m := newSet(t), workertest.NewMemory(1)
	sound := eventtest.Record{Call: "iam:ListUsers"}.JSON()
	input := []byte(strings.Repeat(`{"eventTime":7}`, 100) + sound + sound)
	r, err := worker.NewRouter(set, m, 1, nil)
	require.NoError(t, err)
	require.NoError(t, r.Route(t.Context(), "x", input))
	assert.Equal(t, int64(100), r.Stats().Rejected)
	before := m.Letters()
	require.Len(t, before, 100)
	assert.Equal(t, input, before[0].Data)
	for _, l := range before[1:] {
		assert.Nil(t, l.Data)
	}

	m, store := workertest.NewMemory(1), &baseline.Memory{}
	require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: "principal/arn:aws:iam::111122223333:user/alice", Data: []byte("rubbish")}}))
	require.NoError(t, m.Send(t.Context(), []worker.Routed{{Scope: "principal", Data: input}}))
	s := drain(t, set, m, store, nil)
	assert.Equal(t, int64(102), s.Rejected)
	written := make(map[string]int)
	for _, l := range m.Letters() {
		written[l.ID] += len(l.Data)
	}
	assert.Len(t, written, 101)
	assert.Equal(t, len(input), written["memory/0@0#0"])
	assert.Zero(t, written["memory/0@0#1"])
	assert.Equal(t, len(input), written["memory/0@0"], "of the two of the damaged record")
}

// A batch tells of a finding's revisions those that matter, as an engine does.
func TestUpdates(t *testing.T) {
	set := newSet(t)
	var records []eventtest.Record
	var events []*event.Event
	for i := range 12 {
		records = append(records, eventtest.Record{Call: "iam:ListUsers", At: eventtest.Start.Add(time.Duration(i) * time.Minute), Agent: fmt.Sprint("agent/", i)})
		e, err := event.Parse(records[i].JSON())
		require.NoError(t, err)
		events = append(events, e)
	}
	for _, updates := range []bool{false, true} {
		en, err := detect.NewEngine(set, nil, &detect.EngineOptions{Updates: updates})
		require.NoError(t, err)
		findings, err := en.Process(t.Context(), events)
		require.NoError(t, err)
		var want []int
		for _, f := range findings {
			want = append(want, f.Revision)
		}

		m := workertest.NewMemory(1)
		put(t, set, m, records...)
		w, err := worker.New(set, m.Source(100), &baseline.Memory{}, m, &worker.Options{Updates: updates})
		require.NoError(t, err)
		require.NoError(t, w.Run(t.Context()))
		var got []int
		for _, a := range m.Alerts() {
			got = append(got, findingOf(t, a).Revision)
		}
		assert.Equal(t, want, got)
		assert.Equal(t, map[bool][]int{false: {0, 5}, true: {0, 5, 8}}[updates], got, "the first, the one that raises it, the last")
	}
}

// A line of an access log goes the same way.
func TestAccessLog(t *testing.T) {
	set, m := newSet(t), workertest.NewMemory(1)
	send(t, set, m, 1, []string{`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be bucket1 [06/Jan/2026:00:00:38 +0000] 192.0.2.3 ` +
		`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be 3E57427F3EXAMPLE REST.GET.OBJECT key "GET /bucket1/key HTTP/1.1" 200 - 113 113 7 6 "-" "aws-cli/2" -`})
	s := drain(t, set, m, &baseline.Memory{}, nil)
	assert.Equal(t, []int64{2, 2}, []int64{s.Events, s.Applied}, "one for the principal, one for the bucket")
	assert.Len(t, m.Alerts(), 1)
}

// The partition of a key is the same in every process and version.
func TestPartition(t *testing.T) {
	assert.Equal(t, []int{1, 5, 3}, []int{
		worker.Partition("principal", "arn:aws:iam::111122223333:user/alice", 8),
		worker.Partition("bucket", "b", 8), worker.Partition("bucket", "c", 8),
	})
}

// However long the texts in a record are, what is made of it can be sent.
func TestLongTexts(t *testing.T) {
	long := info("long")
	set, err := detect.NewSet([]detect.Detector{detect.New(long, func(p *detect.Pass) { p.Report(p.Event.UserAgent, p.Event.UserAgent) })}, nil)
	require.NoError(t, err)
	m := workertest.NewMemory(1)
	text := strings.Repeat("é", 60<<10)
	put(t, set, m,
		eventtest.Record{Call: "iam:ListUsers", Agent: text, ID: "a" + text},
		eventtest.Record{Call: "iam:ListUsers", Agent: text, Request: map[string]any{"x": strings.Repeat("y", 600<<10)}})
	var sent []worker.Routed
	r, err := worker.NewRouter(set, &recording{m, &sent}, 1, nil)
	require.NoError(t, err)
	for _, end := range []string{"b", "c"} {
		require.NoError(t, r.Route(t.Context(), "x", []byte(eventtest.Record{Call: "iam:ListUsers", ID: text + end}.JSON())))
	}
	assert.NotEqual(t, sent[0].ID, sent[1].ID)
	assert.Less(t, len(sent[0].ID), 2<<10)

	drain(t, set, m, &baseline.Memory{}, nil)
	alerts := m.Alerts()
	require.Len(t, alerts, 2)
	assert.Less(t, len(alerts[0].Data), 16<<10)
	f := findingOf(t, alerts[0])
	assert.Equal(t, alerts[0].ID, f.ID)
	assert.Len(t, f.EventIDs, 1)
	require.Len(t, m.Letters(), 1)
	assert.Contains(t, m.Letters()[0].Error, event.ErrTooLarge.Error())
	assert.Nil(t, m.Letters()[0].Data)
}

// recording remembers what was sent.
type recording struct {
	worker.Queue
	sent *[]worker.Routed
}

func (r *recording) Send(ctx context.Context, messages []worker.Routed) error {
	*r.sent = append(*r.sent, messages...)
	return r.Queue.Send(ctx, messages)
}
