// Package eventtest makes events for tests. It writes the JSON that CloudTrail
// would have written and decodes that, so a test's events have the shape of
// real ones.
//
//	e := eventtest.Record{
//		Call:    "s3:GetObject",
//		By:      eventtest.Role("111122223333", "deploy", "ci-4711"),
//		Request: map[string]any{"bucketName": "backups", "key": "db.sql"},
//	}.Event(t)
package eventtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/event"
)

// Start is the time of records that name none: a Monday morning, so that tests
// of days and weeks begin at a boundary.
var Start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// Account is the account of records whose identity has none.
const Account = "111122223333"

// A Record describes a CloudTrail record. Only Call is required.
type Record struct {
	Call  string    // "service:Operation", such as "s3:GetObject"
	By    Identity  // who calls; the default is User(Account, "alice")
	At    time.Time // when; the default is Start
	From  string    // sourceIPAddress; the default is 198.51.100.7
	Agent string    // userAgent; the default is one of the AWS CLI
	Error string    // errorCode; none is a call that succeeded
	// ID is eventID. By default it is made from the rest of the record, so two
	// records are copies of one only if they are alike in everything.
	ID string
	// Request, Response and Additional are requestParameters, responseElements
	// and additionalEventData.
	Request, Response, Additional map[string]any
	// More are further members of the record, or other values for those above.
	// A nil value removes the member.
	More map[string]any
}

// Event returns the decoded record. It fails the test if that is no record.
func (r Record) Event(t testing.TB) *event.Event {
	t.Helper()
	e, err := event.Parse(r.JSON())
	if err != nil {
		t.Fatalf("eventtest: %v in %s", err, r.JSON())
	}
	return e
}

// dataCalls are the calls that CloudTrail logs as data events, by service; the
// rest are management events.
var dataCalls = map[string][]string{
	"s3": {"GetObject", "HeadObject", "HeadBucket", "ListObjects", "ListObjectVersions", "GetObjectAcl", "GetObjectTagging",
		"GetObjectAttributes", "SelectObjectContent", "CopyObject", "PutObject", "DeleteObject", "DeleteObjects"},
	"lambda": {"Invoke"},
}

// JSON returns the record as CloudTrail writes it.
func (r Record) JSON() string {
	service, operation, _ := strings.Cut(r.Call, ":")
	by := r.By
	if by == nil {
		by = User(Account, "alice")
	}
	account, ok := by["accountId"].(string)
	if !ok || by["type"] == "AWSAccount" { // the log is not that of the foreign caller
		account = Account
	}
	data := slices.Contains(dataCalls[service], operation)
	category := "Management"
	if data {
		category = "Data"
	}
	fields := map[string]any{
		"eventVersion":       "1.11",
		"userIdentity":       by,
		"eventTime":          cmp.Or(r.At, Start).UTC().Format(time.RFC3339Nano),
		"eventSource":        service + ".amazonaws.com",
		"eventName":          operation,
		"awsRegion":          "us-east-1",
		"sourceIPAddress":    cmp.Or(r.From, "198.51.100.7"),
		"userAgent":          cmp.Or(r.Agent, "aws-cli/2.31.1 md/awscrt#0.27.6 lang/python#3.13.7"),
		"requestParameters":  r.Request,
		"responseElements":   r.Response,
		"eventType":          "AwsApiCall",
		"managementEvent":    !data,
		"recipientAccountId": account,
		"eventCategory":      category,
	}
	if r.Additional != nil {
		fields["additionalEventData"] = r.Additional
	}
	if r.Error != "" {
		fields["errorCode"] = r.Error
	}
	for name, value := range r.More {
		if value == nil {
			delete(fields, name)
		} else {
			fields[name] = value
		}
	}
	if fields["eventID"] == nil {
		fields["eventID"] = cmp.Or(r.ID, contentID(fields))
	}
	return encode(fields)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("eventtest: " + err.Error())
	}
	return string(b)
}

func contentID(fields map[string]any) string {
	sum := sha256.Sum256([]byte(encode(fields)))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// An Identity is a userIdentity element, member by member.
type Identity map[string]any

// With returns a copy of the identity in which the member has the value.
func (i Identity) With(name string, value any) Identity {
	c := maps.Clone(i)
	c[name] = value
	return c
}

// User is an IAM user who calls with a long-term access key.
func User(account, name string) Identity {
	return Identity{
		"type":        "IAMUser",
		"principalId": unique("AIDA", account, name),
		"arn":         "arn:aws:iam::" + account + ":user/" + name,
		"accountId":   account,
		"accessKeyId": unique("AKIA", account, name),
		"userName":    name,
	}
}

// Root is an account's root user.
func Root(account string) Identity {
	return Identity{
		"type":        "Root",
		"principalId": account,
		"arn":         "arn:aws:iam::" + account + ":root",
		"accountId":   account,
		"accessKeyId": unique("ASIA", account, "root"),
	}
}

// Role is a session of a role. The name may begin with a path, as in
// "aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig".
func Role(account, name, session string) Identity {
	short := name[strings.LastIndexByte(name, '/')+1:]
	id := unique("AROA", account, short)
	return Identity{
		"type":        "AssumedRole",
		"principalId": id + ":" + session,
		"arn":         "arn:aws:sts::" + account + ":assumed-role/" + short + "/" + session,
		"accountId":   account,
		"accessKeyId": unique("ASIA", account, short, session),
		"sessionContext": map[string]any{
			"sessionIssuer": map[string]any{
				"type":        "Role",
				"principalId": id,
				"arn":         "arn:aws:iam::" + account + ":role/" + name,
				"accountId":   account,
				"userName":    short,
			},
			"attributes": map[string]any{"creationDate": Start.Format(time.RFC3339), "mfaAuthenticated": "false"},
		},
	}
}

// SSO is a person's session through IAM Identity Center, with the role of a
// permission set.
func SSO(account, permissionSet, person string) Identity {
	return Role(account, "aws-reserved/sso.amazonaws.com/AWSReservedSSO_"+permissionSet+"_0123456789abcdef", person)
}

// Instance is a role's session that an EC2 instance holds. The instance's ID
// begins with "i-".
func Instance(account, role, instance string) Identity {
	id := Role(account, role, instance)
	id["sessionContext"].(map[string]any)["ec2RoleDelivery"] = "2.0"
	return id
}

// Service is an AWS service on its own behalf, by its host name such as
// "config.amazonaws.com".
func Service(host string) Identity { return Identity{"type": "AWSService", "invokedBy": host} }

// Foreign is a caller from another account, with the unique ID that is all
// AWS tells about it.
func Foreign(account, uniqueID string) Identity {
	return Identity{"type": "AWSAccount", "principalId": uniqueID, "accountId": account}
}

// Anonymous is a request to S3 without credentials.
func Anonymous() Identity {
	return Identity{"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
}

// unique makes an ID such as AWS gives out: a prefix for its kind and 16
// letters and digits.
func unique(prefix string, of ...string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	sum := sha256.Sum256([]byte(prefix + "\x00" + strings.Join(of, "\x00")))
	b := []byte(prefix)
	for _, c := range sum[:16] {
		b = append(b, alphabet[c%32])
	}
	return string(b)
}
