package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// logFile returns a CloudTrail log file of n records by a handful of
// principals.
func logFile(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		by := []eventtest.Identity{
			eventtest.User("111122223333", "alice"),
			eventtest.Role("111122223333", "deploy", fmt.Sprint("session-", i)),
			eventtest.SSO("111122223333", "Admin", "bob@example.com"),
			eventtest.Instance("111122223333", "web", "i-0123456789abcdef0"),
			eventtest.Service("config.amazonaws.com"),
		}[i%5]
		b.WriteString(eventtest.Record{
			Call: "s3:GetObject", By: by, At: eventtest.Start.Add(time.Duration(i) * time.Second),
			Request:    map[string]any{"bucketName": "backups", "key": fmt.Sprintf("db/%d.sql", i), "Host": "backups.s3.amazonaws.com"},
			Additional: map[string]any{"bytesTransferredOut": 2356.0, "AuthenticationMethod": "AuthHeader", "SignatureVersion": "SigV4"},
			More: map[string]any{"readOnly": true, "requestID": fmt.Sprint("R", i),
				"resources": []any{map[string]any{"type": "AWS::S3::Object", "ARN": fmt.Sprintf("arn:aws:s3:::backups/db/%d.sql", i)}}},
		}.JSON())
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// jsonRecord is what encoding/json needs to decode as much as Read does.
type jsonRecord struct {
	EventID, SharedEventID, RequestID, EventCategory, EventType, EventVersion      string
	EventTime                                                                      time.Time
	EventSource, EventName, ErrorCode, ErrorMessage, AWSRegion, RecipientAccountID string
	SourceIPAddress, VPCEndpointID, UserAgent                                      string
	ReadOnly                                                                       bool
	RequestParameters, ResponseElements, AdditionalEventData, ServiceEventDetails  json.RawMessage
	Resources                                                                      json.RawMessage
	UserIdentity                                                                   struct {
		Type, PrincipalID, ARN, AccountID, AccessKeyID, UserName, InvokedBy, IdentityProvider string
		SessionContext                                                                        struct {
			SessionIssuer   struct{ Type, ARN, PrincipalID, AccountID, UserName string }
			Attributes      struct{ MFAAuthenticated, CreationDate string }
			EC2RoleDelivery string
		}
	}
}

// BenchmarkRead takes turns with encoding/json, so that other load on the
// machine falls on both, and reports how many times faster it is. What
// examples/benchmarks measures is more exact.
func BenchmarkRead(b *testing.B) {
	const n = 2000
	file := logFile(n)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	var ours, theirs time.Duration
	for b.Loop() {
		ours += readTime(b, file, n)

		b.StopTimer()
		start := time.Now()
		var doc struct{ Records []jsonRecord }
		if err := json.Unmarshal(file, &doc); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours)/float64(b.N)/n, "ns/event")
	b.ReportMetric(float64(theirs)/float64(ours), "times-encoding/json")
}

func readTime(b *testing.B, file []byte, n int) time.Duration {
	start := time.Now()
	count := 0
	for _, err := range event.Read(bytes.NewReader(file), nil) {
		if err != nil {
			b.Fatal(err)
		}
		count++
	}
	if count != n {
		b.Fatal(count)
	}
	return time.Since(start)
}

var kept *event.Event

// BenchmarkClone copies an event, and searches the text for what Clone finds by
// its address: what the unsafe in clone.go gives.
func BenchmarkClone(b *testing.B) {
	e, err := event.Parse(eventtest.Record{Call: "s3:GetObject", By: eventtest.Role("111122223333", "deploy", "s"),
		Request: map[string]any{"bucketName": "backups", "key": "db/1.sql"}}.JSON())
	if err != nil {
		b.Fatal(err)
	}
	id := &e.Identity
	fields := []string{
		e.ID, e.SharedID, e.RequestID, e.Type, e.Version, e.Source, e.Name, e.Operation, e.Region, e.AccountID, e.SourceAddress, e.UserAgent,
		id.Type, id.PrincipalID, id.ARN, id.AccountID, id.AccessKeyID, id.UserName, id.IssuerType, id.IssuerARN, id.IssuerPrincipalID,
		id.IssuerAccountID, id.IssuerUserName, string(e.Request), string(e.Additional),
	}
	b.Run("Clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			kept = e.Clone()
		}
	})
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			for _, s := range fields {
				if !strings.Contains(e.Text, s) {
					b.Fatal(s)
				}
			}
		}
	})
}
