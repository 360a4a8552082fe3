package event_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func parse(t *testing.T, text string) *event.Event {
	t.Helper()
	e, err := event.Parse(text)
	require.NoError(t, err, text)
	return e
}

func TestParse(t *testing.T) {
	e := parse(t, `{
		"eventVersion": "1.11",
		"userIdentity": {"type": "IAMUser", "principalId": "AIDAX", "arn": "arn:aws:iam::111122223333:user/alice",
			"accountId": "111122223333", "accessKeyId": "AKIAX", "userName": "alice", "invokedBy": "AWS Internal"},
		"eventTime": "2026-01-05T10:00:00.250+01:00",
		"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-west-1",
		"sourceIPAddress": "::ffff:198.51.100.7", "userAgent": "[aws-cli/2.31.1]",
		"errorCode": "AccessDenied", "errorMessage": "no \"way\"",
		"requestParameters": {"bucketName": "b", "key": "a\u00e9"},
		"responseElements": null,
		"additionalEventData": {"bytesTransferredOut": 2356.0},
		"requestID": "R", "eventID": "I", "readOnly": true, "sharedEventID": "S",
		"resources": [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/a"}, {"ARNPrefix": "arn:aws:s3:::b/", "accountId": "1"}],
		"eventType": "AwsApiCall", "managementEvent": false, "recipientAccountId": "444455556666",
		"vpcEndpointId": "vpce-1", "vpcEndpointAccountId": "777788889999", "eventCategory": "Data",
		"sessionCredentialFromConsole": "true", "serviceEventDetails": {"x": 1}, "tlsDetails": {}
	}`)
	assert.Equal(t, "I", e.ID)
	assert.Equal(t, "S", e.SharedID)
	assert.Equal(t, "R", e.RequestID)
	assert.Equal(t, event.Data, e.Category)
	assert.Equal(t, "AwsApiCall", e.Type)
	assert.Equal(t, "1.11", e.Version)
	assert.Equal(t, time.Date(2026, 1, 5, 9, 0, 0, 250e6, time.UTC), e.Time)
	assert.Equal(t, "s3", e.Service())
	assert.Equal(t, "GetObject", e.Operation)
	assert.True(t, e.ReadOnly)
	assert.True(t, e.Denied())
	assert.False(t, e.Succeeded())
	assert.Equal(t, `no "way"`, e.ErrorMessage)
	assert.Equal(t, "eu-west-1", e.Region)
	assert.Equal(t, "444455556666", e.AccountID)
	assert.Equal(t, netip.MustParseAddr("198.51.100.7"), e.IP)
	assert.Equal(t, "vpce-1", e.VPCEndpointID)
	assert.Equal(t, "777788889999", e.VPCEndpointAccountID)
	assert.Equal(t, "aws-cli/2.31.1", e.UserAgent)
	assert.Equal(t, event.ToolCLI, e.Tool)
	assert.True(t, e.Console)
	assert.True(t, e.ViaService())
	assert.Equal(t, "b", e.Bucket())
	assert.Equal(t, "aé", e.ObjectKey())
	assert.Equal(t, int64(2356), e.BytesOut())
	assert.Equal(t, event.Raw(""), e.Response)
	assert.Equal(t, event.Raw(`{"x": 1}`), e.ServiceDetails)
	assert.Nil(t, e.Access)
	var resources []event.Resource
	for r := range e.Resources() {
		resources = append(resources, r)
	}
	assert.Equal(t, []event.Resource{
		{ARN: "arn:aws:s3:::b/a", Type: "AWS::S3::Object"},
		{ARN: "arn:aws:s3:::b/", AccountID: "1"},
	}, resources)
	assert.True(t, strings.HasPrefix(e.Text, "{") && strings.HasSuffix(e.Text, "}"))
}

// TestParseTraps pins the decoding of what real trails have and the
// documentation does not prepare for.
func TestParseTraps(t *testing.T) {
	const base = `"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances"`
	for _, tt := range []struct {
		name, members string
		check         func(*testing.T, *event.Event)
	}{
		{"the least there can be", base, func(t *testing.T, e *event.Event) {
			assert.Equal(t, event.Management, e.Category)
			assert.True(t, e.ReadOnly)
			assert.Len(t, e.ID, 36)
			assert.False(t, e.IP.IsValid())
			assert.Equal(t, event.ToolNone, e.Tool)
		}},
		{"no name but a type", `"eventTime":"2026-01-05T09:00:00Z","eventSource":"kms.amazonaws.com","eventType":"AwsServiceEvent"`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, event.Service, e.Principal.Kind) }},
		{"null members", base + `,"errorCode":null,"requestParameters":null,"userIdentity":null,"resources":null,"readOnly":null`,
			func(t *testing.T, e *event.Event) {
				assert.True(t, e.Succeeded())
				assert.Empty(t, e.Request)
				assert.Empty(t, e.ResourceList)
				assert.True(t, e.ReadOnly)
			}},
		{"wrong types", base + `,"eventVersion":1.08,"eventID":17,"awsRegion":{"x":1},"userIdentity":"me","readOnly":"false","userAgent":["x"]`,
			func(t *testing.T, e *event.Event) {
				assert.Equal(t, "1.08", e.Version)
				assert.Equal(t, "17", e.ID)
				assert.Empty(t, e.Region)
				assert.Empty(t, e.UserAgent)
				assert.False(t, e.ReadOnly)
			}},
		{"data event before eventCategory", base + `,"managementEvent":false`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, event.Data, e.Category) }},
		{"data event with a string for a boolean", base + `,"managementEvent":"false"`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, event.Data, e.Category) }},
		{"network activity", base + `,"eventType":"AwsVpceEvent"`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, event.NetworkActivity, e.Category) }},
		{"insight", `"eventTime":"2026-01-05T09:00:00Z","eventType":"AwsCloudTrailInsight","eventCategory":"Insight",` +
			`"insightDetails":{"state":"Start","eventSource":"ssm.amazonaws.com","eventName":"GetParameter"}`,
			func(t *testing.T, e *event.Event) {
				assert.Equal(t, event.Insight, e.Category)
				assert.True(t, e.Is("ssm", "GetParameter"))
			}},
		{"console flag off", base + `,"sessionCredentialFromConsole":"false"`,
			func(t *testing.T, e *event.Event) { assert.False(t, e.Console) }},
		{"service as the address", base + `,"sourceIPAddress":"ec2.amazonaws.com","userAgent":"ec2.amazonaws.com"`,
			func(t *testing.T, e *event.Event) {
				assert.False(t, e.IP.IsValid())
				assert.Equal(t, event.ToolService, e.Tool)
			}},
		{"address with a zone", base + `,"sourceIPAddress":"fe80::1%eth0"`,
			func(t *testing.T, e *event.Event) { assert.False(t, e.IP.IsValid()) }},
		{"doubled member", base + `,"eventName":"RunInstances"`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, "RunInstances", e.Name) }},
		{"name with an escape", base + `,"event\u0049D":"x"`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, "x", e.ID) }},
		{"account from the identity", base + `,"userIdentity":{"accountId":"111122223333"}`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, "111122223333", e.AccountID) }},
		{"account from the ARN", base + `,"userIdentity":{"arn":"arn:aws:iam::111122223333:user/alice"}`,
			func(t *testing.T, e *event.Event) { assert.Equal(t, "111122223333", e.AccountID) }},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, parse(t, "{"+tt.members+"}")) })
	}
}

func TestParseErrors(t *testing.T) {
	good := eventtest.Record{Call: "ec2:DescribeInstances"}.JSON()
	for _, tt := range []struct {
		text   string
		offset int
		err    error
	}{
		{``, 0, event.ErrSyntax},
		{`{"a":1`, 6, event.ErrSyntax},
		{`{"a":1,}`, 7, event.ErrSyntax},
		{`[]`, 0, event.ErrNotRecord},
		{`17`, 0, event.ErrSyntax},
		{good + ` x`, len(good) + 1, event.ErrSyntax},
		{strings.Repeat(`{"a":`, 65), 64 * 5, event.ErrTooDeep},
		{`{}`, 0, event.ErrNotRecord},
		{`{"eventTime":"2026-01-05T09:00:00Z","eventName":"x"}`, 0, event.ErrNotRecord},
		{`{"eventTime":"2026-01-05T09:00:00Z","eventSource":"x"}`, 0, event.ErrNotRecord},
		{`{"eventSource":"x","eventName":"x"}`, 0, event.ErrNotRecord},
		{strings.Replace(good, "1.11", "2.0", 1), 0, event.ErrNotRecord},
		{strings.Replace(good, "2026-01-05T", "2026-13-05T", 1), 0, event.ErrTime},
		{strings.Replace(good, "2026-01-05T", "2005-12-31T", 1), 0, event.ErrTime},
		{strings.Replace(good, "2026-01-05T", "2200-01-01T", 1), 0, event.ErrTime},
		{strings.Replace(good, `"AwsApiCall"`, `"AwsAggregatedEvent"`, 1), 0, event.ErrAggregated},
		{strings.Replace(good, `ec2.amazonaws.com`, `aws:s3`, 1), 0, event.ErrNotification},
	} {
		e, err := event.Parse(tt.text)
		assert.Nil(t, e)
		assert.ErrorIs(t, err, tt.err, tt.text)
		var decode *event.DecodeError
		require.ErrorAs(t, err, &decode, tt.text)
		assert.Equal(t, int64(tt.offset), decode.Offset, tt.text)
	}
	for _, version := range []string{"1.05", "1.08", "1.9", "1.10", "1.11", "1.99"} {
		assert.Equal(t, version, parse(t, strings.Replace(good, "1.11", version, 1)).Version)
	}
}

func TestDerivedID(t *testing.T) {
	text := `{"eventTime":"2026-01-05T09:00:00Z","eventSource":"x","eventName":"y"}`
	e := parse(t, text)
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, e.ID)
	assert.Equal(t, e.ID, parse(t, " "+text+"\n").ID, "the same record, the same ID")
	assert.NotEqual(t, e.ID, parse(t, strings.Replace(text, `"y"`, `"z"`, 1)).ID)
}

func TestOperation(t *testing.T) {
	for _, tt := range []struct{ source, name, want string }{
		{"lambda", "GetFunction20150331v2", "GetFunction"},
		{"lambda", "ListFunctions20150331", "ListFunctions"},
		{"lambda", "ListTags20170331", "ListTags"},
		{"lambda", "GetFunctionv2", "GetFunction"},
		{"lambda", "GetFunctionCodeSigningConfig", "GetFunctionCodeSigningConfig"},
		{"lambda", "Invoke", "Invoke"},
		{"lambda", "20150331", "20150331"},
		{"lambda", "v2", "v2"},
		{"lambda", "", ""},
		{"cloudfront", "CreateDistribution2020_05_31", "CreateDistribution"},
		{"cloudfront", "GetDistribution", "GetDistribution"},
		{"cloudfront", "2020_05_31", "2020_05_31"},
		{"s3", "GetObject20150331v2", "GetObject20150331v2"},
		{"ec2", "CreateDistribution2020_05_31", "CreateDistribution2020_05_31"},
	} {
		e := parse(t, `{"eventTime":"2026-01-05T09:00:00Z","eventType":"AwsApiCall","eventSource":"`+tt.source+`.amazonaws.com","eventName":"`+tt.name+`"}`)
		assert.Equal(t, tt.want, e.Operation)
		assert.Equal(t, tt.name, e.Name)
	}
}

func TestReadOnlyFromVerb(t *testing.T) {
	for name, want := range map[string]bool{
		"GetObject": true, "ListBuckets": true, "DescribeInstances": true, "HeadBucket": true, "SearchResources": true,
		"LookupEvents": true, "BatchGetImage": true, "SelectObjectContent": true, "Query": true, "Scan": true,
		"SimulatePrincipalPolicy": true, "AssumeRole": false, "PutObject": false, "GenerateCredentialReport": false,
		"GettysburgAddress": false, "ScanAndDelete": true, "BatchWriteItem": false, "Batch": false, "": false, "getObject": false,
	} {
		e := parse(t, `{"eventTime":"2026-01-05T09:00:00Z","eventType":"AwsApiCall","eventSource":"x","eventName":"`+name+`"}`)
		assert.Equal(t, want, e.ReadOnly, name)
	}
}

func TestDenied(t *testing.T) {
	for code, want := range map[string]bool{
		"AccessDenied": true, "AccessDeniedException": true, "Client.UnauthorizedOperation": true, "UnauthorizedOperation": true,
		"VpceAccessDenied": true, "": false, "ThrottlingException": false, "NoSuchKey": false, "ValidationException": false,
	} {
		e := event.Event{ErrorCode: code}
		assert.Equal(t, want, e.Denied(), code)
		assert.Equal(t, code == "", e.Succeeded(), code)
	}
	login := event.Event{Operation: "ConsoleLogin", Response: `{"ConsoleLogin":"Failure"}`}
	assert.False(t, login.Succeeded())
	login.Response = `{"ConsoleLogin":"Success"}`
	assert.True(t, login.Succeeded())
}

func TestIs(t *testing.T) {
	e := event.Event{Source: "lambda.amazonaws.com", Operation: "GetFunction"}
	assert.True(t, e.Is("lambda"))
	assert.True(t, e.Is("lambda", "Invoke", "GetFunction"))
	assert.False(t, e.Is("lambda", "Invoke"))
	assert.False(t, e.Is("s3", "GetFunction"))
	assert.False(t, e.Is("lamb"))
	assert.False(t, e.Is("lambda.amazonaws.com"))
	assert.True(t, (&event.Event{Source: "aws.example"}).Is("aws.example"))
}

// Where the bucket stands in the request, and what else does, changes nothing.
func TestBucket(t *testing.T) {
	for request, want := range map[string]string{
		`{"bucketName":"b"}`:                                "b",
		`{"bucketName":"b","key":"k"}`:                      "b",
		`{"key":"k","bucketName":"b"}`:                      "b",
		`{ "bucketName" : "b" }`:                            "b",
		`{"bucketName":""}`:                                 "",
		`{"bucketName":null}`:                               "",
		`{"bucketName":"\u0062"}`:                           "b",
		`{"bucketName":"b","bucketName":"c"}`:               "c",
		`{"bucketName":"b","bucketName" : "c"}`:             "c",
		`{"bucketName":"b","bucketName":null}`:              "",
		`{"bucketName":"b","bucket\u004eame":"c"}`:          "c",
		`{"bucketName":"b","tags":{"bucketName":"c"}}`:      "b",
		`{"bucketName":"b","key":"\"bucketName\":\"c\""}`:   "b",
		`{"bucketName":"b","key":"{\"bucketName\":\"c\"}"}`: "b",
		`{"bucketNames":"b"}`:                               "",
		`{"bucketName":"é"}`:                                "é",
		"{\"bucketName\":\"b\xff\"}":                        "b\ufffd",
		`null`:                                              "",
	} {
		e, err := event.Parse(`{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2026-01-05T10:00:00Z","requestParameters":` + request + `}`)
		require.NoError(t, err, request)
		assert.Equal(t, want, e.Bucket(), request)
		assert.Equal(t, want, e.Request.At("bucketName").Text(), request)
		assert.Equal(t, want, e.Clone().Bucket(), request)
		cut := *e
		cut.Request = cut.Request[:max(0, len(cut.Request)-len(`"}`))]
		assert.NotPanics(t, func() { cut.Bucket() }, "%s, cut short", request)
	}
}
