package awstrail_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event/awstrail"
)

const (
	logKey    = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05/111122223333_CloudTrail_eu-west-1_20260105T0900Z_0a1B2c3D4e5F6g7H.json.gz"
	digestKey = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/05/111122223333_CloudTrail-Digest_eu-west-1_main_eu-west-1_20260105T092000Z.json.gz"
)

// s3Record is a record of an S3 event notification.
func s3Record(name, bucket, key string) string {
	return fmt.Sprintf(`{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-01-05T09:20:00.000Z","eventName":%q,
		"s3":{"s3SchemaVersion":"1.0","bucket":{"name":%q,"arn":"arn:aws:s3:::%[2]s"},"object":{"key":%q,"size":1234}}}`, name, bucket, key)
}

func s3Records(records ...string) string {
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

func bridged(detailType, key string) string {
	return fmt.Sprintf(`{"version":"0","source":"aws.s3","detail-type":%q,"detail":{"version":"0","bucket":{"name":"trail"},"object":{"key":%q,"size":1234}}}`, detailType, key)
}

func sns(message string) string {
	text, _ := json.Marshal(message)
	return `{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:111122223333:trail","Message":` + string(text) + `}`
}

func TestParseNotification(t *testing.T) {
	spaced := strings.Replace("my logs+more/"+logKey, " ", "+", 1) // as S3 encodes it, but for the plus sign
	spaced = strings.Replace(spaced, "+more", "%2Bmore", 1)
	tests := []struct {
		name, body string
		want       []string // keys
		bad        bool
	}{
		{"S3", s3Records(s3Record("ObjectCreated:Put", "trail", logKey)), []string{logKey}, false},
		{"several records", s3Records(s3Record("ObjectCreated:Put", "trail", logKey), s3Record("ObjectCreated:CompleteMultipartUpload", "trail", "p/"+logKey)), []string{logKey, "p/" + logKey}, false},
		{"an encoded key", s3Records(s3Record("ObjectCreated:Put", "trail", spaced)), []string{"my logs+more/" + logKey}, false},
		{"a removal", s3Records(s3Record("ObjectRemoved:Delete", "trail", logKey)), nil, false},
		{"a digest among logs", s3Records(s3Record("ObjectCreated:Put", "trail", digestKey), s3Record("ObjectCreated:Put", "trail", logKey)), []string{logKey}, false},
		{"S3 by way of SNS", sns(s3Records(s3Record("ObjectCreated:Put", "trail", logKey))), []string{logKey}, false},
		{"EventBridge", bridged("Object Created", logKey), []string{logKey}, false},
		{"EventBridge does not encode", bridged("Object Created", "a%2Bb+c/"+logKey), []string{"a%2Bb+c/" + logKey}, false},
		{"EventBridge by way of SNS", sns(bridged("Object Created", logKey)), []string{logKey}, false},
		{"EventBridge, deleted", bridged("Object Deleted", logKey), nil, false},
		{"CloudTrail", `{"s3Bucket":"trail","s3ObjectKey":["` + logKey + `","` + digestKey + `"]}`, []string{logKey}, false},
		{"CloudTrail by way of SNS", sns(`{"s3Bucket":"trail","s3ObjectKey":["` + logKey + `"]}`), []string{logKey}, false},
		{"S3's test", `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-05T09:00:00.000Z","Bucket":"trail","RequestId":"1","HostId":"2"}`, nil, false},
		{"S3's test by way of SNS", sns(`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"trail"}`), nil, false},
		{"CloudTrail's test", sns("CloudTrail validation message."), nil, false},

		{"nothing", "", nil, true},
		{"no JSON", "hello", nil, true},
		{"something else", `{"hello":"world"}`, nil, true},
		{"half of it", s3Records(s3Record("ObjectCreated:Put", "trail", logKey))[:200], nil, true},
		{"records of CloudTrail", `{"Records":[{"eventVersion":"1.11","eventSource":"s3.amazonaws.com","eventName":"GetObject"}]}`, nil, true},
		{"a bad escape", s3Records(s3Record("ObjectCreated:Put", "trail", "%zz"+logKey)), nil, true},
		{"no end of wrappers", sns(sns(sns(sns(sns(s3Records(s3Record("ObjectCreated:Put", "trail", logKey))))))), nil, true},
		{"a number for a key", `{"s3Bucket":"trail","s3ObjectKey":7}`, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := awstrail.ParseNotification(tt.body)
			if tt.bad {
				require.ErrorIs(t, err, awstrail.ErrNotNotification)
				return
			}
			require.NoError(t, err)
			var keys []string
			for _, f := range files {
				assert.Equal(t, "trail", f.Bucket)
				keys = append(keys, f.Key)
			}
			assert.Equal(t, tt.want, keys)
		})
	}
}

func FuzzParseNotification(f *testing.F) {
	f.Add(s3Records(s3Record("ObjectCreated:Put", "trail", logKey)))
	f.Add(sns(bridged("Object Created", logKey)))
	f.Add(`{"s3Bucket":"trail","s3ObjectKey":["` + logKey + `"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		files, err := awstrail.ParseNotification(body)
		if err != nil {
			require.ErrorIs(t, err, awstrail.ErrNotNotification)
			require.Empty(t, files)
		}
		for _, file := range files {
			_, ok := awstrail.ParseKey(file.Bucket, file.Key)
			require.True(t, ok)
		}
	})
}

// A message is deleted when its events were consumed, and not before.
func TestReceive(t *testing.T) {
	s := newServer(t)
	s.objects = map[string]map[string][]byte{"trail": {logKey: logFile(t, 0, 3), "p/" + logKey: logFile(t, 3, 2)}}
	s.queue = [][]string{
		{`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"trail"}`, s3Records(s3Record("ObjectCreated:Put", "trail", logKey)), "hello"},
		{},
		{bridged("Object Created", digestKey), sns(s3Records(s3Record("ObjectCreated:Put", "trail", "p/"+logKey))), s3Records(s3Record("ObjectCreated:Put", "elsewhere", logKey))},
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var events, errs []string
	deliveries := 0
	for d, err := range awstrail.Receive(ctx, s.sqs(), s.URL+"/111122223333/logs", &awstrail.ReceiveOptions{Buckets: []string{"trail"}}) {
		if err != nil {
			errs = append(errs, err.Error())
			if len(errs) == 2 {
				break
			}
			continue
		}
		for _, f := range d.Files {
			require.Equal(t, int64(1234), f.Size)
			for e, err := range awstrail.Read(ctx, s.s3(), f, nil) {
				require.NoError(t, err)
				events = append(events, e.ID)
			}
		}
		require.NotContains(t, s.deleted, d.ID)
		if deliveries++; deliveries == 2 {
			continue // as if it could not be saved
		}
		require.NoError(t, d.Done(ctx))
		require.Contains(t, s.deleted, d.ID)
	}
	assert.Equal(t, []string{"event-0000", "event-0001", "event-0002", "event-0003", "event-0004"}, events)
	assert.Equal(t, []string{"message-1-1", "message-1-2", "message-3-1"}, s.deleted, "what announces nothing is deleted, what is not understood stays")
	require.Len(t, errs, 2)
	assert.Regexp(t, `^awstrail: message message-1-3: no notification about files`, errs[0])
	assert.Regexp(t, `^awstrail: message message-3-3 announces s3://elsewhere/.*none of the buckets`, errs[1])
}

func TestReceiveFaults(t *testing.T) {
	s := newServer(t)
	s.queue = [][]string{{s3Records(s3Record("ObjectCreated:Put", "trail", logKey))}}
	s.fault = func(call, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
		switch {
		case call == "ReceiveMessage" && n == 1:
			fail(w, http.StatusForbidden, "AccessDenied", "not yours")
		case call == "DeleteMessage":
			fail(w, http.StatusBadRequest, "ReceiptHandleIsInvalid", "too late")
		default:
			return false
		}
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var got []string
	for d, err := range awstrail.Receive(ctx, s.sqs(), s.URL+"/111122223333/logs", nil) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		require.ErrorContains(t, d.Done(ctx), "ReceiptHandleIsInvalid")
		got = append(got, d.ID)
		cancel() // ends the loop, without another error
	}
	require.Len(t, got, 2)
	assert.Contains(t, got[0], "AccessDenied")
	assert.Equal(t, "message-2-1", got[1])
}
