package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/customstore"
	"github.com/cloudtell/cloudtell/techniques"
)

var _ lambda.Handler = (*handler)(nil)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// quarantined is a record that is a finding without any learning.
func quarantined(id, user string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":"2026-01-21T03:12:44Z","eventSource":"iam.amazonaws.com",
		"eventName":"AttachUserPolicy","awsRegion":"us-east-1","recipientAccountId":"111122223333","sourceIPAddress":"AWS Internal",
		"userAgent":"AWS Internal","userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":%q,"policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}`, id, user)
}

func zipped(t *testing.T, text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func quote(t *testing.T, text string) string {
	b, err := json.Marshal(text)
	require.NoError(t, err)
	return string(b)
}

// newTest returns a handler whose findings' subjects are collected, and whose
// objects are served by a server of this process: bucket "logs", by key.
func newTest(t *testing.T, store baseline.Store, objects map[string][]byte) (*handler, *[]string) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := strings.CutPrefix(r.URL.Path, "/logs/")
		data, found := objects[key]
		if v := r.URL.Query().Get("versionId"); !ok || !found || v != "" && v != "v1" {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `<Error><Code>NoSuchKey</Code></Error>`)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(web.Close)
	detectors, err := techniques.All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	subjects := new([]string)
	return &handler{
		set: set, store: store,
		objects: s3.New(s3.Options{
			BaseEndpoint: aws.String(web.URL), UsePathStyle: true, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
			Retryer:     aws.NopRetryer{},
		}),
		deliver: func(_ context.Context, findings []detect.Finding) error {
			for _, f := range findings {
				*subjects = append(*subjects, f.Subject)
			}
			return nil
		},
	}, subjects
}

// TestPayloads invokes the function with what AWS sends.
func TestPayloads(t *testing.T) {
	alice, bob := quarantined("e1", "alice"), quarantined("e2", "bob")
	const folder = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/21/"
	objects := map[string][]byte{
		folder + "a b+c.json.gz": zipped(t, `{"Records":[`+alice+`]}`),
		folder + "d.json.gz":     zipped(t, `{"Records":[`+bob+`]}`),
	}
	s3Record := func(key string) string {
		return `{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-01-21T03:15:00.000Z","eventName":"ObjectCreated:Put",
			"s3":{"s3SchemaVersion":"1.0","bucket":{"name":"logs"},"object":{"key":` + quote(t, folder+key) + `,"size":1,"versionId":"v1"}}}`
	}
	s3Event := `{"Records":[` + s3Record("a+b%2Bc.json.gz") + `,` + s3Record("d.json.gz") + `]}`
	cloudwatch := base64.StdEncoding.EncodeToString(zipped(t, `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"trail","logStream":"s",
		"subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1,"message":`+quote(t, alice)+`}]}`))
	sqs := func(bodies ...string) string {
		var records []string
		for _, b := range bodies {
			records = append(records, `{"messageId":"m","eventSource":"aws:sqs","body":`+quote(t, b)+`}`)
		}
		return `{"Records":[` + strings.Join(records, ",") + `]}`
	}
	trailEvent := `{"s3Bucket":"logs","s3ObjectKey":[` + quote(t, folder+"a b+c.json.gz") + `,` + quote(t, folder+"d.json.gz") + `]}`
	snsEvent := func(message string) string {
		return `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":` + quote(t, message) + `}}]}`
	}
	sns := `{"Type":"Notification","MessageId":"m","TopicArn":"t","Message":` + quote(t, s3Event) + `}`
	tests := []struct {
		name, payload string
		result        string
		subjects      []string
	}{
		{"EventBridge", `{"version":"0","id":"i","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":` + alice + `}`,
			`{"records":1,"unread":0,"rejected":0,"findings":1}`, []string{"alice"}},
		{"CloudWatch Logs", `{"awslogs":{"data":"` + cloudwatch + `"}}`, `{"records":1,"unread":0,"rejected":0,"findings":1}`, []string{"alice"}},
		{"S3", s3Event, `{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"S3, EventBridge", `{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"logs"},
			"object":{"key":` + quote(t, folder+"a b+c.json.gz") + `,"version-id":"v1"}}}`, `{"records":1,"unread":0,"rejected":0,"findings":1}`, []string{"alice"}},
		{"S3, SNS", snsEvent(s3Event), `{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"S3, SNS, SQS", sqs(sns), `{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"CloudTrail's own", trailEvent, `{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"CloudTrail's own, SNS", snsEvent(trailEvent), `{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"CloudTrail's own, SNS, SQS", sqs(`{"Type":"Notification","MessageId":"m","TopicArn":"t","Message":` + quote(t, trailEvent) + `}`),
			`{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"alice", "bob"}},
		{"CloudTrail's first", snsEvent("CloudTrail validation message."), `{"records":0,"unread":0,"rejected":0,"findings":0}`, nil},
		{"SQS of this and that", sqs(bob, `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs"}`, `{"Records":[`+s3Record("a+b%2Bc.json.gz")+`]}`),
			`{"records":2,"unread":0,"rejected":0,"findings":2}`, []string{"bob", "alice"}},
		{"a digest", strings.ReplaceAll(`{"Records":[`+s3Record("d.json.gz")+`]}`, "/CloudTrail/", "/CloudTrail-Digest/"), `{"records":0,"unread":0,"rejected":0,"findings":0}`, nil},
		{"what was deleted", `{"Records":[` + strings.Replace(s3Record("gone.json.gz"), "ObjectCreated:Put", "ObjectRemoved:Delete", 1) + `,` + s3Record("d.json.gz") + `]}`,
			`{"records":1,"unread":0,"rejected":0,"findings":1}`, []string{"bob"}},
		{"what was deleted, EventBridge", `{"version":"0","detail-type":"Object Deleted","source":"aws.s3","detail":{"bucket":{"name":"logs"},"object":{"key":"gone"}}}`,
			`{"records":0,"unread":0,"rejected":0,"findings":0}`, nil},
		{"one unreadable among others", `[{"eventVersion":"1.11"},` + alice + `]`, `{"records":1,"unread":1,"rejected":0,"findings":1}`, []string{"alice"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, subjects := newTest(t, &baseline.Memory{}, objects)
			got, err := h.Invoke(t.Context(), []byte(test.payload))
			require.NoError(t, err)
			assert.JSONEq(t, test.result, string(got))
			assert.Equal(t, test.subjects, *subjects)
			_, err = h.Invoke(t.Context(), []byte(test.payload))
			require.NoError(t, err)
			assert.Equal(t, test.subjects, *subjects, "repeated, it finds nothing again")
		})
	}
}

// TestFails pins what Lambda is told to repeat, or to hand to a dead-letter queue.
func TestFails(t *testing.T) {
	notice := func(bucket, key string) string {
		return `{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"` + bucket + `"},"object":{"key":"` + key + `"}}}]}`
	}
	objects := map[string][]byte{"empty": []byte("{}"), "cut": zipped(t, quarantined("e1", "alice"))[:100]}
	tests := []struct{ name, payload, says string }{
		{"no such object", notice("logs", "none"), "s3://logs/none: "},
		{"no records in it", notice("logs", "empty"), "s3://logs/empty: event: record 0"},
		{"cut short", notice("logs", "cut"), "s3://logs/cut: event: record 0"},
		{"no name", notice("logs", "%zz"), "1 notifications name no file"},
		{"an empty name", notice("logs", ""), "1 notifications name no file"},
		{"no bucket", notice("", "empty"), "1 notifications name no file"},
		{"no bucket, CloudTrail's own", `{"s3ObjectKey":["empty"]}`, "1 notifications name no file"},
		{"nothing", `{"hello":"world"}`, "payload: event: record 0 at offset 0"},
		{"no JSON", `hello`, "payload: event: record 0 at offset 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, _ := newTest(t, &baseline.Memory{}, objects)
			_, err := h.Invoke(t.Context(), []byte(test.payload))
			assert.ErrorContains(t, err, test.says)
		})
	}
	h, _ := newTest(t, &baseline.Memory{}, objects)
	_, err := h.Invoke(t.Context(), []byte(`{"hello":"world"}`))
	assert.ErrorIs(t, err, event.ErrNotRecord)
}

// A store whose calls may be made to fail.
type faulty struct {
	baseline.Memory
	load, save func() error
}

func (f *faulty) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if f.load != nil {
		if err := f.load(); err != nil {
			return nil, err
		}
	}
	return f.Memory.Load(ctx, keys)
}

func (f *faulty) Save(ctx context.Context, records []baseline.Record) error {
	if f.save != nil {
		if err := f.save(); err != nil {
			return err
		}
	}
	return f.Memory.Save(ctx, records)
}

// TestRepeated makes an invocation fail at each of its steps, and repeats it: the
// finding is delivered in the end.
func TestRepeated(t *testing.T) {
	once := func() func() error {
		done := false
		return func() error {
			if done {
				return nil
			}
			done = true
			return errors.New("out of order")
		}
	}
	tests := map[string]func(*faulty, *handler){
		"load": func(f *faulty, _ *handler) { f.load = once() },
		"save": func(f *faulty, _ *handler) { f.save = once() },
		"deliver": func(_ *faulty, h *handler) {
			fail, deliver := once(), h.deliver
			h.deliver = func(ctx context.Context, findings []detect.Finding) error {
				if err := fail(); err != nil {
					return err
				}
				return deliver(ctx, findings)
			}
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			store := &faulty{}
			h, subjects := newTest(t, store, nil)
			prepare(store, h)
			_, err := h.Invoke(t.Context(), []byte(quarantined("e1", "alice")))
			require.ErrorContains(t, err, "out of order")
			_, err = h.Invoke(t.Context(), []byte(quarantined("e1", "alice")))
			require.NoError(t, err)
			assert.Contains(t, *subjects, "alice")
			assert.Positive(t, store.Len())
		})
	}
}

// lastSave is a store after whose first Save the time of the invocation is over.
type lastSave struct {
	baseline.Memory
	end context.CancelFunc
}

func (s *lastSave) Save(ctx context.Context, records []baseline.Record) error {
	defer s.end()
	return s.Memory.Save(ctx, records)
}

// TestTimeIsOver pins that an invocation whose time ends between two batches is
// repeated: the rest of its input was not read.
func TestTimeIsOver(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	h, _ := newTest(t, &lastSave{end: end}, nil)
	var b strings.Builder
	for i := range 5000 {
		b.WriteString(quarantined(fmt.Sprint("e", i), "alice"))
	}
	_, err := h.Invoke(ctx, []byte(b.String()))
	assert.ErrorIs(t, err, context.Canceled)
}

// TestDamaged pins that a record that cannot be read costs its neighbours nothing,
// neither in its batch nor in later ones, however often the invocation is repeated.
func TestDamaged(t *testing.T) {
	store := &baseline.Memory{}
	require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: "account-policies/111122223333", Data: []byte("damaged")}}))
	h, subjects := newTest(t, store, nil)
	other := func(id, user string) string {
		return strings.ReplaceAll(quarantined(id, user), "111122223333", "444455556666")
	}
	var b strings.Builder
	b.WriteString(quarantined("e1", "alice") + other("e2", "bob"))
	for i := range 4096 {
		b.WriteString(other(fmt.Sprint("f", i), "bob"))
	}
	b.WriteString(strings.ReplaceAll(other("e3", "carol"), "444455556666", "777788889999"))
	for range 2 {
		_, err := h.Invoke(t.Context(), []byte(b.String()))
		require.ErrorIs(t, err, baseline.ErrCorrupt)
		assert.ElementsMatch(t, []string{"bob", "carol"}, *subjects)
	}
}

// TestScopePanics pins that an event that a scope panics on is evaluated in the
// others and written down with its record, and that the invocation is not repeated
// because of it, which would not end: unless the store fails besides.
func TestScopePanics(t *testing.T) {
	store := &faulty{}
	h, subjects := newTest(t, store, nil)
	oops := &detect.Scope{Name: "oops", Key: func(e *event.Event) string {
		if e.ID == "e1" {
			panic("cannot tell")
		}
		return ""
	}}
	detectors, err := techniques.All(nil)
	require.NoError(t, err)
	h.set, err = detect.NewSet(append(detectors, detect.New(detect.Info{
		Name: "oops", Doc: "Says nothing.", Technique: "T1078", Severity: detect.Low, Scope: oops,
	}, func(*detect.Pass) {})), nil)
	require.NoError(t, err)
	var written strings.Builder
	log.SetOutput(&written)
	defer log.SetOutput(io.Discard)

	payload := []byte(quarantined("e1", "alice") + quarantined("e2", "bob"))
	store.load = func() error { return errors.New("out of order") }
	_, err = h.Invoke(t.Context(), payload)
	require.ErrorContains(t, err, "out of order")
	store.load = nil
	got, err := h.Invoke(t.Context(), payload)
	require.NoError(t, err)
	assert.JSONEq(t, `{"records":2,"unread":0,"rejected":1,"findings":2}`, string(got))
	assert.Equal(t, []string{"alice", "bob"}, *subjects)
	assert.Contains(t, written.String(), "cannot tell: "+quarantined("e1", "alice"))
	assert.NotContains(t, written.String(), `"e2"`)
}

// TestConflict has another process save the same profile first. Both events are
// learnt and both found.
func TestConflict(t *testing.T) {
	store := &faulty{}
	h, subjects := newTest(t, store, nil)
	other, others := newTest(t, &store.Memory, nil)
	n := 0
	store.save = func() error {
		if n++; n <= 3 {
			_, err := other.Invoke(t.Context(), []byte(quarantined(fmt.Sprint("o", n), fmt.Sprint("other", n))))
			require.NoError(t, err)
		}
		return nil
	}
	_, err := h.Invoke(t.Context(), []byte(quarantined("e1", "alice")))
	require.NoError(t, err)
	assert.Equal(t, 4, n)
	assert.Contains(t, *subjects, "alice")
	assert.Equal(t, []string{"other1", "other2", "other3"}, *others)
	delivered := len(*subjects)
	for i, record := range []string{quarantined("e1", "alice"), quarantined("o1", "other1"), quarantined("o3", "other3")} {
		_, err := h.Invoke(t.Context(), []byte(record))
		require.NoError(t, err)
		assert.Len(t, *subjects, delivered, "record %d was learnt", i)
	}

	store.save = func() error { return &baseline.ConflictError{Keys: []string{"account-policies/111122223333"}} }
	_, err = h.Invoke(t.Context(), []byte(quarantined("e2", "bob")))
	var conflict *baseline.ConflictError
	assert.ErrorAs(t, err, &conflict, "at some point it gives up, and Lambda repeats it later")
}

// TestTrail invokes the function for every file of the quick start's trail, with a
// store on disk, and compares with one engine that reads them all.
func TestTrail(t *testing.T) {
	files, err := filepath.Glob("../../testdata/quickstart/AWSLogs/*/CloudTrail/eu-west-1/2026/01/*/*.json.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	objects := make(map[string][]byte)
	store, err := customstore.Open(t.TempDir())
	require.NoError(t, err)
	h, _ := newTest(t, store, objects)
	found := make(map[string]bool)
	h.deliver = func(_ context.Context, findings []detect.Finding) error {
		for _, f := range findings {
			found[f.ID] = true
		}
		return nil
	}
	engine, err := detect.NewEngine(h.set, nil, nil)
	require.NoError(t, err)
	want := make(map[string]bool)
	for i, name := range files {
		key := fmt.Sprint(i)
		objects[key], err = os.ReadFile(name)
		require.NoError(t, err)
		_, err = h.Invoke(t.Context(), []byte(`{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"logs"},"object":{"key":"`+key+`"}}}]}`))
		require.NoError(t, err)
		for e, err := range event.Read(bytes.NewReader(objects[key]), nil) {
			require.NoError(t, err)
			findings, err := engine.Process(t.Context(), []*event.Event{e})
			require.NoError(t, err)
			for _, f := range findings {
				want[f.ID] = true
			}
		}
	}
	require.NotEmpty(t, want)
	assert.Equal(t, want, found)
}

func TestStart(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("CLOUDTELL_VALKEY", "")
	_, err := start(t.Context())
	require.ErrorContains(t, err, "CLOUDTELL_VALKEY")
	for _, address := range []string{"rediss://user:secret%@host", "rediss://user:sec/ret@host"} {
		t.Setenv("CLOUDTELL_VALKEY", address)
		_, err = start(t.Context())
		require.ErrorContains(t, err, "CLOUDTELL_VALKEY")
		assert.NotContains(t, err.Error(), "sec", "errors end up in logs")
	}
	t.Setenv("CLOUDTELL_VALKEY", startValkey(t))
	h, err := start(t.Context())
	require.NoError(t, err)
	_, err = h.Invoke(t.Context(), []byte(`[]`))
	assert.NoError(t, err)

}

// TestPrint pins that what one invocation prints is one write: those of others may
// come in between.
func TestPrint(t *testing.T) {
	out := &pieces{}
	findings := []detect.Finding{{ID: "1", Title: strings.Repeat("x", 10_000)}, {ID: "2"}}
	require.NoError(t, printTo(out)(t.Context(), findings))
	require.Len(t, *out, 1)
	assert.Equal(t, 2, strings.Count((*out)[0], "\n"))
}

// pieces are what was written at a time.
type pieces []string

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, string(b))
	return len(b), nil
}

// startValkey starts a server for the test and returns its URL.
func startValkey(t *testing.T) string {
	program, err := exec.LookPath("valkey-server")
	if err != nil {
		program, err = exec.LookPath("redis-server")
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("neither valkey-server nor redis-server is installed")
	} else if err != nil {
		t.Skip("neither valkey-server nor redis-server is installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "the server does not answer")
	return "redis://" + address
}
