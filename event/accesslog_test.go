package event_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
)

func TestParseAccessLog(t *testing.T) {
	line := `0123abcd backups [05/Jan/2026:10:00:00 +0100] 198.51.100.7 arn:aws:sts::111122223333:assumed-role/deploy/ci 3E57 ` +
		`REST.GET.OBJECT db/my%2520dump.sql "GET /backups/db/my%20dump.sql?versionId=v1&X-Amz-Signature=s HTTP/1.1" 206 - 2356 4712 70 69 ` +
		`"https://example.com/" "aws-cli/2.31.1" v1 hostid= SigV4 ECDHE-RSA-AES128-GCM-SHA256 QueryString backups.s3.us-west-1.amazonaws.com ` +
		`TLSv1.3 arn:aws:s3:us-west-1:111122223333:accesspoint/ap Yes us-west-1 new fields`
	e, err := event.ParseAccessLog(line + "\r\n")
	require.NoError(t, err)
	when := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	assert.Equal(t, &event.AccessLogLine{
		BucketOwner: "0123abcd", Bucket: "backups", Time: when, RemoteIP: "198.51.100.7",
		Requester: "arn:aws:sts::111122223333:assumed-role/deploy/ci", RequestID: "3E57", Operation: "REST.GET.OBJECT",
		Key: "db/my dump.sql", RequestURI: "GET /backups/db/my%20dump.sql?versionId=v1&X-Amz-Signature=s HTTP/1.1",
		Status: 206, BytesSent: 2356, ObjectSize: 4712, TotalTime: 70 * time.Millisecond, TurnAroundTime: 69 * time.Millisecond,
		Referer: "https://example.com/", UserAgent: "aws-cli/2.31.1", VersionID: "v1", HostID: "hostid=", SignatureVersion: "SigV4",
		CipherSuite: "ECDHE-RSA-AES128-GCM-SHA256", AuthType: "QueryString", HostHeader: "backups.s3.us-west-1.amazonaws.com",
		TLSVersion: "TLSv1.3", AccessPointARN: "arn:aws:s3:us-west-1:111122223333:accesspoint/ap", ACLRequired: true,
		SourceRegion: "us-west-1", Extra: "new fields",
	}, e.Access)
	assert.Equal(t, event.AccessLog, e.Category)
	assert.Equal(t, when, e.Time)
	assert.True(t, e.Is("s3", "GetObject"))
	assert.Equal(t, "GetObject", e.Name)
	assert.True(t, e.ReadOnly)
	assert.True(t, e.Succeeded())
	assert.Equal(t, netip.MustParseAddr("198.51.100.7"), e.IP)
	assert.Equal(t, event.ToolCLI, e.Tool)
	assert.Equal(t, "arn:aws:iam::111122223333:role/deploy", e.Principal.Key)
	assert.Equal(t, "111122223333", e.AccountID)
	assert.Equal(t, "3E57", e.RequestID)
	assert.Equal(t, event.Raw(`{"bucketName":"backups","key":"db/my dump.sql","versionId":"v1"}`), e.Request)
	assert.Equal(t, int64(2356), e.BytesOut())
	assert.Equal(t, "QueryString", e.Additional.At("AuthenticationMethod").Text())
	assert.Equal(t, "Yes", e.Additional.At("aclRequired").Text())
	assert.Equal(t, line, e.Text)

	again, err := event.ParseAccessLog(line)
	require.NoError(t, err)
	assert.Equal(t, e, again, "the same line, the same event")
}

// accessFields builds a line from the fields that a test is about.
func accessFields(requester, operation, key, uri, status, code, agent string) string {
	return strings.Join([]string{"o b [05/Jan/2026:09:00:00 +0000] 198.51.100.7", requester, "3E57", operation, key, uri, status, code,
		"5 - 7 6", `"-"`, agent, "- hostid SigV4"}, " ")
}

func TestAccessLogOperations(t *testing.T) {
	for _, tt := range []struct{ logged, key, want string }{
		{"REST.GET.OBJECT", "k", "GetObject"},
		{"REST.HEAD.OBJECT", "k", "HeadObject"},
		{"REST.PUT.OBJECT", "k", "PutObject"},
		{"REST.DELETE.OBJECT", "k", "DeleteObject"},
		{"REST.COPY.OBJECT", "k", "CopyObject"},
		{"REST.COPY.OBJECT_GET", "k", "GetObject"},
		{"REST.GET.BUCKET", "-", "ListObjects"},
		{"REST.GET.BUCKETVERSIONS", "-", "ListObjectVersions"},
		{"REST.HEAD.BUCKET", "-", "HeadBucket"},
		{"REST.GET.SERVICE", "-", "ListBuckets"},
		{"REST.GET.ACL", "-", "GetBucketAcl"},
		{"REST.GET.ACL", "k", "GetObjectAcl"},
		{"REST.GET.TAGGING", "k", "GetObjectTagging"},
		{"REST.GET.BUCKETPOLICY", "-", "GetBucketPolicy"},
		{"REST.PUT.BUCKETPOLICY", "-", "PutBucketPolicy"},
		{"REST.DELETE.BUCKETPOLICY", "-", "DeleteBucketPolicy"},
		{"REST.GET.LOGGING_STATUS", "-", "GetBucketLogging"},
		{"REST.PUT.PUBLIC_ACCESS_BLOCK", "-", "PutBucketPublicAccessBlock"},
		{"REST.POST.MULTI_OBJECT_DELETE", "-", "DeleteObjects"},
		{"REST.POST.UPLOADS", "k", "CreateMultipartUpload"},
		{"REST.PUT.PART", "k", "UploadPart"},
		{"REST.POST.UPLOAD", "k", "CompleteMultipartUpload"},
		{"WEBSITE.GET.OBJECT", "k", "GetObject"},
		{"BATCH.DELETE.OBJECT", "k", "DeleteObject"},
		{"SOAP.CreateBucket", "-", "CreateBucket"},
		{"S3.EXPIRE.OBJECT", "k", "S3.EXPIRE.OBJECT"},
		{"REST.GET.SOMETHING_NEW", "-", "REST.GET.SOMETHING_NEW"},
	} {
		e, err := event.ParseAccessLog(accessFields("-", tt.logged, tt.key, `"GET / HTTP/1.1"`, "200", "-", `"x"`))
		require.NoError(t, err)
		assert.Equal(t, tt.want, e.Operation, tt.logged)
	}
}

func TestAccessLogRequesters(t *testing.T) {
	for requester, want := range map[string]event.Principal{
		"-":                                    {Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"},
		"Anonymous":                            {Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"},
		"arn:aws:iam::111122223333:user/alice": {Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: "111122223333"},
		"arn:aws:iam::111122223333:root":       {Kind: event.Root, Key: "arn:aws:iam::111122223333:root", Name: "root", AccountID: "111122223333"},
		"arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0": {Kind: event.InstanceRole, Key: "arn:aws:iam::111122223333:role/web",
			Name: "web", AccountID: "111122223333", Session: "i-0123456789abcdef0"},
		"0123abcd":                        {Kind: event.Account, Key: "canonical-user:0123abcd", Name: "0123abcd"},
		"svc:delivery.logs.amazonaws.com": {Kind: event.Service, Key: "service:delivery.logs.amazonaws.com", Name: "delivery.logs.amazonaws.com"},
		"AmazonS3":                        {Kind: event.Service, Key: "service:s3.amazonaws.com", Name: "s3.amazonaws.com"},
	} {
		e, err := event.ParseAccessLog(accessFields(requester, "REST.GET.OBJECT", "k", `"GET / HTTP/1.1"`, "200", "-", `"x"`))
		require.NoError(t, err, requester)
		assert.Equal(t, want, e.Principal, requester)
	}
}

func TestAccessLogFailures(t *testing.T) {
	for _, tt := range []struct{ status, code, want string }{
		{"200", "-", ""},
		{"304", "-", ""},
		{"-", "-", ""},
		{"403", "AccessDenied", "AccessDenied"},
		{"403", "-", "AccessDenied"},
		{"404", "-", "NoSuchKey"},
		{"404", "NoSuchBucket", "NoSuchBucket"},
		{"503", "-", "HTTP503"},
	} {
		e, err := event.ParseAccessLog(accessFields("-", "REST.GET.OBJECT", "k", `"GET / HTTP/1.1"`, tt.status, tt.code, `"x"`))
		require.NoError(t, err)
		assert.Equal(t, tt.want, e.ErrorCode)
	}
}

// TestAccessLogQuotes pins that what a caller puts into a request cannot shift
// the fields that S3 writes.
func TestAccessLogQuotes(t *testing.T) {
	for _, tt := range []struct{ uri, agent, wantURI, wantAgent string }{
		{`"GET /b/k HTTP/1.1"`, `"x"`, "GET /b/k HTTP/1.1", "x"},
		{`"GET /b/a"b HTTP/1.1"`, `"x"`, `GET /b/a"b HTTP/1.1`, "x"},
		{`"GET /b/a" HTTP/1.1"`, `"x"`, `GET /b/a" HTTP/1.1`, "x"},
		{`"-"`, `"-"`, "", ""},
		{`-`, `-`, "", ""},
		{`"GET / HTTP/1.1"`, `"my "agent""`, "GET / HTTP/1.1", `my "agent"`},
		{`"GET / HTTP/1.1"`, `"x" v9 fake SigV2 - "`, "GET / HTTP/1.1", `x" v9 fake SigV2 - `},
		{`"GET / HTTP/1.1"`, `"x" 200 - 5 5 7 6 "`, "GET / HTTP/1.1", `x" 200 - 5 5 7 6 `},
		{`"GET / HTTP/1.1"`, `"" ""`, "GET / HTTP/1.1", `" "`},
	} {
		e, err := event.ParseAccessLog(accessFields("-", "REST.GET.OBJECT", "k", tt.uri, "403", "AccessDenied", tt.agent))
		require.NoError(t, err, tt.agent)
		assert.Equal(t, tt.wantURI, e.Access.RequestURI)
		assert.Equal(t, tt.wantAgent, e.UserAgent)
		assert.Equal(t, "AccessDenied", e.ErrorCode)
		assert.Equal(t, "hostid", e.Access.HostID)
		assert.Equal(t, "SigV4", e.Access.SignatureVersion)
	}
}

func TestAccessLogRequest(t *testing.T) {
	for _, tt := range []struct{ key, uri, want string }{
		{"-", `"GET /b?list-type=2&prefix=a%2Fb+c&delimiter=%2F&max-keys=9&x=y HTTP/1.1"`, `{"bucketName":"b","list-type":"2","prefix":"a/b c","delimiter":"/","max-keys":"9"}`},
		{"-", `"GET /b?prefix= HTTP/1.1"`, `{"bucketName":"b"}`},
		{"-", `"GET /b?prefix=%zz HTTP/1.1"`, `{"bucketName":"b"}`},
		{"a%2522b", `"GET /b HTTP/1.1"`, `{"bucketName":"b","key":"a\"b"}`},
		{"a+b", `"GET /b HTTP/1.1"`, `{"bucketName":"b","key":"a+b"}`},
		{"100%25", `"GET /b HTTP/1.1"`, `{"bucketName":"b","key":"100%"}`},
		{"%25zz", `"GET /b HTTP/1.1"`, `{"bucketName":"b","key":"%zz"}`},
	} {
		e, err := event.ParseAccessLog(accessFields("-", "REST.GET.BUCKET", tt.key, tt.uri, "200", "-", `"x"`))
		require.NoError(t, err)
		assert.Equal(t, event.Raw(tt.want), e.Request)
	}
}

func TestAccessLogErrors(t *testing.T) {
	good := accessFields("-", "REST.GET.OBJECT", "k", `"GET / HTTP/1.1"`, "200", "-", `"x"`)
	for _, tt := range []struct {
		line string
		err  error
	}{
		{"", event.ErrSyntax},
		{"hello", event.ErrSyntax},
		{`{"eventVersion":"1.11"}`, event.ErrSyntax},
		{good[:strings.Index(good, ` "x"`)], event.ErrSyntax},
		{good[:strings.Index(good, `200`)], event.ErrSyntax},
		{strings.Replace(good, "[05/Jan", "05/Jan", 1), event.ErrSyntax},
		{strings.Replace(good, `"GET`, `GET`, 1), event.ErrSyntax},
		{strings.Replace(good, ` 5 -`, ` five -`, 1), event.ErrSyntax},
		{strings.Replace(good, ` 5 -`, ` -5 -`, 1), event.ErrSyntax},
		{strings.Replace(good, ` 7 6`, ` 9223372036854775807 6`, 1), event.ErrSyntax},
		{strings.Replace(good, "o b", "o -", 1), event.ErrSyntax},
		{strings.Replace(good, "05/Jan", "05/Foo", 1), event.ErrTime},
		{strings.Replace(good, "2026", "1999", 1), event.ErrTime},
	} {
		e, err := event.ParseAccessLog(tt.line)
		assert.Nil(t, e)
		assert.ErrorIs(t, err, tt.err, tt.line)
		var decode *event.DecodeError
		assert.ErrorAs(t, err, &decode)
	}
}
