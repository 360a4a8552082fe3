package event_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func TestPrincipal(t *testing.T) {
	const account = "111122223333"
	session := func(arn, issuer string, more string) string {
		return `{"type":"AssumedRole","principalId":"AROAX:s","arn":"` + arn + `","accountId":"` + account +
			`","sessionContext":{"sessionIssuer":{"type":"Role","arn":"` + issuer + `"}` + more + `}}`
	}
	const sso = "AWSReservedSSO_Power_Users_0123456789abcdef"
	for _, tt := range []struct {
		name, identity string
		want           event.Principal
	}{
		{"root", `{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333"}`,
			event.Principal{Kind: event.Root, Key: "arn:aws:iam::111122223333:root", Name: "root", AccountID: account}},
		{"user", `{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","userName":"alice"}`,
			event.Principal{Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"user with a path", `{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/dept/x/alice","accountId":"111122223333"}`,
			event.Principal{Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"user's session token", `{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"ASIAX","sessionContext":{"attributes":{"mfaAuthenticated":"true"}}}`,
			event.Principal{Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"user without ARN", `{"type":"IAMUser","accountId":"111122223333","userName":"alice"}`,
			event.Principal{Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"sign-in under a name that is none", `{"type":"IAMUser","accountId":"111122223333","accessKeyId":"","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}`,
			event.Principal{Kind: event.Unknown, Key: "unknown:111122223333", Name: "unknown", AccountID: account}},
		{"user in China", `{"type":"IAMUser","arn":"arn:aws-cn:iam::111122223333:user/alice","accountId":"111122223333"}`,
			event.Principal{Kind: event.User, Key: "arn:aws-cn:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"role", session("arn:aws:sts::111122223333:assumed-role/deploy/s", "arn:aws:iam::111122223333:role/deploy", ""),
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{"role with a path", session("arn:aws:sts::111122223333:assumed-role/deploy/s", "arn:aws:iam::111122223333:role/ci/deploy", ""),
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{"role without issuer", `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/deploy/s"}`,
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{"role in GovCloud", session("arn:aws-us-gov:sts::111122223333:assumed-role/deploy/s", "arn:aws-us-gov:iam::111122223333:role/deploy", ""),
			event.Principal{Kind: event.Role, Key: "arn:aws-us-gov:iam::111122223333:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{"role by its own ARN", `{"type":"Role","arn":"arn:aws:iam::111122223333:role/x/deploy"}`,
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/deploy", Name: "deploy", AccountID: account}},
		{"role without anything", `{"type":"AssumedRole","principalId":"AROAX:s","accountId":"111122223333"}`,
			event.Principal{Kind: event.Unknown, Key: "unknown:111122223333/AROAX", Name: "unknown", AccountID: account}},
		{"single sign-on", session("arn:aws:sts::111122223333:assumed-role/"+sso+"/bob@example.com", "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/"+sso, ""),
			event.Principal{Kind: event.SSO, Key: "arn:aws:iam::111122223333:role/" + sso + "/bob@example.com", Name: "Power_Users/bob@example.com", AccountID: account, Session: "bob@example.com"}},
		{"instance by session", session("arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0", "arn:aws:iam::111122223333:role/web", ""),
			event.Principal{Kind: event.InstanceRole, Key: "arn:aws:iam::111122223333:role/web", Name: "web", AccountID: account, Session: "i-0123456789abcdef0"}},
		{"instance by delivery", session("arn:aws:sts::111122223333:assumed-role/web/s", "arn:aws:iam::111122223333:role/web", `,"ec2RoleDelivery":"1.0"`),
			event.Principal{Kind: event.InstanceRole, Key: "arn:aws:iam::111122223333:role/web", Name: "web", AccountID: account, Session: "s"}},
		{"no instance", session("arn:aws:sts::111122223333:assumed-role/web/i-robot", "arn:aws:iam::111122223333:role/web", ""),
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/web", Name: "web", AccountID: account, Session: "i-robot"}},
		{"service-linked role", session("arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForConfig/s", "arn:aws:iam::111122223333:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig", ""),
			event.Principal{Kind: event.ServiceRole, Key: "arn:aws:iam::111122223333:role/AWSServiceRoleForConfig", Name: "AWSServiceRoleForConfig", AccountID: account, Session: "s"}},
		{"role that only sounds so", session("arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForConfig/s", "arn:aws:iam::111122223333:role/x/aws-service-role/AWSServiceRoleForConfig", ""),
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/AWSServiceRoleForConfig", Name: "AWSServiceRoleForConfig", AccountID: account, Session: "s"}},
		{"federated by a user", `{"type":"FederatedUser","principalId":"111122223333:tmp","arn":"arn:aws:sts::111122223333:federated-user/tmp","sessionContext":{"sessionIssuer":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice"}}}`,
			event.Principal{Kind: event.Federated, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account, Session: "tmp"}},
		{"federated by root", `{"type":"FederatedUser","arn":"arn:aws:sts::111122223333:federated-user/tmp","sessionContext":{"sessionIssuer":{"type":"Root","arn":"arn:aws:iam::111122223333:root"}}}`,
			event.Principal{Kind: event.Federated, Key: "arn:aws:iam::111122223333:root", Name: "root", AccountID: account, Session: "tmp"}},
		{"federated by nobody known", `{"type":"FederatedUser","arn":"arn:aws:sts::111122223333:federated-user/tmp"}`,
			event.Principal{Kind: event.Federated, Key: "arn:aws:sts::111122223333:federated-user/tmp", Name: "tmp", AccountID: account, Session: "tmp"}},
		{"web identity", `{"type":"WebIdentityUser","principalId":"x","userName":"repo:octo/app:ref:refs/heads/main","identityProvider":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			event.Principal{Kind: event.WebIdentity, Key: "web-identity:token.actions.githubusercontent.com/repo:octo/app:ref:refs/heads/main", Name: "repo:octo/app:ref:refs/heads/main", AccountID: "999988887777"}},
		{"web identity of a public provider", `{"type":"WebIdentityUser","userName":"42","identityProvider":"accounts.google.com"}`,
			event.Principal{Kind: event.WebIdentity, Key: "web-identity:accounts.google.com/42", Name: "42", AccountID: "999988887777"}},
		{"SAML", `{"type":"SAMLUser","principalId":"Q0=:bob","userName":"bob","identityProvider":"Q0="}`,
			event.Principal{Kind: event.SAML, Key: "saml:Q0=/bob", Name: "bob", AccountID: "999988887777"}},
		{"Identity Center", `{"type":"IdentityCenterUser","accountId":"111122223333","onBehalfOf":{"userId":"u-1","identityStoreArn":"arn:aws:identitystore::111122223333:identitystore/d-12"}}`,
			event.Principal{Kind: event.SSO, Key: "identity-center:d-12/u-1", Name: "u-1", AccountID: account}},
		{"Identity Center, without type", `{"accountId":"111122223333","onBehalfOf":{"userId":"u-1","identityStoreArn":"arn:aws:identitystore::111122223333:identitystore/d-12"}}`,
			event.Principal{Kind: event.SSO, Key: "identity-center:d-12/u-1", Name: "u-1", AccountID: account}},
		{"foreign account", `{"type":"AWSAccount","principalId":"AROAX:s","accountId":"444455556666"}`,
			event.Principal{Kind: event.Account, Key: "aws-account:444455556666/AROAX", Name: "AROAX", AccountID: "444455556666", Session: "s"}},
		{"foreign account itself", `{"type":"AWSAccount","principalId":"444455556666","accountId":"444455556666"}`,
			event.Principal{Kind: event.Account, Key: "aws-account:444455556666", Name: "444455556666", AccountID: "444455556666"}},
		{"service", `{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`,
			event.Principal{Kind: event.Service, Key: "service:ec2.amazonaws.com", Name: "ec2.amazonaws.com"}},
		{"service that does not say which", `{"type":"AWSService","invokedBy":"AWS Internal"}`,
			event.Principal{Kind: event.Service, Key: "service:s3.amazonaws.com", Name: "s3.amazonaws.com"}},
		{"service without type", `{"accountId":"111122223333","invokedBy":"ec2.amazonaws.com"}`,
			event.Principal{Kind: event.Service, Key: "service:ec2.amazonaws.com", Name: "ec2.amazonaws.com"}},
		{"anonymous", `{"type":"AWSAccount","principalId":"","accountId":"ANONYMOUS_PRINCIPAL"}`,
			event.Principal{Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"}},
		{"anonymous, normalised elsewhere", `{"type":"AWSAccount","accountId":"anonymous"}`,
			event.Principal{Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"}},
		{"anonymous, unknown type", `{"type":"Unknown","principalId":"","accountId":""}`,
			event.Principal{Kind: event.Anonymous, Key: "anonymous", Name: "anonymous"}},
		{"no type: user", `{"arn":"arn:aws:iam::111122223333:user/alice"}`,
			event.Principal{Kind: event.User, Key: "arn:aws:iam::111122223333:user/alice", Name: "alice", AccountID: account}},
		{"no type: root", `{"arn":"arn:aws:iam::111122223333:root"}`,
			event.Principal{Kind: event.Root, Key: "arn:aws:iam::111122223333:root", Name: "root", AccountID: account}},
		{"no type: role", `{"type":"Unknown","arn":"arn:aws:sts::111122223333:assumed-role/deploy/s"}`,
			event.Principal{Kind: event.Role, Key: "arn:aws:iam::111122223333:role/deploy", Name: "deploy", AccountID: account, Session: "s"}},
		{"unknown", `{"type":"Unknown","principalId":"111122223333","accountId":"111122223333","userName":"x"}`,
			event.Principal{Kind: event.Unknown, Key: "unknown:111122223333", Name: "unknown", AccountID: account}},
		{"type of the future", `{"type":"Robot","principalId":"R2D2:x"}`,
			event.Principal{Kind: event.Unknown, Key: "unknown:999988887777/R2D2", Name: "unknown", AccountID: "999988887777"}},
		{"nonsense", `{"type":"IAMUser","arn":"arn:::::"}`,
			event.Principal{Kind: event.Unknown, Key: "unknown:999988887777", Name: "unknown", AccountID: "999988887777"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, `{"eventTime":"2026-01-05T09:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","recipientAccountId":"999988887777","userIdentity":`+tt.identity+`}`)
			assert.Equal(t, tt.want, e.Principal)
		})
	}
}

func TestIdentity(t *testing.T) {
	e := eventtest.Record{Call: "s3:GetObject", By: eventtest.Instance("111122223333", "web", "i-0123456789abcdef0").
		With("onBehalfOf", map[string]any{"userId": "u", "identityStoreArn": "i"}).With("identityProvider", "p")}.Event(t)
	id := e.Identity
	assert.Equal(t, "AssumedRole", id.Type)
	assert.Equal(t, "Role", id.IssuerType)
	assert.Equal(t, "arn:aws:iam::111122223333:role/web", id.IssuerARN)
	assert.Equal(t, id.PrincipalID, id.IssuerPrincipalID+":i-0123456789abcdef0")
	assert.Equal(t, "111122223333", id.IssuerAccountID)
	assert.Equal(t, "web", id.IssuerUserName)
	assert.Equal(t, "2.0", id.EC2RoleDelivery)
	assert.Equal(t, eventtest.Start, id.SessionCreated)
	assert.False(t, id.MFAAuthenticated)
	assert.Equal(t, "u", id.OnBehalfOfUserID)
	assert.Equal(t, "i", id.IdentityStoreARN)
	assert.Equal(t, "p", id.IdentityProvider)

	e = parse(t, `{"eventTime":"2026-01-05T09:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"type":"AssumedRole",`+
		`"sessionContext":{"attributes":{"mfaAuthenticated":"true","creationDate":"never"},"sourceIdentity":"alice","webIdFederationData":{"federatedProvider":"f"}}}}`)
	assert.True(t, e.Identity.MFAAuthenticated)
	assert.Equal(t, "alice", e.Identity.SourceIdentity)
	assert.Equal(t, "f", e.Identity.FederatedProvider)
	assert.True(t, e.Identity.SessionCreated.IsZero())
}

func TestPerson(t *testing.T) {
	for k := event.Unknown; k <= event.Anonymous; k++ {
		want := k == event.SSO || k == event.User || k == event.Root
		assert.Equal(t, want, event.Principal{Kind: k}.Person(), k)
	}
}

func TestKindString(t *testing.T) {
	seen := map[string]bool{}
	for k := event.Unknown; k <= event.Anonymous; k++ {
		assert.Regexp(t, `^[a-z]+(-[a-z]+)*$`, k.String())
		assert.False(t, seen[k.String()], k.String())
		seen[k.String()] = true
	}
	assert.Equal(t, "unknown", event.Kind(200).String())
}
