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
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// quarantined is a record that is a finding without any learning.
func quarantined(id, user string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":"2026-01-21T03:12:44Z","eventSource":"iam.amazonaws.com",
		"eventName":"AttachUserPolicy","awsRegion":"us-east-1","recipientAccountId":"111122223333","sourceIPAddress":"AWS Internal",
		"userAgent":"AWS Internal","userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":%q,"policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}`, id, user)
}

func zipped(t *testing.T, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// A log collects findings. Its write may be made to fail or to wait.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
	write func() error // called before, if not nil
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.write != nil {
		if err := l.write(); err != nil {
			return 0, err
		}
	}
	return l.lines.Write(p)
}

// subjects returns what the findings are about.
func (l *log) subjects(t *testing.T) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.lines.String()) {
		var f detect.Finding
		require.NoError(t, json.Unmarshal([]byte(line), &f))
		list = append(list, f.Subject)
	}
	return list
}

// newServerOn returns a server with the techniques' detectors and others.
func newServerOn(t *testing.T, store baseline.Store, out io.Writer, l *limits, others ...detect.Detector) *server {
	detectors, err := techniques.All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(append(detectors, others...), nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, store, nil)
	require.NoError(t, err)
	return newServer(set, engine, out, l)
}

func start(t *testing.T, store baseline.Store, out io.Writer, l *limits) (*server, string) {
	if l == nil {
		l = &limits{}
	}
	s := newServerOn(t, store, out, l)
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.Close()
		assert.NoError(t, s.close())
	})
	return s, web.URL
}

func post(t *testing.T, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// TestShapes sends records in the shapes in which AWS pushes them.
func TestShapes(t *testing.T) {
	record := quarantined("e1", "alice")
	quoted, err := json.Marshal(record)
	require.NoError(t, err)
	tests := []struct{ name, body string }{
		{"a record", record},
		{"a log file", zipped(t, `{"Records":[`+record+`]}`)},
		{"EventBridge", `{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":` + record + `}`},
		{"SNS", `{"Type":"Notification","Message":` + string(quoted) + `}`},
		{"Firehose", `{"requestId":"r","timestamp":1,"records":[{"data":"` + base64.StdEncoding.EncodeToString([]byte(record)) + `"}]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out log
			_, url := start(t, nil, &out, nil)
			resp, text := post(t, url, test.body)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.JSONEq(t, `{"records":1}`, text)
			assert.Equal(t, []string{"alice"}, out.subjects(t))
			_, text = post(t, url, test.body)
			assert.JSONEq(t, `{"records":1}`, text)
			assert.Equal(t, []string{"alice"}, out.subjects(t), "sent again, it is not found again")
		})
	}
}

func TestFirehoseAnswer(t *testing.T) {
	_, url := start(t, nil, io.Discard, nil)
	for body, status := range map[string]int{quarantined("e1", "alice"): http.StatusOK, "{}": http.StatusBadRequest} {
		resp, text := post(t, url, body, "X-Amz-Firehose-Request-Id", "r1")
		assert.Equal(t, status, resp.StatusCode)
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		var a struct {
			RequestID    string
			Timestamp    int64
			ErrorMessage string
		}
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		assert.Equal(t, "r1", a.RequestID)
		assert.Positive(t, a.Timestamp)
		assert.Equal(t, status != http.StatusOK, a.ErrorMessage != "")
	}
}

// TestRefused pins what is refused, and that nothing of it is taken in.
func TestRefused(t *testing.T) {
	record := quarantined("e1", "alice")
	tests := []struct {
		name, body string
		status     int
		says       string
	}{
		{"too long", record + strings.Repeat(" ", 2000), http.StatusRequestEntityTooLarge, "too large"},
		{"a bomb", zipped(t, record+strings.Repeat(" ", 1<<20)), http.StatusRequestEntityTooLarge, "decompressed"},
		{"a bomb in a bomb", zipped(t, zipped(t, record+strings.Repeat(" ", 1<<20))), http.StatusRequestEntityTooLarge, "decompressed"},
		{"records without end", zipped(t, strings.Repeat(`{"eventTime":"2026-01-21T03:12:44Z","eventSource":"a","eventName":"b"}`, 4)), http.StatusRequestEntityTooLarge, "over 3 records"},
		{"no records", `{"hello":"world"}`, http.StatusBadRequest, "record 0 at offset 0"},
		{"cut off", record[:200], http.StatusBadRequest, "record 0"},
		{"from the future", strings.Replace(record, "2026-", "2099-", 1), http.StatusBadRequest, "record 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out log
			s, url := start(t, nil, &out, &limits{body: 2000, decompressed: 5000, records: 3})
			resp, text := post(t, url, test.body)
			assert.Equal(t, test.status, resp.StatusCode)
			assert.Contains(t, text, test.says)
			assert.Empty(t, out.subjects(t))
			assert.Zero(t, s.commits.engine.Stats().Events)
		})
	}
}

// TestUnreadRecord pins that a record that cannot be read does not cost its
// neighbours, and is told of.
func TestUnreadRecord(t *testing.T) {
	var out log
	_, url := start(t, nil, &out, nil)
	resp, text := post(t, url, quarantined("e1", "alice")+strings.Repeat(`{"eventVersion":"1.11"}`, 7)+quarantined("e2", "bob"))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	var a answer
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	assert.Equal(t, 2, a.Records)
	assert.Equal(t, 7, a.Unread)
	require.Len(t, a.Errors, 5)
	assert.Contains(t, a.Errors[0], "record 1 at offset")
	assert.Equal(t, []string{"alice", "bob"}, out.subjects(t))
}

// TestLargeRecord pins that a record that is too large costs its neighbours
// nothing, wherever it stands: its sender would send them again with it for ever.
func TestLargeRecord(t *testing.T) {
	alice, bob, large := quarantined("e1", "alice"), quarantined("e2", "bob"), `{"eventName":"`+strings.Repeat("x", 2<<20)+`"}`
	for _, body := range []string{large + alice + bob, alice + large + bob, alice + bob + large, zipped(t, alice+bob+large)} {
		var out log
		_, url := start(t, nil, &out, nil)
		resp, text := post(t, url, body)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Contains(t, text, `"records":2,"unread":1`)
		assert.Equal(t, []string{"alice", "bob"}, out.subjects(t))
	}
}

// TestFull fills all places with requests that wait for their findings to be
// written: the next sender is told to come back, and once there is room, it can.
func TestFull(t *testing.T) {
	blocked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	out := &log{write: func() error {
		once.Do(func() {
			close(blocked)
			<-release
		})
		return nil
	}}
	s, url := start(t, nil, out, &limits{waiting: 3})
	var answers sync.WaitGroup
	statuses := make(chan int, 3)
	send := func(i int) {
		answers.Go(func() {
			resp, _ := post(t, url, quarantined(fmt.Sprint("e", i), fmt.Sprint("user", i)))
			statuses <- resp.StatusCode
		})
	}
	send(0)
	<-blocked
	send(1)
	send(2)
	require.Eventually(t, func() bool { return len(s.places) == 3 }, 10*time.Second, time.Millisecond)
	resp, _ := post(t, url, quarantined("e9", "late"))
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("Retry-After"))
	close(release)
	answers.Wait()
	for range 3 {
		assert.Equal(t, http.StatusOK, <-statuses)
	}
	resp, _ = post(t, url, quarantined("e9", "late"))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.ElementsMatch(t, []string{"user0", "user1", "user2", "late"}, out.subjects(t))
	assert.JSONEq(t, `{"requests":5,"accepted":4,"refused_429":1}`, s.vars.String())
}

// A store whose calls may be made to fail.
type faulty struct {
	baseline.Memory
	load, save func() error
}

func (f *faulty) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if err := f.load(); err != nil {
		return nil, err
	}
	return f.Memory.Load(ctx, keys)
}

func (f *faulty) Save(ctx context.Context, records []baseline.Record) error {
	if err := f.save(); err != nil {
		return err
	}
	return f.Memory.Save(ctx, records)
}

// TestTrouble makes one thing after the other fail, once. The sender gets no
// receipt, the endpoint says that it is not well until the trouble is over, and
// sending again loses and doubles nothing.
func TestTrouble(t *testing.T) {
	for _, what := range []string{"load", "save", "write"} {
		t.Run(what, func(t *testing.T) {
			failing := true
			fails := func(name string) func() error {
				return func() error {
					if failing && name == what {
						return errors.New("secret detail")
					}
					return nil
				}
			}
			store := &faulty{load: fails("load"), save: fails("save")}
			out := &log{write: fails("write")}
			s, url := start(t, store, out, nil)
			for range 2 {
				resp, text := post(t, url, quarantined("e1", "alice"))
				assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
				assert.Equal(t, "5", resp.Header.Get("Retry-After"))
				assert.NotContains(t, text, "secret")
			}
			resp, err := http.Get(url + "/healthz")
			require.NoError(t, err)
			resp.Body.Close()
			if what == "load" { // nothing is left to be done: the events are the sender's
				assert.Equal(t, http.StatusOK, resp.StatusCode)
			} else {
				assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			}
			failing = false
			resp, err = http.Get(url + "/healthz")
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode, "it notices by itself that the trouble is over")
			resp, _ = post(t, url, quarantined("e1", "alice"))
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, []string{"alice"}, out.subjects(t))
			assert.Positive(t, store.Len())
			assert.NoError(t, s.commits.trouble())
		})
	}
}

// TestScopePanics pins that an event that a scope panics on is evaluated in the
// others and written to the log with its record, and that its sender gets a
// receipt: sent again, it would panic again.
func TestScopePanics(t *testing.T) {
	var written, out log
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewJSONHandler(&written, nil)))
	scope := &detect.Scope{Name: "oops", Key: func(*event.Event) string { panic("cannot tell") }}
	s := newServerOn(t, nil, &out, &limits{}, detect.New(detect.Info{
		Name: "oops", Doc: "Says nothing.", Technique: "T1078", Severity: detect.Low, Scope: scope,
	}, func(*detect.Pass) {}))
	w := httptest.NewRecorder()
	record := quarantined("e1", "alice")
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader(record)))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.JSONEq(t, `{"records":1}`, w.Body.String())
	assert.Equal(t, []string{"alice"}, out.subjects(t))
	assert.Equal(t, int64(1), s.commits.engine.Stats().Rejected)
	require.NoError(t, s.close())
	quoted, err := json.Marshal(record)
	require.NoError(t, err)
	assert.Contains(t, written.lines.String(), string(quoted))
}

func TestToken(t *testing.T) {
	_, url := start(t, nil, io.Discard, &limits{token: "secret"})
	body := quarantined("e1", "alice")
	for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "secret2"}} {
		resp, _ := post(t, url, body, header...)
		assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	}
	for _, header := range [][]string{{"Authorization", "Bearer secret"}, {"X-Amz-Firehose-Access-Key", "secret"}} {
		resp, _ := post(t, url, body, header...)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	resp, err := http.Get(url + "/healthz")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode, "a load balancer has no token")
	resp, err = http.Get(url + "/debug/vars")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	assert.ErrorContains(t, run(t.Context(), "0.0.0.0:0", "", ""), "CLOUDTELL_TOKEN")
}

// TestBrowser pins that a page that somebody on this machine visits cannot have his
// browser send logs, which it may do without a token.
func TestBrowser(t *testing.T) {
	var out log
	_, url := start(t, nil, &out, nil)
	resp, text := post(t, url, quarantined("e1", "alice"), "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, resp.StatusCode, text)
	resp, _ = post(t, url, quarantined("e1", "alice"), "Origin", "https://evil.example")
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	assert.Empty(t, out.subjects(t))
}

// TestHost pins that without a token only requests to this machine's own names are
// taken: a page whose name was made to point here (DNS rebinding) is of one origin
// with the endpoint to its browser.
func TestHost(t *testing.T) {
	to := func(l *limits, host string, header ...string) (int, string) {
		s := newServerOn(t, nil, io.Discard, l)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(quarantined("e1", "alice")))
		r.Host = host
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.NoError(t, s.close())
		return w.Code, w.Body.String()
	}
	for _, host := range []string{"localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "127.8.9.10:1", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:8080"} {
		status, text := to(&limits{}, host)
		assert.Equal(t, http.StatusOK, status, "%s: %s", host, text)
	}
	for _, host := range []string{
		"", ":8080", "evil.example", "evil.example:8080", "localhost.evil.example", "localhost:80.evil.example", "127.0.0.1.evil.example:8080",
		"evil.localhost", "198.51.100.7:8080", "0.0.0.0:8080", "[::]:8080", "[2001:db8::1]", "[localhost", "::1:8080", "x@localhost", "localhost/x",
	} {
		status, text := to(&limits{}, host)
		assert.Equal(t, http.StatusForbidden, status, host)
		assert.Contains(t, text, "CLOUDTELL_TOKEN", host)
	}
	status, _ := to(&limits{token: "secret"}, "logs.example.com", "Authorization", "Bearer secret")
	assert.Equal(t, http.StatusOK, status, "a token says who asks")
}

// TestStop stops a server while a request is on its way: it is answered, and what
// was learnt is there for the next.
func TestStop(t *testing.T) {
	state := t.TempDir()
	set, engine, err := newEngine(state)
	require.NoError(t, err)
	inside, release := make(chan struct{}), make(chan struct{})
	out := &log{write: func() error {
		close(inside)
		<-release
		return nil
	}}
	s := newServer(set, engine, out, &limits{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, listener) }()
	answered := make(chan int, 1)
	go func() {
		resp, _ := post(t, url, quarantined("e1", "alice"))
		answered <- resp.StatusCode
	}()
	<-inside
	stop()
	require.Eventually(t, s.stopping.Load, 10*time.Second, time.Millisecond)
	close(release)
	assert.Equal(t, http.StatusOK, <-answered)
	assert.NoError(t, <-served)
	assert.ErrorIs(t, s.commits.commit(nil), errStopping)

	set, engine, err = newEngine(state)
	require.NoError(t, err)
	var again log
	s = newServer(set, engine, &again, &limits{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader(quarantined("e1", "alice"))))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, int64(1), engine.Stats().Duplicate)
	assert.Empty(t, again.subjects(t))
	require.NoError(t, s.close())
}

// TestBrokenOff pins that a body that ends before its end is not taken in.
func TestBrokenOff(t *testing.T) {
	s := newServerOn(t, nil, io.Discard, &limits{})
	body := io.MultiReader(strings.NewReader(quarantined("e1", "alice")), iotest.ErrReader(io.ErrUnexpectedEOF))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/", body))
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Zero(t, s.commits.engine.Stats().Events)
	require.NoError(t, s.close())
}
