package awstrail_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// A server speaks the protocols of CloudTrail, S3 and SQS on a loopback port,
// for the SDK's own clients to talk to. Fill its fields before the first call.
type server struct {
	*httptest.Server

	// history is what LookupEvents answers from, by region.
	history map[string][]historyEvent
	// trails are what DescribeTrails answers, by region; status and selectors
	// are by the ARN of the trail.
	trails            map[string][]map[string]any
	status, selectors map[string]any
	// objects are in S3, by bucket and key.
	objects map[string]map[string][]byte
	// queue is what ReceiveMessage answers, one list for each call.
	queue [][]string
	// fault may answer a call itself, given its name ("LookupEvents"), its
	// region and how often it was made there, from 1. It then returns true.
	fault func(call, region string, n int, w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	calls   map[string]int  // by name
	asked   map[string]bool // pages of LookupEvents, however often they were asked for
	largest int             // records that a window held at most
	deleted []string        // receipts of messages
}

// A historyEvent is an event of LookupEvents.
type historyEvent struct {
	time   time.Time
	id     string
	record string
}

func newServer(t testing.TB) *server {
	s := startServer()
	t.Cleanup(s.Close)
	return s
}

func startServer() *server {
	s := &server{calls: make(map[string]int), asked: make(map[string]bool)}
	s.Server = httptest.NewServer(s)
	return s
}

// config is that of the SDK's clients: as from the environment, but with less
// patience.
func (s *server) config() aws.Config {
	return aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(s.URL),
		HTTPClient:   &http.Client{Transport: wholeRequests{s.Client().Transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
			})
		},
	}
}

// wholeRequests gives each request a body of its own. The SDK closes the one it
// gave as soon as the answer begins, and on a loopback port that can be before
// the transport has seen its end, which breaks the connection.
type wholeRequests struct{ http.RoundTripper }

func (t wholeRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return t.RoundTripper.RoundTrip(r)
}

func (s *server) cloudtrail() *cloudtrail.Client { return cloudtrail.NewFromConfig(s.config()) }
func (s *server) sqs() *sqs.Client               { return sqs.NewFromConfig(s.config()) }

func (s *server) s3() *s3.Client {
	return s3.NewFromConfig(s.config(), func(o *s3.Options) { o.UsePathStyle = true })
}

func (s *server) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

var credential = regexp.MustCompile(`Credential=[^/]+/\d+/([a-z0-9-]+)/`)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	region := "unsigned"
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		region = m[1]
	}
	_, call, json := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !json {
		call = "GetObject"
		if r.URL.Query().Has("list-type") {
			call = "ListObjectsV2"
		}
	}
	s.mu.Lock()
	s.calls[call]++
	s.calls[call+" "+region]++
	n := s.calls[call+" "+region]
	s.mu.Unlock()
	if s.fault != nil && s.fault(call, region, n, w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch call {
	case "GetObject":
		s.getObject(w, r)
	case "ListObjectsV2":
		s.listObjects(w, r)
	default:
		s.json(w, r, call, region)
	}
}

// json answers the calls of the JSON protocols.
func (s *server) json(w http.ResponseWriter, r *http.Request, call, region string) {
	var in struct {
		StartTime, EndTime float64
		NextToken          string
		Name, TrailName    string
		ReceiptHandle      string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	var out any
	switch call {
	case "LookupEvents":
		out = s.lookup(region, in.StartTime, in.EndTime, in.NextToken)
	case "DescribeTrails":
		out = map[string]any{"trailList": s.trails[region]}
	case "GetTrailStatus":
		out = s.status[in.Name]
	case "GetEventSelectors":
		out = s.selectors[in.TrailName]
	case "ReceiveMessage":
		messages := []map[string]any{}
		if len(s.queue) > 0 {
			for i, body := range s.queue[0] {
				sum := md5.Sum([]byte(body))
				id := fmt.Sprintf("message-%d-%d", s.calls[call], i+1)
				messages = append(messages, map[string]any{"MessageId": id, "ReceiptHandle": id, "Body": body, "MD5OfBody": hex.EncodeToString(sum[:])})
			}
			s.queue = s.queue[1:]
		}
		out = map[string]any{"Messages": messages}
	case "DeleteMessage":
		s.deleted = append(s.deleted, in.ReceiptHandle)
		out = map[string]any{}
	}
	if out == nil {
		fail(w, http.StatusBadRequest, "TrailNotFoundException", "no such thing")
		return
	}
	respond(w, http.StatusOK, out)
}

// lookup is LookupEvents: the newest first, both ends included, 50 a page. A
// token is good only for the call's own times.
func (s *server) lookup(region string, start, end float64, token string) any {
	var of []historyEvent
	for _, e := range s.history[region] {
		if at := float64(e.time.Unix()); start <= at && at <= end {
			of = append(of, e)
		}
	}
	slices.SortStableFunc(of, func(a, b historyEvent) int { return b.time.Compare(a.time) })
	s.asked[fmt.Sprint(region, start, end, token)] = true
	from := 0
	if prefix := fmt.Sprintf("%.0f-%.0f-", start, end); token != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(token, prefix))
	}
	to := min(from+50, len(of))
	s.largest = max(s.largest, to)
	events := []map[string]any{}
	for _, e := range of[from:to] {
		events = append(events, map[string]any{
			"EventId": e.id, "EventTime": float64(e.time.Unix()), "CloudTrailEvent": e.record, "ReadOnly": "false",
		})
	}
	out := map[string]any{"Events": events}
	if to < len(of) {
		out["NextToken"] = fmt.Sprintf("%.0f-%.0f-%d", start, end, to)
	}
	return out
}

func (s *server) getObject(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	object, ok := s.objects[bucket][key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		return
	}
	w.Header().Set("ETag", etag(object))
	w.Header().Set("Content-Encoding", "gzip") // CloudTrail stores its files so
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
}

func etag(object []byte) string {
	sum := md5.Sum(object)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// listObjects is ListObjectsV2, in pages of three keys at most.
func (s *server) listObjects(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key  string
		Size int
	}
	type prefix struct{ Prefix string }
	out := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []prefix
	}{}
	q := r.URL.Query()
	bucket := strings.Trim(r.URL.Path, "/")
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	most, _ := strconv.Atoi(cmp.Or(q.Get("max-keys"), "1000"))
	most = min(most, 3)
	var keys []string
	for key := range s.objects[bucket] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	last := ""
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, q.Get("prefix"))
		if !ok {
			continue
		}
		if d := q.Get("delimiter"); d != "" && strings.Contains(rest, d) {
			rest, _, _ = strings.Cut(rest, d)
			p := prefix{q.Get("prefix") + rest + d}
			if p.Prefix <= after || slices.Contains(out.CommonPrefixes, p) {
				continue
			}
			if len(out.Contents)+len(out.CommonPrefixes) == most {
				out.IsTruncated, out.NextContinuationToken = true, last
				break
			}
			out.CommonPrefixes, last = append(out.CommonPrefixes, p), p.Prefix
			continue
		}
		if key <= after {
			continue
		}
		if len(out.Contents)+len(out.CommonPrefixes) == most {
			out.IsTruncated, out.NextContinuationToken = true, last
			break
		}
		out.Contents, last = append(out.Contents, content{key, len(s.objects[bucket][key])}), key
	}
	w.Header().Set("Content-Type", "application/xml")
	xml.NewEncoder(w).Encode(out)
}

func respond(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// fail answers with an error of the JSON protocols.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	respond(w, status, map[string]string{"__type": code, "message": message})
}

// cutOff answers with the first half of an answer, and hangs up.
func cutOff(w http.ResponseWriter, header http.Header, answer []byte) {
	for name, values := range header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer[:len(answer)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
