package eventtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func TestRecord(t *testing.T) {
	e := eventtest.Record{
		Call: "s3:GetObject", At: eventtest.Start.Add(time.Minute), From: "203.0.113.9", Agent: "curl/8", Error: "AccessDenied",
		Request: map[string]any{"bucketName": "b"}, Additional: map[string]any{"bytesTransferredOut": 5.0},
		More: map[string]any{"awsRegion": "eu-west-1", "eventType": nil},
	}.Event(t)
	assert.True(t, e.Is("s3", "GetObject"))
	assert.Equal(t, event.Data, e.Category)
	assert.Equal(t, eventtest.Start.Add(time.Minute), e.Time)
	assert.Equal(t, "203.0.113.9", e.IP.String())
	assert.Equal(t, event.ToolCurl, e.Tool)
	assert.True(t, e.Denied())
	assert.Equal(t, "b", e.Bucket())
	assert.Equal(t, int64(5), e.BytesOut())
	assert.Equal(t, "eu-west-1", e.Region)
	assert.Empty(t, e.Type)
	assert.Equal(t, eventtest.Account, e.AccountID)
	assert.Equal(t, "alice", e.Principal.Name)
}

func TestRecordID(t *testing.T) {
	r := eventtest.Record{Call: "ec2:RunInstances"}
	assert.Equal(t, r.Event(t).ID, r.Event(t).ID)
	other := r
	other.From = "203.0.113.9"
	assert.NotEqual(t, r.Event(t).ID, other.Event(t).ID)
	other.ID = "mine"
	assert.Equal(t, "mine", other.Event(t).ID)
	other.More = map[string]any{"eventID": "theirs"}
	assert.Equal(t, "theirs", other.Event(t).ID)
}

func TestIdentities(t *testing.T) {
	const account = "444455556666"
	for _, tt := range []struct {
		by   eventtest.Identity
		want event.Principal
	}{
		{eventtest.User(account, "bob"), event.Principal{Kind: event.User, Key: "arn:aws:iam::444455556666:user/bob", Name: "bob", AccountID: account}},
		{eventtest.Root(account), event.Principal{Kind: event.Root, Key: "arn:aws:iam::444455556666:root", Name: "root", AccountID: account}},
		{eventtest.Role(account, "ci/deploy", "s"), event.Principal{Kind: event.Role, Key: "arn:aws:iam::444455556666:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{eventtest.Role(account, "aws-service-role/x.amazonaws.com/AWSServiceRoleForX", "s"),
			event.Principal{Kind: event.ServiceRole, Key: "arn:aws:iam::444455556666:role/AWSServiceRoleForX", Name: "AWSServiceRoleForX", AccountID: account, Session: "s"}},
		{eventtest.SSO(account, "Admin", "bob"), event.Principal{Kind: event.SSO,
			Key: "arn:aws:iam::444455556666:role/AWSReservedSSO_Admin_0123456789abcdef/bob", Name: "Admin/bob", AccountID: account, Session: "bob"}},
		{eventtest.Instance(account, "web", "i-0123456789abcdef0"), event.Principal{Kind: event.InstanceRole,
			Key: "arn:aws:iam::444455556666:role/web", Name: "web", AccountID: account, Session: "i-0123456789abcdef0"}},
		{eventtest.Service("ec2.amazonaws.com"), event.Principal{Kind: event.Service, Key: "service:ec2.amazonaws.com", Name: "ec2.amazonaws.com"}},
		{eventtest.Foreign(account, "AIDAX"), event.Principal{Kind: event.Account, Key: "aws-account:444455556666/AIDAX", Name: "AIDAX", AccountID: account}},
		{eventtest.Anonymous(), event.Principal{Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"}},
	} {
		e := eventtest.Record{Call: "s3:GetObject", By: tt.by}.Event(t)
		assert.Equal(t, tt.want, e.Principal)
	}
	by := eventtest.User(account, "bob")
	assert.NotEqual(t, by["accessKeyId"], by.With("accessKeyId", "ASIAX")["accessKeyId"])
}
