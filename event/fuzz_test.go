package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

var copies event.Batch

// checkEvent fails the test if the event breaks a promise that every event
// keeps.
func checkEvent(t *testing.T, e *event.Event) {
	t.Helper()
	if e.ID == "" || e.Source == "" || e.Time.IsZero() || e.Category == "" || e.Principal.Key == "" {
		t.Fatalf("incomplete event: %+v", e)
	}
	if c := e.Clone(); !reflect.DeepEqual(e, c) {
		t.Fatalf("clone differs:\n%+v\n%+v", e, c)
	}
	if c := copies.Add(e); !reflect.DeepEqual(e, c) {
		t.Fatalf("copy differs:\n%+v\n%+v", e, c)
	}
	copies.Reset()
	for _, v := range []event.Raw{e.Request, e.Response, e.Additional, e.ServiceDetails, e.ResourceList} {
		if v != "" && !json.Valid([]byte(v)) {
			t.Fatalf("not JSON: %q", v)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, by := range []eventtest.Identity{
		eventtest.User("111122223333", "alice"), eventtest.Root("111122223333"), eventtest.Anonymous(),
		eventtest.Role("111122223333", "aws-service-role/x.amazonaws.com/AWSServiceRoleForX", "s"),
		eventtest.SSO("111122223333", "Admin", "bob"), eventtest.Instance("111122223333", "web", "i-0123456789abcdef0"),
		eventtest.Service("ec2.amazonaws.com"), eventtest.Foreign("444455556666", "AROAX:s"),
	} {
		f.Add(eventtest.Record{Call: "lambda:GetFunction20150331v2", By: by, Response: map[string]any{"a": "\u00e9\n"}}.JSON())
	}
	f.Add(`{"eventTime":"2026-01-05T09:00:00.5+01:00","eventSource":"x","eventType":"AwsServiceEvent"}`)
	f.Add(`{"eventVersion":1.08,"eventTime":"2026-01-05T09:00:00Z","eventSource":"x","eventName":"y","userIdentity":[],"requestParameters":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := event.Parse(text)
		if err != nil {
			var decode *event.DecodeError
			if !errors.As(err, &decode) || decode.Offset < 0 || decode.Offset > int64(len(text)) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("took what is not JSON: %q", text)
		}
		checkEvent(t, e)
	})
}

func FuzzRead(f *testing.F) {
	a, b := versionFirst("a"), record("b")
	for _, s := range []string{
		"[" + a + "," + b + "]", `{"Records":[` + a + `]}` + "\n" + b, a + "\n" + b[:100] + "\n" + a, zip(a),
		`{"Events":[{"CloudTrailEvent":` + quote(a) + `}]}`, subscription(a, b), controlMessage,
		`{"awslogs":{"data":"` + base64Of(zip(subscription(a))) + `"}}`, `{"detail-type":"via CloudTrail","detail":` + a + `}`,
		`{"Records":[{"body":` + quote(a) + `},{"Sns":{"Message":` + quote(b) + `}}]}`, accessLine + "\nx\n",
		`[{"eventVersion":[{"eventVersion":[{"eventVersion":1},`, `{"Records":[{"Records":[{"Records":[`, "\"x\ny\" [[[[[[[[[[[",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(oneByte, reuse bool) (got []string) {
			o := &event.ReadOptions{MaxRecord: 4 << 10, MaxDecompressed: 1 << 16, Reuse: reuse}
			var r io.Reader = bytes.NewReader(data)
			if oneByte {
				r = iotest.OneByteReader(r)
			}
			for e, err := range event.Read(r, o) {
				if err != nil {
					got = append(got, err.Error())
				} else {
					checkEvent(t, e)
					id := e.ID
					if reuse {
						id = strings.Clone(id)
					}
					got = append(got, id)
				}
				if len(got) > 2*len(data)+1<<16 {
					t.Fatalf("%d results from %d bytes", len(got), len(data))
				}
			}
			return got
		}
		whole, bytewise := read(false, false), read(true, false)
		if reused := read(true, true); !reflect.DeepEqual(whole, reused) {
			t.Fatalf("depends on whether memory is reused:\n%q\n%q", whole, reused)
		}
		if !reflect.DeepEqual(whole, bytewise) {
			t.Fatalf("depends on how the input arrives:\n%q\n%q", whole, bytewise)
		}
		var batched []string
		for events, err := range event.ReadBatches(bytes.NewReader(data), &event.ReadOptions{MaxRecord: 4 << 10, MaxDecompressed: 1 << 16, Reuse: true}) {
			if err != nil {
				batched = append(batched, err.Error())
			}
			for _, e := range events {
				checkEvent(t, e)
				batched = append(batched, strings.Clone(e.ID))
			}
		}
		if !reflect.DeepEqual(whole, batched) {
			t.Fatalf("batches have something else:\n%q\n%q", whole, batched)
		}
	})
}

// FuzzReadNeighbours breaks one record and expects those around it.
func FuzzReadNeighbours(f *testing.F) {
	b := versionFirst("b")
	for _, s := range []string{b, b[:len(b)-1], b[:100], b + "}", `{"x":[1`, `{"x":"`, `{"x":"\`, `{"x":{"Records":[`, `"Records":`, `"Records":[],"x":`, `"owner":`, strings.Repeat(`{"x":`, 70)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, middle string) {
		middle = "{" + strings.TrimPrefix(middle, "{")
		if strings.Contains(middle, "messageType") {
			t.Skip("may say that the rest is a control message")
		}
		for _, shape := range []string{`[%s,%s,%s]`, `{"Records":[%s,%s,%s]}`, "%s\n%s\n%s\n"} {
			input := fmt.Sprintf(shape, versionFirst("first"), middle, versionFirst("last"))
			var first, last bool
			for e, err := range event.Read(strings.NewReader(input), &event.ReadOptions{MaxRecord: 8 << 10}) {
				if err == nil {
					first, last = first || e.ID == "first", last || e.ID == "last"
				}
			}
			if !first || !last {
				t.Fatalf("lost the first (%t) or last (%t) of %q", !first, !last, input)
			}
		}
	})
}

func FuzzAccessLog(f *testing.F) {
	f.Add(accessLine)
	f.Add(strings.Replace(accessLine, "k", `a%2520"b%ff`, 2))
	f.Add(strings.Replace(accessLine, `"curl/8.1"`, `"a" "b" 200 - "`, 1))
	f.Add(`- b [05/Jan/2026:09:00:00 +0000] - AmazonS3 1 S3.EXPIRE.OBJECT k - - - - - - - - - -`)
	f.Fuzz(func(t *testing.T, line string) {
		e, err := event.ParseAccessLog(line)
		if err != nil {
			if !errors.Is(err, event.ErrSyntax) && !errors.Is(err, event.ErrTime) {
				t.Fatal(err)
			}
			return
		}
		checkEvent(t, e)
		if e.Category != event.AccessLog || e.Access == nil || e.Access.Bucket == "" {
			t.Fatalf("%+v", e)
		}
	})
}
