package techniques

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
)

func TestNamesAreNormalised(t *testing.T) {
	t.Parallel()
	tests := []struct {
		of        string
		normalise func(string) string
		in, want  string
	}{
		{"function", functionName, "payments", "payments"},
		{"function", functionName, "payments:live", "payments"},
		{"function", functionName, "payments:$LATEST", "payments"},
		{"function", functionName, "arn:aws:lambda:us-east-1:111122223333:function:payments", "payments"},
		{"function", functionName, "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:payments:7", "payments"},
		{"function", functionName, "111122223333:function:payments", "payments"},
		{"function", functionName, "", ""},

		{"parameter", parameterName, "password", "password"},
		{"parameter", parameterName, "/password", "password"},
		{"parameter", parameterName, "/prod/db/password", "/prod/db/password"},
		{"parameter", parameterName, "/prod/db/password:3", "/prod/db/password"},
		{"parameter", parameterName, "/prod/db/password:live", "/prod/db/password"},
		{"parameter", parameterName, "arn:aws:ssm:us-east-1:111122223333:parameter/password", "password"},
		{"parameter", parameterName, "arn:aws:ssm:us-east-1:111122223333:parameter/prod/db/password:3", "/prod/db/password"},
		{"parameter", parameterName, "arn:aws:ssm:us-east-1::parameter/aws/service/ami-amazon-linux-latest/al2023", ""},
		{"parameter", parameterName, "/aws/service/ami-amazon-linux-latest/al2023", ""},
		{"parameter", parameterName, "arn:aws:kms:us-east-1:111122223333:key/1", ""},
		{"parameter", parameterName, "", ""},

		{"secret", secretName, "prod/db", "prod/db"},
		{"secret", secretName, "my-secret", "my-secret"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf", "prod/db"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db", "prod/db"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod-1-db-AbCdEf", "prod-1-db"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:-AbCdEf", "-AbCdEf"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/database", "prod/database"},
		{"secret", secretName, "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod-a-west", "prod-a-west"},
		{"secret", secretName, "arn:", ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, tt.normalise(tt.in), "%s %q", tt.of, tt.in)
	}
}

func TestDeniedResource(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, message, want string }{
		{"AccessDenied", "User: x is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:::parameter/a because no identity-based policy allows it", "arn:aws:ssm:::parameter/a"},
		{"AccessDeniedException", "not authorized on resource: prod-db", "prod-db"},
		{"AccessDenied", "Access Denied", ""},
		{"AccessDenied", "", ""},
		{"ParameterNotFound", "no such thing on resource: prod-db", ""},
		{"", "on resource: prod-db", ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, deniedResource(&event.Event{ErrorCode: tt.code, ErrorMessage: tt.message}), tt.message)
	}
}

func TestManagedInstances(t *testing.T) {
	t.Parallel()
	const ec2 = "ec2.amazonaws.com"
	tests := []struct {
		e    event.Event
		want []string
	}{
		{event.Event{Source: ec2, Operation: "RunInstances",
			Request:  `{"instancesSet":{"items":[{"imageId":"ami-1","minCount":2}]}}`,
			Response: `{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}`}, []string{"i-1", "i-2"}},
		{event.Event{Source: ec2, Operation: "StopInstances",
			Request:  `{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}`,
			Response: `{"instancesSet":{"items":[{"instanceId":"i-3"}]}}`}, []string{"i-1", "i-2"}},
		{event.Event{Source: ec2, Operation: "ModifyInstanceAttribute", Request: `{"instanceId":"i-1"}`}, []string{"i-1"}},
		{event.Event{Source: ec2, Operation: "CreateTags",
			Request: `{"resourcesSet":{"items":[{"resourceId":"vol-1"},{"resourceId":"i-1"},{"resourceId":"i-"}]}}`}, []string{"i-1"}},
		{event.Event{Source: ec2, Operation: "CreateTags", Request: `{"resourcesSet":"none"}`}, nil},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, managedInstances(nil, &tt.e), string(tt.e.Request))
	}
}

func TestTakesAll(t *testing.T) {
	t.Parallel()
	tests := map[event.Raw]bool{
		`{"filters":[{"key":"tag-key","values":["!none"]}]}`:                                           true,
		`{"filters":[{"key":"tag-key","values":["!none","!neither"]},{"key":"name","values":["!x"]}]}`: true,
		`{"filters":[{"key":"tag-key","values":["!none"]},{"key":"name","values":["prod"]}]}`:          false,
		`{"filters":[{"key":"tag-key","values":[]}]}`:                                                  false,
		`{"filters":[]}`:           false,
		`{"secretIdList":["!no"]}`: false,
		``:                         false,
	}
	for request, want := range tests {
		assert.Equal(t, want, takesAll(&event.Event{Request: request}), string(request))
	}
}

// A principal with more habits than are remembered is not reported for them,
// day after day. (As a scenario, this would make the laws' tests slow.)
func TestMoreHabitsThanRemembered(t *testing.T) {
	t.Parallel()
	s, err := detecttest.Parse(t.Name(), `rule secretsmanager-bulk
principal eso = role external-secrets session 1717000000 from 198.51.100.40 agent "aws-sdk-go-v2/1.30.3"
case a large operator
  day 1-20 06:00 eso secretsmanager:GetSecretValue {"secretId":"prod/service-{n:03}"} times 300
  expect nothing
`)
	require.NoError(t, err)
	found := run(t, []detect.Detector{secretsmanagerBulk(&Config{})}, s.Cases[0].Events())
	require.NotEmpty(t, found)
	for _, f := range found[1:] {
		if f.ID != found[0].ID { // the first day's
			assert.Equal(t, detect.Informational, f.Severity, "%s: %s", f.Time, f.Title)
		}
	}
}

// A read with decryption is told from one of plain text by the call of KMS that
// it leaves, made by AWS in the reader's name; no other call proves it.
func TestSecureStringProof(t *testing.T) {
	t.Parallel()
	const (
		read    = `day 22 10:00:01 ana ssm:GetParameter {"name":"/prod/db/password","withDecryption":true}`
		path    = `day 22 10:00:01 ana ssm:GetParametersByPath {"path":"/prod/secrets","recursive":true,"withDecryption":true}`
		context = `{"encryptionContext":{"PARAMETER_ARN":"arn:aws:ssm:us-east-1:111122223333:parameter/prod/db/password"}} `
		ssm     = `from ssm.amazonaws.com agent ssm.amazonaws.com set {"userIdentity":{"invokedBy":"ssm.amazonaws.com"}}`
		aws     = `from "AWS Internal" agent "AWS Internal" set {"userIdentity":{"invokedBy":"AWS Internal"}}`
	)
	tests := []struct{ name, before, read, want string }{
		{"decrypted by KMS", `day 22 10:00:00 ana kms:Decrypt ` + context + aws, read, "encrypted: KMS"},
		{"decrypted by KMS, for the service by name", `day 22 10:00:00 ana kms:Decrypt ` + context + ssm, read, "encrypted: KMS"},
		{"decrypted by KMS, when the whole folder was", `day 22 10:00:00 ana kms:Decrypt ` + context + aws, path, "encrypted in part: KMS decrypted 1"},
		{"not decrypted", ``, read, "in plain text"},
		{"another parameter decrypted", `day 22 10:00:00 ana kms:Decrypt {"encryptionContext":{"PARAMETER_ARN":"arn:aws:ssm:us-east-1:111122223333:parameter/prod/db/url"}} ` + aws, read, "in plain text"},
		{"decryption failed", `day 22 10:00:00 ana kms:Decrypt ` + context + aws + ` error AccessDenied`, read, "in plain text"},
		{"decrypted by the principal's own call", `day 22 10:00:00 ana kms:Decrypt ` + context, read, "in plain text"},
	}
	for _, tt := range tests {
		for _, rule := range []detect.Detector{ssmSensitiveName(&Config{}), ssmSecureDecryptFirstSeen(&Config{})} {
			name := rule.Info().Name
			s, err := detecttest.Parse(t.Name(), "rule "+name+`
principal ana = sso Developer ana@example.com from 198.51.100.20 agent "aws-cli/2.15.30"
case `+tt.name+`
  day 1-20 weekdays 09:00 ana ssm:DescribeParameters
  `+tt.before+"\n  "+tt.read+`
  expect nothing
`)
			require.NoError(t, err)
			found := run(t, []detect.Detector{rule}, s.Cases[0].Events())
			require.Len(t, found, 1, "%s: %s", name, tt.name)
			require.Len(t, found[0].Evidence, 2, "%s: %s", name, tt.name)
			assert.Contains(t, found[0].Evidence[1].Observed, tt.want, "%s: %s", name, tt.name)
		}
	}
}

func TestCredentialObject(t *testing.T) {
	t.Parallel()
	for _, key := range []string{".aws/credentials", "home/bob/.aws/credentials", "id_rsa", "ssh/id_rsa", "keys/web.pem", "putty.ppk", ".env", "app/.env", "app/prod.env", "state/prod.tfstate"} {
		assert.True(t, credentialObject(objectOf(key)), key)
	}
	for _, key := range []string{"", "/", "credentials", "docs/credentials", "id_rsa.pub", "pem", "a.pem/", "environment", "backup.sql", "env"} {
		assert.False(t, credentialObject(objectOf(key)), key)
	}
}

func objectOf(key string) *event.Event {
	return &event.Event{Request: event.Raw(fmt.Sprintf(`{"key":%q}`, key))}
}
